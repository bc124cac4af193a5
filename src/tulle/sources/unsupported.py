"""The fields of Istio's that tulle does not do, whatever is in them. A document that gives one is refused, and told why.

Where it depends on the value, validation/ says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from msgspec import inspect

from tulle.model.resources.common import Message
from tulle.model.resources.destination_rule import ClientTLSSettings, LoadBalancerSettings
from tulle.model.resources.mesh_config import ExtensionProvider, MeshConfig, MeshOutboundTrafficPolicy
from tulle.model.resources.sidecar import IstioEgressListener, OutboundTrafficPolicy, Sidecar
from tulle.model.resources.telemetry import Metrics, Tracing
from tulle.model.resources.telemetry_providers import (
    GrpcService,
    HttpService,
    OpenTelemetryProvider,
    ProxyConfig,
    ProxyTracing,
)
from tulle.model.resources.virtual_service import L4MatchAttributes
from tulle.model.resources.workload_entry import WorkloadGroup
from tulle.sources.at import At

_PORTS = "tulle asks the kernel for the ports of its sidecars: leave it out"
_KUBERNETES = "this is about Kubernetes, which tulle does without: leave it out"
_FIGURES = "agents give out figures and the control plane collects them: leave it out"
_LOGS = "name an `envoyFileAccessLog` or `envoyOtelAls` in `extensionProviders` instead"
_SPANS = "tulle keeps spans itself, or sends them on by OpenTelemetry: name an `opentelemetry` provider instead"
_STARTED = "the options of `tulle run` say how a sidecar is started: leave it out"
_HEADERS = "tulle sends collectors no headers of its own: leave it out"
_NAMES = "tulle names what it counts itself: leave it out"
_CLUSTERS = "tulle's mesh is one cluster: leave it out"
_CA = "tulle is the mesh's only certificate authority: leave it out"
_TLS = "sidecars speak TLS 1.3 with each other, and Envoy's defaults to others: leave it out"
_PER_SERVICE = "say it in a DestinationRule of the service that it is for"


def _fields_of_proxies() -> tuple[str, ...]:
    return ProxyConfig.__struct_encode_fields__


# Of each message: its fields, and what to do instead.
UNSUPPORTED: Mapping[type[Message], Mapping[str, str]] = {
    MeshConfig: {
        **dict.fromkeys(("proxyListenPort", "proxyInboundListenPort", "proxyHttpPort"), _PORTS),
        **dict.fromkeys(("ingressClass", "ingressService", "ingressControllerMode", "ingressSelector"), _KUBERNETES),
        "enableEnvoyAccessLogService": _LOGS,
        "disableEnvoyListenerLog": "calls are logged, listeners are not: leave it out",
        "enablePrometheusMerge": _FIGURES,
        **dict.fromkeys(("inboundClusterStatName", "outboundClusterStatName"), _NAMES),
        **dict.fromkeys(("serviceSettings", "serviceScopeConfigs", "configSources"), _CLUSTERS),
        **dict.fromkeys(("caCertificates", "certificates", "ca"), _CA),
        **dict.fromkeys(("meshMTLS", "tlsDefaults"), _TLS),
        **dict.fromkeys(("h2UpgradePolicy", "verifyCertificateAtClient"), _PER_SERVICE),
        "hboneIdleTimeout": "tulle has no ambient mode: leave it out",
        "inboundTrafficPolicy": "calls come to the ports of `tulle run --port` alone: leave it out",
        "zoneAwareLbSetting": "tulle does not do zone-aware routing: use `localityLbSetting`",
        "discoverySelectors": "all namespaces belong to the mesh: leave it out, or narrow by `exportTo`",
        "serviceEntryVisibility": "narrow by `exportTo`, or by `defaultServiceExportTo`",
    },
    ClientTLSSettings: {
        "credentialName": "tulle has no store of secrets: "
        "write the files into `clientCertificate`, `privateKey` and `caCertificates`"
    },
    LoadBalancerSettings: {"zoneAwareLbSetting": "tulle does not do zone-aware routing: use `localityLbSetting`"},
    L4MatchAttributes: {"sourceSubnet": "callers are not told apart by address: use `sourceLabels`"},
    Sidecar: {"ingress": "tulle's sidecars take calls on the ports of `tulle run --port`: leave `ingress` out"},
    IstioEgressListener: {
        "port": "tulle's `egress` holds for all ports: leave `port` out",
        "bind": "tulle chooses where its sidecar listens: leave `bind` out",
        "captureMode": "tulle captures as `tulle run --capture` says: leave `captureMode` out",
    },
    OutboundTrafficPolicy: {
        "egressProxy": "tulle has no egress proxies: leave it out, and unknown hosts are called directly"
    },
    WorkloadGroup: {
        "probe": "tulle does not probe a group's workloads: start them with `tulle run`, which reports their health"
    },
    MeshOutboundTrafficPolicy: {"tls": "name the hosts in a ServiceEntry, and their TLS in a DestinationRule"},
    ExtensionProvider: {
        **dict.fromkeys(("zipkin", "lightstep", "datadog", "stackdriver", "opencensus", "skywalking"), _SPANS),
        **dict.fromkeys(("envoyHttpAls", "envoyTcpAls"), _LOGS),
        "sds": "tulle gives keys and certificates out itself: leave it out",
    },
    OpenTelemetryProvider: {
        "resourceDetectors": "a span's service says where it comes from: leave it out",
        "serviceAttributeEnrichment": "spans are of `NAME.NAMESPACE`, as Istio's default has it: leave it out",
        "dynatraceSampler": "sample by `randomSamplingPercentage`",
    },
    HttpService: {"headers": _HEADERS},
    GrpcService: {"initialMetadata": _HEADERS},
    ProxyConfig: {
        **{name: _STARTED for name in _fields_of_proxies() if name != "tracing"},
        "zipkinAddress": _SPANS,
        **dict.fromkeys(("statsdUdpAddress", "envoyMetricsServiceAddress", "envoyMetricsService"), _FIGURES),
        "envoyAccessLogService": _LOGS,
    },
    ProxyTracing: {
        **dict.fromkeys(("zipkin", "lightstep", "datadog", "stackdriver", "openCensusAgent"), _SPANS),
        "tlsSettings": "say it in a DestinationRule of the collector",
    },
    Metrics: {"reportingInterval": "agents tell their figures every two seconds: leave it out"},
    Tracing: {
        "useRequestIdForTraceSampling": "a trace is sampled by its own id, as OpenTelemetry has it: leave it out"
    },
}


def note_unsupported(spec: Any, at: At) -> None:
    """Goes only where such a field may be."""
    type_: Any = type(spec)
    if not _may_hold(type_):
        return
    reasons = UNSUPPORTED.get(type_, {})
    for field in _fields(type_):
        value = getattr(spec, field.name)
        if field.encode_name in reasons:
            if value is not None and value != field.default:
                at.field(field.encode_name).unsupported(reasons[field.encode_name])
        elif isinstance(value, Message):
            note_unsupported(value, at.field(field.encode_name))
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                note_unsupported(item, at.field(field.encode_name).item(index))


@cache
def _fields(type_: Any) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(type_)
    return info.fields if isinstance(info, inspect.StructType) else ()


@cache
def _may_hold(type_: Any) -> bool:
    """Whether a message, or one in it, has such a field."""
    if not issubclass(type_, Message):
        return False
    return any(each in UNSUPPORTED for each in messages(type_))


def messages(type_: Any) -> tuple[type[Any], ...]:
    """A message and all that can be in it, each once, outer ones first."""
    return _messages(type_)


@cache
def _messages(type_: Any) -> tuple[type[Any], ...]:
    found: dict[type[Any], None] = {}
    queue: list[Any] = [inspect.type_info(type_)]
    while queue:
        each = queue.pop(0)
        match each:
            case inspect.StructType():
                if each.cls not in found:
                    found[each.cls] = None
                    queue += [field.type for field in each.fields]
            case inspect.UnionType():
                queue += each.types
            case inspect.VarTupleType():
                queue.append(each.item_type)
            case inspect.DictType():
                queue.append(each.value_type)
    return tuple(found)
