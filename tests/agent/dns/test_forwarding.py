"""What is not of the mesh is what it was without tulle: the machine's nameservers answer, and nothing is altered."""

from __future__ import annotations

import struct
from typing import Any

import pytest

SERVFAIL, REFUSED = 2, 5


@pytest.mark.parametrize("by", ["UDP", "TCP"])
@pytest.mark.parametrize(
    "name", ["www.example.com", "service-b.corp.com", "example.com", "db", "_x._tcp", "cluster.local", "localhost"]
)
async def test_what_is_not_of_the_mesh_is_forwarded(dns: Any, name: str, by: str) -> None:
    assert (await dns.ask(name, by=by)).addresses == ["192.0.2.1"]
    assert [kind for kind, _ in dns.nameserver.got] == ["UDP"]


@pytest.mark.parametrize("by", ["UDP", "TCP"])
async def test_bytes_pass_as_they_are_but_for_the_id(dns: Any, wire: Any, by: str) -> None:
    odd = struct.pack("!6H", 4711, 0x0130, 1, 0, 0, 1) + wire.name("WwW.Example.com") + b"\0\x41\0\1" + wire.OPT
    dns.nameserver.answer = lambda packet, _: dns.nameserver.reply(packet, 0x8593, b"") + b"whatever follows"
    reply = await dns.raw(odd, by=by)
    ((_, got),) = dns.nameserver.got
    assert got[2:] == odd[2:]
    assert reply == dns.nameserver.reply(odd, 0x8593, b"") + b"whatever follows"


async def test_ids_and_ports_towards_the_nameserver_can_not_be_foreseen(dns: Any) -> None:
    for _ in range(20):
        await dns.ask("www.example.com")
    ids = {packet[:2] for _, packet in dns.nameserver.got}
    assert len(ids) > 10 and len(dns.nameserver.from_ports) > 10


async def test_a_truncated_answer_makes_the_program_come_again_by_tcp(dns: Any) -> None:
    def answer(packet: bytes, by: str) -> bytes:
        whole: bytes = dns.nameserver.address(packet, "192.0.2.9")
        return dns.nameserver.reply(packet, 0x8380) if by == "UDP" else whole

    dns.nameserver.answer = answer
    assert (await dns.ask("www.example.com")).flags & 0x0200
    assert (await dns.ask("www.example.com", by="TCP")).addresses == ["192.0.2.9"]
    assert [kind for kind, _ in dns.nameserver.got] == ["UDP", "UDP", "TCP"]


async def test_a_program_may_ask_by_tcp_where_the_nameservers_know_only_one_of_both(serving_dns: Any) -> None:
    async with serving_dns(patience=0.4) as dns:
        for missing in ("UDP", "TCP"):
            dns.nameserver.answer = lambda packet, by, missing=missing: (
                None if by == missing else dns.nameserver.address(packet, "192.0.2.9")
            )
            assert (await dns.ask("www.example.com", by="TCP")).addresses == ["192.0.2.9"]


async def test_a_large_answer_passes_by_tcp(dns: Any) -> None:
    dns.nameserver.answer = lambda packet, _: dns.nameserver.reply(packet) + bytes(60_000)
    assert len(await dns.raw(b"\0\1\1\0\0\1\0\0\0\0\0\0\3www\1x\3com\0\0\1\0\1", by="TCP")) > 60_000


@pytest.mark.parametrize("by", ["UDP", "TCP"])
async def test_a_nameserver_that_is_silent_is_followed_by_the_next(dns: Any, make_nameserver: Any, by: str) -> None:
    second = make_nameserver()
    dns.nameserver.answer = lambda *_: None
    async with second.on("127.0.0.2", dns.upstream_port):
        dns.nameservers[:] = ["127.0.0.1", "127.0.0.2"]
        assert (await dns.ask("www.example.com", by=by)).addresses == ["192.0.2.1"]
    assert ({kind for kind, _ in dns.nameserver.got}, len(second.got)) == ({"UDP", by}, 1)


@pytest.mark.parametrize("by", ["UDP", "TCP"])
async def test_a_nameserver_that_is_not_there_is_passed_over(dns: Any, by: str) -> None:
    dns.nameservers[:] = ["127.0.0.3", "no address", "127.0.0.1"]
    assert (await dns.ask("www.example.com", by=by)).addresses == ["192.0.2.1"]


