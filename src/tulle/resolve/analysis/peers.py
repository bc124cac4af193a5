"""Which of several PeerAuthentications of one namespace counts: the oldest without a selector, and for each workload the
oldest that selects it (istio.io, PeerAuthentication).
"""

from __future__ import annotations

from collections.abc import Mapping

from tulle.model.resources.peer_authentication import PeerAuthentication
from tulle.model.resources.resource import Resource
from tulle.model.workload import Workload
from tulle.resolve.declared import Declared
from tulle.resolve.labels import Labelled


class Peers:
    """Of a mesh; each namespace is gone through once. there: the workloads by namespace."""

    def __init__(self, declared: Declared, there: Mapping[str, Labelled[Workload]]) -> None:
        self._declared = declared
        self._there = there
        self._found: dict[str, tuple[Resource | None, Mapping[str, Resource]]] = {}

    def whole(self, namespace: str) -> Resource | None:
        """The one for all of the namespace; the root's is for the mesh."""
        return self._winners(namespace)[0]

    def selecting(self, namespace: str) -> Mapping[str, Resource]:
        """By the ids of the namespace's workloads."""
        return self._winners(namespace)[1]

    def _winners(self, namespace: str) -> tuple[Resource | None, Mapping[str, Resource]]:
        if namespace not in self._found:
            whole: Resource | None = None
            selecting: dict[str, Resource] = {}
            for one in self._declared.policies.get(namespace, ()):
                if not isinstance(one.spec, PeerAuthentication):
                    continue
                labels = labels_of(one)
                if not labels:
                    whole = whole or one
                elif namespace in self._there:
                    for workload in self._there[namespace].having(labels):
                        selecting.setdefault(workload.id, one)
            self._found[namespace] = whole, selecting
        return self._found[namespace]


def labels_of(resource: Resource) -> Mapping[str, str]:
    """By which a PeerAuthentication selects; none if it is for all."""
    selector = resource.spec.selector if isinstance(resource.spec, PeerAuthentication) else None
    return selector.match_labels if selector else {}
