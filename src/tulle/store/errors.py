"""What can go wrong with a store."""

from __future__ import annotations


class StoreError(Exception):
    """Any failure of a store."""


class Compacted(StoreError):
    """The changes after the revision asked for are no longer all known: read the range anew and watch from there."""


class LeaseNotFound(StoreError):
    """A key was to be put under a lease that was never granted, was revoked or has expired."""


class StoreUnavailable(StoreError):
    """The store can't do this now. A write that failed so is not visible here, though it may be after a restart."""


class StoreFull(StoreUnavailable):
    """There is no space for the write; it works again when there is."""


class StoreCorrupt(StoreError):
    """What is stored can't be read, or was written by something else. It is left as it is."""


class StoreLocked(StoreError):
    """Another process holds the store."""
