"""WorkloadEntry and WorkloadGroup. Source: istio.io, Reference, Workload Entry and Workload Group."""

from __future__ import annotations

from collections.abc import Mapping

from tulle.model.resources.common import Int32, Message, Uint32


class WorkloadEntry(Message, frozen=True):
    address: str = ""
    ports: Mapping[str, Uint32] = {}
    labels: Mapping[str, str] = {}
    network: str = ""
    locality: str = ""
    weight: Uint32 = 0
    service_account: str = ""


class ObjectMeta(Message, frozen=True):
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class HTTPHeader(Message, frozen=True):
    name: str = ""
    value: str = ""


class HTTPHealthCheckConfig(Message, frozen=True):
    path: str = ""
    port: Uint32 = 0
    host: str = ""
    scheme: str = ""
    http_headers: tuple[HTTPHeader, ...] = ()


class GrpcHealthCheckConfig(Message, frozen=True):
    port: Uint32 = 0
    service: str = ""


class TCPHealthCheckConfig(Message, frozen=True):
    host: str = ""
    port: Uint32 = 0


class ExecHealthCheckConfig(Message, frozen=True):
    command: tuple[str, ...] = ()


class ReadinessProbe(Message, frozen=True):
    initial_delay_seconds: Int32 = 0
    timeout_seconds: Int32 = 0
    period_seconds: Int32 = 0
    success_threshold: Int32 = 0
    failure_threshold: Int32 = 0
    http_get: HTTPHealthCheckConfig | None = None
    tcp_socket: TCPHealthCheckConfig | None = None
    exec: ExecHealthCheckConfig | None = None
    grpc: GrpcHealthCheckConfig | None = None


class WorkloadGroup(Message, frozen=True):
    metadata: ObjectMeta | None = None
    template: WorkloadEntry | None = None
    probe: ReadinessProbe | None = None
