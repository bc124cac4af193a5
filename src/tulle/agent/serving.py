"""Where the program serves: from what the user said, what is found, and what the capture has moved, to what is offered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import NoReturn

from tulle.agent.capture import choose
from tulle.agent.capture.mode import Place, Prepared
from tulle.agent.config import AgentConfig, Port
from tulle.agent.console import Console
from tulle.agent.listening import Several, changes, service_ports
from tulle.agent.offer import Offer
from tulle.agent.ownership import Ownership
from tulle.agent.ports import Ports
from tulle.model.addresses import LOOPBACK

_OFTEN_SECONDS = 0.1  # between looks at where the named ports are bound, until that is known or it takes too long
_SELDOM_SECONDS = 1.0
_LATE_SECONDS = 10.0


class Serving:
    """The offer as it is now. Without `--port` nothing is offered until it is found where the program listens.

    A given port that is, or may be, a stranger's leads nowhere until the capture says where the program has it.
    """

    def __init__(self, config: AgentConfig, ports: Ports, console: Console) -> None:
        self._is_given = bool(config.ports)
        self._expected_at = ports.program
        self._is_chosen = any(port.target is None for port in config.service_ports)
        self._given = tuple(
            replace(port, target=ports.program if port.target is None else port.target) for port in config.service_ports
        )
        self._taken = ports.taken
        self._nowhere = ports.nowhere
        self._found: tuple[Port, ...] | None = None
        self._capture = choose.candidates(config.capture)[0]
        self._ipv6, self._source = False, ""
        self._console = console
        self._moved: dict[int, int] = {}
        self._bound: dict[int, tuple[str, ...]] = {}
        self._changed = asyncio.Event()

    @property
    def offer(self) -> Offer:
        """What was found is where it really is; what was given, where the capture has moved it."""
        ports = self._found if self._found is not None else self._named if self._is_given else ()
        return Offer(ports, self._capture, self._ipv6, self._source)

    @property
    def _named(self) -> tuple[Port, ...]:
        return tuple(replace(port, target=self._host_port(port)) for port in self._given)

    @property
    def places(self) -> tuple[Place, ...]:
        """Where the program really listens, by its last look if it ends; until it is known, where it may be expected.

        $PORT is expected everywhere: nobody else had it. A port that the user has named may be others' elsewhere.
        """
        return tuple(
            (address, target)
            for target in self.offer.targets or (self._expected_at,)
            for address in self._bound.get(target, self._expected(target))
        )

    def captured_by(self, mode: str, prepared: Prepared) -> None:
        """From now on."""
        self._capture, self._ipv6, self._source = mode, prepared.ipv6, prepared.source

    def hear(self, word: str, rest: str) -> None:
        """Takes in what the capture says of the program: `moved PORT HOST_PORT`, or a `note` for the user."""
        if word == "note":
            self._console.warning(rest)
        elif word == "moved":
            port, host_port = map(int, rest.split())
            self._moved[port] = host_port
            self._changed.set()

    async def follow(self, ownership: Ownership, tell: Callable[[Offer], None]) -> str:
        """Tells of each new offer. Its end is a mistake, in words for the user: nobody can know which port is meant.

        ownership: of the program's sockets.
        """
        if self._is_given:
            await self._follow_given(ownership, tell)
        async with aclosing(changes(ownership.root, self._expected_at, self._moved)) as found:
            async for where in found:
                if isinstance(where, Several):
                    return str(where)
                if where is not None:
                    if where.beside:
                        self._console.warning(str(where))
                    self._found = service_ports(where.open, self._expected_at)
                    self._bound = {where.open.target: where.open.bound}
                    tell(self.offer)
        raise AssertionError("the program is looked at as long as it runs")

    async def _follow_given(self, ownership: Ownership, tell: Callable[[Offer], None]) -> NoReturn:
        """The ports stay as the user has named them, but the capture may move them, and their addresses become known."""
        loop = asyncio.get_running_loop()
        start, told = loop.time(), (self.offer, self.places)
        while True:
            known = {target: ownership.bound(LOOPBACK, target) for target in self.offer.targets}
            self._bound |= {target: bound for target, bound in known.items() if bound}
            if told != (self.offer, self.places):
                told = self.offer, self.places
                tell(self.offer)
            settled = all(target in self._bound for target in self.offer.targets) or loop.time() - start > _LATE_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(_SELDOM_SECONDS if settled else _OFTEN_SECONDS):
                    await self._changed.wait()
            self._changed.clear()

    def _expected(self, target: int) -> tuple[str, ...]:
        return ("::" if self._is_chosen and target == self._expected_at else LOOPBACK,)

    def _host_port(self, port: Port) -> int | None:
        if port.target is None:
            return None
        may_be_strangers = port.target in self._taken or choose.moves_every_bind(self._capture)
        return self._moved.get(port.target, self._nowhere if may_be_strangers else port.target)
