"""`exportTo`: to which namespaces a resource shows itself.

Source: Istio, pkg/config/validation (validateExportTo) and pkg/config/visibility.
"""

from __future__ import annotations

from collections.abc import Sequence

from tulle.sources.at import At
from tulle.sources.validation.basics import is_dns_label


def check(entries: Sequence[str], at: At, *, nobody: bool = False, only_own: bool = False) -> None:
    """nobody: whether `~`, to nobody, is allowed. only_own: whether it must be the resource's own namespace."""
    own = at.report.namespace
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        namespace = own if entry == "." else entry
        if namespace in seen:
            at.item(index).error(f"`{entry}` is named twice (`.` is `{own}`): leave one out")
        elif entry == "~" and not nobody:
            at.item(index).error("`~`, to nobody, is for a ServiceEntry only; write `.` for this namespace")
        elif entry not in ("~", "*") and not is_dns_label(namespace):
            at.item(index).error(f"`{entry}` must be `.`, `*` or a namespace")
        else:
            seen.add(namespace)
    if "*" in seen and len(entries) > 1:
        at.error("`*` is every namespace: name nothing beside it")
    if "~" in seen and len(entries) > 1:
        at.error("`~` is nobody: name nothing beside it")
    if only_own and seen:
        if own not in seen:
            at.error(
                "with a `workloadSelector`, it holds in its own namespace only: write `.`, or leave `exportTo` out"
            )
        elif len(seen) > 1:
            at.error("with a `workloadSelector`, it holds in its own namespace only: keep `.` alone")
