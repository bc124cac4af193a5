"""Whom the sources of an AuthorizationPolicy can mean: the identities that certificates of this mesh have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tulle.model.domain import MESH_DOMAIN
from tulle.model.spiffe import WORKLOAD_PREFIX
from tulle.resolve.mesh import Mesh

_SCHEME = "spiffe://"


class Identities:
    """Those of all workloads that are alive, and of services that were. Lives as long as one analysis."""

    def __init__(self, mesh: Mesh) -> None:
        ids = {one for service in mesh.services.values() for one in service.identities}
        ids |= {workload.identity for proxy in mesh.proxies.values() for workload in proxy.workloads}
        parts = [one.removeprefix(WORKLOAD_PREFIX).split("/") for one in ids if one.startswith(WORKLOAD_PREFIX)]
        self._aliases = mesh.declared.config.trust_domain_aliases
        self._known = {
            "principals": sorted(one.removeprefix(_SCHEME) for one in ids),
            "namespaces": sorted({part[0] for part in parts} | set(mesh.namespaces)),
            "serviceAccounts": sorted(f"{part[0]}/{part[2]}" for part in parts if len(part) == 3),
            "trustDomains": sorted({MESH_DOMAIN, *self._aliases}),
        }
        self._exact = {what: frozenset(known) for what, known in self._known.items()}
        self._told: dict[tuple[str, str], bool] = {}

    def has(self, what: str, value: str, namespace: str) -> bool:
        """Whether a value fits anybody. what: `principals`, `namespaces`, `serviceAccounts` or `trustDomains`.

        namespace: of the policy. Who is in other trust domains is not known: what names one of the aliases may fit.
        """
        if what == "serviceAccounts" and "/" not in value:
            value = f"{namespace}/{value}"
        if what == "principals" and value.partition("/")[0] in self._aliases:
            return True
        key = (what, value)
        if key not in self._told:
            self._told[key] = value in self._exact[what] or _fits(value, self._known[what])
        return self._told[key]

    def any_of(self, what: str, values: Iterable[str], namespace: str) -> bool:
        return any(self.has(what, value, namespace) for value in values)


def _fits(value: str, known: Sequence[str]) -> bool:
    if value == "*":
        return bool(known)
    if value.endswith("*"):
        return any(one.startswith(value[:-1]) for one in known)
    return value.startswith("*") and any(one.endswith(value[1:]) for one in known)
