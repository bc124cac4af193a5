"""What an unmodified program finds: the C library, in a namespace where the server has port 53 and resolv.conf names it.

The server is outside, on sockets made inside; that is how a program in a network namespace is served.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

INSIDE = """
import json, socket, subprocess, sys
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["mount", "--bind", sys.argv[1], "/etc/resolv.conf"], check=True)
udp, tcp = socket.socket(type=socket.SOCK_DGRAM), socket.socket()
for bound in (udp, tcp):
    bound.bind(("127.0.0.1", 53))
channel = socket.socket(fileno=int(sys.argv[2]))
socket.send_fds(channel, [b"x"], [udp.fileno(), tcp.fileno()])
udp.close()
tcp.close()
for line in sys.stdin:
    kind, what = json.loads(line)
    try:
        if kind == "address":
            found = sorted({entry[4][0] for entry in socket.getaddrinfo(what, 80)})
        else:
            found = socket.getnameinfo((what, 80), socket.NI_NAMEREQD)[0]
    except socket.gaierror as error:
        found = error.errno
    print(json.dumps(found), flush=True)
"""

Ask = Callable[[str, str], Awaitable[Any]]


def namespace() -> list[str]:
    """The command that opens a namespace of one's own."""
    command = ["unshare", "--net", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    try:
        subprocess.run(
            [*command, "sh", "-c", "ip link set lo up && mount --bind / /mnt"], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no namespace of our own: {error}")
    if "dns" not in Path("/etc/nsswitch.conf").read_text():
        pytest.skip("the C library asks no nameservers")
    return command


@asynccontextmanager
async def looking_up(
    serving_dns: Any, folder: Path, resolv_conf: str, environment: dict[str, str]
) -> AsyncIterator[tuple[Any, Ask]]:
    """The server, and what asks the C library."""
    command = namespace()
    file = folder / "resolv.conf"
    file.write_text(resolv_conf)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = await asyncio.create_subprocess_exec(
            *(*command, sys.executable, "-c", INSIDE, str(file), str(theirs.fileno())),
            env={**os.environ, **environment},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        theirs.close()
        assert process.stdin and process.stdout
        _, descriptors, _, _ = await asyncio.to_thread(socket.recv_fds, ours, 1, 2)
        assert len(descriptors) == 2
        sockets = tuple(socket.socket(fileno=descriptor) for descriptor in descriptors)

        async def ask(kind: str, what: str) -> Any:
            assert process.stdin and process.stdout
            process.stdin.write(json.dumps([kind, what]).encode() + b"\n")
            async with asyncio.timeout(30):
                return json.loads(await process.stdout.readline())

        async with serving_dns(sockets=sockets) as dns:
            yield dns, ask
            process.stdin.close()
            assert await process.wait() == 0


def company(dns: Any, wire: Any, known: set[str]) -> Callable[[bytes, str], bytes]:
    """The company's nameserver: knows these names, and nothing else."""

    def answer(packet: bytes, _: str) -> bytes:
        question = wire.decode(packet[:10] + b"\0\0" + packet[12 : packet.index(b"\0", 12) + 5]).question
        is_known = question[0] in known
        nothing: bytes = dns.nameserver.reply(packet, 0x8180 if is_known else 0x8183)
        found: bytes = dns.nameserver.address(packet, "192.0.2.77")
        return found if is_known and question[1] == wire.TYPES["A"] else nothing

    return answer


async def test_the_c_library_finds_the_mesh_and_all_else_as_before(serving_dns: Any, wire: Any, tmp_path: Path) -> None:
    resolv_conf = "nameserver 127.0.0.1\nsearch corp.com\noptions timeout:10 edns0\n"
    async with looking_up(serving_dns, tmp_path, resolv_conf, {"RES_OPTIONS": "ndots:0"}) as (dns, ask):
        dns.nameserver.answer = company(dns, wire, {"db.corp.com", "service-b.corp.com"})
        assert await ask("address", "service-b") == ["127.64.0.7"]  # though the search domain has one as well
        assert await ask("address", "service-b.corp.com") == ["192.0.2.77"]  # which is found under its own name
        assert await ask("address", "service-c.other.svc.cluster.local") == ["127.70.1.2"]
        assert await ask("address", "db") == ["192.0.2.77"]  # by the search list, as the mesh has none
        assert await ask("address", "canary.tulle.internal") == ["127.127.255.254"]
        assert await ask("address", "nobody.default.svc.cluster.local") == socket.EAI_NONAME
        assert await ask("address", "nobody.example.com") == socket.EAI_NONAME
        assert await ask("name", "127.64.0.7") == "service-b.default.svc.cluster.local"


async def test_the_c_library_finds_the_mesh_by_tcp_too(serving_dns: Any, wire: Any, tmp_path: Path) -> None:
    resolv_conf = "nameserver 127.0.0.1\noptions timeout:10 use-vc\n"
    async with looking_up(serving_dns, tmp_path, resolv_conf, {}) as (dns, ask):
        dns.nameserver.answer = company(dns, wire, {"db.corp.com"})
        assert await ask("address", "service-b") == ["127.64.0.7"]
        assert await ask("address", "db.corp.com") == ["192.0.2.77"]
        assert dns.nameserver.got


async def test_the_c_library_comes_again_by_tcp_for_what_was_truncated(
    serving_dns: Any, wire: Any, tmp_path: Path
) -> None:
    async with looking_up(serving_dns, tmp_path, "nameserver 127.0.0.1\n", {}) as (dns, ask):
        whole = company(dns, wire, {"db.corp.com"})

        def answer(packet: bytes, by: str) -> bytes:
            truncated: bytes = dns.nameserver.reply(packet, 0x8380)
            return whole(packet, by) if by == "TCP" else truncated

        dns.nameserver.answer = answer
        assert await ask("address", "db.corp.com") == ["192.0.2.77"]
        assert {by for by, _ in dns.nameserver.got} == {"UDP", "TCP"}
