"""DestinationRule. Whether its host and its subsets exist is not asked here.

Source: Istio, pkg/config/validation (ValidateDestinationRule).
"""

from __future__ import annotations

from tulle.model.resources.destination_rule import DestinationRule, Subset
from tulle.sources.at import At
from tulle.sources.validation import export_to, traffic_policy
from tulle.sources.validation.basics import check_labels, check_wildcard_host, is_dns_label
from tulle.sources.validation.names import check_selector


def check(spec: DestinationRule, at: At) -> None:
    check_wildcard_host(spec.host, at.field("host"))
    traffic_policy.check(spec.traffic_policy, at.field("trafficPolicy"))
    names: set[str] = set()
    for index, subset in enumerate(spec.subsets):
        _check_subset(subset, at.field("subsets").item(index), names)
    selects = spec.workload_selector is not None
    export_to.check(spec.export_to, at.field("exportTo"), only_own=selects)
    if spec.workload_selector is not None:
        check_selector(spec.workload_selector.match_labels, at.field("workloadSelector").field("matchLabels"))


def _check_subset(subset: Subset, at: At, names: set[str]) -> None:
    """names: of the subsets before it; its own is added."""
    if subset.name in names:
        at.field("name").error(f"there is a subset `{subset.name}` already: give each a name of its own")
    names.add(subset.name)
    if not subset.name:
        at.field("name").error("the subset needs a name, by which routes name it")
    elif not is_dns_label(subset.name):
        at.field("name").error(
            f"`{subset.name}` must be letters, digits and hyphens, at most 63, with no hyphen at its ends"
        )
    check_labels(subset.labels, at.field("labels"))
    traffic_policy.check(subset.traffic_policy, at.field("trafficPolicy"))
