"""What is valid and does nothing is found, and said where it stands; what does all that it says is left in peace."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace

from declared_mesh import instance, mesh, resources
from tulle.model.levels import Level
from tulle.model.snapshot import Snapshot
from tulle.resolve.analysis.analyse import analyse
from tulle.resolve.analysis.findings import Finding, line_of
from tulle.resolve.index import apply
from tulle.resolve.mesh import Mesh

REVIEWS = (instance("reviews"), instance("reviews", version="v2"), instance("ratings", "shop"))

SUBSETS = """
DestinationRule reviews
host: reviews
subsets:
- {name: v1, labels: {version: v1}}
- {name: v2, labels: {version: v2}}
"""
SPLIT = """
VirtualService reviews
hosts: [reviews]
http:
- route:
  - {destination: {host: reviews, subset: v1, port: {number: 80}}, weight: 90}
  - {destination: {host: reviews, subset: v2}, weight: 10}
"""


def found(*documents: str) -> tuple[Finding, ...]:
    return analyse(mesh(*documents, there=REVIEWS))


def only(*documents: str) -> Finding:
    findings = found(*documents)
    assert len(findings) == 1, findings
    return findings[0]


def test_what_does_all_that_it_says_is_left_in_peace() -> None:
    assert found(SUBSETS, SPLIT) == ()


@pytest.mark.parametrize(
    ("document", "path", "said"),
    [
        (SPLIT.replace("host: reviews, subset: v2", "host: revews"), "route[1].destination.host", "host revews"),
        (SPLIT.replace("subset: v2", "subset: v3"), "route[1].destination.subset", "subset 'v3'; there are: v1, v2"),
        (SPLIT.replace("number: 80", "number: 81"), "route[0].destination.port", "no port 81; its ports: 80"),
        (SPLIT.replace("host: reviews, subset: v2", "host: ratings"), "destination.host", "ratings.shop.svc.cluster"),
        (SPLIT.replace("host: reviews, subset: v2", "host: ratings.shop"), "destination.host", "ratings.shop.svc.clu"),
    ],
)
def test_a_route_that_leads_nowhere_is_an_error(document: str, path: str, said: str) -> None:
    finding = only(SUBSETS, document)
    assert finding.path.startswith("spec.http[0].") and finding.path.endswith(path)
    assert said in finding.message
    assert (finding.level, finding.code) == (Level.ERROR, "IST0101")


def test_a_host_that_looks_like_one_of_the_mesh_and_is_taken_literally_is_told_with_the_whole_name() -> None:
    finding = only(
        SPLIT.replace("hosts: [reviews]", "hosts: [ratings.shop]")
        .replace(", subset: v1", "")
        .replace(", subset: v2", "")
    )
    assert finding.path == "spec.hosts[0]"
    assert finding.message.endswith("did you mean ratings.shop.svc.cluster.local?")


def test_a_route_for_gateways_alone_is_not_in_force() -> None:
    finding = only(SUBSETS, SPLIT.replace("hosts: [reviews]", "hosts: [reviews]\ngateways: [front]"))
    assert (finding.path, finding.not_in_force) == ("spec.gateways[0]", "no gateway")
    assert "no gateways yet" in finding.message


def test_a_route_for_gateways_and_sidecars_is_in_force_for_these() -> None:
    finding = only(SUBSETS, SPLIT.replace("hosts: [reviews]", "hosts: [reviews]\ngateways: [front, mesh]"))
    assert (finding.path, finding.not_in_force) == ("spec.gateways[0]", "")


def test_of_two_virtual_services_for_a_host_the_younger_is_not_in_force() -> None:
    finding = only(SUBSETS, SPLIT, SPLIT.replace("VirtualService reviews", "VirtualService younger"))
    assert finding.ref.name == "younger"
    assert finding.not_in_force == "VirtualService default/reviews, older, rules host reviews"
    assert (finding.level, finding.code) == (Level.ERROR, "IST0109")


def test_a_private_one_comes_before_an_older_public_one_and_both_count() -> None:
    private = SPLIT.replace("VirtualService reviews", "VirtualService own") + "exportTo: ['.']\n"
    assert found(SUBSETS, SPLIT, private) == ()


def test_one_that_shares_a_part_of_its_hosts_is_in_force_with_the_rest() -> None:
    second = SPLIT.replace("VirtualService reviews", "VirtualService both").replace(
        "hosts: [reviews]", "hosts: [reviews, ratings.shop.svc.cluster.local]"
    )
    finding = only(SUBSETS, SPLIT, second)
    assert (finding.path, finding.not_in_force) == ("spec.hosts[0]", "")


def test_callers_that_do_not_exist() -> None:
    document = SPLIT.replace("- route:", "- match: [{sourceNamespace: nowhere}, {port: 81}]\n  route:")
    assert [f.path for f in found(SUBSETS, document)] == [
        "spec.http[0].match[0].sourceNamespace",
        "spec.http[0].match[1].port",
    ]
    (finding,) = found(SUBSETS, SPLIT + "exportTo: [nowhere]\n")
    assert finding.not_in_force == "it is exported to nowhere alone, where nobody is"


ROOT = """
VirtualService root
hosts: [reviews]
http:
- match: [{uri: {prefix: /a}}]
  delegate: {name: part, namespace: shop}
