"""DestinationRules: hosts that nobody has, subsets without an instance, words that an older rule has already said.

Which rules count for whom, and in which order, is `rules.destination_rules`; what several of them come to, `traffic_policies`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tulle.model.resources.destination_rule import DestinationRule, TrafficPolicy
from tulle.model.resources.resource import Resource
from tulle.model.resources.service_entry import ServiceEntry
from tulle.model.resources.workload_entry import WorkloadEntry
from tulle.resolve.analysis.exports import check_exports
from tulle.resolve.analysis.findings import (
    CONFLICTING_HOSTS,
    NO_WORKLOADS,
    NOT_FOUND,
    SUBSET_WITHOUT_INSTANCE,
    UNKNOWN_HOST_OF_RULE,
    Findings,
)
from tulle.resolve.analysis.known import Known
from tulle.resolve.analysis.without_effect import check_without_effect
from tulle.resolve.hosts import full
from tulle.resolve.mesh import Service


def of_destination_rule(at: Findings, known: Known) -> None:
    spec, namespace = at.resource.spec, at.resource.ref.namespace
    if not isinstance(spec, DestinationRule):
        return
    host = full(spec.host, namespace)
    service = None if host.startswith("*") else known.service(host)
    if service is None and not (host.startswith("*") and known.is_covered(host)):
        message = known.nobody(spec.host, namespace)
        at.warning("spec.host", message, UNKNOWN_HOST_OF_RULE, f"no service has the host {spec.host}")
    elif service is not None:
        _check_callers(at, known, service)
        _check_subsets(at, service, spec)
        _check_ports(at, known, service, spec)
        check_without_effect(at, service, spec)
    _check_others(at, known, spec, host)
    selector = spec.workload_selector.match_labels if spec.workload_selector else {}
    if selector and not known.selects(selector, namespace):
        message = f"no workload of the namespace {namespace} has these labels"
        at.warning("spec.workloadSelector", message, NO_WORKLOADS, "it selects no workload")
    check_exports(at, known, spec.export_to)


def _check_callers(at: Findings, known: Known, service: Service) -> None:
    """A rule of a namespace that is not the service's holds for its own callers alone."""
    namespace = at.resource.ref.namespace
    everybodys = {service.name.namespace, known.declared.root_namespace, *(e.ref.namespace for e in service.entries)}
    if namespace not in everybodys and namespace not in known.namespaces:
        message = f"in the namespace {namespace} it holds for callers of that alone, and nobody is there"
        at.warning("metadata.namespace", message, NOT_FOUND, f"nobody is in the namespace {namespace}")


def _check_subsets(at: Findings, service: Service, spec: DestinationRule) -> None:
    if not spec.subsets:
        return
    there = list(_labels(service))
    for index, subset in enumerate(spec.subsets):
        if any(subset.labels.items() <= labels.items() for labels in there):
            continue
        written = ", ".join(f"{key}={value}" for key, value in sorted(subset.labels.items()))
        path = f"spec.subsets[{index}]"
        if there:
            at.warning(path, f"no instance of {service.name} has the labels {written}", SUBSET_WITHOUT_INSTANCE)
        else:
            at.info(path, f"{service.name} has no instance now", SUBSET_WITHOUT_INSTANCE)


def _labels(service: Service) -> Iterator[Mapping[str, str]]:
    """Of all that serve it."""
    yield from (instance.workload.tags for instance in (*service.instances, *service.chosen))
    yield from (one.spec.labels for one in service.selected if isinstance(one.spec, WorkloadEntry))
    for entry in service.entries:
        if isinstance(entry.spec, ServiceEntry):
            yield from (endpoint.labels for endpoint in entry.spec.endpoints)
            if not entry.spec.endpoints and entry.spec.workload_selector is None:
                yield {}  # the host itself


def _check_ports(at: Findings, known: Known, service: Service, spec: DestinationRule) -> None:
    numbers = known.numbers(service)
    policies = [("spec.trafficPolicy", spec.traffic_policy)]
    policies += [(f"spec.subsets[{i}].trafficPolicy", subset.traffic_policy) for i, subset in enumerate(spec.subsets)]
    for path, number in (found for where, policy in policies if policy for found in _ports(where, policy)):
        if numbers and number not in numbers:
            there = ", ".join(map(str, sorted(numbers)[:20]))
            at.warning(path, f"{service.name} has no port {number}; its ports: {there}", NOT_FOUND)


def _ports(path: str, policy: TrafficPolicy) -> Iterator[tuple[str, int]]:
    for index, one in enumerate(policy.port_level_settings):
        if one.port:
            yield f"{path}.portLevelSettings[{index}].port", one.port.number


def _check_others(at: Findings, known: Known, spec: DestinationRule, host: str) -> None:
    """Of one namespace's rules for a host the oldest gives the policy, and the first that names it each subset."""
    before = [
        other for other in known.declared.destination_rules.get(host, ()) if _comes_first(known, other, at.resource)
    ]
    if not before:
        return
    policy = next((other for other in before if _spec(other).traffic_policy), None)
    named: dict[str, Resource] = {}
    for other in before:
        for subset in _spec(other).subsets:
            named.setdefault(subset.name, other)
    taken = [index for index, subset in enumerate(spec.subsets) if subset.name in named]
    all_of_it = len(taken) == len(spec.subsets) and (spec.traffic_policy is None or policy is not None)
    reason = f"{before[0].ref}, older, says all that it says of host {spec.host}" if all_of_it else ""
    if spec.traffic_policy and policy:
        message = f"{policy.ref}, older, has a trafficPolicy for {spec.host} too, and its own holds: this one does not"
        at.warning("spec.trafficPolicy", message, CONFLICTING_HOSTS, reason)
    for index in taken:
        name = spec.subsets[index].name
        message = f"{named[name].ref}, older, defines the subset {name!r} of {spec.host} too: this one does not hold"
        at.warning(f"spec.subsets[{index}]", message, CONFLICTING_HOSTS, reason)


def _comes_first(known: Known, other: Resource, one: Resource) -> bool:
    """Whether `other` is asked before `one` by every caller that goes by `one`."""
    if other.ref.namespace != one.ref.namespace or other.age >= one.age:
        return False
    if _spec(other).workload_selector != _spec(one).workload_selector:
        return False
    wide, narrow = _reach(known, other), _reach(known, one)
    return "*" in wide or ("*" not in narrow and narrow <= wide)


def _reach(known: Known, rule: Resource) -> frozenset[str]:
    """Who may see it; its own namespace always."""
    own = rule.ref.namespace
    to = _spec(rule).export_to or known.declared.config.default_destination_rule_export_to or ("*",)
    return frozenset((own, *(own if space == "." else space for space in to)))


def _spec(resource: Resource) -> DestinationRule:
    assert isinstance(resource.spec, DestinationRule)
    return resource.spec
