"""From a document to a resource, or to all that is wrong with its form: fields, types, ranges, envelope."""

from __future__ import annotations

import textwrap
from typing import Any

import msgspec
import pytest

from tulle.model.resources.common import Destination, PortSelector
from tulle.model.resources.destination_rule import MagLev
from tulle.model.resources.mesh_config import MeshConfig
from tulle.model.resources.resource import SPECS, Ref
from tulle.model.resources.virtual_service import HTTPRoute, HTTPRouteDestination, VirtualService
from tulle.sources.at import At, Report
from tulle.sources.codec import Checked, check, check_all, read
from tulle.sources.documents import Document, documents
from tulle.sources.problems import Severity
from tulle.sources.schema import typed


def checked(text: str) -> Checked:
    [found] = read(textwrap.dedent(text).encode(), "f", "shop")
    return found


def told(text: str) -> list[str]:
    return [f"{p.line} {p.path}: {p.message}" for p in checked(text).problems]


def spec(kind: str, text: str) -> list[str]:
    """What is wrong with the form of a spec, whatever it means."""
    [document] = documents(f"spec:\n{textwrap.indent(textwrap.dedent(text), '  ')}".encode(), "f")
    report = Report(document.by_path)
    typed(document.value["spec"], SPECS[kind], At(report))
    return [f"{p.line} {p.path}: {p.message}" for p in sorted(report.problems)]


REVIEWS = """\
# of the shop
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
  labels: {example.com/team: a}
  annotations: {note: "x y"}
  uid: 3fa2
  managedFields: [{manager: kubectl}]
spec:
  hosts: [reviews]
  http:
  - route:
    - destination:
        host: reviews
        port: {number: 80}
    timeout: null
status: {observedGeneration: "1"}
"""


def test_a_document_of_istios_becomes_a_resource() -> None:
    found = checked(REVIEWS)
    assert (found.problems, found.valid) == ((), True)
    resource = found.resource
    assert resource is not None
    assert resource.ref == found.ref == Ref("VirtualService", "shop", "reviews")
    destination = (
        Destination("", port=PortSelector(number=80))
        if False
        else Destination(host="reviews", port=PortSelector(number=80))
    )
    route = HTTPRoute(route=(HTTPRouteDestination(destination=destination),))
    assert resource.spec == VirtualService(hosts=("reviews",), http=(route,))
    assert (resource.labels, resource.annotations) == ({"example.com/team": "a"}, {"note": "x y"})
    assert (resource.origin.file, resource.origin.line) == ("f", 2)
    assert resource.origin.lines["spec.http[0]"] == 13


def test_what_the_command_line_sends_is_decoded_alike() -> None:
    found = documents(REVIEWS.encode(), "f")
    sent = msgspec.json.encode(found)
    got = msgspec.json.decode(sent, type=list[Document])
    [here], [there] = check_all(found, "shop"), check_all(got, "shop")
    assert here.resource is not None and there.resource is not None
    assert msgspec.to_builtins(here.resource) == msgspec.to_builtins(there.resource)


def test_all_that_is_wrong_with_the_form_is_told_at_once() -> None:
    assert spec(
        "VirtualService",
        """\
        hosts: reviews
        htp: []
        http:
        - timeuot: 5s
          match:
          - port: -1
            ignoreUriCase: "yes"
            headers: {x: {exact: 1}, z: prefix}
          route:
          - destination: {host: yes}
            weight: 1.5
          - 3
          - null
          redirect: {derivePort: FROM_THE_REQUEST, redirectCode: 4294967296}
        - fault: {delay: {percentage: {value: much}}}
        - []
        tls: {}
        """,
    ) == [
        '2 spec.hosts: write a list, not "reviews"',
        "3 spec.htp: there is no such field; did you mean http?",
        "5 spec.http[0].timeuot: there is no such field; did you mean timeout?",
        "7 spec.http[0].match[0].port: write a whole number from 0 to 4294967295, not -1",
        '8 spec.http[0].match[0].ignoreUriCase: write true or false, not "yes"',
        "9 spec.http[0].match[0].headers.x.exact: write a text, not 1: put it in quotes",
        '9 spec.http[0].match[0].headers.z: write a mapping of fields, not "prefix"',
        "11 spec.http[0].route[0].destination.host: write a text, not true: put it in quotes",
        "12 spec.http[0].route[0].weight: write a whole number from -2147483648 to 2147483647, not 1.5",
        "13 spec.http[0].route[1]: write a mapping of fields, not 3",
        "14 spec.http[0].route[2]: write a mapping of fields; here is nothing",
        "15 spec.http[0].redirect.derivePort: write one of FROM_PROTOCOL_DEFAULT, FROM_REQUEST_PORT, "
        'not "FROM_THE_REQUEST"; did you mean FROM_REQUEST_PORT?',
        "15 spec.http[0].redirect.redirectCode: write a whole number from 0 to 4294967295, not 4294967296",
        '16 spec.http[1].fault.delay.percentage.value: write a number, not "much"',
        "17 spec.http[2]: write a mapping of fields; here is a list",
        "18 spec.tls: write a list; here is a mapping",
    ]


