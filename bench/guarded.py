"""Ports of a serving sidecar with access rules, as tulle translates them, each in an Envoy of its own.

They are put into a file, so that the same sidecar can also be had with all that decides about access taken out of it.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from bench.envoys import Credentials, Json, to_sidecar
from tulle.envoy_api.messages import message, pack, to_dict, unpack
from tulle.ir.access import Access, Action, Policy
from tulle.ir.routes import BackendRef, Forward, HttpMatch, HttpRoute, Weighted
from tulle.ir.telemetry import DEFAULT, Telemetry
from tulle.ir.tokens import Issuer
from tulle.ir.types import Answer, Inbound, InboundPort, Outbound, VirtualHost
from tulle.model.calls import runtime
from tulle.model.names import Destination, ServiceName
from tulle.model.resources import authorization_policy as written
from tulle.model.spiffe import TRUST_DOMAIN, WORKLOAD_PREFIX
from tulle.model.workload import Capture, Protocol
from tulle.resolve.access.conditions import Reader
from tulle.translate import names
from tulle.translate.bootstrap import bootstrap
from tulle.translate.clusters import program_clusters
from tulle.translate.inbound_listener import inbound_listener
from tulle.translate.inbound_routes import inbound_routes
from tulle.translate.listeners import outbound_listener
from tulle.translate.routes import virtual_host
from tulle.translate.telemetry.metrics import message_counter

CALLER = "service-a"
DESTINATION = Destination(ServiceName("default", "service-b"), 80)
_SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
_A_POLICY = 10  # rules
_DECIDE = ("tulle.deny", "tulle.allow")
# The loggers of all figures.
FIGURES = ("figures", "figures of gRPC", "messages")
# What else a sidecar can be without: telling single calls, telling them with their headers, giving requests ids.
CALLS, HEADERS, IDS = "calls", "calls with headers", "ids"
_SETTINGS = ("layered_runtime", "stats_config", "deferred_stat_options", "stats_flush_interval", "bootstrap_extensions")
_ISSUER = "https://issuer.example"


def policies(rules: int, action: Action) -> tuple[Policy, ...]:
    """So many rules, ten in a policy. The last alone fits the caller's request, if they allow; none does, if they deny."""
    reader = Reader("default", (TRUST_DOMAIN,))
    fits = [rules - 1] if action is Action.ALLOW else []
    documents = [_fitting() if number in fits else _other(number) for number in range(rules)]
    made = [msgspec.convert(document, written.Rule) for document in documents]
    return tuple(
        Policy(
            f"AuthorizationPolicy default/{action.value.lower()}-{first:04}",
            action,
            tuple(reader.rule(rule, f"spec.rules[{n}]") for n, rule in enumerate(made[first : first + _A_POLICY])),
        )
        for first in range(0, rules, _A_POLICY)
    )


def _fitting() -> Json:
    principal = f"{TRUST_DOMAIN}/ns/default/sa/{CALLER}"
    return {"from": [_source(principals=[principal])], "to": [_operation(methods=["GET"], paths=["/data"])]}


def _other(number: int) -> Json:
    """Of every three, one fits but for the path, one but for the caller's namespace, one but for who the caller is."""
    callers = [f"{TRUST_DOMAIN}/ns/team-{number}/sa/{name}" for name in ("web", "worker")]
    methods = ["GET", "HEAD", "POST"]
    if number % 3 == 0:
        mine = _operation(methods=methods, paths=[f"/team-{number}/*", f"/v1/teams/{number}"])
        return {"from": [_source(principals=[*callers, f"{TRUST_DOMAIN}/ns/default/sa/{CALLER}"])], "to": [mine]}
    if number % 3 == 1:
        return {"from": [_source(namespaces=[f"team-{number}"])], "to": [_operation(methods=methods)]}
    return {"from": [_source(principals=callers)], "to": [_operation(methods=methods, paths=["/data*"])]}


def _source(**source: list[str]) -> Json:
    return {"source": source}


def _operation(**operation: list[str]) -> Json:
    return {"operation": operation}


def issuer() -> tuple[Issuer, str]:
    """One whose tokens a sidecar takes, with a key of P-256, and such a token."""
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_numbers()
    x, y = (base64.urlsafe_b64encode(one.to_bytes(32)).rstrip(b"=").decode() for one in (point.x, point.y))
    jwks = json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "1", "x": x, "y": y}]})
    claims = {"iss": _ISSUER, "sub": "alice", "aud": ["shop"], "exp": int(time.time()) + 86400}
    token = jwt.encode(claims, key, algorithm="ES256", headers={"kid": "1"})
    return Issuer(_ISSUER, "RequestAuthentication default/tokens", jwks=jwks), token


