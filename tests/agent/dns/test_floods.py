"""More queries than can be answered, bytes that are none, and nameservers that are dead: names of the mesh go on."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SERVFAIL = 2

SEEDS = [
    struct.pack("!6H", 4711, 0x0100, 1, 0, 0, 1) + name + b"\0\1\0\1" + b"\0\0\x29\5\x78\0\0\x80\0\0\0"
    for name in (b"\x09service-b\0", b"\3www\7example\3com\0", b"\6canary\5tulle\x08internal\0", b"\0")
]


async def received(client: socket.socket) -> bytes:
    async with asyncio.timeout(20):
        return await asyncio.get_running_loop().sock_recv(client, 65535)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    packet = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        packet[draw(st.integers(0, len(packet) - 1))] = draw(st.integers(0, 255))
    return bytes(packet[: draw(st.integers(0, len(packet)))]) if draw(st.booleans()) else bytes(packet)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(st.binary(max_size=300), mutated()), max_size=30))
def test_no_bytes_upset_it_and_no_reply_is_replied_to(serving_dns: Any, wire: Any, packets: list[bytes]) -> None:
    async def send_all() -> None:
        async with serving_dns(patience=0.01) as dns:  # which asserts that no callback failed
            dns.nameserver.answer = lambda packet, _: packet[:2] + bytes([packet[2] ^ 0x80]) + packet[3:]
            with dns.udp() as client:
                for packet in packets:
                    client.send(packet)
                await dns.ask("service-b")
                _, writer = await asyncio.open_connection(dns.address, dns.port)
                writer.write(b"".join(len(packet).to_bytes(2, "big") + packet for packet in packets))
                await writer.drain()
                assert (await dns.ask("service-b")).addresses == ["127.64.0.7"]
                assert (await dns.ask("service-b", by="TCP")).addresses == ["127.64.0.7"]
                writer.close()
                queries = {packet[:2] for packet in packets if len(packet) >= 12 and not packet[2] & 0x80}
                for _ in range(len(packets)):
                    try:
                        reply = client.recv(65535)
                    except BlockingIOError:
                        break
                    assert reply[2] & 0x80 and reply[:2] in queries

    asyncio.run(send_all())


async def test_a_burst_while_the_agent_is_busy_is_answered_to_the_last(serving_dns: Any, wire: Any) -> None:
    async with serving_dns() as dns:
        with dns.udp() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            for i in range(500):
                client.send(wire.query("service-b", id_=i))  # meanwhile the server can't even run
            replies = [wire.decode(await received(client)) for _ in range(500)]
    assert {message.id for message in replies} == set(range(500))
    assert all(message.addresses == ["127.64.0.7"] for message in replies)


async def test_dead_nameservers_delay_no_name_of_the_mesh(serving_dns: Any, wire: Any) -> None:
    async with serving_dns(patience=60) as dns:
        dns.nameserver.answer = lambda *_: None
        with dns.udp() as client:
            for i in range(600):
                client.send(wire.query(f"w{i}.example.com", id_=i))
                await asyncio.sleep(0)  # the kernel holds only so many
            # 512 wait, the others hear at once that it is too much.
            refused = [wire.decode(await received(client)) for _ in range(600 - 512)]
            assert {message.rcode for message in refused} == {SERVFAIL}
            assert (await dns.ask("service-b")).addresses == ["127.64.0.7"]
            assert (await dns.ask("service-c.other")).addresses == ["127.70.1.2"]
            assert (await dns.ask("nobody.default.svc")).rcode == 3
        assert "512 DNS queries of the program wait for the nameservers" in dns.told.getvalue()
        assert len(dns.told.getvalue().splitlines()) == 1


async def test_a_control_plane_that_hangs_holds_up_no_known_name_and_no_others(serving_dns: Any, wire: Any) -> None:
    async with serving_dns() as dns:
        await dns.ask("service-b")
        dns.names.answers.clear()
        with dns.udp() as client:
            for i in range(600):
                client.send(wire.query(f"n{i}", id_=i))
                await asyncio.sleep(0)  # the kernel holds only so many
            refused = [wire.decode(await received(client)) for _ in range(600 - 512)]
            assert {message.rcode for message in refused} == {SERVFAIL}
            assert (await dns.ask("service-b")).addresses == ["127.64.0.7"]
            assert (await dns.ask("www.example.com")).addresses == ["192.0.2.1"]
        dns.names.answers.set()
        async with asyncio.timeout(20):  # those that waited go to the nameserver, and then there is room again
            while (await dns.ask("db")).rcode == SERVFAIL:
                pass


async def test_a_name_is_forwarded_when_the_control_plane_hangs_for_too_long(dns: Any) -> None:
    dns.names.answers.clear()
    bare, full = await asyncio.gather(dns.ask("db"), dns.ask("cache.default.svc"))
    assert (bare.addresses, full.rcode) == (["192.0.2.1"], SERVFAIL)
