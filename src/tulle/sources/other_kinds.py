"""The kinds of Istio and Kubernetes that tulle lacks: a document of one is sound, and is refused with a word about it."""

from __future__ import annotations

_ISTIO = {
    "networking.istio.io": ("EnvoyFilter", "Gateway", "ProxyConfig"),
    "extensions.istio.io": ("TrafficExtension", "WasmPlugin"),
    "install.istio.io": ("IstioOperator",),
}
_CORE = (
    *("ConfigMap", "Endpoints", "Event", "LimitRange", "Namespace", "Node", "PersistentVolume"),
    *("PersistentVolumeClaim", "Pod", "PodTemplate", "ReplicationController", "ResourceQuota", "Secret"),
    *("Service", "ServiceAccount"),
)
# Kubernetes' own groups without a domain; those with one end in k8s.io.
_KUBERNETES = ("apps", "autoscaling", "batch", "extensions", "policy")


def is_known(group: str, kind: str) -> bool:
    """group: "" is Kubernetes' core."""
    if group == "":
        return kind in _CORE
    return kind in _ISTIO.get(group, ()) or group in _KUBERNETES or group.endswith(".k8s.io")
