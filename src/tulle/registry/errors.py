"""What the registry refuses. Each text is for the user and names the fix; a store's failures pass through."""

from __future__ import annotations


class RegistryError(Exception):
    """Any refusal of the registry."""


class RegistrationRefused(RegistryError):
    """The proxy can't be registered as it is."""


class NotRegistered(RegistryError):
    """There is no such proxy or workload, or no longer: its agent has to register it (again)."""


class StillAlive(RegistryError):
    """A service can't be forgotten while instances of it are alive."""
