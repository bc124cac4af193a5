"""One process of Envoy: started, asked how it is, stopped. `envoy.py` decides when.

It is a direct child, which the kernel ends when the agent ends, and in a session of its own, so that ctrl-C in a
terminal does not end it before the program. What it logs is kept, the last of it, and shown when it fails;
TULLE_DEBUG=1 shows all.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from subprocess import SubprocessError
from urllib.parse import quote, urlencode

from tulle.agent import http1, idle
from tulle.agent.calls import BEGINNING as CALL
from tulle.agent.calls import WITH_HEADERS
from tulle.agent.descendants import die_with_parent
from tulle.agent.endpoints import LeftOut, left_out
from tulle.agent.exits import of_return_code
from tulle.agent.figures import collectors
from tulle.agent.folder import Folder
from tulle.agent.output import Lines
from tulle.model.calls import TOLD_MS
from tulle.model.open_connections import BEGINNING as CARRIED

_OPTIONS = ("--concurrency", "1", "-l", "warning", "--file-flush-interval-msec", str(TOLD_MS))
_DECISION = b'{"address":'  # how such a line begins: what Envoy itself says begins with its time
_STOP_SECONDS = 2.0
_POLL_SECONDS = 0.02
_ADMIN_SECONDS = 5.0
_LOG_SECONDS = 1.0
_OUTPUT_SECONDS = 0.5
_LOG_BYTES = 16384
_LOG_LINES = 12
_LONGEST_LINE = 512 * 1024  # more than one can have: 60 KiB of headers, each byte perhaps written as \u00ff
_OPEN_PARTS = ("upstream", "dns", "conn_handler", "connection", "pool")
_NOISE = (
    b"There is no configured limit to the number of allowed active downstream connections",  # at each start
    b"gRPC config stream to control-plane closed since ",  # twice a second while there is none
)
# Requests by HTTP, and connections that carry TCP, each of which may be in the middle of something.
_ACTIVE = ("http.inbound.downstream_rq_active", "cluster.inbound_tcp.upstream_cx_active")
_STOPPED = "listener_manager.listener_stopped"
_CONNECTIONS = ("downstream_cx_active", "downstream_pre_cx_active")  # those still in listener filters are the latter
_FILTER = rf"^({'|'.join(_ACTIVE)}|{_STOPPED}|listener\..*\.({'|'.join(_CONNECTIONS)}))$"
# Without `usedonly`: what nobody has called since Envoy looked for series to drop would be missing, as if it were dropped.
FIGURES = f"/stats/prometheus?filter={quote('^istio')}"
_SETTLED_SECONDS = TOLD_MS / 1000 + 0.1
_CALLS = rf"^(http\.(in|out)bound\.downstream_rq_(total|completed|active)|cluster\.{idle.CLUSTERS}\.upstream_rq_total)$"


async def start(
    binary: str,
    folder: Folder,
    options: Sequence[str],
    group: asyncio.TaskGroup,
    launch: Callable[[], None] | None,
    decided: Callable[[bytes], None],
    called: Callable[[bytes], None],
    carried: Callable[[bytes], None],
    written: Callable[[bytes], None],
    said: Callable[[bytes], None],
    environment: Mapping[str, str],
) -> Epoch:
    """Its log is read in the group until it ends. launch: called in the new process, right before it becomes Envoy.

    decided: told each line that says what access rules have decided. called: each that tells of a request.
    carried: each that tells what an open connection has carried. written: told whole lines of its standard output, but for those
    of requests. said: told each line of its own log. environment: beside what it inherits.
    Raises OSError if it can't be run: no memory for it, or its file is gone for a moment, as in an upgrade.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *(binary, "--config-path", folder.bootstrap.name, *_OPTIONS, *options),
            cwd=folder.path,
            env={**os.environ, **environment},
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
            preexec_fn=functools.partial(_become, os.getpid(), launch),
        )
    except SubprocessError as error:  # what `_become` has raised, whatever it was, is told as this
        raise OSError("it could not be prepared (its door in the program's network namespace, perhaps)") from error
    output = Lines(written, WITH_HEADERS, called)
    return Epoch(process, folder, group, {_DECISION: decided, CARRIED: carried, CALL: called}, output, said)


def _become(agent: int, launch: Callable[[], None] | None) -> None:
    """In the new process."""
    die_with_parent(agent)
    if launch:
        launch()


