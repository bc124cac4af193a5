"""A server under test, a nameserver behind it, who knows the mesh's names, and a client that takes messages apart.

The client's half of the protocol is written here once more, apart from the agent's own.
"""

from __future__ import annotations

import asyncio
import io
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from tulle.agent.console import Console
from tulle.agent.dns.server import serve

TYPES = {"A": 1, "NS": 2, "SOA": 6, "PTR": 12, "TXT": 16, "AAAA": 28, "SRV": 33, "HTTPS": 65, "ANY": 255}
OPT = b"\0" + struct.pack("!HHIH", 41, 1400, 0x8000, 0)
TAKEN = {"service-b.default.svc.cluster.local": "127.64.0.7", "service-c.other.svc.cluster.local": "127.70.1.2"}


@dataclass(frozen=True)
class Record:
    name: str
    type: int
    ttl: int
    data: bytes


@dataclass(frozen=True)
class Message:
    id: int
    flags: int
    question: tuple[str, int, int] | None
    answers: list[Record]
    authorities: list[Record]
    additional: list[Record]

    @property
    def rcode(self) -> int:
        return self.flags & 15

    @property
    def addresses(self) -> list[str]:
        return [socket.inet_ntoa(record.data) for record in self.answers if record.type == TYPES["A"]]


class Wire:
    """DNS messages as a client makes and reads them."""

    TYPES = TYPES
    OPT = OPT

    @staticmethod
    def name(name: str) -> bytes:
        labels = [label.encode("latin-1") for label in name.split(".") if label]
        return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"

    @staticmethod
    def query(name: str, type_: str = "A", *, id_: int = 4711, edns: bool = False, flags: int = 0x0100) -> bytes:
        head = struct.pack("!6H", id_, flags, 1, 0, 0, int(edns))
        return head + Wire.name(name) + struct.pack("!HH", TYPES[type_], 1) + (OPT if edns else b"")

    @staticmethod
    def decode(packet: bytes) -> Message:
        id_, flags, questions, *counts = struct.unpack_from("!6H", packet)
        at, question = 12, None
        assert questions <= 1
        if questions:
            name, at = Wire._read_name(packet, at)
            question = (name, *struct.unpack_from("!HH", packet, at))
            at += 4
        sections: list[list[Record]] = []
        for count in counts:
            section = []
            for _ in range(count):
                name, at = Wire._read_name(packet, at)
                type_, _, ttl, length = struct.unpack_from("!HHIH", packet, at)
                at += 10
                assert at + length <= len(packet)
                section.append(Record(name, type_, ttl, packet[at : at + length]))
                at += length
            sections.append(section)
        assert at == len(packet), "bytes behind the message"
        return Message(id_, flags, question, *sections)

    @staticmethod
    def _read_name(packet: bytes, at: int) -> tuple[str, int]:
        labels: list[str] = []
        end = None
        while length := packet[at]:
            if length >= 0xC0:
                end = end or at + 2
                (target,) = struct.unpack_from("!H", packet, at)
                assert target & 0x3FFF < at, "a pointer that goes forward"
                at = target & 0x3FFF
            else:
                labels.append(packet[at + 1 : at + 1 + length].decode("latin-1"))
                at += 1 + length
        return ".".join(labels), end or at + 1


class FakeNames:
    """The control plane, as the DNS server sees it."""

    def __init__(self) -> None:
        self.addresses = dict(TAKEN)
        self.asked: list[str] = []
        self.is_away = False
        self.answers = asyncio.Event()
        self.answers.set()

    async def address_of(self, name: str) -> str | None:
        self.asked.append(name)
        await self.answers.wait()
        if self.is_away:
            raise ConnectionRefusedError("the control plane does not answer")
        return self.addresses.get(name)


