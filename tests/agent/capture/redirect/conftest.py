"""A captured program beside stand-ins for its sidecar and the agent's DNS server, in a network of the test's own."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from machine import excused
from tulle.agent.capture import redirect
from tulle.agent.capture.launch import of
from tulle.agent.capture.mode import Prepared, Settings, Unavailable

_ORIGINAL_DESTINATION = 80  # linux/netfilter_ipv4.h, SO_ORIGINAL_DST; the IPv6 one has the same number
_DIAL = """
import encodings.idna, errno, os, socket, sys  # what another user may not read is loaded before
if sys.argv[3:]:
    os.setuid(int(sys.argv[3]))
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as connection:
        print(connection.recv(200).decode(), connection.getpeername()[0])
except OSError as error:
    print(errno.errorcode.get(error.errno, error))
"""
_ASK = """
import errno, socket, sys
where = socket.getaddrinfo(sys.argv[1], 53, type=socket.SOCK_DGRAM)[0]
with socket.socket(*where[:2]) as asking:
    asking.settimeout(5)
    asking.bind(("", int(sys.argv[2])))
    # Refusals are told to a socket that has not said whom it asks, too (ip(7), IP_RECVERR and IPV6_RECVERR).
    asking.setsockopt(*((socket.IPPROTO_IP, 11) if where[0] == socket.AF_INET else (socket.IPPROTO_IPV6, 25)), 1)
    try:
        asking.sendto(b"?", where[4])
        answer, by = asking.recvfrom(200)
        print(answer.decode(), by[0])
    except OSError as error:
        print(errno.errorcode.get(error.errno, error))
"""
# What the agent does, in small: argv has the settings as JSON, and the program.
_AGENT = """
import ctypes, json, os, pathlib, subprocess, sys
from tulle.agent.capture import redirect
from tulle.agent.capture.launch import of
from tulle.agent.capture.mode import Settings, Unavailable
if user := os.environ.get("AS_USER"):
    ctypes.CDLL(None).prctl(28, 4, 0, 0, 0)  # PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP: capabilities stay
    os.setresuid(int(user), int(user), int(user))
settings = Settings(folder=pathlib.Path("/"), **json.loads(sys.argv[1]))
try:
    with redirect.prepared(settings) as prepared:
        print(prepared.plan["cgroup"], flush=True)
        subprocess.run(sys.argv[2:], preexec_fn=of(prepared.plan, print).in_child)
except Unavailable as error:
    print("unavailable:", error)
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A network with a program's own server in it, a sidecar and a DNS server; `settings` has their ports.

    everywhere: the address at which the program listens: all that the network has.
    """

    network: Any
    settings: Settings
    target: int
    everywhere: str

    @property
    def has_ipv6(self) -> bool:
        return self.everywhere == "::"

    def addresses(self, *of_both: str) -> list[str]:
        """Those that the network can have: without IPv6 those of IPv4 alone."""
        return [one for one in of_both if self.has_ipv6 or ":" not in one]

    @contextmanager
    def captured(self, **changed: Any) -> Iterator[Captured]:
        """A program's surroundings, as the agent makes them."""
        settings = replace(self.settings, **{"proxy": _name(), **changed})
        with self.network.within(lambda: redirect.prepared(settings)) as prepared:
            captured = Captured(self, prepared)
            try:
                yield captured
            finally:
                of(prepared.plan, print).close()

    def agent(self, *program: str, **changed: Any) -> list[str]:
        """The command of an agent that runs the program, and first prints its cgroup, or why it can't be."""
        settings = replace(self.settings, **{"proxy": _name(), **changed})
        values = {
            name: getattr(settings, name) for name in ("proxy", "outbound", "inbound", "dns", "places", "nameservers")
        }
        return [sys.executable, "-c", _AGENT, json.dumps(values), *program]

    def start(self, argv: Sequence[str], **how: Any) -> subprocess.Popen[str]:
        """A process that is not captured, with its standard streams as pipes."""
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        started = self.network.do(lambda: subprocess.Popen(argv, text=True, **pipes, **how))
        assert isinstance(started, subprocess.Popen)
        return started

    @contextmanager
    def serving(self, address: str, port: int, answer: str) -> Iterator[None]:
        """Another server of the machine."""
        with _served(self.network.do(_listening, address, port), lambda _: answer):
            yield

    def run(self, argv: Sequence[str], **how: Any) -> str:
        """What a process prints that is not captured."""
        done = self.network.do(lambda: subprocess.run(argv, stdout=subprocess.PIPE, text=True, timeout=30, **how))
        return str(done.stdout.strip())

    def dial(self, host: str, port: int, *, user: int | None = None, **how: Any) -> str:
        """Who answers, and the address that the caller sees; or the error."""
        by = [] if user is None else [str(user)]
        return self.run([sys.executable, "-c", _DIAL, host, str(port), *by], **how)

    def ask(self, nameserver: str, *, port: int = 0, **how: Any) -> str:
        """Who answers on port 53 of UDP, and from which address; or the error. port: from which it is asked."""
        return self.run([sys.executable, "-c", _ASK, nameserver, str(port)], **how)