def test_null_and_whole_floats_are_taken_as_protobuf_takes_them() -> None:
    text = (
        "hosts: null\nhttp:\n- name: null\n  redirect: {redirectCode: 301.0, port: 8e1}\n  match: [{headers: null}]\n"
    )
    assert spec("VirtualService", text) == []
    assert typed({"tableSize": 2**64 - 1}, MagLev, At(Report())) == MagLev(table_size=2**64 - 1)
    assert spec("WorkloadEntry", "ports: {http: null}\n") == [
        "2 spec.ports.http: write a whole number from 0 to 4294967295; here is nothing"
    ]
    huge = "trafficPolicy: {loadBalancer: {consistentHash: {maglev: {tableSize: 18446744073709551616}}}}"
    [problem] = spec("DestinationRule", huge)
    assert "write a whole number from 0 to 18446744073709551615, not 18446744073709551616" in problem


def test_numbers_in_quotes_are_taken_in_mesh_config_as_protobuf_takes_them() -> None:
    provider = '{name: ours, envoyExtAuthzGrpc: {service: authz.default.svc.cluster.local, port: "9000"}}'
    text = f"apiVersion: mesh.istio.io/v1alpha1\nkind: MeshConfig\nspec:\n  extensionProviders: [{provider}]\n"
    assert checked(text).problems == ()
    [problem] = spec("VirtualService", 'hosts: [a]\nhttp:\n- redirect: {redirectCode: "301"}\n')
    assert "redirectCode" in problem
    report = Report()
    report.quoted_numbers = True
    assert typed({"tableSize": "5"}, MagLev, At(report)) == MagLev(table_size=5)
    for wrong in ("x", "", "1.5", " 5", "-1", "18446744073709551616"):
        report = Report()
        report.quoted_numbers = True
        typed({"tableSize": wrong}, MagLev, At(report))
        assert [problem.path for problem in report.problems] == ["spec.tableSize"]


def test_fields_are_known_by_their_original_names_as_well() -> None:
    mirrored = "  - mirror: {host: ratings}\n    mirror_percent: 30\n    route:"
    found = checked(REVIEWS.replace("  - route:", mirrored))
    assert found.resource is not None and isinstance(found.resource.spec, VirtualService)
    [route] = found.resource.spec.http
    assert (route.mirror_percent, route.mirror) == (30, Destination(host="ratings"))
    [warning] = found.problems
    assert (warning.path, warning.line, warning.severity) == ("spec.http[0].mirrorPercent", 14, Severity.WARNING)
    # Its meaning and its form are judged, in its own line.
    assert "14 spec.http[0].mirrorPercent: is 300: use 0 to 100" in told(
        REVIEWS.replace("  - route:", mirrored.replace("30", "300"))
    )
    told_form = spec("VirtualService", "http:\n- retries:\n    per_try_timeout: 3\n")
    assert told_form == ["4 spec.http[0].retries.perTryTimeout: write a text, not 3: put it in quotes"]
    assert spec("MeshConfig", "mesh_mTLS: {}\noutbound_traffic_policy: {mode: ALLOW_ANY}\n") == []
    assert spec("DestinationRule", "traffic_policy: {outlier_detection: {consecutive_5xx_errors: 3}}\n") == []
    assert spec("VirtualService", "export_to: [a]\nexportTo: [b]\n") == [
        "2 spec.export_to: is another name of `exportTo`, which is given as well: keep one"
    ]