class Epoch:
    """A running Envoy.

    Its admin interface is asked over one connection for as long as it runs: once a successor has started, or only tried
    to, it takes no new ones.
    """

    def __init__(
        self,
        process: Process,
        folder: Folder,
        group: asyncio.TaskGroup,
        readers: Mapping[bytes, Callable[[bytes], None]],
        output: Lines | None = None,
        said: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        self._process = process
        self._folder = folder
        self._readers = readers
        self._said = said
        self._log = b""
        self._reading = group.create_task(self._read_log(), name=f"log of Envoy {process.pid}")
        copying = self._copy_output(output or Lines(lambda _: None))
        self._copying = group.create_task(copying, name=f"output of Envoy {process.pid}")
        self._admin: http1.Connection | None = None
        self._turn = asyncio.Lock()
        self._calls: Mapping[str, int] = {}
        self._moved = 0.0  # when these were seen to change, by the loop's clock

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.returncode is not None

    async def ended(self) -> str:
        """Waits for its end; how that was."""
        code = await self._process.wait()
        await asyncio.wait([self._reading], timeout=_LOG_SECONDS)  # a child that it left may hold the stream open
        lines = self._log.decode(errors="replace").splitlines()[-_LOG_LINES:]
        words = "\n".join(f"  {line}" for line in lines)
        return f"ended with exit code {of_return_code(code)}{f' and said:{chr(10)}{words}' if words else ''}"

    async def live(self) -> bool:
        """Waits until Envoy says that it is live; it stays so until it ends."""
        while b"LIVE" not in (await self._ask("/ready") or b""):  # noqa: ASYNC110  Envoy can only be asked
            await asyncio.sleep(_POLL_SECONDS)
        return True

    async def active_requests(self) -> int | None:
        """How many requests and TCP connections to the program are in flight; None if Envoy does not answer."""
        stats = await self._stats()
        return None if stats is None else sum(stats.get(name, 0) for name in _ACTIVE)

    async def connections(self) -> int | None:
        """How many connections of any callers are open; None if Envoy does not tell."""
        stats = await self._stats() or {}
        counts = [value for name, value in stats.items() if name.endswith(_CONNECTIONS)]
        return sum(counts) if counts else None

    async def outbound_calls(self) -> Mapping[str, int] | None:
        """What it counts of the program's own calls, as `idle` reads it; None if Envoy does not tell."""
        return await self._stats(idle.FILTER)

    async def calls(self) -> Mapping[str, int] | None:
        """How many there were, of all kinds, as `figures.reading` compares them; None if Envoy does not tell."""
        calls = await self._stats(_CALLS)
        if calls is not None and calls != self._calls:
            self._calls, self._moved = calls, asyncio.get_running_loop().time()
        return calls

    async def settled(self) -> None:
        """Waits until it has told of its last calls, if it answers; a second at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                if await self.calls() is not None:
                    await asyncio.sleep(self._moved + _SETTLED_SECONDS - asyncio.get_running_loop().time())

    async def figures(self) -> bytes | None:
        """What it counts of them, in Prometheus' format; None if Envoy does not tell."""
        return await self._ask(FIGURES)

    async def collectors(self) -> collectors.Counts | None:
        """What collectors have not taken of what it told them; None if Envoy does not tell."""
        stats = await self._stats(collectors.FILTER)
        if not stats:
            return stats if stats is None else {}
        hosts = await self._ask(f"/clusters?format=json&filter={quote(collectors.CLUSTERS)}")
        return None if hosts is None else collectors.counted(stats, hosts)

    async def secrets(self) -> Mapping[str, str] | None:
        """By name, the version of each secret that it uses; None if Envoy does not tell."""
        answer = await self._ask(f"/config_dump?resource=dynamic_active_secrets&mask={quote('name,version_info')}")
        try:
            found = json.loads(answer or b"")["configs"]
            return {secret["name"]: secret.get("version_info", "") for secret in found}
        except (ValueError, KeyError, TypeError):
            return None

    async def left_out(self, clusters: Sequence[str]) -> LeftOut | None:
        """Which endpoints of these clusters it leaves out by itself; None if Envoy does not tell."""
        which = f"^({'|'.join(map(re.escape, clusters))})$"
        answer = await self._ask(f"/clusters?format=json&filter={quote(which)}")
        return None if answer is None else left_out(answer)

    async def handed_over(self) -> bool | None:
        """Whether a successor has told it to take no new connections; None if Envoy does not tell."""
        stopped = (await self._stats() or {}).get(_STOPPED)
        return None if stopped is None else stopped > 0

    async def set_runtime(self, values: Mapping[str, int]) -> None:
        """All at once. Raises OSError if it does not answer, and has not ended.

        Source: Envoy, administration interface, `/runtime_modify`.
        """
        if await self._ask(f"/runtime_modify?{urlencode(values)}", "POST") is None and not self.has_ended:
            raise ConnectionError("its admin interface does not answer")

    async def set_level(self, level: str) -> None:
        """Of its log. Raises OSError if it does not answer. Source: Envoy, administration interface, `/logging`.

        `debug` is for those of its parts alone that write neither headers nor configuration, which may hold what nobody else
        should know.
        """
        targets = [f"/logging?level={'info' if level == 'debug' else level}"]
        if level == "debug":
            targets.append(f"/logging?paths={','.join(f'{part}:debug' for part in _OPEN_PARTS)}")
        for target in targets:
            if await self._ask(target, "POST") is None:
                raise ConnectionError("its admin interface does not answer")

    async def stop(self) -> None:
        """Ends Envoy; it exits at once on SIGTERM, whatever is in flight. One that it has taken over from it ends too."""
        await self._end(self._process.terminate, self._process.kill)

    async def kill(self) -> None:
        """Ends Envoy, and leaves the one alone from which it was to take over."""
        await self._end(self._process.kill)

    async def _end(self, *ways: Callable[[], None]) -> None:
        for end in ways:
            if not self.has_ended:
                with suppress(ProcessLookupError, TimeoutError):
                    end()
                    async with asyncio.timeout(_STOP_SECONDS):
                        await self._process.wait()
        await asyncio.wait([self._copying, self._reading], timeout=_OUTPUT_SECONDS)
        self._copying.cancel()
        self._reading.cancel()
        self._disconnect()

    async def _stats(self, which: str = _FILTER) -> Mapping[str, int] | None:
        answer = await self._ask(f"/stats?filter={quote(which)}")
        if answer is None:
            return None
        lines = (line.rpartition(": ") for line in answer.decode(errors="replace").splitlines())
        return {
            name: int(value)
            for name, _, value in lines
            if value.isdigit() and not name.startswith("listener.admin.") and ".worker_" not in name
        }

    async def _ask(self, target: str, method: str = "GET") -> bytes | None:
        """A request at Envoy's admin interface; None if it does not answer, or not with 200."""
        async with self._turn:
            status, body = 0, b""
            try:
                async with asyncio.timeout(_ADMIN_SECONDS):
                    connection = self._admin = self._admin or await self._connect()
                    await connection.request(method, target, {}, keep=True)
                    status, body = await connection.response(), await connection.body()
            except OSError:
                pass
            finally:
                if not status:  # also when cancelled in the middle
                    self._disconnect()
        return body if status == 200 else None

    async def _connect(self) -> http1.Connection:
        connection = await http1.unix_connection(self._folder.admin)
        if connection.peer != self.pid:
            connection.close()
            raise ConnectionRefusedError("another epoch listens there, yet or already")
        return connection

    def _disconnect(self) -> None:
        if self._admin:
            self._admin.close()
            self._admin = None

    async def _copy_output(self, lines: Lines) -> None:
        while self._process.stdout and (part := await self._process.stdout.read(65536)):
            lines.add(part)
        lines.end()

    async def _read_log(self) -> None:
        assert self._process.stderr
        show = os.environ.get("TULLE_DEBUG")
        rest = b""
        while part := await self._process.stderr.read(65536):
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                if reader := self._reader(line):
                    reader(line)
                elif not any(noise in line for noise in _NOISE):
                    self._said(line)
                    self._log = (self._log + line + b"\n")[-_LOG_BYTES:]
            rest = rest[:_LONGEST_LINE] if self._reader(rest) else rest[-_LOG_BYTES:]
            if show:
                sys.stderr.write(part.decode(errors="replace"))
        if reader := self._reader(rest):
            reader(rest)
        else:
            self._log = (self._log + rest)[-_LOG_BYTES:]

    def _reader(self, line: bytes) -> Callable[[bytes], None] | None:
        """Whoever reads lines of this kind; None for what Envoy itself says."""
        return next((reader for beginning, reader in self._readers.items() if line.startswith(beginning)), None)
