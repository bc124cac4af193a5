"""A program in its namespace, with a small stand-in for Envoy, and a resolver that knows one answer.

The stand-in binds its port as Envoy does, and says for each connection where it was meant to go. What a program wants to
say goes to a file.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from machine import excused
from tulle.agent.capture.mode import Prepared, Settings, Unavailable
from tulle.agent.capture.netns import prepared
from tulle.agent.folder import Folder, agent_folder
from tulle.agent.program import Program, under_reaper
from tulle.model.addresses import CANARY_HOST, CANARY_VIP

PROXY = "a-000001"

# argv: its workers' number and the port. Says "ready", and to each caller where it wanted to go.
STAND_IN = """
import socket, struct, sys, threading
def original(call):
    for level, size in ((0, 16), (41, 28)):
        try:
            raw = call.getsockopt(level, 80, size)
        except OSError:
            continue
        family = socket.AF_INET if level == 0 else socket.AF_INET6
        return socket.inet_ntop(family, raw[4:8] if level == 0 else raw[8:24]), struct.unpack(">H", raw[2:4])[0]
    return "nowhere", 0
def answer(call):
    host, port = original(call)
    body = sys.argv[3] if host == "127.127.255.254" else f"{host} {port}"
    call.recv(4096)
    call.sendall(f"HTTP/1.1 200 OK\\r\\ncontent-length: {len(body)}\\r\\n\\r\\n{body}".encode())
    call.close()
def serve(listening):
    while True:
        threading.Thread(target=answer, args=(listening.accept()[0],), daemon=True).start()
hosts = ["127.0.0.1", "::1"] if socket.has_dualstack_ipv6() else ["127.0.0.1"]
for host in hosts * int(sys.argv[1]):
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind((host, int(sys.argv[2])))
    listening.setblocking(True)
    listening.listen(128)
    threading.Thread(target=serve, args=(listening,), daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
"""

# Before a program's own code.
PREAMBLE = """
import os, socket, sys, time
def say(*words):
    with open(sys.argv[1], "a") as file: print(*words, file=file)
def ask(host, port=80, family=0, words=b"GET / HTTP/1.1\\r\\n\\r\\n"):
    family = family or (socket.AF_INET6 if ":" in host else socket.AF_INET)
    with socket.socket(family) as call:
        call.settimeout(10)
        call.connect((host, port))
        call.sendall(words)
        got = b""
        while part := call.recv(4096): got += part
    return got.rpartition(b"\\n")[2].decode()
"""


@dataclass
class Isolated:
    """moved: what the reaper has told, the program's ports and where they are outside."""

    settings: Settings
    prepared: Prepared
    folder: Folder
    moved: list[tuple[int, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def program(self, code: str, *arguments: str, **variables: str) -> AsyncIterator[Program]:
        """Runs it within the block."""
        argv = (sys.executable, "-c", PREAMBLE + code, str(self.said_in), *arguments)
        async with self.reaper(argv, **variables) as program:
            await program.start()
            yield program

    @asynccontextmanager
    async def reaper(self, argv: Sequence[str], **variables: str) -> AsyncIterator[Program]:
        environment = {**os.environ, "MARK": str(self.folder.path), **variables}
        async with under_reaper(argv[0], argv, environment, self.folder, self.prepared.plan, self._hear) as program:
            yield program

    async def run(self, code: str, *arguments: str, **variables: str) -> str:
        """What it has said by its end."""
        self.said_in.unlink(missing_ok=True)
        async with self.program(code, *arguments, **variables) as program:
            program.keep_folder()  # for another one
            assert await program.ended() == 0
        return self.said

    @asynccontextmanager
    async def envoy(self, workers: int = 1) -> AsyncIterator[Process]:
        arguments = (str(workers), str(self.settings.outbound), PROXY)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", STAND_IN, *arguments),
            stdin=DEVNULL,
            stdout=PIPE,
            env={**os.environ, "MARK": str(self.folder.path)},
            preexec_fn=self.prepared.envoy_launch,
        )
        try:
            assert process.stdout
            assert await asyncio.wait_for(process.stdout.readline(), 20) == b"ready\n"
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    @property
    def said_in(self) -> Path:
        return self.folder.path.parent / f"said-{self.folder.path.name}"

    @property
    def said(self) -> str:
        return self.said_in.read_text() if self.said_in.exists() else ""

    def _hear(self, word: str, rest: str) -> None:
        if word == "moved":
            inside, outside = map(int, rest.split())
            self.moved.append((inside, outside))
        else:
            self.notes.append(rest)


Isolate = Callable[..., AbstractAsyncContextManager[Isolated]]


@pytest.fixture
def isolate(tmp_path: Path) -> Isolate:
    """Namespaces, each with its resolver, and its Envoy unless that is not wanted."""

    @asynccontextmanager
    async def enter(proxy: str = PROXY, envoy: bool = True) -> AsyncIterator[Isolated]:
        async with AsyncExitStack() as stack:
            (tmp_path / "proxies").mkdir(exist_ok=True)
            folder = stack.enter_context(agent_folder(tmp_path, proxy))
            outbound, inbound, dns = free_ports(3)
            settings = Settings(proxy, folder.path, outbound, inbound, dns, (), ())
            try:
                isolated = Isolated(settings, stack.enter_context(prepared(settings)), folder)
            except Unavailable as error:
                excused("netns", str(error))
            stack.callback(answer_names(isolated.prepared.dns_sockets))
            if envoy:
                await stack.enter_async_context(isolated.envoy())
            yield isolated

    return enter


def free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def answer_names(sockets: Sequence[socket.socket]) -> Callable[[], None]:
    """The canary's address for its name, no address for any other, by UDP and TCP; how to end that."""
    loop = asyncio.get_running_loop()

    def datagram(server: socket.socket) -> None:
        question, client = server.recvfrom(4096)
        server.sendto(answer(question), client)

    def connection(server: socket.socket) -> None:
        client, _ = server.accept()
        with client:
            client.settimeout(5)
            question = client.recv(4096)[2:]
            reply = answer(question)
            client.sendall(len(reply).to_bytes(2, "big") + reply)

    for server in sockets:
        if server.type == socket.SOCK_STREAM:
            server.listen()
        loop.add_reader(server, connection if server.type == socket.SOCK_STREAM else datagram, server)

    def end() -> None:
        for server in sockets:
            loop.remove_reader(server)

    return end


def answer(question: bytes) -> bytes:
    end = question.index(b"\0", 12) + 5
    name = b"".join(bytes([len(part)]) + part.encode() for part in CANARY_HOST.split(".")) + b"\0"
    known = question[12 : end - 4] == name and question[end - 4 : end - 2] == b"\0\1"
    head = question[:2] + b"\x81\x80" + b"\0\1" + (b"\0\1" if known else b"\0\0") + b"\0\0\0\0"
    record = b"\xc0\x0c\0\1\0\1\0\0\0\4\0\4" + socket.inet_aton(CANARY_VIP)
    return head + question[12:end] + (record if known else b"")
