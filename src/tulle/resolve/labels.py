"""Things with labels, so that those which a selector means are found without asking all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class Labelled(Generic[T]):
    """Pairs of labels and what has them, kept by each label."""

    def __init__(self, pairs: Iterable[tuple[Mapping[str, str], T]] = ()) -> None:
        self._all = list(pairs)
        self._by_label: defaultdict[tuple[str, str], list[tuple[Mapping[str, str], T]]] = defaultdict(list)
        for pair in self._all:
            for label in pair[0].items():
                self._by_label[label].append(pair)

    def having(self, wanted: Mapping[str, str]) -> Iterator[T]:
        """What has all of these labels, in order: everything, if there are none. Asks those that have the rarest of them."""
        asked = self._all
        for label in wanted.items():
            found = self._by_label.get(label, [])
            asked = found if len(found) < len(asked) else asked
        return (thing for labels, thing in asked if wanted.items() <= labels.items())

    def has(self, wanted: Mapping[str, str]) -> bool:
        return any(True for _ in self.having(wanted))
