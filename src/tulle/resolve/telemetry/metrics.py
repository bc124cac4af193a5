"""Which figures one side of a workload keeps, and by which labels.

Source: Istio, Telemetry, Metrics; pilot/pkg/model/telemetry.go (mergeMetrics). There is one place for figures, so what is said of
other providers than Prometheus is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from tulle.ir.telemetry import MetricOverride, TagOverride
from tulle.model.resources.mesh_config import MeshConfig
from tulle.model.resources.telemetry import IstioMetric, MetricSelector, TagOperation, Telemetry, WorkloadMode
from tulle.resolve.telemetry.providers import PROMETHEUS, provider

NAMES = {
    IstioMetric.REQUEST_COUNT: "istio_requests_total",
    IstioMetric.REQUEST_DURATION: "istio_request_duration_milliseconds",
    IstioMetric.REQUEST_SIZE: "istio_request_bytes",
    IstioMetric.RESPONSE_SIZE: "istio_response_bytes",
    IstioMetric.TCP_OPENED_CONNECTIONS: "istio_tcp_connections_opened_total",
    IstioMetric.TCP_CLOSED_CONNECTIONS: "istio_tcp_connections_closed_total",
    IstioMetric.TCP_SENT_BYTES: "istio_tcp_sent_bytes_total",
    IstioMetric.TCP_RECEIVED_BYTES: "istio_tcp_received_bytes_total",
    IstioMetric.GRPC_REQUEST_MESSAGES: "istio_request_messages_total",
    IstioMetric.GRPC_RESPONSE_MESSAGES: "istio_response_messages_total",
}


def metrics(config: MeshConfig, said: Iterable[Telemetry], mode: WorkloadMode) -> tuple[MetricOverride, ...]:
    """Each figure once, sorted by name; one for all of them, of no name, if the same holds for all."""
    disabled: dict[str, bool] = {}
    tags: defaultdict[str, dict[str, str]] = defaultdict(dict)
    inherited: tuple[str, ...] = config.default_providers.metrics if config.default_providers else ()
    for entry in (entry for one in said for entry in one.metrics):
        inherited = tuple(p.name for p in entry.providers) or inherited
        if not any(_is_prometheus(config, name) for name in inherited or (PROMETHEUS,)):
            continue
        for override in entry.overrides:
            for name in _matched(override.match, mode):
                if override.disabled is not None:
                    disabled[name] = override.disabled
                for tag, change in override.tag_overrides.items():
                    tags[name][tag] = "" if change.operation is TagOperation.REMOVE else change.value
    found = [
        MetricOverride(name, disabled.get(name, False), tuple(TagOverride(*tag) for tag in sorted(tags[name].items())))
        for name in sorted(NAMES.values())
    ]
    bare = {MetricOverride("", one.is_disabled, one.tags) for one in found}
    if len(bare) == 1:
        found = list(bare)
    return tuple(one for one in found if one.is_disabled or one.tags)


def _is_prometheus(config: MeshConfig, name: str) -> bool:
    found = provider(config, name)
    return found is not None and found.prometheus is not None


def _matched(match: MetricSelector | None, mode: WorkloadMode) -> Iterable[str]:
    if match is None:
        return NAMES.values()
    if match.mode not in (WorkloadMode.CLIENT_AND_SERVER, mode):
        return ()
    if match.metric in (None, IstioMetric.ALL_METRICS):
        return NAMES.values()
    return (NAMES[IstioMetric(match.metric)],)
