"""What a workload is called in figures and traces, as text that a certificate and an endpoint's metadata can carry.

Source: Istio, standard metrics (labels `source_workload` … `source_canonical_revision`) and canonical service.
"""

from __future__ import annotations

from msgspec import Struct

from tulle.model import peer_text
from tulle.model.peer_text import LATEST, UNKNOWN_TEXT
from tulle.model.workload import Workload


class Peer(Struct, frozen=True, order=True):
    """One side of a call. workload: what Kubernetes calls a deployment: the service, and its version if it has one.

    service, revision: the canonical ones.
    """

    workload: str = UNKNOWN_TEXT
    namespace: str = UNKNOWN_TEXT
    app: str = UNKNOWN_TEXT
    version: str = UNKNOWN_TEXT
    service: str = UNKNOWN_TEXT
    revision: str = LATEST


UNKNOWN = Peer()


def peer_of(workload: Workload) -> Peer:
    tags = workload.tags
    name = f"{workload.service.name}-{workload.version}" if workload.version else workload.service.name
    app = tags["app"]
    canonical = tags.get("service.istio.io/canonical-name") or tags.get("app.kubernetes.io/name") or app
    version = tags.get("version", "")
    revision = tags.get("service.istio.io/canonical-revision") or tags.get("app.kubernetes.io/version") or version
    return Peer(name, workload.service.namespace, app, version or UNKNOWN_TEXT, canonical, revision or LATEST)


def written(peer: Peer) -> str:
    """`reviews-v1.default.reviews.v1.reviews.v1.workload`: like a name of DNS, as one of a certificate's names."""
    return peer_text.written(_fields(peer))


def read(text: str) -> Peer | None:
    """The inverse of `written`; None for anything else."""
    fields = peer_text.read(text)
    return Peer(*fields) if fields else None


def _fields(peer: Peer) -> tuple[str, ...]:
    return (peer.workload, peer.namespace, peer.app, peer.version, peer.service, peer.revision)
