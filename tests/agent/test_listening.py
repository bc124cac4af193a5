"""A program's port is found by itself: real programs, real sockets, and the rules on values."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, suppress
from pathlib import Path

import pytest

from tulle.agent import proc, sock_diag
from tulle.agent.config import Port
from tulle.agent.listening import Found, Open, Several, Tree, changes, decide, opened, service_ports
from tulle.agent.ports import ephemeral_range, reserve

Where = Found | Several | None
EPHEMERAL = range(32768, 61000)
LISTENS = """
import os, socket, sys, time
for line in sys.stdin:
    word, *arguments = line.split()
    if word == "listen":
        address, port = arguments
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.socket(family)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((address, int(port)))
        listener.listen()
    elif word == "close":
        listener.close()
    elif word == "fork" and os.fork():
        os.wait()
    print(word, flush=True)
"""


class Program:
    """A program that listens where it is told to, below a shell, which stands in for the reaper."""

    def __init__(self, *prefix: str) -> None:
        self._process = subprocess.Popen(
            ["sh", "-c", '"$@"; :', "sh", *prefix, sys.executable, "-c", LISTENS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.root = self._process.pid

    def do(self, line: str) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline().strip() == line.split()[0]

    def end(self) -> None:
        self._process.communicate()


@pytest.fixture
def program() -> Iterator[Program]:
    running = Program()
    yield running
    running.end()


@pytest.fixture
def ports() -> Iterator[list[int]]:
    """Three free ports that the kernel gives to nobody by itself; another program may hold them before they are used."""
    with reserve([Port(80)]) as one, reserve([Port(80)]) as two, reserve([Port(80)]) as three:
        numbers = [one.program, two.program, three.program]
        for each in (one, two, three):
            each.release_programs()
        yield numbers


async def following(program: Program, offered: int, moved: Mapping[int, int] | None = None) -> AsyncGenerator[Where]:
    async with aclosing(changes(program.root, offered, moved or {})) as found:
        async for where in found:
            yield where


async def next_of(found: AsyncGenerator[Where]) -> Where:
    return await asyncio.wait_for(anext(found), 20)


async def test_the_only_port_of_a_program_is_found(program: Program, ports: list[int]) -> None:
    async with aclosing(following(program, offered=ports[0])) as found:
        program.do(f"listen 127.0.0.1 {ports[1]}")
        where = await next_of(found)
        assert isinstance(where, Found)
        assert (where.open.port, where.open.target, where.open.address) == (ports[1], ports[1], "127.0.0.1")
        assert LISTENS.split()[0] in proc.described(where.open.process)


@pytest.mark.parametrize(
    ("address", "reached_at"),
    [
        ("0.0.0.0", "127.0.0.1"),
        ("::", "127.0.0.1"),
        ("::1", "::1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("127.0.0.3", "127.0.0.3"),
    ],
)
async def test_it_is_found_whatever_local_address_it_listens_on(
    program: Program, ports: list[int], address: str, reached_at: str
) -> None:
    if ":" in address and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    async with aclosing(following(program, offered=ports[0])) as found:
        program.do(f"listen {address} {ports[1]}")
        where = await next_of(found)
        assert isinstance(where, Found)
        assert (where.open.port, where.open.address) == (ports[1], reached_at)


async def test_the_port_that_was_offered_is_taken_whatever_else_is_open(program: Program, ports: list[int]) -> None:
    for port in ports:
        program.do(f"listen 127.0.0.1 {port}")
        program.do("fork")
    async with aclosing(following(program, offered=ports[2])) as found:
        where = await next_of(found)
    assert isinstance(where, Found) and where.open.port == ports[2]


async def test_a_program_that_comes_to_the_offered_port_late_is_followed_there(
    program: Program, ports: list[int]
) -> None:
    """As one that serves its metrics first."""
    async with aclosing(following(program, offered=ports[0])) as found:
        for port in (ports[1], ports[0]):
            program.do(f"listen 127.0.0.1 {port}")
            program.do("fork")
            where = await next_of(found)
            assert isinstance(where, Found) and where.open.port == port


async def test_a_port_that_has_been_the_only_one_for_a_while_stays_the_one_that_is_meant(
    program: Program, ports: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a debugger is opened in a program that serves; a second port at the start is an error instead."""
    monkeypatch.setattr("tulle.agent.listening._SURE_SECONDS", 0.0)
    async with aclosing(following(program, offered=ports[0])) as found:
        program.do(f"listen 127.0.0.1 {ports[2]}")
        await next_of(found)
        program.do("fork")
        program.do(f"listen 127.0.0.1 {ports[1]}")
        where = await next_of(found)
        assert isinstance(where, Found)
        assert (where.open.port, [each.port for each in where.beside]) == (ports[2], [ports[1]])
        assert f"listens on {ports[2]}, and on {ports[1]} by process " in str(where)


