"""A declared resource: Istio's document, typed, with where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from tulle.model.resources.authorization_policy import AuthorizationPolicy
from tulle.model.resources.destination_rule import DestinationRule
from tulle.model.resources.mesh_config import MeshConfig
from tulle.model.resources.peer_authentication import PeerAuthentication
from tulle.model.resources.request_authentication import RequestAuthentication
from tulle.model.resources.service_entry import ServiceEntry
from tulle.model.resources.sidecar import Sidecar
from tulle.model.resources.telemetry import Telemetry
from tulle.model.resources.virtual_service import VirtualService
from tulle.model.resources.workload_entry import WorkloadEntry, WorkloadGroup

Spec = (
    VirtualService
    | DestinationRule
    | ServiceEntry
    | WorkloadEntry
    | WorkloadGroup
    | Sidecar
    | PeerAuthentication
    | RequestAuthentication
    | AuthorizationPolicy
    | Telemetry
    | MeshConfig
)

SPECS: Mapping[str, type[Any]] = {
    "VirtualService": VirtualService,
    "DestinationRule": DestinationRule,
    "ServiceEntry": ServiceEntry,
    "WorkloadEntry": WorkloadEntry,
    "WorkloadGroup": WorkloadGroup,
    "Sidecar": Sidecar,
    "PeerAuthentication": PeerAuthentication,
    "RequestAuthentication": RequestAuthentication,
    "AuthorizationPolicy": AuthorizationPolicy,
    "Telemetry": Telemetry,
    "MeshConfig": MeshConfig,
}
# One for the whole mesh. Istio keeps it in a ConfigMap, without an envelope of its own.
MESH_CONFIG_NAME = "mesh"


class Api(Struct, frozen=True):
    """A group of kinds, and its versions, which all mean the same; the one to write comes first."""

    group: str
    versions: tuple[str, ...]

    def __str__(self) -> str:
        """As an `apiVersion`, `networking.istio.io/v1`."""
        return f"{self.group}/{self.versions[0]}"


_NETWORKING = Api("networking.istio.io", ("v1", "v1beta1", "v1alpha3"))
_SECURITY = Api("security.istio.io", ("v1", "v1beta1"))
_TELEMETRY = Api("telemetry.istio.io", ("v1", "v1alpha1"))

APIS: Mapping[str, Api] = {
    **dict.fromkeys(SPECS, _NETWORKING),
    **dict.fromkeys(("PeerAuthentication", "RequestAuthentication", "AuthorizationPolicy"), _SECURITY),
    "Telemetry": _TELEMETRY,
    "MeshConfig": Api("mesh.istio.io", ("v1alpha1",)),
}


class Ref(Struct, frozen=True, order=True):
    """Which resource: `VirtualService default/reviews`."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class Origin(Struct, frozen=True, omit_defaults=True):
    """Where its document was written: `file` as it was given ("-" for standard input), `line` of its first field.

    lines: of the elements of its lists, by path (`spec.http[3]`), as messages and explanations name them.
    """

    file: str = ""
    line: int = 0
    lines: Mapping[str, int] = {}


class Resource(Struct, frozen=True, eq=False, dict=True):
    """One resource as it is stored. Two of the same `ref` and `generation` are the same.

    created: Unix time in seconds, by which Istio orders what competes; a tie is decided by `ref`.
    generation: 1 at first, one more with each change of its spec.
    """

    ref: Ref
    spec: Spec
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    created: float = 0.0
    generation: int = 1
    origin: Origin = Origin()

    @property
    def age(self) -> tuple[float, Ref]:
        """The order in which competing resources win: oldest first."""
        return self.created, self.ref
