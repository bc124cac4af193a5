"""What a program is told of names of the mesh, of tulle's own, and of VIPs. Nobody else is asked about them."""

from __future__ import annotations

import struct
from typing import Any

import pytest

NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3
AUTHORITATIVE = 0x0400


@pytest.mark.parametrize("by", ["UDP", "TCP"])
@pytest.mark.parametrize(
    "name", ["service-b", "service-b.default", "service-b.default.svc", "service-b.default.svc.cluster.local"]
)
async def test_every_form_of_a_services_name_gives_its_address(dns: Any, name: str, by: str) -> None:
    reply = await dns.ask(name, by=by)
    assert (reply.rcode, reply.addresses) == (NOERROR, ["127.64.0.7"])
    assert reply.flags & AUTHORITATIVE
    assert [(record.name, record.ttl) for record in reply.answers] == [(name, 5)]
    assert dns.nameserver.got == []


async def test_a_name_may_be_written_in_any_case_and_comes_back_so(dns: Any) -> None:
    reply = await dns.ask("SerVice-C.OTHER")  # `ask` compares the question
    assert reply.addresses == ["127.70.1.2"]
    assert dns.names.asked == ["service-c.other.svc.cluster.local"]


@pytest.mark.parametrize("type_", ["AAAA", "TXT", "SRV", "HTTPS", "PTR", "NS", "SOA"])
async def test_a_service_has_an_address_and_nothing_else(dns: Any, type_: str) -> None:
    reply = await dns.ask("service-b", type_)
    assert (reply.rcode, reply.answers) == (NOERROR, [])
    (soa,) = reply.authorities
    assert (soa.name, soa.type, soa.ttl) == ("service-b", 6, 5)
    assert struct.unpack("!I", soa.data[-4:]) == (5,)  # the minimum, by which it is cached (RFC 2308)
    assert dns.nameserver.got == []


async def test_asked_for_anything_a_service_has_its_address(dns: Any) -> None:
    assert (await dns.ask("service-b", "ANY")).addresses == ["127.64.0.7"]


async def test_a_query_with_edns_gets_a_reply_with_edns(dns: Any) -> None:
    reply = await dns.ask("service-b", edns=True)
    assert reply.addresses == ["127.64.0.7"]
    (opt,) = reply.additional
    assert (opt.name, opt.type, opt.ttl) == ("", 41, 0x8000)  # with the DO bit as it came (RFC 3225)
    assert not (await dns.ask("service-b")).additional


async def test_a_full_mesh_name_that_is_not_there_does_not_exist_and_is_not_forwarded(dns: Any) -> None:
    for name in (
        "nobody.default.svc.cluster.local",
        "nobody.default.svc",
        "_grpc._tcp.service-b.default.svc.cluster.local",
        "service_b.default.svc",
        "default.svc.cluster.local",
    ):
        for type_ in ("A", "AAAA", "SRV"):
            reply = await dns.ask(name, type_)
            assert (reply.rcode, reply.answers) == (NXDOMAIN, []), name
            assert [(soa.name, soa.ttl) for soa in reply.authorities] == [(name.partition(".")[2], 1)]
    assert dns.nameserver.got == []


async def test_the_canary_is_there_without_asking_anybody(dns: Any) -> None:
    dns.names.is_away = True
    assert (await dns.ask("canary.tulle.internal")).addresses == ["127.127.255.254"]
    assert (await dns.ask("Canary.Tulle.Internal", "AAAA")).rcode == NOERROR
    for name in ("tulle.internal", "other.tulle.internal", "a.canary.tulle.internal"):
        assert (await dns.ask(name)).rcode == NXDOMAIN
    assert (dns.names.asked, dns.nameserver.got) == ([], [])


async def test_a_vip_that_was_given_out_has_the_services_full_name(dns: Any, wire: Any) -> None:
    assert (await dns.ask("7.0.64.127.in-addr.arpa", "PTR")).rcode == NXDOMAIN
    await dns.ask("service-b")
    reply = await dns.ask("7.0.64.127.in-addr.arpa", "PTR")
    assert [record.data for record in reply.answers] == [wire.name("service-b.default.svc.cluster.local")]
    assert (await dns.ask("7.0.64.127.in-addr.arpa", "TXT")).rcode == NOERROR
    reply = await dns.ask("254.255.127.127.in-addr.arpa", "PTR")
    assert [record.data for record in reply.answers] == [wire.name("canary.tulle.internal")]
    assert dns.nameserver.got == []


async def test_other_addresses_are_the_nameservers_affair(dns: Any) -> None:
    for name in (
        "1.0.0.127.in-addr.arpa",
        "1.0.128.127.in-addr.arpa",
        "300.0.64.127.in-addr.arpa",
        "64.127.in-addr.arpa",
        "1.1.0.64.127.in-addr.arpa",
    ):
        await dns.ask(name, "PTR")
    assert len(dns.nameserver.got) == 5


async def test_without_a_control_plane_a_full_name_fails_and_a_bare_one_is_forwarded(dns: Any) -> None:
    dns.names.is_away = True
    assert (await dns.ask("service-b.default.svc.cluster.local")).rcode == SERVFAIL
    assert (await dns.ask("service-b")).addresses == ["192.0.2.1"]
    assert (await dns.ask("service-b.default")).addresses == ["192.0.2.1"]


async def test_a_known_address_outlives_the_control_plane(dns: Any) -> None:
    await dns.ask("service-b")
    dns.names.is_away = True
    dns.now[0] += 10_000
    for _ in range(3):
        assert (await dns.ask("service-b.default.svc.cluster.local")).addresses == ["127.64.0.7"]


async def test_the_mesh_is_served_over_ipv6_too(serving_dns: Any) -> None:
    try:
        async with serving_dns("::1") as dns:
            for by in ("UDP", "TCP"):
                assert (await dns.ask("service-b", by=by)).addresses == ["127.64.0.7"]
                assert (await dns.ask("www.example.com", by=by)).addresses == ["192.0.2.1"]
    except OSError as error:
        pytest.skip(f"no IPv6: {error}")


async def test_while_the_control_plane_is_away_nobody_says_that_a_service_does_not_exist(dns: Any) -> None:
    """Programs remember that; a failure they try again."""
    no_name, servfail = 3, 2
    dns.nameserver.answer = lambda packet, _: dns.nameserver.reply(packet, 0x8180 | no_name)
    dns.names.is_away = True
    assert (await dns.ask("service-new")).flags & 15 == servfail
    assert (await dns.ask("www.example.com")).flags & 15 == no_name
    dns.names.is_away = False
    dns.now[0] += 60
    assert (await dns.ask("service-new")).flags & 15 == no_name
