"""`exportTo`, where it names namespaces in which nobody is."""

from __future__ import annotations

from collections.abc import Sequence

from tulle.resolve.analysis.findings import NOT_FOUND, Findings
from tulle.resolve.analysis.known import Known

_WORDS = ("*", ".", "~")


def check_exports(at: Findings, known: Known, exports: Sequence[str]) -> None:
    own = at.resource.ref.namespace
    spaces = {own if space == "." else space for space in exports}
    empty = [space for space in exports if space not in _WORDS and space not in known.namespaces]
    # A namespace without anybody is no news of a mesh that is yet to come: only what is said of one is told.
    nobody = bool(empty) and "*" not in spaces and not spaces & known.namespaces
    for index, space in enumerate(exports):
        if space in empty:
            message = f"nobody is in the namespace {space}"
            why = f"it is exported to {', '.join(sorted(spaces))} alone, where nobody is" if nobody else ""
            at.warning(f"spec.exportTo[{index}]", message, NOT_FOUND, why)
