"""Which check is whose: of each kind, what its spec must mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from tulle.sources.at import At

Check = Callable[[Any, At], None]

# The file in this folder and its function.
_CHECKS = {
    "VirtualService": ("virtual_service", "check"),
    "DestinationRule": ("destination_rule", "check"),
    "ServiceEntry": ("service_entry", "check"),
    "WorkloadEntry": ("workload_entry", "check_entry"),
    "WorkloadGroup": ("workload_entry", "check_group"),
    "Sidecar": ("sidecar", "check"),
    "MeshConfig": ("mesh_config", "check"),
}


@cache
def checks() -> Mapping[str, Check]:
    """By kind."""
    found: dict[str, Check] = {}
    for kind, (file, function) in _CHECKS.items():
        try:
            found[kind] = getattr(import_module(f"tulle.sources.validation.{file}"), function)
        except ImportError:
            continue
    return found
