"""Where the program serves: from what the user said, what is found, and what the capture has moved, to what is offered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace

from tulle.agent.capture.choose import candidates
from tulle.agent.capture.mode import Prepared
from tulle.agent.config import AgentConfig, Port
from tulle.agent.console import Console
from tulle.agent.listening import Several, changes, service_ports
from tulle.agent.offer import Offer
from tulle.agent.ports import Ports


class Serving:
    """The offer as it is now. Without `--port` the program is expected on $PORT until it is found elsewhere."""

    def __init__(self, config: AgentConfig, ports: Ports, console: Console) -> None:
        self._is_given = bool(config.ports)
        self._expected_at = ports.program
        self._given = tuple(
            replace(port, target=ports.program if port.target is None else port.target) for port in config.service_ports
        )
        self._found: tuple[Port, ...] | None = None
        self._capture = candidates(config.capture)[0]
        self._ipv6, self._source = False, ""
        self._console = console
        self._moved: dict[int, int] = {}
        self._changed = asyncio.Event()

    @property
    def offer(self) -> Offer:
        """What was found is where it really is; what was given, where the capture has moved it."""
        ports = self._found or tuple(replace(port, target=self._host_port(port)) for port in self._given)
        return Offer(ports, self._capture, self._ipv6, self._source)

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

    async def follow(self, reaper: int, tell: Callable[[Offer], None]) -> str:
        """Tells of each new offer. Its end is a mistake, in words for the user: nobody can know which port is meant.

        reaper: the process below which the program is.
        """
        if self._is_given:
            while True:
                await self._changed.wait()
                self._changed.clear()
                tell(self.offer)
        async with aclosing(changes(reaper, self._expected_at, self._moved)) as found:
            async for where in found:
                if isinstance(where, Several):
                    return str(where)
                if where is not None:
                    if where.beside:
                        self._console.warning(str(where))
                    self._found = service_ports(where.open, self._expected_at)
                    tell(self.offer)
        raise AssertionError("the program is looked at as long as it runs")

    def _host_port(self, port: Port) -> int | None:
        return None if port.target is None else self._moved.get(port.target, port.target)