class Nameserver(asyncio.DatagramProtocol):
    """A nameserver on a loopback address, UDP and TCP; notes what it is asked. `answer` may be replaced."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.from_ports: set[int] = set()
        self.answer: Callable[[bytes, str], bytes | None] = lambda packet, _: self.address(packet, "192.0.2.1")

    @staticmethod
    def reply(packet: bytes, flags: int = 0x8180, record: bytes = b"") -> bytes:
        """The reply to a question: as it came, EDNS and all, with a record before the rest."""
        end = packet.index(b"\0", 12) + 5
        additional = packet[10:12]
        head = packet[:2] + struct.pack("!4H", flags, 1, bool(record), 0) + additional
        return head + packet[12:end] + record + packet[end:]

    @staticmethod
    def address(packet: bytes, address: str) -> bytes:
        record = struct.pack("!HHHIH", 0xC00C, 1, 1, 300, 4) + socket.inet_aton(address)
        return Nameserver.reply(packet, record=record)

    @asynccontextmanager
    async def on(self, address: str, port: int = 0) -> AsyncIterator[int]:
        """Its port, the same for UDP and TCP."""
        loop = asyncio.get_running_loop()
        udp, tcp = _pair(address, port)
        transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=udp)
        server = await asyncio.start_server(self._serve, sock=tcp)
        try:
            yield tcp.getsockname()[1]
        finally:
            transport.close()
            server.close()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.got.append(("UDP", data))
        self.from_ports.add(addr[1])
        if reply := self.answer(data, "UDP"):
            self._transport.sendto(reply, addr)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                data = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
                self.got.append(("TCP", data))
                if reply := self.answer(data, "TCP"):
                    writer.write(len(reply).to_bytes(2, "big") + reply)
        writer.close()


@dataclass
class Served:
    """The server under test."""

    address: str
    port: int
    names: FakeNames
    nameserver: Nameserver
    upstream_port: int
    nameservers: list[str] = field(default_factory=lambda: ["127.0.0.1"])
    told: io.StringIO = field(default_factory=io.StringIO)
    now: list[float] = field(default_factory=lambda: [0.0])

    async def raw(self, packet: bytes, *, by: str = "UDP") -> bytes:
        """The reply to a packet."""
        async with asyncio.timeout(5):
            if by == "UDP":
                with self.udp() as client:
                    client.send(packet)
                    return await asyncio.get_running_loop().sock_recv(client, 65535)
            reader, writer = await asyncio.open_connection(self.address, self.port)
            writer.write(len(packet).to_bytes(2, "big") + packet)
            reply = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            writer.close()
            return reply

    async def ask(self, name: str, type_: str = "A", *, by: str = "UDP", edns: bool = False) -> Message:
        query = Wire.query(name, type_, edns=edns)
        message = Wire.decode(await self.raw(query, by=by))
        assert message.id == 4711
        assert message.flags & 0x8180 == 0x8180  # a reply, recursion wanted, recursion there
        assert message.question == (name.removesuffix("."), TYPES[type_], 1)
        return message

    def udp(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        client = socket.socket(family, socket.SOCK_DGRAM)
        client.setblocking(False)
        client.connect((self.address, self.port))
        return client


@asynccontextmanager
async def serving(
    address: str = "127.0.0.1", patience: float = 0.3, sockets: tuple[socket.socket, ...] = ()
) -> AsyncIterator[Served]:
    """A server on `sockets`, or on a free port of `address`, and its one nameserver."""
    faults: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    async with AsyncExitStack() as stack:
        nameserver = Nameserver()
        upstream = await stack.enter_async_context(nameserver.on("127.0.0.1"))
        udp, tcp = sockets or _pair(address, 0)
        served = Served(address, tcp.getsockname()[1], FakeNames(), nameserver, upstream)
        await stack.enter_async_context(
            serve(
                [udp, tcp],
                served.names,
                lambda: served.nameservers,
                Console("text", "test", served.told),
                namespace="default",
                nameserver_port=upstream,
                patience=patience,
                clock=lambda: served.now[0],
            )
        )
        yield served
    assert not faults


def _pair(address: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Sockets for UDP and TCP on the same port; 0: any that is free for both."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    while True:
        tcp, udp = socket.socket(family), socket.socket(family, socket.SOCK_DGRAM)
        try:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tcp.bind((address, port))
            udp.bind((address, tcp.getsockname()[1]))
        except OSError:
            tcp.close()
            udp.close()
            if port:
                raise
            continue
        return udp, tcp


@pytest.fixture(scope="session")
def wire() -> type[Wire]:
    return Wire


@pytest.fixture
async def dns() -> AsyncIterator[Served]:
    async with serving() as served:
        yield served


@pytest.fixture(scope="session")
def serving_dns() -> Callable[..., Any]:
    """`async with serving_dns() as dns`: a server of the test's own."""
    return serving


@pytest.fixture
def make_nameserver() -> type[Nameserver]:
    return Nameserver


@pytest.fixture
async def names() -> FakeNames:
    return FakeNames()