def sidecar(
    port: int,
    target: int,
    rules: tuple[Policy, ...] = (),
    issuers: tuple[Issuer, ...] = (),
    *,
    decides: bool = True,
    counts: tuple[str, ...] | None = None,
    telemetry: Telemetry = DEFAULT,
    without: tuple[str, ...] = (),
) -> tuple[Json, list[Json]]:
    """Its listener, whose routes are within it, and the clusters of its program, which listens on `target`.

    decides: else without the filters that decide about access, and without what tells of their decisions. counts: the loggers of
    metrics that it has; all if None. telemetry: its other logs, and its spans, of which some cluster `agent` is told. without: of
    CALLS, HEADERS and IDS.
    """
    access = Access(rules, ("80",) if rules else ())
    served = InboundPort(DESTINATION, target, Protocol.HTTP, "127.0.0.1", access=access)
    inbound = Inbound(
        "service-b-1", "127.0.0.1", port, (served,), (WORKLOAD_PREFIX,), issuers=issuers, telemetry=telemetry
    )
    listener = inbound_listener(inbound)
    [filter_] = listener.filter_chains[0].filters
    manager = unpack(filter_.typed_config)
    manager.route_config.CopyFrom(inbound_routes(inbound, served))
    if not decides:
        _keep(manager.http_filters, lambda name: name not in _DECIDE)
        _keep(manager.access_log, lambda name: name != "decisions")
        del manager.local_reply_config.mappers[0]
    _reduce(manager, counts, without)
    filter_.typed_config.CopyFrom(pack(manager))
    return to_dict(listener), [to_dict(cluster) for cluster in program_clusters(inbound.workload, served)]


def calling_sidecar(
    port: int, counts: tuple[str, ...] | None = None, telemetry: Telemetry = DEFAULT, without: tuple[str, ...] = ()
) -> Json:
    """The listener of the caller's sidecar, with the routes to the one port. The rest is as sidecar's."""
    door = outbound_listener(Outbound("outbound.bench", port, Capture.PROXY, telemetry=telemetry))
    [filter_] = door.filter_chains[0].filters
    manager = unpack(filter_.typed_config)
    route = HttpRoute(HttpMatch(), Forward((Weighted(BackendRef(DESTINATION)),)), source="VirtualService default/bench")
    host = virtual_host(VirtualHost("outbound.bench", DESTINATION, ("service-b",), Answer.ROUTE, routes=(route,)))
    config = message("envoy.config.route.v3.RouteConfiguration")
    manager.route_config.CopyFrom(
        config(name="outbound.bench", virtual_hosts=[host], validate_clusters={"value": False})
    )
    _reduce(manager, counts, without)
    filter_.typed_config.CopyFrom(pack(manager))
    return to_dict(door)


def cluster_to(port: int, own: Credentials) -> Json:
    """By which the caller's sidecar reaches the other, whose workload has a name for figures."""
    cluster = to_sidecar(names.backend(BackendRef(DESTINATION)), port, own, sni())
    [locality] = cluster["load_assignment"]["endpoints"]
    peer = "service-b-v1.default.service-b.v1.service-b.v1.workload"
    locality["lb_endpoints"][0]["metadata"] = {"filter_metadata": {names.METADATA: {"peer": peer}}}
    return cluster


def _reduce(manager: Any, counts: tuple[str, ...] | None, without: tuple[str, ...]) -> None:
    if CALLS in without:
        _keep(manager.access_log, lambda name: name not in (CALLS, HEADERS))
    if HEADERS in without:
        _keep(manager.access_log, lambda name: name != HEADERS)
    if IDS in without:
        manager.generate_request_id.value = False
    if counts is not None:
        _keep(manager.access_log, lambda name: name not in FIGURES or name in counts)
        _keep(manager.http_filters, lambda name: name != message_counter()["name"] or "messages" in counts)


def _keep(parts: Any, wanted: Callable[[str], bool]) -> None:
    kept = [part for part in parts if wanted(part.name)]
    del parts[:]
    parts.extend(kept)


def settings(*, tapped: bool = False, headers: bool = False) -> Json:
    """What of a sidecar's bootstrap counts here: how it takes regular expressions and headers, and what it counts.

    tapped: as while somebody looks at all calls; headers: at theirs as well.
    """
    own: Json = bootstrap("bench", "127.0.0.1", 1, "spiffe://bench")
    kept = {name: own[name] for name in _SETTINGS}
    if tapped or headers:
        kept["layered_runtime"]["layers"].append(
            {"name": "tapped", "static_layer": runtime(tapped=tapped, headers=headers)}
        )
    return kept


def write_identity(folder: Path, own: Credentials) -> None:
    """Where an agent writes it for its Envoy."""
    (folder / "sds").mkdir()
    pair = {"certificate_chain": {"inline_string": own.chain}, "private_key": {"inline_string": own.key}}
    for name, content in {
        "identity": {"tls_certificate": pair},
        "bundle": {"validation_context": {"trusted_ca": {"inline_string": own.roots}}},
    }.items():
        secret: dict[str, Any] = {"@type": _SECRET, "name": name, **content}
        (folder / "sds" / f"{name}.json").write_text(json.dumps({"resources": [secret]}))


def sni() -> str:
    return names.sni(DESTINATION)
