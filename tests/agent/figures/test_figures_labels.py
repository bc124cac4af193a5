"""What Envoy's tags become: Istio's labels."""

from __future__ import annotations

from tulle.agent.figures.labels import HTTP_LABELS, TCP_LABELS, Own, enriched, shown
from tulle.model.peer import Peer, written
from tulle.model.peer_text import read

B_PEER = Peer("service-b-v1", "shop", "b", "v1", "service-b", "v1")
B_ID = "spiffe://cluster.local/ns/shop/sa/b"
A = Own(
    ("service-a", "default", "service-a", "unknown", "service-a", "latest"), "spiffe://cluster.local/ns/default/sa/a"
)
B = Own(read(written(B_PEER)) or (), B_ID)

SOURCE = {
    "reporter": "source",
    "response_code": "200",
    "response_flags": "-",
    "grpc_status": "-",
    "cluster": "outbound|80|v1|service-b.shop.svc.cluster.local",
    "peer": written(B_PEER),
    "peer_id": B_ID,
    "route": "default/reviews:0",
}
DESTINATION = {
    "reporter": "destination",
    "response_code": "200",
    "response_flags": "-",
    "grpc_status": "-",
    "port": "service-b.shop.svc.cluster.local:80",
    "peer": "service-a.default.service-a.unknown.service-a.latest.workload",
    "peer_id": A.principal,
}

SIDES = {
    "source_workload": "service-a",
    "source_workload_namespace": "default",
    "source_app": "service-a",
    "source_version": "unknown",
    "source_canonical_service": "service-a",
    "source_canonical_revision": "latest",
    "source_principal": A.principal,
    "source_cluster": "tulle",
    "destination_workload": "service-b-v1",
    "destination_workload_namespace": "shop",
    "destination_app": "b",
    "destination_version": "v1",
    "destination_canonical_service": "service-b",
    "destination_canonical_revision": "v1",
    "destination_principal": B_ID,
    "destination_cluster": "tulle",
    "destination_service": "service-b.shop.svc.cluster.local",
    "destination_service_name": "service-b",
    "destination_service_namespace": "shop",
}
HTTP = {"request_protocol": "http", "response_code": "200", "response_flags": "-", "grpc_response_status": ""}


def labels(tags: dict[str, str], own: Own = A, *, is_tcp: bool = False, **changed: str) -> dict[str, str]:
    found = enriched({**tags, **changed}, own, is_tcp=is_tcp)
    assert found is not None and len(dict(found)) == len(found)
    return dict(found)


def test_both_sides_tell_the_same_of_a_call_but_for_what_they_can_know() -> None:
    source, destination = labels(SOURCE), labels(DESTINATION, B)
    assert source == {
        **SIDES,
        **HTTP,
        "reporter": "source",
        "connection_security_policy": "unknown",
        "route": "default/reviews:0",
        "port": "80",
    }
    assert destination == {
        **SIDES,
        **HTTP,
        "reporter": "destination",
        "connection_security_policy": "mutual_tls",
        "port": "80",
    }


def test_what_is_shown_are_istios_labels() -> None:
    for tags, own in ((SOURCE, A), (DESTINATION, B)):
        assert {name for name, _ in shown(enriched(tags, own, is_tcp=False) or ())} == set(HTTP_LABELS)
        assert {name for name, _ in shown(enriched(tags, own, is_tcp=True) or ())} == set(TCP_LABELS)


def test_a_call_of_grpc_has_its_status_as_a_number() -> None:
    for status, number in (("0", "0"), ("OK", "0"), ("Unavailable", "14"), ("14", "14"), ("99", "99")):
        found = labels(SOURCE, grpc_status=status)
        assert (found["request_protocol"], found["grpc_response_status"]) == ("grpc", number)