def test_what_can_not_be_read_is_not_judged_for_its_meaning() -> None:
    found = told(REVIEWS.replace("host: reviews", "hostt: reviews").replace("[reviews]", "[reviews, '']"))
    assert any("spec.http[0].route[0].destination.hostt: there is no such field" in line for line in found)
    assert not any(line.split(" ")[1] == "spec.http[0].route[0].destination:" for line in found)


SOUND = "spec: {egress: [{hosts: [./*]}]}"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("3", ["1 : a document is a mapping, with apiVersion, kind, metadata and spec"]),
        (
            "a: 1",
            [
                "1 kind: say what this is; there are: AuthorizationPolicy, DestinationRule, MeshConfig, PeerAuthentication, "
                "RequestAuthentication, ServiceEntry, Sidecar, Telemetry, VirtualService, WorkloadEntry, WorkloadGroup"
            ],
        ),
        (
            "kind: Sidecar\nmetadata: {name: a}\nspec: {egress: [{hosts: [./*]}]}",
            ["1 apiVersion: it is missing: write networking.istio.io/v1"],
        ),
        (
            "apiVersion: networking.istio.io/v2\nkind: WorkloadGroup\nmetadata: {name: a}",
            [
                "1 apiVersion: there is no version v2 of it; there are: v1, v1beta1, v1alpha3",
                "1 spec: a WorkloadGroup needs a spec; where it says nothing, write `spec: {}`",
            ],
        ),
        (
            "apiVersion: networking.istio.io/v1\nkind: VirtualServices\n",
            ["2 kind: there is no such kind; did you mean VirtualService?"],
        ),
        (
            f"apiVersion: apps/v1\nkind: Sidecar\nmetadata: {{name: a}}\n{SOUND}",
            ["1 apiVersion: the kind Sidecar is of networking.istio.io/v1, not of apps/v1"],
        ),
        (
            "kind: PeerAuthentication\nmetadata: {name: a}\nspec: {}",
            ["1 apiVersion: it is missing: write security.istio.io/v1"],
        ),
        (
            "apiVersion: security.istio.io/v1alpha3\nkind: PeerAuthentication\nmetadata: {name: a}\nspec: {}",
            ["1 apiVersion: there is no version v1alpha3 of it; there are: v1, v1beta1"],
        ),
        (
            "apiVersion: networking.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a}\nspec: {}",
            ["1 apiVersion: the kind AuthorizationPolicy is of security.istio.io/v1, not of networking.istio.io/v1"],
        ),
        (
            "apiVersion: mesh.istio.io/v2\nkind: MeshConfig\nspec: {}",
            ["1 apiVersion: there is no version v2 of it; there are: v1alpha1"],
        ),
    ],
)
def test_a_document_must_say_what_it_is(text: str, problems: list[str]) -> None:
    assert [line for line in told(text) if "spec." not in line] == problems
    assert not checked(text).valid


