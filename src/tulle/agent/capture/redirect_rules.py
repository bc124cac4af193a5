"""The rules of the redirect mode, as values. When they are made, and what of the machine they need, is `redirect.py`.

A connection is decided on once, at its first packet, in the kernel's NAT hooks; nothing but `questions` is run for
other packets. Those of a hook come by priority, also between the tables of several sidecars:

-300  `questions`   sets apart what its own program asks by UDP. To the kernel, all packets of half a minute or more
                    between the same ports are one connection, and it goes where the first went. The agent's own
                    questions, and everybody else's, come from ports that the program's next ones may have as well.
-101  `program`     what its own program sends: calls to the mesh and questions to nameservers are redirected and done
                    with; other calls within the machine are marked as a captured program's.
-100  `callers`     who calls the program from this machine. Another captured program (by that mark) and other users
                    are sent to the sidecar's door, which wants mutual TLS. Only the addresses where the program listens
                    are its own: on others, other programs may have the same port.
-100  `strangers`   who calls it from another machine or network namespace is sent there too. The kernel picks the same
                    port of the interface's own address, where nothing of the sidecar listens: refused.
 -99  `afterwards`  takes the mark off, so that nobody else ever sees it.

The mark is the packet's traffic class. The firewall mark would be the usual thing, but it belongs to the machine's
policy routing, and the class means nothing within a machine.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Iterator

from tulle.agent.capture.mode import Place
from tulle.agent.capture.nftables import (
    IPV4_ADDRESS,
    IPV4_PLACE,
    IPV6_ADDRESS,
    IPV6_PLACE,
    OUTPUT,
    PORT,
    PREROUTING,
    UID,
    Change,
    chain,
    elements,
    named_set,
    replaced,
    rule,
)
from tulle.agent.capture.nftables_expressions import (
    by_loopback,
    from_elsewhere,
    has_priority,
    in_zone,
    ipv4,
    ipv6,
    leave,
    of_cgroup,
    of_user_outside,
    redirect_to,
    set_priority,
    tcp,
    to_ipv4_in,
    to_ipv4_network,
    to_ipv4_place_in,
    to_ipv6_in,
    to_ipv6_place_in,
    to_port,
    to_port_in,
    to_this_machine,
    udp,
)
from tulle.model.addresses import VIPS

_CAPTURED = 0x7475_6C65  # "tule"; as a traffic class it would be 7475:6c65
_NAMESERVERS4, _NAMESERVERS6, _TRUSTED = "nameservers4", "nameservers6", "trusted"
_PORTS4, _PORTS6, _PLACES4, _PLACES6 = "ports4", "ports6", "places4", "places6"  # at every address, at one


def skeleton(
    *, cgroup: tuple[int, int], outbound: int, inbound: int, dns: int, trusted: Iterable[int]
) -> Iterator[Change]:
    """Everything but who the nameservers are and where the program listens.

    cgroup: identifier and level. outbound, inbound, dns: ports on loopback. trusted: users who may call the program
    directly.
    """
    yield named_set(_NAMESERVERS4, IPV4_ADDRESS)
    yield named_set(_NAMESERVERS6, IPV6_ADDRESS)
    for name, key in ((_PORTS4, PORT), (_PORTS6, PORT), (_PLACES4, IPV4_PLACE), (_PLACES6, IPV6_PLACE)):
        yield named_set(name, key)
    yield named_set(_TRUSTED, UID)
    yield from elements(_TRUSTED, (struct.pack("=I", user) for user in trusted))
    mine = of_cgroup(*cgroup)
    yield from _program(mine, outbound, dns)
    yield from _callers(mine, inbound)


def nameservers(addresses: Iterable[str]) -> Iterator[Change]:
    """Port 53 of these, instead of those of before, is the agent's."""
    known = [ipaddress.ip_address(address.partition("%")[0]) for address in addresses]
    yield from replaced(_NAMESERVERS4, [address.packed for address in known if address.version == 4])
    yield from replaced(_NAMESERVERS6, [address.packed for address in known if address.version == 6])


def places(now: Iterable[Place]) -> Iterator[Change]:
    """There, instead of where it did before, the program listens. The same ports of other addresses are other programs'.

    Whether `::` takes IPv4 as well is not known here, so it counts as both.
    """
    sets: dict[str, list[bytes]] = {name: [] for name in (_PORTS4, _PORTS6, _PLACES4, _PLACES6)}
    for text, port in now:
        address = ipaddress.ip_address(text.removeprefix("::ffff:"))  # IPv4 on an IPv6 socket (RFC 4291, 2.5.5.2)
        packed = struct.pack(">H", port)
        if not address.is_unspecified:
            sets[_PLACES4 if address.version == 4 else _PLACES6].append(address.packed + packed + b"\0\0")
            continue
        sets[_PORTS4].append(packed)
        if address.version == 6:
            sets[_PORTS6].append(packed)
    for name, values in sets.items():
        yield from replaced(name, values)


def _program(mine: bytes, outbound: int, dns: int) -> Iterator[Change]:
    mesh = ipaddress.ip_network(VIPS)
    yield chain("questions", "filter", OUTPUT, -300)
    for to_nameserver in (to_ipv4_in(_NAMESERVERS4), to_ipv6_in(_NAMESERVERS6)):
        # No other sidecar of this machine has the port, so nobody else has a zone of that number.
        yield rule("questions", "apart", udp(), to_port(53), to_nameserver, mine, in_zone(dns))
    yield chain("program", "nat", OUTPUT, -101)
    for protocol in (udp(), tcp()):
        for to_nameserver in (to_ipv4_in(_NAMESERVERS4), to_ipv6_in(_NAMESERVERS6)):
            yield rule("program", "questions", mine, protocol, to_port(53), to_nameserver, redirect_to(dns))
    to_mesh = to_ipv4_network(mesh.network_address.packed, mesh.prefixlen)
    yield rule("program", "calls to the mesh", mine, tcp(), to_mesh, redirect_to(outbound))
    yield rule("program", "mark", mine, tcp(), by_loopback(), set_priority(_CAPTURED))
    yield chain("afterwards", "nat", OUTPUT, -99)
    yield rule("afterwards", "unmark", mine, tcp(), has_priority(_CAPTURED), set_priority(0))


def _callers(mine: bytes, inbound: int) -> Iterator[Change]:
    to_places = (
        ipv4() + to_port_in(_PORTS4),
        ipv6() + to_port_in(_PORTS6),
        to_ipv4_place_in(_PLACES4),
        to_ipv6_place_in(_PLACES6),
    )
    yield chain("callers", "nat", OUTPUT, -100)
    yield rule("callers", "the program itself", mine, leave())
    # A connection that is redirected sees no further chain, so the mark goes here.
    captured = (has_priority(_CAPTURED), set_priority(0))
    for to_place in to_places:
        called = (by_loopback(), tcp(), to_place)
        yield rule("callers", "another program of the mesh", *called, *captured, redirect_to(inbound))
        yield rule("callers", "other users", *called, of_user_outside(_TRUSTED), redirect_to(inbound))
    yield chain("strangers", "nat", PREROUTING, -100)
    for to_place in to_places:
        called = (from_elsewhere(), tcp(), to_place)
        yield rule("strangers", "other machines", *called, to_this_machine(), redirect_to(inbound))
