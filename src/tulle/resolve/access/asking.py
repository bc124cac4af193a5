"""What would happen to a call at one door of a service, and why: mutual TLS first, then tokens, then policies."""

from __future__ import annotations

from msgspec import Struct

from tulle.model.ip import is_address
from tulle.model.mutual_tls import MutualTls
from tulle.model.spiffe import TRUST_DOMAIN
from tulle.resolve.access.calls import Connection, Written, call, of_bytes
from tulle.resolve.access.doors import Door, Unknown, service
from tulle.resolve.access.evaluation import Verdict, evaluate
from tulle.resolve.mesh import Mesh

NOBODY = "-"
_SCHEME = "spiffe://"


class From(Struct, frozen=True):
    """principal: as Call's; "" without mutual TLS. address: where its instances are, "" if that is not known."""

    principal: str
    address: str = ""


class Answer(Struct, frozen=True):
    """refused: why it comes to no policy, "" if it does; verdict is None then. notes: what else is to be known."""

    refused: str = ""
    status: int = 0
    verdict: Verdict | None = None
    notes: tuple[str, ...] = ()

    @property
    def allowed(self) -> bool:
        return self.verdict is not None and self.verdict.allowed


def caller(mesh: Mesh, text: str, namespace: str) -> From:
    """A service, a SPIFFE id with or without its scheme, or `-`. Raises Unknown."""
    if text == NOBODY:
        return From("")
    if text.startswith(_SCHEME) or "/ns/" in text:
        return From(text.removeprefix(_SCHEME))
    found = service(mesh, text, namespace)
    if len(found.identities) > 1:
        listed = ", ".join(found.identities)
        raise Unknown(f"instances of {found.name} have several identities; say which instead: {listed}")
    if not found.identities:
        raise Unknown(f"no instance of {found.name} has ever had an identity; name that instead, {_SCHEME}...")
    address = found.instances[0].address if found.instances else ""
    return From(found.identities[0].removeprefix(_SCHEME), address)


def answer(door: Door, by: From, source_ip: str, sni: str, request: Written) -> Answer:
    """source_ip: "" for the caller's own. sni: what sidecars ask for by mutual TLS."""
    notes: list[str] = []
    principal, mode = by.principal, door.port.mutual_tls
    if principal and door.only_plain:
        principal = ""
        notes.append("mutual TLS is DISABLED there, so that sidecars call in plain text and nobody's identity is known")
    elif not principal and mode is MutualTls.STRICT:
        return Answer("plain text is refused: mutual TLS is STRICT there (PeerAuthentication)")
    elif not principal and (note := _elsewhere(door)):
        notes.append(note)
    if principal and not f"{_SCHEME}{principal}".startswith(door.inbound.trusted):
        return Answer(f"the handshake fails: {principal} is no workload of {TRUST_DOMAIN} or of its trustDomainAliases")
    address = source_ip or by.address
    connection = Connection(
        principal, address if is_address(address) else "127.0.0.1", door.inbound.address, sni if principal else ""
    )
    if door.port.access.tcp:
        return _decided(door, evaluate(door.port.access, of_bytes(connection)), notes)
    claims, refused = _claims(door, request, notes)
    if refused:
        return Answer(refused, 401)
    seen = Written(request.method, request.path, request.host, request.headers, claims)
    made = call(connection, seen, door.inbound.paths, door.inbound.issuers)
    if made is None:
        return Answer("the sidecar refuses the request, whatever policies say: its path or its host is none", 400)
    if made.path != request.path.partition("?")[0]:
        notes.append(f"the path comes to {made.path} (MeshConfig, pathNormalization)")
    return _decided(door, evaluate(door.port.access, made), notes)


def _decided(door: Door, verdict: Verdict, notes: list[str]) -> Answer:
    asked = door.inbound.authorizer
    if verdict.custom and asked is not None and asked.problem:
        return Answer(f"a CUSTOM policy fits, and nobody can be asked: {asked.problem}", 403)
    return Answer(verdict=verdict, notes=tuple(notes))


def _elsewhere(door: Door) -> str:
    """Plain text does not say for which port it is."""
    plain = [one.destination.port for one in door.inbound.ports if one.mutual_tls is not MutualTls.STRICT]
    if door.inbound.redirected or plain[:1] == [door.port.destination.port]:
        return ""
    return f"plain text at the sidecar's own door is for port {plain[0]}, and judged by what holds there"


def _claims(door: Door, request: Written, notes: list[str]) -> tuple[dict[str, object] | None, str]:
    """Those that count, or why the token is refused."""
    if request.claims is None:
        return None, ""
    issuers = door.inbound.issuers
    if not issuers:
        notes.append("no RequestAuthentication is for it, so that nobody looks at tokens")
        return None, ""
    of_it = [one for one in issuers if one.issuer == request.claims.get("iss")]
    if not of_it:
        return None, f"no RequestAuthentication takes tokens of the issuer {request.claims.get('iss')!r}"
    said = request.claims.get("aud")
    audiences = {one for one in (said if isinstance(said, list) else [said]) if isinstance(one, str)}
    if not any(not one.audiences or audiences & set(one.audiences) for one in of_it):
        return None, "the token is for none of the audiences of the RequestAuthentication"
    if not any(one.jwks for one in of_it):
        return (
            None,
            f"there are no keys of the issuer {request.claims.get('iss')!r} yet, so that no token of it is good",
        )
    notes.append("the token's signature and times are taken for good")
    return dict(request.claims), ""