async def test_the_answer_of_a_slow_nameserver_counts_although_the_next_was_asked(
    serving_dns: Any, make_nameserver: Any
) -> None:
    async with serving_dns(patience=0.1) as dns:
        second = make_nameserver()
        late: list[bytes] = []
        dns.nameserver.answer = lambda packet, _: late.append(packet)
        second.answer = lambda *_: dns.nameserver._transport.sendto(
            dns.nameserver.address(late[0], "192.0.2.8"), ("127.0.0.1", min(dns.nameserver.from_ports))
        )
        async with second.on("127.0.0.2", dns.upstream_port):
            dns.nameservers[:] = ["127.0.0.1", "127.0.0.2"]
            assert (await dns.ask("www.example.com")).addresses == ["192.0.2.8"]


async def test_a_nameserver_that_fails_is_followed_by_the_next(dns: Any, make_nameserver: Any) -> None:
    second = make_nameserver()
    dns.nameserver.answer = lambda packet, _: dns.nameserver.reply(packet, 0x8180 | REFUSED)
    async with second.on("127.0.0.2", dns.upstream_port):
        dns.nameservers[:] = ["127.0.0.1", "127.0.0.2"]
        assert (await dns.ask("www.example.com")).addresses == ["192.0.2.1"]
    assert (await dns.ask("www.example.com")).rcode == REFUSED  # when no other knows better


async def test_a_failure_of_the_only_nameserver_is_passed_on_at_once(serving_dns: Any) -> None:
    async with serving_dns(patience=60) as dns:
        dns.nameserver.answer = lambda packet, _: dns.nameserver.reply(packet, 0x8180 | SERVFAIL)
        assert (await dns.ask("www.example.com")).rcode == SERVFAIL
        assert len(dns.nameserver.got) == 1


@pytest.mark.parametrize("by", ["UDP", "TCP"])
async def test_when_no_nameserver_answers_the_program_hears_that_it_failed(dns: Any, by: str) -> None:
    dns.nameserver.answer = lambda *_: None
    for _ in range(2):
        reply = await dns.ask("www.Example.com", by=by, edns=True)
        assert (reply.rcode, reply.answers) == (SERVFAIL, [])
    said = "tulle | no answer for www.example.com from the nameservers of resolv.conf (127.0.0.1)"
    assert dns.told.getvalue().splitlines() == [said]


async def test_false_answers_are_passed_over(dns: Any) -> None:
    def answer(packet: bytes, _: str) -> bytes:
        false = bytes([packet[0] ^ 1]), packet[1:2]
        send, to = dns.nameserver._transport.sendto, ("127.0.0.1", max(dns.nameserver.from_ports))
        bad: bytes = dns.nameserver.address(packet, "203.0.113.66")
        send(b"".join(false) + bad[2:], to)  # another id
        send(bad.replace(b"example", b"exemple"), to)  # another question
        send(packet, to)  # no reply
        send(bad[:20], to)
        send(b"", to)
        good: bytes = dns.nameserver.address(packet, "192.0.2.1")
        return good.replace(b"example", b"EXAMPLE")  # this is the same name

    dns.nameserver.answer = answer
    reply = await dns.raw(b"\x12\x67\1\0\0\1\0\0\0\0\0\0\3www\7example\3com\0\0\1\0\1")
    assert reply[:2] == b"\x12\x67" and reply.endswith(b"\xc0\0\2\1")


async def test_the_nameservers_are_those_of_the_moment(dns: Any, make_nameserver: Any) -> None:
    second = make_nameserver()
    async with second.on("127.0.0.2", dns.upstream_port):
        await dns.ask("www.example.com")
        dns.nameservers[:] = ["127.0.0.2"]
        await dns.ask("www.example.com")
    assert (len(dns.nameserver.got), len(second.got)) == (1, 1)


async def test_other_classes_and_operations_are_forwarded_too(dns: Any, wire: Any) -> None:
    update = struct.pack("!6H", 1, 0x2800, 1, 0, 0, 0) + wire.name("service-b") + struct.pack("!HH", 6, 1)
    chaos = struct.pack("!6H", 2, 0, 1, 0, 0, 0) + wire.name("version.bind") + struct.pack("!HH", 16, 3)
    nothing = struct.pack("!6H", 3, 0, 0, 0, 0, 1) + wire.OPT
    dns.nameserver.answer = lambda packet, _: packet[:2] + bytes([packet[2] | 0x80, 5]) + packet[4:]
    for packet in (update, chaos, nothing):
        assert (await dns.raw(packet))[4:] == packet[4:]
    assert [packet[2:] for _, packet in dns.nameserver.got] == [update[2:], chaos[2:], nothing[2:]]
