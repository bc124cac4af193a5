"""The service that decides on requests to a workload which a CUSTOM policy fits.

Source: istio.io, MeshConfig, ExtensionProvider (`envoyExtAuthzHttp`, `envoyExtAuthzGrpc`).
"""

from __future__ import annotations

from msgspec import Struct

from tulle.ir.access import Value
from tulle.ir.routes import BackendRef
from tulle.model.names import ServiceName

_TEN_MINUTES = 600 * 10**9  # Istio's, where nothing is said


class Body(Struct, frozen=True):
    """How much of a request's body it is sent. most: bytes. partial: of a longer one the beginning, else it is refused."""

    most: int
    partial: bool = False
    as_bytes: bool = False


class Authorizer(Struct, frozen=True):
    """problem: why nobody can be asked; what a CUSTOM policy fits is then denied. service: which is meant, if any is.

    timeout: nanoseconds. status_on_error: 0 for Envoy's (403). request_headers: which of the request's are sent to it, by
    name, beside Envoy's own choice. headers: that are added, (name, value). The others: which headers of its answer go on
    with the request that it allows, back to the caller that it allows, back to the one that it denies.
    """

    provider: str
    problem: str = ""
    service: ServiceName | None = None
    backend: BackendRef | None = None
    grpc: bool = False
    timeout: int = _TEN_MINUTES
    fail_open: bool = False
    status_on_error: int = 0
    clear_route_cache: bool = False
    body: Body | None = None
    path_prefix: str = ""
    request_headers: tuple[Value, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    to_program: tuple[Value, ...] = ()
    to_allowed: tuple[Value, ...] = ()
    to_denied: tuple[Value, ...] = ()
