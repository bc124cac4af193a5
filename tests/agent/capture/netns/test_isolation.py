"""The way out of a program's own network namespace: the sidecar and the agent's resolver, and nothing else."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest


async def test_the_canary_sings(isolate: Any) -> None:
    async with isolate() as isolated, isolated.reaper(("/bin/true",)) as program:
        assert await program.canary(10) is None


async def test_every_connection_goes_to_the_sidecar_with_its_destination(isolate: Any) -> None:
    code = """
say(ask("10.1.2.3", 8443))
say(ask("127.64.0.3", 80))
say(ask("127.1.0.1", 5432))
if socket.has_dualstack_ipv6():
    say(ask("2001:db8::7", 80), "|", ask("::ffff:192.0.2.1", 81))
"""
    async with isolate() as isolated:
        said = (await isolated.run(code)).splitlines()
    assert said[:3] == ["10.1.2.3 8443", "127.64.0.3 80", "127.1.0.1 5432"]
    assert said[3:] in ([], ["2001:db8::7 80 | 192.0.2.1 81"])


async def test_names_are_asked_of_the_agent_whoever_is_the_resolver(isolate: Any) -> None:
    code = """
name = b"\\6canary\\5tulle\\x08internal\\0\\0\\1\\0\\1"
question = b"ab\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + name
for resolver in ("127.0.0.53", "192.0.2.1", *(["2001:db8::53"] if socket.has_dualstack_ipv6() else [])):
    family = socket.AF_INET6 if ":" in resolver else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(10)
        asking.connect((resolver, 53))
        asking.send(question)
        assert asking.recv(512)[-4:] == bytes([127, 127, 255, 254])
    with socket.socket(family) as asking:
        asking.connect((resolver, 53))
        asking.sendall(len(question).to_bytes(2, "big") + question)
        assert asking.recv(512)[-4:] == bytes([127, 127, 255, 254])
say(socket.gethostbyname("canary.tulle.internal"))
"""
    async with isolate() as isolated:
        assert await isolated.run(code) == "127.127.255.254\n"


async def test_there_is_no_other_way_out(isolate: Any) -> None:
    """Neither to the host's localhost, nor by UDP, which a QUIC client is told at once."""
    code = """
for host in ("127.0.0.1", "127.0.0.2"):
    try:
        socket.create_connection((host, int(sys.argv[2])), 10)
        say("reached")
    except ConnectionRefusedError:
        say("refused")
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
    datagrams.settimeout(10)
    datagrams.connect(("192.0.2.1", 443))
    datagrams.send(b"hello")
    try:
        datagrams.recv(10)
    except ConnectionRefusedError:
        say("refused")
say(sorted(name for _, name in socket.if_nameindex() if name in ("eth0", "lo")))
"""
    async with isolate() as isolated:
        assert await isolated.run(code, str(isolated.settings.inbound)) == "refused\nrefused\nrefused\n['lo']\n"


async def test_its_own_localhost_is_its_own(isolate: Any) -> None:
    code = """
for host in ("127.0.0.1", *(["::1"] if socket.has_dualstack_ipv6() else [])):
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as server:
        with socket.create_connection(server.getsockname()[:2]) as call, server.accept()[0] as taken:
            assert call.getsockname() == taken.getpeername()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
    one.bind(("127.0.0.1", 7000))
    other.sendto(b"x", ("127.0.0.1", 7000))
    assert one.recv(1) == b"x"
say("fine")
"""
    async with isolate() as isolated:
        assert await isolated.run(code) == "fine\n" and not isolated.moved


async def test_the_program_is_who_it_was_before(isolate: Any) -> None:
    code = 'open(sys.argv[1] + ".mine", "w").close(); os.unlink(sys.argv[1] + ".mine"); say(os.getuid(), os.getgid())'
    async with isolate() as isolated:
        assert await isolated.run(code) == f"{os.getuid()} {os.getgid()}\n"


async def test_what_the_program_starts_is_isolated_as_well(isolate: Any) -> None:
    code = """
import subprocess
one = 'import socket; s = socket.create_connection(("10.9.9.9", 99)); s.sendall(b"x"); print(s.recv(99).split()[-2:])'
say(subprocess.run([sys.executable, "-c", one], capture_output=True, text=True).stdout.strip())
"""
    async with isolate() as isolated:
        assert await isolated.run(code) == "[b'10.9.9.9', b'99']\n"


async def test_calls_wait_while_a_crashed_sidecar_is_started_again(isolate: Any, until: Callable[..., Any]) -> None:
    code = 'say("calling"); say(ask("10.1.2.3", 1))'
    async with isolate(envoy=False) as isolated:
        async with isolated.envoy() as first:
            first.kill()
            await first.wait()
        async with isolated.program(code) as program:
            await until(lambda: isolated.said)
            async with isolated.envoy():
                assert await program.ended() == 0
        assert isolated.said == "calling\n10.1.2.3 1\n"


WAITING = """
import socket, sys
sys.stdin.readline()
listening = socket.socket()
listening.bind(("127.0.0.1", int(sys.argv[1])))
"""


async def test_a_sidecar_that_cannot_be_given_its_door_is_ended_and_the_next_one_gets_it(isolate: Any) -> None:
    async with isolate(envoy=False) as isolated:
        envoy = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", WAITING, str(isolated.settings.outbound)),
            stdin=asyncio.subprocess.PIPE,
            preexec_fn=isolated.prepared.envoy_launch,
        )
        with no_descriptors_left():
            await envoy.communicate(b"bind now\n")
        assert envoy.returncode == -signal.SIGKILL
        async with isolated.envoy():
            assert await isolated.run('say(ask("10.1.2.3", 1))') == "10.1.2.3 1\n"


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    """For this process, until the end of the block."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(os.devnull) as lowest:
        number = lowest.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("workers", [1, 4])
async def test_every_worker_of_the_sidecar_gets_the_door(isolate: Any, workers: int) -> None:
    code = 'for n in range(50): assert ask("10.1.2.3", 1 + n) == f"10.1.2.3 {1 + n}"\nsay("fine")'
    async with isolate(envoy=False) as isolated, isolated.envoy(workers):
        assert await isolated.run(code) == "fine\n"
