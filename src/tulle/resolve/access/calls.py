"""What a serving sidecar makes of a request, before rules look at it: from what somebody writes to a `Call`.

Source: Envoy, HttpConnectionManager: `normalize_path`, `strip_trailing_host_dot`, `xff_num_trusted_hops`; JwtProvider
`normalize_payload_in_metadata`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from tulle.ir.tokens import Issuer
from tulle.ir.types import Paths
from tulle.resolve.access.paths import normalised, without_query

FORWARDED_FOR = "x-forwarded-for"
_AUTHORITY = re.compile(r"[A-Za-z0-9!$%&'()*+,\-.:;=@\[\]_~]*")


class Written(Struct, frozen=True):
    """A request as its caller writes it. headers: in order, also several of a name. claims: of a token that is good."""

    method: str = "GET"
    path: str = "/"
    host: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    claims: Mapping[str, Any] | None = None


class Connection(Struct, frozen=True):
    """principal: as Call's."""

    principal: str = ""
    source_ip: str = "127.0.0.1"
    destination_ip: str = "127.0.0.1"
    sni: str = ""


class Call(Struct, frozen=True):
    """What the serving sidecar sees of a call.

    principal: the caller's SPIFFE id without `spiffe://`; "" without mutual TLS. path: normalised, without the query; "" where
    nobody reads HTTP. headers: by name in lower case; the values of one that comes several times are joined with commas.
    claims: those of a token that was found good; None without one.
    """

    principal: str = ""
    source_ip: str = "127.0.0.1"
    remote_ip: str = "127.0.0.1"
    destination_ip: str = "127.0.0.1"
    sni: str = ""
    host: str = ""
    method: str = ""
    path: str = ""
    headers: Mapping[str, str] = {}
    claims: Mapping[str, Any] | None = None


def call(connection: Connection, request: Written, form: Paths, issuers: Sequence[Issuer] = ()) -> Call | None:
    """None if the sidecar refuses the request with 400, as its path or its host is none."""
    path = normalised(request.path, form)
    if path is None or not _AUTHORITY.fullmatch(request.host):
        return None
    headers = _joined(request.headers)
    return Call(
        principal=connection.principal,
        source_ip=connection.source_ip,
        remote_ip=connection.source_ip,  # nobody in the mesh is trusted to say for whom it calls
        destination_ip=connection.destination_ip,
        sni=connection.sni,
        host=_without_last_dot(request.host),
        method=request.method,
        path=without_query(path),
        headers=headers,
        claims=None if request.claims is None else _parted(request.claims, issuers),
    )


def of_bytes(connection: Connection) -> Call:
    """What is seen of a connection of which nobody reads requests."""
    return Call(
        principal=connection.principal,
        source_ip=connection.source_ip,
        destination_ip=connection.destination_ip,
        sni=connection.sni,
    )


def _joined(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    """A header that comes several times is one, its values joined with commas."""
    found: dict[str, str] = {}
    for name, value in headers:
        name, value = name.lower(), value.strip(" \t")
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _without_last_dot(host: str) -> str:
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if not colon:
        return host.removesuffix(".")
    return f"{name.removesuffix('.')}:{port}"


def _parted(claims: Mapping[str, Any], issuers: Sequence[Issuer]) -> dict[str, Any]:
    """Claims that are lists, written as one text."""
    spaced = {name for issuer in issuers if issuer.issuer == claims.get("iss") for name in issuer.spaced}
    return {
        name: value.split(" ") if name in spaced and isinstance(value, str) else value for name, value in claims.items()
    }
