"""Which ServiceEntries are concerned when what they may select changes. Whom they select is `selection`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tulle.model.resources.resource import Resource
from tulle.model.resources.service_entry import ServiceEntry
from tulle.resolve.labels import Labelled


def selecting(
    entries: Mapping[str, Sequence[Resource]], changed: Mapping[str, Iterable[Mapping[str, str]]]
) -> Iterator[Resource]:
    """Those of the entries that select something with one of these labels; both are by namespace."""
    for namespace, labels in changed.items():
        there = entries.get(namespace, ())
        labelled = Labelled((one, None) for one in labels) if there else Labelled[None]()
        for entry in there:
            selector = entry.spec.workload_selector if isinstance(entry.spec, ServiceEntry) else None
            if selector is not None and labelled.has(selector.labels):
                yield entry