async def test_a_second_port_soon_after_the_first_is_an_error(
    program: Program, ports: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tulle.agent.listening._SURE_SECONDS", 1000.0)
    async with aclosing(following(program, offered=ports[0])) as found:
        program.do(f"listen 127.0.0.1 {ports[1]}")
        assert isinstance(await next_of(found), Found)
        program.do("fork")
        program.do(f"listen 127.0.0.1 {ports[2]}")
        assert isinstance(await next_of(found), Several)


async def test_a_program_that_goes_and_comes_back_elsewhere_is_followed(program: Program, ports: list[int]) -> None:
    async with aclosing(following(program, offered=ports[0])) as found:
        for port in ports[1:]:
            program.do(f"listen 127.0.0.1 {port}")
            where = await next_of(found)
            assert isinstance(where, Found) and where.open.port == port
            program.do("close")
            assert await next_of(found) is None


async def test_a_port_that_the_capture_has_moved_is_told_as_the_program_knows_it(
    program: Program, ports: list[int]
) -> None:
    program.do(f"listen 127.0.0.1 {ports[1]}")
    async with aclosing(following(program, offered=ports[0], moved={8080: ports[1]})) as found:
        where = await next_of(found)
    assert isinstance(where, Found)
    assert (where.open.port, where.open.target) == (8080, ports[1])


async def test_sockets_of_other_programs_are_no_concern_of_ours(program: Program, ports: list[int]) -> None:
    with socket.create_server(("127.0.0.1", ports[1])):
        async with aclosing(following(program, offered=ports[0])) as found:
            program.do(f"listen 127.0.0.1 {ports[2]}")
            where = await next_of(found)
    assert isinstance(where, Found) and where.open.port == ports[2]


def test_a_quiet_look_does_not_walk_the_tree(program: Program, ports: list[int]) -> None:
    tree = Tree(program.root)
    program.do(f"listen 127.0.0.1 {ports[0]}")
    [(listener, holder)] = tree.listening(0.0).items()
    assert listener.port == ports[0]
    program.do("fork")
    looked = [tree.listening(now) for now in (0.1, 0.2)]
    assert looked == [{listener: holder}] * 2


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_kernel_and_its_files_tell_the_same(family: socket.AddressFamily) -> None:
    with suppress(OSError), socket.create_server(("", 0), family=family) as listener:
        inode, port = str(os.fstat(listener.fileno()).st_ino), listener.getsockname()[1]
        expected = (inode, "0.0.0.0" if family == socket.AF_INET else "::", port, os.geteuid())
        assert expected in {(str(i), *where) for i, *where in sock_diag.listening(family)}
        assert proc.Listener(*expected) in set(proc._tables())


def test_the_processes_below_one_are_the_same_on_a_kernel_that_lists_no_children(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.do("fork")
    below = proc.descendants(program.root)
    assert len(below) == 2
    monkeypatch.setattr(os.path, "exists", lambda _: False)
    assert proc.descendants(program.root) == below
    assert proc.descendants(os.getpid()) >= {program.root, *below}


def test_what_listens_where_the_sidecar_can_not_reach_it_is_not_found(ports: list[int]) -> None:
    isolated = Program("unshare", *(() if os.geteuid() == 0 else ("-Ur",)), "-n")
    try:
        try:
            isolated.do(f"listen 0.0.0.0 {ports[0]}")
        except (AssertionError, BrokenPipeError):
            pytest.skip("this user can't make a network namespace")
        assert Tree(os.getpid()).listening(0.0) == {}
    finally:
        isolated.end()


def test_what_can_not_be_seen_is_not_there() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert proc.sockets_of(gone.pid) == set() == proc.descendants(gone.pid)
    assert proc.described(gone.pid) == f"process {gone.pid} (ended meanwhile)"


@pytest.mark.parametrize(
    ("there", "meant", "beside"),
    [
        ([8080, 9090], 9090, [8080]),
        ([9090, 10002], 10002, [9090]),
        ([9090, 40001], 9090, []),
        ([40001, 9090], 9090, []),
    ],
)
def test_what_has_been_opened_later_stands_beside_the_port_that_is_meant(
    there: list[int], meant: int, beside: list[int]
) -> None:
    found = decide(at(*there), 10002, EPHEMERAL, sure=9090)
    assert isinstance(found, Found)
    assert (found.open.port, [each.port for each in found.beside]) == (meant, beside)


def at(*numbers: int) -> list[Open]:
    return [Open(number, number, "127.0.0.1", 1) for number in numbers]


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        ([], []),
        ([8080], [8080]),
        ([8080, 9090], [8080, 9090]),
        ([8080, 10002], [10002]),
        ([10002], [10002]),
        ([8080, 40001], [8080]),
        ([40001], [40001]),
        ([40001, 40002], [40001, 40002]),
    ],
)
def test_the_offered_port_wins_and_ports_of_the_kernels_own_choice_count_only_alone(
    there: list[int], chosen: list[int]
) -> None:
    found = decide(at(*there), 10002, EPHEMERAL)
    ports = () if found is None else found.open if isinstance(found, Several) else (found.open,)
    assert [each.port for each in ports] == chosen
    assert isinstance(found, Several) == (len(chosen) > 1)


