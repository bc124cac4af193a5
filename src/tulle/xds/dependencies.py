"""Which resources need which others: what keeps every change make-before-break."""

from __future__ import annotations

from collections.abc import Iterable

from tulle.xds.resources import Key, Resource


class Dependencies:
    """What the resources that a client holds or is being sent require, and which wait for something they require."""

    def __init__(self) -> None:
        self._required: dict[Key, int] = {}
        self._missing: dict[Key, Key] = {}
        self._waiting: dict[Key, dict[Key, None]] = {}

    @property
    def blocked(self) -> Iterable[Key]:
        """The resources that wait."""
        return self._missing.keys()

    def hold(self, resource: Resource) -> None:
        """From now on the client may use what `resource` requires."""
        for key in resource.requires:
            self._required[key] = self._required.get(key, 0) + 1

    def release(self, resource: Resource | None) -> None:
        """The client certainly no longer uses what `resource`, of an earlier `hold`, requires."""
        for key in resource.requires if resource else ():
            if self._required[key] == 1:
                del self._required[key]
            else:
                self._required[key] -= 1

    def is_required(self, key: Key) -> bool:
        return key in self._required

    def block(self, key: Key, missing: Key) -> None:
        """`key` waits until `missing` has arrived."""
        self._missing[key] = missing
        self._waiting.setdefault(missing, {})[key] = None

    def unblock(self, key: Key) -> None:
        """`key` no longer waits. Nothing if it doesn't."""
        if missing := self._missing.pop(key, None):
            waiting = self._waiting[missing]
            del waiting[key]
            if not waiting:
                del self._waiting[missing]

    def waiting_for(self, key: Key) -> tuple[Key, ...]:
        return tuple(self._waiting.get(key, ()))
