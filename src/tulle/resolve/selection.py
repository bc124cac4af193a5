"""Whom a namespace's ServiceEntries may select: its WorkloadEntries as they count, and what runs in it.

Source: Istio, Service Entry, `workloadSelector`. Lives for one change of the mesh, in which each namespace that is asked for is
sorted by label once, and not once an entry.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from tulle.model.names import ServiceName
from tulle.model.resources.resource import Resource
from tulle.resolve.declared import Declared
from tulle.resolve.labels import Labelled
from tulle.resolve.workload_entries import completed

I = TypeVar("I")  # noqa: E741  # an instance

_Named = Iterable[tuple[ServiceName, Iterable[tuple[Mapping[str, str], I]]]]


class Selection(Generic[I]):
    """running: of each service what runs, with its labels; looked at only if it is asked for."""

    def __init__(self, rules: Declared, running: _Named[I]) -> None:
        self._rules = rules
        self._running = running
        self._by_namespace: dict[str, list[tuple[Mapping[str, str], I]]] | None = None
        self._entries: dict[str, Labelled[Resource]] = {}
        self._instances: dict[str, Labelled[I]] = {}

    def entries(self, namespace: str) -> Labelled[Resource]:
        if namespace not in self._entries:
            there = self._rules.workload_entries.get(namespace, ())
            self._entries[namespace] = Labelled((completed(one, self._rules.resources).labels, one) for one in there)
        return self._entries[namespace]

    def instances(self, namespace: str) -> Labelled[I]:
        if self._by_namespace is None:
            found: defaultdict[str, list[tuple[Mapping[str, str], I]]] = defaultdict(list)
            for name, there in self._running:
                found[name.namespace] += there
            self._by_namespace = found
        if namespace not in self._instances:
            self._instances[namespace] = Labelled(self._by_namespace.get(namespace, ()))
        return self._instances[namespace]
