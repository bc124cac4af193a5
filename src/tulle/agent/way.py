"""The program's way into the mesh: the first mode of capture that this machine allows and that is proved to work.

"Proved": before the program starts, a child in exactly its place looks up a name, connects, and is answered by the
sidecar itself (`capture/canary.py`). So no program runs outside the mesh that believes itself in it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tulle.agent.capture import choose
from tulle.agent.capture.environment import program_environment
from tulle.agent.capture.launch import UNTOUCHED
from tulle.agent.capture.mode import Prepared, Settings, Unavailable
from tulle.agent.config import AgentConfig
from tulle.agent.console import Console
from tulle.agent.exits import AgentError
from tulle.agent.folder import Folder
from tulle.agent.ports import Ports
from tulle.agent.program import Program, under_reaper
from tulle.agent.session import Session

if TYPE_CHECKING:
    from tulle.agent.dns.resolv_conf import Nameservers
    from tulle.agent.spans.door import SpansDoor

_ANOTHER_PORT = "stop that, or give another --port"
_CANARY_SECONDS = 10.0
_LOOK_SECONDS = 2.0  # at resolv.conf, whether the machine's nameservers have changed


@dataclass(frozen=True, slots=True)
class Way:
    """A prepared mode, and the program's reaper, which starts the program in it."""

    mode: str
    prepared: Prepared
    program: Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """What is needed to try one mode after another. hear: told what a capture says while the program runs.

    spans: where the program may send its own; None without --trace. environment: what the program finds in its own, beside
    what a mode adds.
    """

    config: AgentConfig
    settings: Settings
    ports: Ports
    folder: Folder
    file: str
    session: Session
    console: Console
    open_files: int
    hear: Callable[[str, str], None]
    spans: SpansDoor | None
    environment: Mapping[str, str]

    @asynccontextmanager
    async def tried(self, mode: str) -> AsyncIterator[Way]:
        """One mode within the block; nothing of it is left after that. Raises Unavailable."""
        if self.ports.taken and not choose.moves_binds(mode):
            raise Unavailable(f"{_one_of(self.ports.taken)}; this mode can't move it")
        async with AsyncExitStack() as stack:
            try:
                prepared = stack.enter_context(choose.prepared(mode, self.settings))
                # Duplicates, as they are closed at the end; before there is a reaper, for Unavailable would come out of
                # its task group as another error.
                own = () if mode in UNTOUCHED else self.ports.dns_sockets
                sockets = [stack.enter_context(each.dup()) for each in own]
                listening = prepared.spans.dup() if prepared.spans and self.spans else None  # the door closes it
                spans = await self.spans.for_program(listening) if self.spans else ""
            except OSError as error:  # no descriptor, process, room left
                raise Unavailable(f"it can't be made ready: {error}") from error
            environment, notes = program_environment(
                os.environ,
                self.config,
                self.settings.proxy,
                self.ports,
                mode,
                {**prepared.environment, **self.environment},
                spans,
            )
            for note in notes:
                self.console.warning(note)
            plan = {**prepared.plan, "open_files": self.open_files}
            program = await stack.enter_async_context(
                under_reaper(self.file, self.config.command, environment, self.folder, plan, self.hear)
            )
            self.console.must_wait = program.has_terminal
            if mode not in UNTOUCHED:
                await stack.enter_async_context(self._resolver(prepared, (*sockets, *prepared.dns_sockets)))
            yield Way(mode, prepared, program)

    @asynccontextmanager
    async def _resolver(self, prepared: Prepared, sockets: Sequence[socket.socket]) -> AsyncIterator[None]:
        from tulle.agent.dns.resolv_conf import Nameservers
        from tulle.agent.dns.server import serve

        reader = Nameservers()
        async with asyncio.TaskGroup() as group:
            following = group.create_task(self._follow(reader, prepared), name="nameservers")
            namespace, session = self.config.namespace, self.session
            async with serve(
                sockets, session, reader, self.console, namespace=namespace, outside=lambda: session.outside
            ):
                yield
            following.cancel()

    async def _follow(self, reader: Nameservers, prepared: Prepared) -> None:
        known = self.settings.nameservers
        failed = False
        while True:
            if (now := reader()) != known:
                try:
                    prepared.renew_nameservers(now)
                    known, failed = now, False
                except OSError as error:  # questions to the new ones are not captured; tried again
                    if not failed:
                        self.console.warning(f"can't capture questions to {', '.join(now)}: {error}")
                    failed = True
            await asyncio.sleep(_LOOK_SECONDS)


async def proved(way: Way) -> str | None:
    """Why a mode does not work after all; None if it is proved that it does."""
    if way.mode == "none":
        return None
    return await way.program.canary(_CANARY_SECONDS)


def check_ports(ports: Ports, wanted: str) -> None:
    """Raises AgentError if the program can't have its ports in any mode."""
    if ports.taken and not any(choose.moves_binds(mode) for mode in choose.candidates(wanted)):
        raise AgentError(f"{_one_of(ports.taken)}; {_ANOTHER_PORT}")


def failure(wanted: str, reasons: list[tuple[str, str]], ports: Ports) -> AgentError:
    """When no mode works."""
    if wanted != choose.AUTO:
        return AgentError(f"--capture {wanted} is not possible: {reasons[-1][1]}")
    told = "\n".join(f"  {mode}: {reason}" for mode, reason in reasons)
    way_out = _ANOTHER_PORT if ports.taken else "--capture none runs the program without"
    return AgentError(f"no way of capture is possible:\n{told}\n{way_out}")


def _one_of(taken: Mapping[int, str]) -> str:
    return next(iter(taken.values()))