def test_a_connection_of_tcp_has_neither_code_nor_status() -> None:
    tags = {
        "reporter": "source",
        "cluster": "outbound|5432||db.default.svc.cluster.local|tcp",
        "peer": "-",
        "peer_id": "-",
    }
    found = labels(tags, is_tcp=True)
    assert (found["request_protocol"], found["response_flags"]) == ("tcp", "-")
    assert (found["destination_service_name"], found["port"]) == ("db", "5432")
    assert not {"response_code", "grpc_response_status"} & found.keys()


def test_who_proves_nothing_is_unknown() -> None:
    found = labels(DESTINATION, B, peer="-", peer_id="-")
    unknown = {"workload", "workload_namespace", "app", "version", "canonical_service", "principal", "cluster"}
    assert {found[f"source_{name}"] for name in unknown} == {"unknown"}
    assert found["source_canonical_revision"] == "latest"
    assert (found["connection_security_policy"], found["destination_principal"]) == ("none", "unknown")
    assert found["destination_workload"] == "service-b-v1"


def test_a_call_that_reached_nobody_has_its_service_and_no_workload() -> None:
    found = labels(SOURCE, peer="-", peer_id="", response_code="503", response_flags="UH")
    assert (found["destination_service_name"], found["destination_workload"]) == ("service-b", "unknown")
    assert (found["source_principal"], found["destination_principal"]) == ("unknown", "unknown")
    assert found["source_workload"] == "service-a"


def test_a_declared_host_is_its_own_name() -> None:
    found = labels(SOURCE, cluster="outbound|443||api.example.com", peer="", peer_id="")
    assert (found["destination_service"], found["destination_service_name"]) == ("api.example.com", "api.example.com")
    assert found["destination_service_namespace"] == "unknown"


def test_what_the_sidecar_answers_itself_was_for_the_service_that_it_is_in_place_of() -> None:
    for text, port in (("service-b.shop.svc.cluster.local:80", "80"), ("service-b.shop.svc.cluster.local:", None)):
        found = labels(SOURCE, cluster=text, peer="", peer_id="")
        assert (found["destination_service"], found.get("port")) == ("service-b.shop.svc.cluster.local", port)


def test_what_goes_out_of_the_mesh_goes_to_the_passthrough_cluster() -> None:
    for cluster in ("passthrough", "way-out"):
        found = labels(SOURCE, cluster=cluster, peer="-", peer_id="-")
        assert (found["destination_service"], found["destination_service_name"]) == ("unknown", "PassthroughCluster")


def test_what_must_not_goes_into_the_black_hole() -> None:
    found = labels(SOURCE, cluster="-", peer="-", peer_id="-", route="-", response_code="502")
    assert (found["destination_service"], found["destination_service_name"]) == ("unknown", "BlackHoleCluster")


def test_what_the_sidecar_answers_itself_is_for_nobody() -> None:
    for changed in ({"response_code": "404"}, {"response_code": "502", "route": "default/teapot:0"}):
        found = labels({**SOURCE, "cluster": "-", "peer": "-", "peer_id": "-", "route": "-", **changed})
        assert found["destination_service_name"] == "unknown"


def test_a_label_that_somebody_asked_for_counts_over_ours() -> None:
    found = labels(SOURCE, x_request_method="GET", x_destination_version="canary")
    assert (found["request_method"], found["destination_version"]) == ("GET", "canary")


def test_a_label_that_is_not_wanted_is_left_out_and_the_others_stay() -> None:
    tags = {name: value for name, value in DESTINATION.items() if name != "peer_id"}  # the tag that it was made of
    found = labels(tags, B, without="source_principal,request_protocol")
    assert not {"source_principal", "request_protocol"} & found.keys()
    assert (found["connection_security_policy"], found["destination_principal"]) == ("mutual_tls", B_ID)


def test_of_a_certificates_names_the_one_counts_that_is_a_workloads() -> None:
    found = labels(DESTINATION, B, peer=f"service-a.default.svc.cluster.local,{DESTINATION['peer']}")
    assert found["source_workload"] == "service-a"


def test_without_a_reporter_nothing_is_known() -> None:
    assert enriched({"response_code": "200"}, A, is_tcp=False) is None