"""
PART = """
VirtualService shop/part
http:
- match: [{uri: {prefix: /a/b}}]
  route: [{destination: {host: ratings}}]
"""


def test_a_delegate_is_found_by_its_root() -> None:
    assert found(ROOT, PART) == ()


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (PART.replace("shop/part", "shop/other"), "there is no VirtualService shop/part"),
        (PART.replace("http:", "hosts: [ratings]\nhttp:"), "has hosts of its own"),
        (PART + "exportTo: ['.']\n", "not exported to the namespace default"),
    ],
)
def test_a_root_whose_delegate_can_not_be_had_says_so(part: str, said: str) -> None:
    findings = [f for f in found(ROOT, part) if f.ref.name == "root"]
    assert len(findings) == 1 and said in findings[0].message and findings[0].path == "spec.http[0].delegate"


def test_a_delegate_to_which_nobody_delegates_is_not_in_force() -> None:
    assert only(PART).not_in_force == "nobody delegates to it"


def test_a_delegates_route_outside_of_its_roots_match_is_told() -> None:
    finding = only(ROOT, PART.replace("/a/b", "/c"))
    assert (finding.ref.name, finding.path) == ("part", "spec.http[0].match")


def test_a_rule_for_a_host_that_nobody_has_is_not_in_force() -> None:
    finding = only(SUBSETS.replace("host: reviews", "host: revews"))
    assert (finding.path, finding.code) == ("spec.host", "IST0174")
    assert finding.not_in_force == "no service has the host revews"


def test_a_subset_without_an_instance_is_told() -> None:
    finding = only(SUBSETS.replace("version: v2", "version: v7"))
    assert (finding.path, finding.code) == ("spec.subsets[1]", "IST0173")
    assert finding.message == "no instance of reviews.default has the labels version=v7"


def test_two_rules_of_a_host_that_contradict_each_other() -> None:
    policy = "trafficPolicy: {loadBalancer: {simple: RANDOM}}\n"
    second = SUBSETS.replace("DestinationRule reviews", "DestinationRule second")
    findings = found(SUBSETS + policy, second + policy)
    assert [f.path for f in findings] == ["spec.trafficPolicy", "spec.subsets[0]", "spec.subsets[1]"]
    assert {f.ref.name for f in findings} == {"second"}
    assert findings[0].not_in_force == "DestinationRule default/reviews, older, says all that it says of host reviews"
    assert found(SUBSETS, second.partition("subsets")[0] + policy) == ()


def test_ports_of_rules_that_the_service_has_not() -> None:
    policy = "trafficPolicy: {portLevelSettings: [{port: {number: 99}, tls: {mode: ISTIO_MUTUAL}}]}\n"
    assert only(SUBSETS + policy).path == "spec.trafficPolicy.portLevelSettings[0].port"


def test_a_rule_of_a_strangers_namespace_without_callers_is_not_in_force() -> None:
    rule = SUBSETS.replace("DestinationRule reviews", "DestinationRule far/reviews").replace(
        "host: reviews", "host: reviews.default.svc.cluster.local"
    )
    assert only(rule).not_in_force == "nobody is in the namespace far"


ENTRY = """
ServiceEntry outside
hosts: [api.example.com]
ports: [{number: 443, name: https, protocol: TLS}]
resolution: DNS
"""


def test_two_entries_of_a_host_and_the_younger_counts_for_nobody() -> None:
    second = ENTRY.replace("ServiceEntry outside", "ServiceEntry second")
    assert only(ENTRY, second).level is Level.INFO
    finding = only(ENTRY, second.replace("443", "8443"))
    assert (finding.ref.name, finding.level) == ("second", Level.WARNING)
    assert finding.not_in_force == "ServiceEntry default/outside, older, declares host api.example.com"
    assert found(ENTRY, second.replace("ServiceEntry second", "ServiceEntry shop/second")) == ()


def test_an_entry_beside_a_service_of_the_mesh_is_told() -> None:
    finding = only(ENTRY.replace("api.example.com", "reviews.default.svc.cluster.local"))
    assert "whose instances come first" in finding.message


SELECTING = """
ServiceEntry db
hosts: [db.example.com]
ports: [{number: 5432, name: tcp, protocol: TCP}]
resolution: STATIC
location: MESH_INTERNAL
workloadSelector: {labels: {app: db}}
"""
MACHINE = """
WorkloadEntry machine
address: 10.0.0.1
labels: {app: db, tier: back}
"""


def test_machines_and_those_who_select_them() -> None:
    assert found(SELECTING, MACHINE) == ()
    assert only(SELECTING).path == "spec.workloadSelector"
    assert only(MACHINE).not_in_force == "no ServiceEntry selects it"


def test_a_group_gives_its_entries_the_labels_by_which_they_are_selected() -> None:
    group = "WorkloadGroup machines\ntemplate: {labels: {app: db}}\n"
    assert only(group).not_in_force == "no WorkloadEntry belongs to it"
    (entry, *rest) = resources(MACHINE.replace("app: db, ", ""), group, SELECTING)
    entry = replace(entry, annotations={"istio.io/autoRegistrationGroup": "machines"})
    declared = {one.ref: one for one in (entry, *rest)}
    assert analyse(apply(Mesh(), Snapshot(1, resources=declared))[0]) == ()
    del declared[rest[0].ref]
    messages = [finding.message for finding in analyse(apply(Mesh(), Snapshot(1, resources=declared))[0])]
    assert messages[1].startswith("there is no WorkloadGroup default/machines")


SIDECAR = """
Sidecar first
egress: [{hosts: ["./*", "shop/ratings.shop.svc.cluster.local"]}]
"""


def test_of_two_sidecars_for_a_namespace_the_younger_is_not_in_force() -> None:
    finding = only(SIDECAR, SIDECAR.replace("Sidecar first", "Sidecar second"))
    assert (finding.ref.name, finding.code) == ("second", "IST0111")
    assert finding.not_in_force == "Sidecar default/first, older, counts for the namespace"


def test_of_two_sidecars_for_a_workload_the_younger_is_not_in_force() -> None:
    selecting = SIDECAR + "workloadSelector: {labels: {app: reviews}}\n"
    narrower = selecting.replace("Sidecar first", "Sidecar second").replace("}}", ", version: v1}}")
    finding = only(selecting, narrower)
    assert (finding.ref.name, finding.code) == ("second", "IST0110")
    assert only(selecting.replace("app: reviews", "app: nobody")).not_in_force == "it selects no workload"


@pytest.mark.parametrize(
    "host", ["shop/reviews.shop.svc.cluster.local", "nowhere/*", "*/api.example.com", "./ratings.shop"]
)
def test_what_a_sidecar_lets_see_and_is_not_there(host: str) -> None:
    finding = only(SIDECAR.replace("./*", host))
    assert (finding.path, finding.level) == ("spec.egress[0].hosts[0]", Level.WARNING)


def test_a_finding_is_told_with_the_line_of_its_field() -> None:
    world = mesh(SUBSETS, SPLIT.replace("subset: v2", "subset: v3"), there=REVIEWS)
    (finding,) = analyse(world)
    assert line_of(world.declared.resources[finding.ref], finding.path) == 9


def test_one_faulty_resource_is_asked_for_alone() -> None:
    world = mesh(SUBSETS, SPLIT.replace("subset: v2", "subset: v3"), MACHINE, there=REVIEWS)
    refs = [finding.ref for finding in analyse(world)]
    assert len(refs) == 2
    assert [finding.ref for finding in analyse(world, [refs[0]])] == [refs[0]]


def test_the_time_for_many_grows_with_their_number_alone() -> None:
    """All of one host, one namespace, one selector: what a quadratic step would show. No time is asserted but the ratio's."""

    def seconds(number: int) -> float:
        documents = [SPLIT.replace("VirtualService reviews", f"VirtualService r{n}") for n in range(number)]
        documents += [MACHINE.replace("machine", f"m{n}").replace("app: db", f"app: db{n % 50}") for n in range(number)]
        documents += [SELECTING.replace("db", f"db{n}") for n in range(number)]
        world = mesh(*documents, there=REVIEWS)
        return min(_timed(world) for _ in range(3))

    few, many = seconds(50), seconds(400)
    assert many < 8 * few * 4


def _timed(world: object) -> float:
    started = time.process_time()
    analyse(world)  # type: ignore[arg-type]
    return time.process_time() - started
