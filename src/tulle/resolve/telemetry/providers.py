"""The providers that Telemetries name: MeshConfig's, and those that are always there.

`envoy` is Istio's own log, to standard output unless `accessLogFile` says more; `prometheus` are the figures, which agents give
out; `tulle` is the mesh's own store of spans. Names are compared without regard to case, as Istio does.
"""

from __future__ import annotations

from tulle.ir.routes import BackendRef
from tulle.ir.telemetry import Collector
from tulle.model.durations import nanoseconds
from tulle.model.names import Destination, service_of
from tulle.model.resources.mesh_config import ExtensionProvider, MeshConfig
from tulle.model.resources.telemetry_providers import (
    EnvoyFileAccessLogProvider,
    OpenTelemetryProvider,
    PrometheusProvider,
)
from tulle.model.workload import Protocol
from tulle.resolve import backends
from tulle.resolve.callers import Caller
from tulle.resolve.hosts import full
from tulle.resolve.mesh import Mesh

ENVOY, PROMETHEUS, TULLE = "envoy", "prometheus", "tulle"
_MS = 1_000_000  # what Envoy measures such times in
_ALWAYS = (
    ExtensionProvider(name=ENVOY, envoy_file_access_log=EnvoyFileAccessLogProvider()),
    ExtensionProvider(name=PROMETHEUS, prometheus=PrometheusProvider()),
)


def provider(config: MeshConfig, name: str) -> ExtensionProvider | None:
    """Of that name; None if there is none."""
    wanted = name.casefold()
    return next((one for one in (*config.extension_providers, *_ALWAYS) if one.name.casefold() == wanted), None)


def is_logging(found: ExtensionProvider) -> bool:
    return found.envoy_file_access_log is not None or found.envoy_otel_als is not None


def collector(
    mesh: Mesh, caller: Caller, service: str, port: int, *, path: str = "", timeout: str | None = None
) -> Collector:
    """A provider's service as the caller reaches it. path: where it takes things by HTTP; "" for gRPC."""
    namespace, _, host = service.rpartition("/")
    name = service_of(full(host, namespace or mesh.declared.root_namespace))
    basis = backends.basis(mesh, caller, BackendRef(Destination(name, port)))
    length = (nanoseconds(timeout) if timeout else None) or Collector(None).timeout
    found = Collector(name, None, path, -(-length // _MS) * _MS)
    if basis is None:
        return Collector(name, None, path, found.timeout, f"the mesh has no service {service} with a port {port}")
    carries = basis.protocol
    if carries in (Protocol.TCP, Protocol.TLS):
        return Collector(name, None, path, found.timeout, f"port {port} of {service} carries {carries}, not HTTP")
    if not path and not (carries and carries.is_http2):
        return Collector(name, None, path, found.timeout, f"port {port} of {service} carries {carries}, not gRPC")
    backend = BackendRef(Destination(basis.service.name, port), telemetry_timeout=found.timeout)
    return Collector(name, backend, path, found.timeout)


def collector_of_spans(mesh: Mesh, caller: Caller, said: OpenTelemetryProvider) -> Collector:
    timeout = said.http.timeout if said.http else said.grpc.timeout if said.grpc else None
    return collector(mesh, caller, said.service, said.port, path=said.http.path if said.http else "", timeout=timeout)
