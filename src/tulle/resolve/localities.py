"""Endpoints by place: which are used first, and how those of several places share.

Source: Istio, `LocalityLoadBalancerSetting`, and its tests. Distribute and failover exclude each other; failoverPriority comes
before failover. Priorities have no gaps, as Envoy wants them (ClusterLoadAssignment, `priority`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from math import ceil

from tulle.ir.types import Endpoint, Locality
from tulle.model.resources.destination_rule import Distribute, Failover, LocalityLoadBalancerSetting

Placed = tuple[str, Mapping[str, str], Endpoint]
_REGION, _ZONE, _SUBZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"


def localities(
    endpoints: Sequence[Placed],
    caller_locality: str,
    caller_labels: Mapping[str, str],
    setting: LocalityLoadBalancerSetting | None,
    failover_enabled: bool,
) -> tuple[Locality, ...]:
    """Endpoints (locality, labels, endpoint) as a caller at `caller_locality` uses them.

    setting: None if localities don't count. failover_enabled: whether one stands in for another (`policies.locality_setting`).
    """
    if setting is None:
        return _grouped(endpoints, lambda placed: 0, weighted=False)
    if setting.distribute:
        return _distributed(_grouped(endpoints, lambda placed: 0, weighted=True), caller_locality, setting.distribute)
    if not failover_enabled:
        return _grouped(endpoints, lambda placed: 0, weighted=False)
    labels = _with_topology(caller_labels, caller_locality)

    def priority(placed: Placed) -> int:
        by_label = _label_priority(placed, labels, setting.failover_priority)
        if setting.failover_priority and not setting.failover:
            return by_label
        return by_label * 5 + _place_priority(caller_locality, placed[0], setting.failover)

    weighted = bool(setting.failover or setting.failover_priority)
    return _without_gaps(_grouped(endpoints, priority, weighted=weighted))


def _grouped(endpoints: Sequence[Placed], priority: Callable[[Placed], int], *, weighted: bool) -> tuple[Locality, ...]:
    """weighted: by the weights of their endpoints; a locality without a weight is given nothing where others have one."""
    groups: defaultdict[tuple[int, str], list[Endpoint]] = defaultdict(list)
    for placed in endpoints:
        groups[priority(placed), placed[0]].append(placed[2])
    return tuple(
        Locality(level, name, tuple(sorted(members)), sum(e.weight for e in members) if weighted else 0)
        for (level, name), members in sorted(groups.items())
    )


def _distributed(found: tuple[Locality, ...], caller: str, distribute: Sequence[Distribute]) -> tuple[Locality, ...]:
    """The first rule for the caller's place decides; places that it does not name get nothing. No rule: all as they are."""
    rule = next((rule for rule in distribute if _matches(caller, rule.from_)), None)
    if rule is None:
        return found
    shared: list[Locality] = []
    left = list(found)
    for pattern, weight in sorted(rule.to.items(), key=lambda item: _specificity(item[0])):
        chosen = [locality for locality in left if weight > 0 and _matches(locality.name, pattern)]
        left = [locality for locality in left if locality not in chosen]
        total = sum(locality.weight for locality in chosen)
        shared += [Locality(0, c.name, c.endpoints, ceil(c.weight * weight / total)) for c in chosen]
    return tuple(sorted(shared))


def _specificity(pattern: str) -> tuple[int, str]:
    """`to` has no order of its own: the more closely a place is named, the earlier it is taken."""
    return -sum(part not in ("", "*") for part in pattern.split("/")), pattern


def _matches(locality: str, pattern: str) -> bool:
    """`region/zone/subzone`, each of which may be `*`; what is left out at the end is any."""
    wanted, given = _parts(pattern), _parts(locality)
    return all(w in ("*", g) or (w == "" and at > 0) for at, (w, g) in enumerate(zip(wanted, given, strict=True)))


def _parts(locality: str) -> tuple[str, str, str]:
    region, _, rest = locality.partition("/")
    zone, _, subzone = rest.partition("/")
    return region, zone, subzone


def _place_priority(caller: str, place: str, failover: Sequence[Failover]) -> int:
    """0 in the same subzone, 1 zone, 2 region, 3 elsewhere; 4 elsewhere than where a failover of the caller's region leads."""
    ours, theirs = _parts(caller), _parts(place)
    if ours[0] == theirs[0]:
        return 0 if ours == theirs else 1 if ours[1] == theirs[1] else 2
    rule = next((rule for rule in failover if rule.from_ == ours[0]), None)
    return 3 if rule is None or rule.to == theirs[0] else 4


def _label_priority(placed: Placed, caller_labels: Mapping[str, str], keys: Sequence[str]) -> int:
    """How many of the keys are left from the first on which the two differ. `key=value`: as if the caller had that value."""
    labels = _with_topology(placed[1], placed[0])
    for at, key in enumerate(keys):
        name, given, value = key.partition("=")
        if (value if given else caller_labels.get(name, "")) != labels.get(name, ""):
            return len(keys) - at
    return 0


def _with_topology(labels: Mapping[str, str], locality: str) -> Mapping[str, str]:
    """As in Istio, a place is also known by labels."""
    places = zip((_REGION, _ZONE, _SUBZONE), _parts(locality), strict=True)
    return {**{name: value for name, value in places if value}, **labels}


def _without_gaps(found: tuple[Locality, ...]) -> tuple[Locality, ...]:
    levels = {priority: level for level, priority in enumerate(sorted({f.priority for f in found}))}
    return tuple(Locality(levels[f.priority], f.name, f.endpoints, f.weight) for f in found)
