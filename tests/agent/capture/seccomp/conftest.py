"""Programs under the real reaper in seccomp mode, a door that reads the PROXY header as Envoy does, and a DNS server."""

from __future__ import annotations

import asyncio
import json
import os
import select
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from machine import excused
from tulle.agent.capture.mode import Unavailable
from tulle.agent.capture.seccomp_probe import probe
from tulle.model.addresses import CANARY_HOST, CANARY_VIP

SOURCES = Path(__file__).parents[4] / "src"
REAPER = str(SOURCES / "tulle/agent/reaper.py")
VIP = "127.64.0.1"
NAME = "service-b.tulle.internal"
NOWHERE = "127.1.2.53"  # nobody listens there, and nothing leaves the machine
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"


@pytest.fixture(autouse=True)
def possible_here() -> None:
    try:
        probe()
    except Unavailable as error:
        excused("seccomp", str(error))


SOURCE = ("127.1.2.3", 4567)


class Door:
    """Envoy's outbound door: tells each caller where it wanted to go, and echoes what it says."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.sources: set[tuple[str, int]] = set()
        self.page = b""  # what is said in place of the destination
        self.open = 0
        self.most_open = 0
        self.loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self.port = self._do(self._open(0))
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def reopen(self) -> None:
        asyncio.run_coroutine_threadsafe(self._open(self.port), self.loop).result(10)

    def shut(self) -> None:
        """As when Envoy is restarted: nobody listens."""

        async def shut() -> None:
            assert self._server
            self._server.close()

        asyncio.run_coroutine_threadsafe(shut(), self.loop).result(10)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        if self._server:
            self._server.close()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self._do(asyncio.sleep(0))
        self.loop.close()

    def _do(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    async def _open(self, port: int) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, backlog=4096)
        return int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            header = await reader.readexactly(28)
            assert header[:16] == _SIGNATURE, header
            source, destination, source_port, port = struct.unpack(">4s4sHH", header[16:])
            call = (socket.inet_ntoa(destination), port)
            self.calls.append(call)
            self.sources.add((socket.inet_ntoa(source), source_port))
            writer.write(self.page or f"{call[0]}:{call[1]}\n".encode())
            if self.page:
                return
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()


class Resolver:
    """The agent's DNS server: it knows NAME and the canary, nothing else."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        self.asked: list[tuple[str, str]] = []
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.tcp = socket.create_server((address, port), family=family)
        self.port = self.tcp.getsockname()[1]
        self.udp = socket.socket(family, socket.SOCK_DGRAM)
        self.udp.bind((address, self.port))
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._serve_udp, self._serve_tcp)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)
        self.udp.close()
        self.tcp.close()

    def like(self, address: str) -> Resolver:
        """Another one, on the same port."""
        return Resolver(address, self.port)

    def _serve_udp(self) -> None:
        while not self._stop.is_set():
            if select.select([self.udp], [], [], 0.05)[0]:
                question, sender = self.udp.recvfrom(4096)
                self.udp.sendto(self._reply(question, "udp"), sender)

    def _serve_tcp(self) -> None:
        while not self._stop.is_set():
            if select.select([self.tcp], [], [], 0.05)[0]:
                connection, _ = self.tcp.accept()
                threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            while head := stream.read(2):
                reply = self._reply(stream.read(int.from_bytes(head, "big")), "tcp")
                connection.sendall(len(reply).to_bytes(2, "big") + reply)

    def _reply(self, question: bytes, by: str) -> bytes:
        labels, at = [], 12
        while size := question[at]:
            labels.append(question[at + 1 : at + 1 + size].decode())
            at += 1 + size
        name, kind = ".".join(labels), question[at + 2]
        self.asked.append((name, by))
        asked = question[12 : at + 5]
        known = {NAME: VIP, CANARY_HOST: CANARY_VIP}.get(name.lower())
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4" + socket.inet_aton(known) if known and kind == 1 else b""
        flags = b"\x81\x80" if known else b"\x81\x83"
        return question[:2] + flags + b"\0\1" + (b"\0\1" if answer else b"\0\0") + b"\0\0\0\0" + asked + answer


