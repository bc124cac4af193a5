"""Virtual hosts for the cases of a module, each with a host of its own, and the servers behind their backends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from one_envoy import OneEnvoy, Server, at, locality, one_envoy
from tulle.ir.routes import BackendRef, Forward, Headers, HttpMatch, HttpRoute, Redirect, Respond, Weighted
from tulle.ir.types import Answer, VirtualHost
from tulle.model.names import Destination, ServiceName
from tulle.translate import names

SOURCE = "VirtualService default/case"
Cases = dict[str, tuple[HttpRoute, ...]]
_NO_CHANGE = Headers()
_ANY = HttpMatch()


def ref(name: str, subset: str = "") -> BackendRef:
    return BackendRef(Destination(ServiceName("default", name), 80), subset)


def to(name: str, weight: int = 1, headers: Headers = _NO_CHANGE, authority: str = "") -> Weighted:
    return Weighted(ref(name), weight, headers, authority)


def forward(*backends: str | Weighted, **settings: Any) -> Forward:
    return Forward(tuple(to(b) if isinstance(b, str) else b for b in backends), **settings)


def route(action: Forward | Redirect | Respond, match: HttpMatch = _ANY, **settings: Any) -> HttpRoute:
    return HttpRoute(match, action, source=SOURCE, **settings)


def host(name: str, *routes: HttpRoute) -> VirtualHost:
    destination = Destination(ServiceName("default", name), 80)
    return VirtualHost("outbound.test", destination, (name,), Answer.ROUTE, tunnels=False, routes=routes)


@contextmanager
def running(
    folder: Path, cases: Mapping[str, tuple[HttpRoute, ...]], servers: Mapping[str, Server]
) -> Iterator[OneEnvoy]:
    """An Envoy with a virtual host for each case; each server is the backend of its name."""
    clusters = {names.backend(ref(name)): [locality(at(server.port))] for name, server in servers.items()}
    with one_envoy(folder, [host(name, *routes) for name, routes in cases.items()], clusters) as envoy:
        yield envoy