def test_workers_that_share_a_port_are_one_and_loopback_is_preferred() -> None:
    listening = {
        proc.Listener("1", "192.0.2.1", 8080, 1000): 11,
        proc.Listener("2", "0.0.0.0", 8080, 1000): 12,
        proc.Listener("3", "0.0.0.0", 8080, 1000): 13,
        proc.Listener("4", "::", 34567, 1000): 14,
    }
    [moved, plain] = opened(listening, {53: 34567})
    assert (plain.port, plain.target, plain.address) == (8080, 8080, "127.0.0.1")
    assert (moved.port, moved.target, moved.process) == (53, 34567, 14)


@pytest.mark.parametrize(
    ("found", "ports"),
    [
        (Open(10002, 10002, "127.0.0.1", 1), [Port(80, 10002)]),
        (Open(80, 80, "127.0.0.1", 1), [Port(80, 80)]),
        (Open(80, 34567, "127.0.0.1", 1), [Port(80, 34567)]),
        (Open(8080, 8080, "127.0.0.1", 1), [Port(8080, 8080), Port(80, 8080)]),
        (Open(8080, 34567, "127.0.0.1", 1), [Port(8080, 34567), Port(80, 34567)]),
        (Open(5432, 5432, "127.0.0.1", 1), [Port(5432, 5432, "tcp")]),
        (Open(6379, 34567, "127.0.0.1", 1), [Port(6379, 34567, "tcp")]),
    ],
)
def test_the_services_ports_follow_from_the_programs(found: Open, ports: list[Port]) -> None:
    assert list(service_ports(found, offered=10002)) == ports


def test_the_ephemeral_ports_are_the_kernels() -> None:
    low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    assert (str(ephemeral_range()[0]), str(ephemeral_range()[-1])) == (low, high)


async def test_several_ports_are_named_with_who_holds_them_and_what_to_write(
    program: Program, ports: list[int]
) -> None:
    program.do(f"listen 127.0.0.1 {ports[0]}")
    program.do("fork")
    program.do(f"listen 127.0.0.1 {ports[1]}")
    async with aclosing(following(program, offered=ports[2])) as found:
        where = await next_of(found)
    assert isinstance(where, Several)
    first, second = sorted(ports[:2])
    text = str(where)
    assert f"{first} by process " in text and f"{second} by process " in text and sys.executable in text
    assert f"--port {first} or --port {second}" in text
    assert len({each.process for each in where.open}) == 2