class Captured:
    """A program under the reaper."""

    def __init__(self, reaper: subprocess.Popen[str], control: socket.socket) -> None:
        self.reaper = reaper
        self.control = control
        self.lines: list[str] = []
        self._rest = b""

    def hear(self, word: str, seconds: float = 60.0) -> str:
        """Waits for a line of the reaper that starts with this word."""
        deadline = time.monotonic() + seconds
        while not (found := [line for line in self.lines if line.split()[0] == word]):
            self.control.settimeout(max(0.01, deadline - time.monotonic()))
            data = self.control.recv(4096)
            assert data, f"the reaper has ended, having said {self.lines}"
            *lines, self._rest = (self._rest + data).split(b"\n")
            self.lines += [line.decode() for line in lines]
        return found[-1]

    def say(self, line: str) -> None:
        self.control.sendall(line.encode() + b"\n")

    def read_line(self) -> str:
        assert self.reaper.stdout
        return self.reaper.stdout.readline().strip()


class Ground:
    """What is around a captured program, and how to start one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.door = Door()
        self.resolver = Resolver()
        self.resolv_conf = folder / "resolv.conf"
        self.resolv_conf.write_text(Path("/etc/resolv.conf").read_text() + f"nameserver {NOWHERE}\n")
        self.plan: dict[str, Any] = {
            "mode": "seccomp",
            "proxy": "p",
            "outbound": self.door.port,
            "source": f"{SOURCE[0]}:{SOURCE[1]}",
            "dns": self.resolver.port,
            "nameservers": [NOWHERE],
            "answers_at": [],
            "resolv_conf": str(self.resolv_conf),
            "refused_sockets": [],
        }
        self.prefix: list[str] = []

    def close(self) -> None:
        self.door.close()
        self.resolver.close()

    @contextmanager
    def start(self, *argv: str, environment: dict[str, str] | None = None, first: str = "start") -> Iterator[Captured]:
        ours, theirs = socket.socketpair()
        private = self.folder / f"agent-{ours.fileno()}"
        private.mkdir()
        with ours, theirs:
            ours.sendall(json.dumps(self.plan).encode() + b"\n")
            reaper = subprocess.Popen(
                [
                    *(*self.prefix, sys.executable, "-I", "-S", REAPER, str(theirs.fileno()), str(private)),
                    *("seccomp", argv[0], *argv),
                ],
                env={**os.environ, **(environment or {})},
                pass_fds=(theirs.fileno(),),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            theirs.close()
            captured = Captured(reaper, ours)
            try:
                captured.say(first)
                yield captured
            finally:
                with suppress(OSError):
                    ours.shutdown(socket.SHUT_RDWR)
                if reaper.stdout and not reaper.stdout.closed:
                    print(*reaper.communicate(timeout=20))

    def run(self, *argv: str, seconds: float = 60.0, **more: Any) -> Ran:
        """Runs a program to its end."""
        with self.start(*argv, **more) as captured:
            code = int(captured.hear("exited", seconds).split()[1])
            captured.control.shutdown(socket.SHUT_WR)
            out, err = captured.reaper.communicate(timeout=20)
        return Ran(code, out, err, captured.lines)

    def python(self, code: str, **more: Any) -> Ran:
        """Runs Python code to its end, which must be a good one."""
        ran = self.run(sys.executable, "-c", textwrap.dedent(code), **more)
        assert ran.code == 0, ran.err + ran.out
        assert "Traceback" not in ran.err, ran.err
        return ran


class Ran:
    def __init__(self, code: int, out: str, err: str, lines: list[str]) -> None:
        self.code = code
        self.out = out
        self.err = err
        self.words = out.split()
        self.lines = lines

    def said(self, word: str) -> list[str]:
        return [line for line in self.lines if line.split()[0] == word]


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    ground = Ground(tmp_path)
    try:
        yield ground
    finally:
        ground.close()


@pytest.fixture
def until() -> Callable[..., Any]:
    def wait(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, f"not within {seconds} s"
            time.sleep(0.01)
        return value

    return wait
