"""One query, answered: by what is remembered, by the control plane, or by the machine's nameservers.

What is remembered is answered at once, so that no flood and no dead nameserver delays it. What takes time is bounded:
so many queries may wait for the control plane, so many for nameservers; the next one is told that it failed.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from tulle.agent.dns import codec
from tulle.agent.dns.codec import Malformed, Query
from tulle.agent.dns.forwarding import Forwarder
from tulle.agent.dns.mesh_names import ABSENT_SECONDS, FRESH_SECONDS, MeshNames, Said, Spawn
from tulle.agent.dns.outside import Outside
from tulle.agent.dns.subjects import Ours, Reverse, Service, Subject, subject
from tulle.agent.dns.troubles import Troubles
from tulle.model.addresses import CANARY_HOST, CANARY_VIP

Respond = Callable[[bytes], None]

_MOST_WAITING = 512  # for the control plane, and as many for nameservers; each of these has a socket


class Resolver:
    """Answers queries of a program in `namespace`."""

    def __init__(
        self,
        mesh: MeshNames,
        forwarder: Forwarder,
        namespace: str,
        outside: Callable[[], Outside],
        spawn: Spawn,
        troubles: Troubles,
    ) -> None:
        self._mesh = mesh
        self._forwarder = forwarder
        self._namespace = namespace
        self._outside = outside
        self._spawn = spawn
        self._troubles = troubles
        self._asking = 0
        self._forwarding = 0

    def answer(self, packet: bytes, respond: Respond, *, by_tcp: bool) -> None:
        """Calls `respond` once, now or later: with the reply, or with b"" if there must be none."""
        try:
            query = codec.parse(packet)
        except Malformed:
            respond(codec.malformed(packet))
            return
        if query is None:
            respond(b"")
            return
        about = self._subject(query) if query.class_ == codec.IN else None
        if isinstance(about, Service):
            self._answer_service(packet, query, about, respond, by_tcp)
        elif isinstance(about, Ours):
            respond(_of_address(query, about.address))
        elif isinstance(about, Reverse):
            respond(self._of_reverse(query, about.address))
        elif self._outside().hides(query.labels):
            respond(codec.no_name(query, ABSENT_SECONDS))
        else:
            self._forward(packet, query, respond, by_tcp)

    def _subject(self, query: Query) -> Subject:
        """A declared host is asked for as it is written; of one or two labels, which a service can have, if it is named."""
        about = subject(query.labels, self._namespace)
        outside = self._outside()
        if not query.labels or (about is not None and (not isinstance(about, Service) or about.is_certain)):
            return about
        if about is None or outside.hosts is not None:
            name = b".".join(query.labels).decode("ascii", errors="replace")
            if outside.declares(name) and b"arpa" not in query.labels[-1:]:
                return Service(name, is_certain=False)
        return about

    def _answer_service(self, packet: bytes, query: Query, service: Service, respond: Respond, by_tcp: bool) -> None:
        said = self._mesh.remembered(service.host)
        if said:
            self._tell(packet, query, service, said, respond, by_tcp)
        elif self._asking >= _MOST_WAITING:
            respond(self._too_much(query, "the control plane"))
        else:
            self._asking += 1
            self._spawn(self._ask(packet, query, service, respond, by_tcp), "dns: query for the mesh")

    async def _ask(self, packet: bytes, query: Query, service: Service, respond: Respond, by_tcp: bool) -> None:
        try:
            said = await self._mesh.find(service.host)
        finally:
            self._asking -= 1
        self._tell(packet, query, service, said, respond, by_tcp)

    def _tell(
        self, packet: bytes, query: Query, service: Service, said: Said | None, respond: Respond, by_tcp: bool
    ) -> None:
        if said and said.address:
            respond(_of_address(query, said.address))
        elif not service.is_certain and self._outside().hides(query.labels):
            respond(codec.no_name(query, ABSENT_SECONDS) if said else codec.failure(query))
        elif not service.is_certain:  # as it was without the mesh
            self._forward(packet, query, respond, by_tcp, may_be_ours=said is None)
        elif said:
            respond(_of_address(query, None))
        else:
            respond(codec.failure(query))

    def _of_reverse(self, query: Query, address: str) -> bytes:
        host = CANARY_HOST if address == CANARY_VIP else self._mesh.host_of(address)
        if host is None:
            return codec.no_name(query, ABSENT_SECONDS)
        if query.type in (codec.PTR, codec.ANY):
            return codec.answer(query, codec.PTR, codec.encoded(host), FRESH_SECONDS)
        return codec.no_data(query, FRESH_SECONDS)

    def _forward(
        self, packet: bytes, query: Query, respond: Respond, by_tcp: bool, *, may_be_ours: bool = False
    ) -> None:
        if self._forwarding >= _MOST_WAITING:
            respond(self._too_much(query, "the nameservers of resolv.conf"))
        else:
            self._forwarding += 1
            self._spawn(self._forwarded(packet, query, respond, by_tcp, may_be_ours), "dns: query for nameservers")

    async def _forwarded(self, packet: bytes, query: Query, respond: Respond, by_tcp: bool, may_be_ours: bool) -> None:
        """may_be_ours: the mesh could not be asked, so that nobody may say, and remember, that there is no such name."""
        try:
            reply = await self._forwarder.ask(packet, query, by_tcp=by_tcp)
        finally:
            self._forwarding -= 1
        if reply and may_be_ours and codec.is_no_name(reply):
            reply = None
        respond(reply or codec.failure(query))

    def _too_much(self, query: Query, whom: str) -> bytes:
        self._troubles.tell(whom, f"{_MOST_WAITING} DNS queries of the program wait for {whom}: further ones fail")
        return codec.failure(query)


def _of_address(query: Query, address: str | None) -> bytes:
    """The reply for a name that has this address and nothing else; None: there is no such name."""
    if address is None:
        return codec.no_name(query, ABSENT_SECONDS)
    if query.type in (codec.A, codec.ANY):  # RFC 8482: ANY may be answered with less than all
        return codec.answer(query, codec.A, socket.inet_aton(address), FRESH_SECONDS)
    # That there is no AAAA must not be told as NXDOMAIN: that would say that there is no A either (RFC 4074, 4.2).
    return codec.no_data(query, FRESH_SECONDS)
