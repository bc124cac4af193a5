"""What a workload is called in figures and traces, as text that a certificate and an endpoint's metadata can carry.

Source: Istio, standard metrics (labels `source_workload` … `source_canonical_revision`) and canonical service.
"""

from __future__ import annotations

from msgspec import Struct

from tulle.model.workload import Workload

_UNKNOWN = "unknown"
_LATEST = "latest"
_SUFFIX = "workload"
_LONGEST = 600
_ESCAPES = {"_": "_u", ".": "_d", "/": "_s"}
_NONE = "_n"


class Peer(Struct, frozen=True, order=True):
    """One side of a call. workload: what Kubernetes calls a deployment: the service, and its version if it has one.

    service, revision: the canonical ones.
    """

    workload: str = _UNKNOWN
    namespace: str = _UNKNOWN
    app: str = _UNKNOWN
    version: str = _UNKNOWN
    service: str = _UNKNOWN
    revision: str = _LATEST


UNKNOWN = Peer()


def peer_of(workload: Workload) -> Peer:
    tags = workload.tags
    name = f"{workload.service.name}-{workload.version}" if workload.version else workload.service.name
    app = tags["app"]
    canonical = tags.get("service.istio.io/canonical-name") or tags.get("app.kubernetes.io/name") or app
    version = tags.get("version", "")
    revision = tags.get("service.istio.io/canonical-revision") or tags.get("app.kubernetes.io/version") or version
    return Peer(name, workload.service.namespace, app, version or _UNKNOWN, canonical, revision or _LATEST)


def written(peer: Peer) -> str:
    """`reviews-v1.default.reviews.v1.reviews.v1.workload`: like a name of DNS, as one of a certificate's names."""
    return ".".join([*map(_escaped, _fields(peer)), _SUFFIX])


def read(text: str) -> Peer | None:
    """The inverse of `written`; None for anything else."""
    parts = text.split(".")
    if len(text) > _LONGEST or len(parts) != len(Peer.__struct_fields__) + 1 or parts[-1] != _SUFFIX or "" in parts:
        return None
    return Peer(*map(_plain, parts[:-1]))


def _fields(peer: Peer) -> tuple[str, ...]:
    return (peer.workload, peer.namespace, peer.app, peer.version, peer.service, peer.revision)


def _escaped(field: str) -> str:
    return "".join(_ESCAPES.get(each, each) for each in field) or _NONE


def _plain(field: str) -> str:
    if field == _NONE:
        return ""
    for plain, escaped in reversed(_ESCAPES.items()):
        field = field.replace(escaped, plain)
    return field