@pytest.mark.parametrize(
    ("api", "kind"),
    [
        ("networking.istio.io/v1", "Gateway"),
        ("networking.istio.io/v1alpha3", "EnvoyFilter"),
        ("extensions.istio.io/v1alpha1", "WasmPlugin"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
        ("v1", "Service"),
        ("apps/v1", "Deployment"),
    ],
)
def test_a_kind_that_tulle_lacks_is_sound_and_refused(api: str, kind: str) -> None:
    found = checked(f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {{x: 1}}\n")
    [problem] = found.problems
    assert (problem.severity, problem.line, problem.path) == (Severity.UNSUPPORTED, 2, "kind")
    assert problem.message == f"tulle has no {kind} of {api}: leave the document out"
    assert (found.valid, found.resource, found.ref) == (True, None, None)
    assert (found.kind, found.namespace, found.name) == (kind, "shop", "a")


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ("{}", "metadata.name: give it a name"),
        ("{generateName: a-}", "metadata.name: give it a name"),
        ("{name: 7}", 'metadata.name: write a text: "7" in quotes'),
        (
            "{name: A}",
            "metadata.name: a name has up to 253 lower-case letters, digits, `-` and `.`, none of these at an end",
        ),
        ("{name: a, nmespace: b}", "metadata.nmespace: there is no such field; did you mean namespace?"),
        (
            "{name: a, namespace: a.b}",
            "metadata.namespace: a namespace has up to 63 lower-case letters, digits and `-`",
        ),
        ("{name: a, labels: [a]}", "metadata.labels: write a mapping, NAME: VALUE"),
        ("{name: a, labels: {v: 1}}", 'metadata.labels.v: write a text: "1" in quotes'),
        ("{name: a, labels: {v: on}}", 'metadata.labels.v: write a text: "true" in quotes'),
        ("{name: a, labels: {v: a b}}", "metadata.labels.v: a label has up to 63 letters, digits, `-`, `_` and `.`"),
        ("{name: a, labels: {a/b/c: x}}", "metadata.labels.a/b/c: a name here has up to 63 letters, digits"),
        ("{name: a, annotations: {-a: x}}", "metadata.annotations.-a: a name here has up to 63 letters, digits"),
        ("[a]", "metadata: write a mapping, with a name"),
    ],
)
def test_metadata_has_the_form_that_kubernetes_wants(metadata: str, problem: str) -> None:
    found = told(
        f"apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {metadata}\nspec: {{egress: [{{hosts: ['*/*']}}]}}"
    )
    assert found[0].startswith(f"3 {problem}")


def test_a_field_beside_the_spec_is_told() -> None:
    assert "19 sepc: there is no such field; did you mean spec?" in told(f"{REVIEWS}sepc: {{}}")


def test_the_same_resource_twice_in_an_input_is_told_with_both_places() -> None:
    first = documents(REVIEWS.encode(), "a.yaml")
    second = documents(f"---\n{REVIEWS}---\n{REVIEWS.replace('name: reviews', 'name: other')}".encode(), "b.yaml")
    here, there, other = check_all([*first, *second], "shop")
    assert here.resource is not None and other.resource is not None
    [problem] = there.problems
    assert (there.resource, problem.line) == (None, 6)
    assert problem.message == "VirtualService shop/reviews is given twice, first in a.yaml:2"


MESH = """\
apiVersion: mesh.istio.io/v1alpha1
kind: MeshConfig
spec:
  rootNamespace: istio-system
"""


def test_the_mesh_config_needs_no_name_and_has_no_namespace() -> None:
    found = checked(MESH)
    assert found.resource is not None, found.problems
    assert found.resource.ref == Ref("MeshConfig", "", "mesh")
    assert found.resource.spec == MeshConfig(root_namespace="istio-system")
    assert told(f"{MESH}metadata: {{name: other, namespace: shop}}\n") == [
        "5 metadata.name: the mesh has one MeshConfig, with the name mesh",
        "5 metadata.namespace: MeshConfig is for the whole mesh: leave the namespace out",
    ]


def test_a_field_that_tulle_lacks_leaves_the_document_valid() -> None:
    found = checked(
        f"{MESH}  enablePrometheusMerge: false\n  extensionProviders: [{{name: z, zipkin: {{service: z}}}}]\n"
    )
    assert (found.valid, found.resource) == (True, None)
    assert [(p.line, p.path, p.severity) for p in found.problems] == [
        (5, "spec.enablePrometheusMerge", Severity.UNSUPPORTED),
        (6, "spec.extensionProviders[0].zipkin", Severity.UNSUPPORTED),
    ]
    assert found.problems[0].message == "agents give out figures and the control plane collects them: leave it out"


@pytest.mark.parametrize(
    "lines", [None, 3, "x", [1], [1, 2, 3], [1, {"spec": [2, [5]]}], {"a": 1}, [-1, {}], [True, {}]]
)
def test_places_of_any_form_are_taken_from_a_peer(lines: Any) -> None:
    document = Document("f", 1, 1, {"apiVersion": "networking.istio.io/v1", "kind": "Sidecar", "spec": 3}, lines)
    assert len(check(document, "shop").problems) >= 2
