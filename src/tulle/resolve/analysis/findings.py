"""What an analysis says: values, and the list in which one resource's are gathered."""

from __future__ import annotations

from msgspec import Struct

from tulle.model.levels import Level
from tulle.model.resources.resource import Ref, Resource

# Istio's codes, where one says the same (istio.io, Configuration Analysis Messages).
NOT_FOUND = "IST0101"
SCHEMA_ERROR = "IST0106"
CONFLICTING_HOSTS = "IST0109"
CONFLICTING_SIDECARS = "IST0110"
SIDECARS_WITHOUT_SELECTOR = "IST0111"
NO_WORKLOADS = "IST0127"
UNREACHABLE_RULE = "IST0130"
SCHEMA_WARNING = "IST0133"
SUBSET_WITHOUT_INSTANCE = "IST0173"
UNKNOWN_HOST_OF_RULE = "IST0174"


class Finding(Struct, frozen=True, order=True):
    """What is valid and does nothing, or not what it says.

    path: of the field, `spec.http[0].route[1].destination`; empty for all of it. code: Istio's; empty where it has none.
    not_in_force: why all of the resource does nothing, in a few words; empty if that is not so.
    """

    ref: Ref
    path: str
    message: str
    level: Level
    code: str = ""
    not_in_force: str = ""


class Findings:
    """Those of one resource."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.found: list[Finding] = []

    def error(self, path: str, message: str, code: str = "", not_in_force: str = "") -> None:
        self._note(path, message, Level.ERROR, code, not_in_force)

    def warning(self, path: str, message: str, code: str = "", not_in_force: str = "") -> None:
        self._note(path, message, Level.WARNING, code, not_in_force)

    def info(self, path: str, message: str, code: str = "", not_in_force: str = "") -> None:
        self._note(path, message, Level.INFO, code, not_in_force)

    def _note(self, path: str, message: str, level: Level, code: str, not_in_force: str) -> None:
        self.found.append(Finding(self.resource.ref, path, message, level, code, not_in_force))


def line_of(resource: Resource, path: str) -> int:
    """Of the field, or of the nearest one around it of which the line is kept; 0 if none is."""
    lines = resource.origin.lines
    while path and path not in lines:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return lines.get(path, resource.origin.line)
