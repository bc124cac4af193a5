"""SPIFFE ids of this mesh.

Source: SPIFFE-ID standard, section 2 (the URI), and X509-SVID, section 2 (exactly one URI SAN). A workload's id has Istio's
shape. A proxy has an id of its own, with which it may ask the control plane for configuration and nothing else.
"""

from __future__ import annotations

from tulle.model.domain import MESH_DOMAIN

TRUST_DOMAIN = MESH_DOMAIN
CONTROL_PLANE_ID = f"spiffe://{TRUST_DOMAIN}/control-plane"
WORKLOAD_PREFIX = f"spiffe://{TRUST_DOMAIN}/ns/"
_PROXY_PREFIX = f"spiffe://{TRUST_DOMAIN}/proxy/"


def workload_id(namespace: str, service_account: str) -> str:
    """`spiffe://cluster.local/ns/<namespace>/sa/<service account>`, with which one workload proves itself to another."""
    return f"{WORKLOAD_PREFIX}{namespace}/sa/{service_account}"


def workload_prefix(trust_domain: str) -> str:
    """With what the ids of all workloads of a trust domain begin."""
    return f"spiffe://{trust_domain}/ns/"


def in_trust_domain(workload: str, trust_domain: str) -> str:
    """A workload's id as it would be in another trust domain (MeshConfig, `trustDomainAliases`)."""
    return f"{workload_prefix(trust_domain)}{workload.removeprefix(WORKLOAD_PREFIX)}"


def proxy_id(proxy: str) -> str:
    """`spiffe://cluster.local/proxy/<proxy>`, with which a proxy proves itself to the control plane."""
    return f"{_PROXY_PREFIX}{proxy}"


def proxy_of(spiffe_id: str) -> str | None:
    """The proxy's name in a proxy's id; None for any other id."""
    name = spiffe_id.removeprefix(_PROXY_PREFIX)
    return name if name and name != spiffe_id and "/" not in name else None