@dataclass(frozen=True, slots=True)
class Captured:
    machine: Machine
    prepared: Prepared

    @property
    def cgroup(self) -> Path:
        return Path(self.prepared.plan["cgroup"])

    def run(self, argv: Sequence[str], **how: Any) -> str:
        """What the program prints."""
        return self.machine.run(argv, preexec_fn=self.launch().in_child, **how)

    def start(self, argv: Sequence[str]) -> subprocess.Popen[str]:
        return self.machine.start(argv, preexec_fn=self.launch().in_child)

    def dial(self, host: str, port: int, **how: Any) -> str:
        return self.machine.dial(host, port, preexec_fn=self.launch().in_child, **how)

    def ask(self, nameserver: str, **how: Any) -> str:
        return self.machine.ask(nameserver, preexec_fn=self.launch().in_child, **how)

    def launch(self) -> Any:
        return of(self.prepared.plan, print)


@pytest.fixture(autouse=True)
def sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[4] / "src"))


@pytest.fixture
def machine(network: Any, tmp_path: Path) -> Iterator[Machine]:
    """Its loopback has a route for every address, as a machine's default route is one for nameservers."""
    has_ipv6 = network.do(_has_ipv6)
    for family in ("-4", "-6") if has_ipv6 else ("-4",):
        network.do(
            lambda family=family: subprocess.run(
                ["ip", family, "route", "add", "local", "default", "dev", "lo", "table", "main"], check=True
            )
        )
    with ExitStack() as stack:

        def serving(address: str, port: int, answer: Callable[[socket.socket], str]) -> int:
            server = network.do(_listening, address, port)
            stack.enter_context(_served(server, answer))
            return int(server.getsockname()[1])

        dns = serving("127.0.0.1", 0, lambda _: "dns")
        if has_ipv6:
            serving("::1", dns, lambda _: "dns")
        for address in ("127.0.0.1", "::1") if has_ipv6 else ("127.0.0.1",):
            stack.enter_context(_answered(network.do(_bound, address, dns)))
        settings = Settings(
            proxy=_name(),
            folder=tmp_path,
            outbound=serving("127.0.0.1", 0, lambda connection: f"sidecar for {original_destination(connection)}"),
            inbound=serving("127.0.0.1", 0, lambda _: "door"),
            dns=dns,
            places=(),
            nameservers=("192.0.2.53", "2001:db8::53") if has_ipv6 else ("192.0.2.53",),
        )
        everywhere = "::" if has_ipv6 else "0.0.0.0"
        target = serving(everywhere, 0, lambda _: "program")
        machine = Machine(network, replace(settings, places=((everywhere, target),)), target, everywhere)
        try:
            with machine.captured():
                pass
        except Unavailable as error:
            excused("redirect", str(error))
        yield machine


@pytest.fixture
def ipv6(machine: Machine) -> None:
    """For what is about nothing else."""
    if not machine.has_ipv6:
        pytest.skip("there is no IPv6 here")


def _has_ipv6() -> bool:
    """Of the calling thread's network. `socket.has_ipv6` is of Python, `has_dualstack_ipv6` of the kernel."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _name() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def other_machine(machine: Machine, new_network: Callable[[], Any]) -> Iterator[Any]:
    """A second network, by a cable: 192.0.2.1, .3 and 2001:db8::1 are the machine, .2 and ::2 the other one."""
    there = new_network()

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    far = str(there.do(threading.get_native_id))
    cable = ("ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", far)
    made = machine.network.do(lambda: subprocess.run(cable, capture_output=True, text=True))
    if "Unknown device type" in made.stderr or "not supported" in made.stderr:
        pytest.skip(f"no pair of virtual interfaces: {made.stderr.strip()}")
    made.check_returncode()
    for network, name, last in ((machine.network, "near", 1), (there, "far", 2)):
        network.do(ip, "link", "set", name, "up")
        network.do(ip, "address", "add", f"192.0.2.{last}/24", "dev", name)
        if machine.has_ipv6:
            network.do(ip, "address", "add", f"2001:db8::{last}/64", "dev", name, "nodad")
    machine.network.do(ip, "address", "add", "192.0.2.3/24", "dev", "near")
    yield there
    machine.network.do(ip, "link", "delete", "near")


def original_destination(connection: socket.socket) -> str:
    with suppress(OSError):
        address = connection.getsockopt(socket.IPPROTO_IP, _ORIGINAL_DESTINATION, 16)
        port, packed = struct.unpack_from("!2xH4s", address)
        return f"{socket.inet_ntoa(packed)}:{port}"
    return "nobody"


def _listening(address: str, port: int) -> socket.socket:
    if ":" in address:
        return socket.create_server(
            (address, port), family=socket.AF_INET6, dualstack_ipv6=address == "::", backlog=1024
        )
    return socket.create_server((address, port), backlog=1024)


def _bound(address: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind((address, port))
    return bound


@contextmanager
def _served(server: socket.socket, answer: Callable[[socket.socket], str]) -> Iterator[None]:
    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, suppress(OSError):
                    connection.sendall(answer(connection).encode())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        server.close()


@contextmanager
def _answered(server: socket.socket) -> Iterator[None]:
    def serve() -> None:
        while True:
            question, by = server.recvfrom(100)
            if not question:
                return
            with suppress(OSError):
                server.sendto(b"dns", by)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        server.sendto(b"", server.getsockname())
        thread.join()
        server.close()
