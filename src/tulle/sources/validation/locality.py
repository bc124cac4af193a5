"""`localityLbSetting`: of a DestinationRule and the mesh.

Source: Istio, pkg/config/validation/agent (ValidateLocalityLbSetting, validateLocalities).
"""

from __future__ import annotations

from collections.abc import Sequence

from tulle.model.resources.destination_rule import Distribute, Failover, LocalityLoadBalancerSetting
from tulle.sources.at import At

# Labels that say which locality it is: `failover` orders by that already.
_TOPOLOGY = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone")


def check(setting: LocalityLoadBalancerSetting | None, at: At, *, outlier: bool) -> None:
    """outlier: whether instances that err are noticed, without which nothing ever fails over."""
    if setting is None:
        return
    if setting.distribute and setting.failover:
        at.field("failover").error("`distribute` and `failover` exclude each other: keep one")
    for index, label in enumerate(setting.failover_priority):
        if setting.failover and label in _TOPOLOGY:
            at.field("failoverPriority").item(index).error(
                f"`failover` orders by `{label}` already: leave out one of them"
            )
    _check_distribute(setting.distribute, at.field("distribute"))
    if (setting.failover or setting.failover_priority) and not outlier:
        at.warning(
            "nothing fails over without `outlierDetection`, which notices that instances err: add it beside `loadBalancer`"
        )
    for index, failover in enumerate(setting.failover):
        _check_failover(failover, at.field("failover").item(index))


def _check_distribute(distribute: Sequence[Distribute], at: At) -> None:
    for index, entry in enumerate(distribute):
        to = at.item(index).field("to")
        if outside := {where: weight for where, weight in entry.to.items() if not 1 <= weight <= 100}:
            where, weight = next(iter(outside.items()))
            to.key(where).error(f"weight {weight} must be from 1 to 100; a locality that is left out gets nothing")
        elif (total := sum(entry.to.values())) != 100:
            to.error(f"the weights add up to {total}: they must add up to 100")
        _check_localities([(where, to.key(where)) for where in entry.to])
    _check_localities([(entry.from_, at.item(index).field("from")) for index, entry in enumerate(distribute)])


def _check_failover(failover: Failover, at: At) -> None:
    if failover.from_ == failover.to:
        at.error(f"from `{failover.from_}` to itself is no failover: name another region in `to`")
    for region, name in ((failover.from_, "from"), (failover.to, "to")):
        if "/" in region:
            at.field(name).error(f"`{region}` must be a region alone: `{region.partition('/')[0]}`")
        if "*" in region:
            at.field(name).error(f"`{region}` must be one region: name it, without `*`")


def _check_localities(localities: Sequence[tuple[str, At]]) -> None:
    """That each is region[/zone[/subzone]], and that none covers another."""
    seen: list[tuple[str, ...]] = []
    for locality, at in localities:
        parts = tuple(locality.split("/", 2))
        if "*" in locality.removesuffix("*"):
            at.error(f"`{locality}`: one `*` at most, and as the last part")
        elif not all(parts):
            at.error(f"`{locality}` must be region, region/zone or region/zone/subzone, with no empty part")
        else:
            wildcard = parts[-1] == "*"
            covered = parts[:-1] if wildcard else parts
            # What is left over may come last: `us/*` after `us/a`.
            for other in seen:
                depth = len(other) if wildcard else min(len(covered), len(other))
                if covered[:depth] == other[:depth]:
                    at.error(f"`{locality}` overlaps with `{'/'.join(other) or '*'}`: name each locality once")
                    break
            seen.append(covered)
