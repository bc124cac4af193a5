"""What tulle asks of a store: a small part of etcd's semantics, so that etcd itself can be one.

Keys are text, values bytes. Every transaction that changes something makes one new revision of the whole store; a key's
own revision is that of its last put. Where these facts come to lie is left to an implementation (`sqlite`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence

from msgspec import Struct

# Of comparisons and operations alike: a folder of resources is applied as one. etcd takes 128 unless it is started with
# --max-txn-ops=16384.
MOST_OPERATIONS = 16_384


class KeyValue(Struct, frozen=True, gc=False):
    """A key as it is now. `revision`: of its last put. `lease`: 0 for none."""

    key: str
    value: bytes
    revision: int
    lease: int = 0


class Range(Struct, frozen=True):
    """All keys under a prefix at one `revision`, sorted by key. A watch after this revision misses nothing."""

    revision: int
    items: tuple[KeyValue, ...]


class Event(Struct, frozen=True, gc=False):
    """A key was put, or is gone (`value` None), at `revision`."""

    key: str
    value: bytes | None
    revision: int


class Put(Struct, frozen=True, gc=False):
    """Write a key. It is gone when the lease is; without one (0) it stays, also if it had one before."""

    key: str
    value: bytes
    lease: int = 0


class Delete(Struct, frozen=True, gc=False):
    """Remove a key; nothing if it is not there."""

    key: str


class Unchanged(Struct, frozen=True, gc=False):
    """Holds if the key's revision is this one; 0: if there is no such key."""

    key: str
    revision: int


class NothingNewer(Struct, frozen=True, gc=False):
    """Holds if no key under the prefix was put after `revision`. Does not see deletes, nor does etcd's."""

    prefix: str
    revision: int


class Store(ABC):
    """A store. All methods raise `StoreUnavailable` when it can't be reached or written, and after it was closed.

    A method that has returned has its effect durably, and what is read afterwards shows it.
    """

    @abstractmethod
    async def get(self, key: str) -> KeyValue | None:
        """The key now; None if it is not there."""

    @abstractmethod
    async def range(self, prefix: str) -> Range:
        """All keys that begin with `prefix`."""

    @abstractmethod
    async def transaction(
        self, compares: Sequence[Unchanged | NothingNewer], operations: Sequence[Put | Delete]
    ) -> int | None:
        """Do all operations as one if every comparison holds: then the store's revision, else None.

        Raises LeaseNotFound; ValueError if a key comes twice among the operations, is empty or no proper text, or if
        there are more than MOST_OPERATIONS of either.
        """

    async def put(self, key: str, value: bytes, lease: int = 0) -> None:
        """Write one key, whatever it was. Raises as `transaction`."""
        await self.transaction((), (Put(key, value, lease),))

    async def delete(self, key: str) -> None:
        """Remove one key, if it is there."""
        await self.transaction((), (Delete(key),))

    @abstractmethod
    def watch(self, prefix: str, after_revision: int) -> AsyncGenerator[tuple[Event, ...], None]:
        """What happens to keys under `prefix` after the revision, without end; a batch is all since the last one.

        Events come in the order of their revisions, and those of one revision are never split. A slow reader costs
        nothing; one that is too slow, or asks for too old a revision, gets Compacted.
        """

    @abstractmethod
    async def grant(self, ttl: float) -> int:
        """A new lease: when nobody keeps it alive for `ttl` seconds, its keys are deleted, all in one revision.

        Leases are durable. After a restart or a stall of the store each is given its whole `ttl` again.
        """

    @abstractmethod
    async def keep_alive(self, lease: int) -> bool:
        """Give the lease its whole ttl again, from now. False: it is gone. Cheap: nothing is written."""

    @abstractmethod
    async def shorten(self, lease: int, seconds: float) -> None:
        """Let the lease end after `seconds` at the latest, unless it is kept alive. Nothing if it is gone."""

    @abstractmethod
    async def revoke(self, lease: int) -> None:
        """End the lease now and delete its keys. Nothing if it is gone."""
