"""Who this workload is in spans, as its Envoy finds it in its environment.

Sources: OpenTelemetry, "Resource SDK" (OTEL_RESOURCE_ATTRIBUTES) and semantic conventions of services; Istio, tags `istio.*`.
"""

from __future__ import annotations

from tulle.agent.config import AgentConfig

_CANONICAL = ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app")
_REVISION = ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version")


def identity(config: AgentConfig, proxy: str) -> dict[str, str]:
    """Variables of Envoy's. The last three are read by what translate/telemetry/tracing.py makes."""
    labels = dict(config.labels)
    revision = config.version or next(filter(None, map(labels.get, _REVISION)), "")
    attributes = {
        "service.name": f"{config.service}.{config.namespace}",
        "service.namespace": config.namespace,
        "service.instance.id": proxy,
        **({"service.version": config.version} if config.version else {}),
    }
    return {
        "OTEL_RESOURCE_ATTRIBUTES": ",".join(f"{name}={value}" for name, value in attributes.items()),
        "MESH_SERVICE": next(filter(None, map(labels.get, _CANONICAL)), config.service),
        "MESH_REVISION": revision or "latest",
        "MESH_NAMESPACE": config.namespace,
    }
