"""What is said of a request when the caller's own sidecar leaves endpoints out."""

from __future__ import annotations

import pytest

from tulle.ir.routes import BackendRef
from tulle.model.names import ServiceName
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Health, Protocol, Proxy, ServicePort, Workload
from tulle.resolve.explaining.asked import asked
from tulle.resolve.explaining.explanation import Explained, explain, outcome
from tulle.resolve.explaining.left_out import Left, asked_about, without
from tulle.resolve.index import apply
from tulle.resolve.mesh import Mesh

FIRST, SECOND = "127.0.0.1:15001", "127.0.0.1:15002"
EJECTED = Left(("failed_outlier_check",))


def instance(number: int, name: str) -> Proxy:
    ports = (ServicePort(80, 8080, Protocol.HTTP),)
    workload = Workload(f"{name}-{number}", ServiceName("default", name), name, "", ports=ports, health=Health.HEALTHY)
    return Proxy(workload.id, "127.0.0.1", 15000 + number, 16000 + number, (workload,))


def explained() -> Explained:
    proxies = {proxy.id: proxy for proxy in (instance(1, "b"), instance(2, "b"), instance(3, "a"))}
    mesh, _ = apply(Mesh(), Snapshot(1, proxies))
    caller = mesh.proxies["a-3"]
    return explain(mesh, caller, caller.workloads[0], asked("GET", "http://b/"))


def outs(found: Explained) -> dict[str, str]:
    assert found.shares[0].to is not None
    return {one.address: one.out for one in found.shares[0].to.candidates}


def test_only_backends_that_somebody_serves_are_asked_about() -> None:
    (ref,) = asked_about(explained())
    assert str(ref.destination) == "b.default.svc.cluster.local:80"


def test_one_that_is_ejected_is_out_and_the_other_serves() -> None:
    seen: list[BackendRef] = []

    def left(ref: BackendRef) -> dict[str, Left]:
        seen.append(ref)
        return {SECOND: EJECTED, "10.0.0.9:1": EJECTED}

    found = without(explained(), left)
    assert seen == list(asked_about(explained()))
    assert outs(found)[FIRST] == ""
    assert outs(found)[SECOND].startswith(
        "ejected by the caller's sidecar (5 gateway errors or 5 failures to reach it in a row); it is back 5 s after that"
    )
    assert outcome(found) == ("is served by b.default.svc.cluster.local:80", 0)
    assert [door.proxies for door, _ in found.shares[0].doors] == [
        door.proxies for door, _ in explained().shares[0].doors
    ]


def test_where_all_are_ejected_nobody_serves_it() -> None:
    found = without(explained(), lambda _: {FIRST: EJECTED, SECOND: EJECTED})
    assert outcome(found) == ("nobody serves b.default.svc.cluster.local:80 now", 503)
    assert found.shares[0].doors == ()


def test_what_a_sidecar_says_of_nothing_changes_nothing() -> None:
    found = explained()
    assert without(found, lambda _: {}) == found


@pytest.mark.parametrize(
    ("left", "says"),
    [
        (
            Left(EJECTED.reasons, "CONSECUTIVE_GATEWAY_FAILURE", 2.5, 2),
            "(5 gateway errors in a row); it is back in 9 s at most",
        ),
        (
            Left(EJECTED.reasons, "CONSECUTIVE_LOCAL_ORIGIN_FAILURE", 0.0, 99),
            "(5 failures to reach it in a row); it is back in 61 s",
        ),
        (
            Left(EJECTED.reasons, "CONSECUTIVE_5XX", 3.0, 1),
            "(5 gateway errors or 5 failures to reach it in a row); it is back in 3 s",
        ),
        (Left(EJECTED.reasons, "SUCCESS_RATE", 99.0, 1), "it is back soon"),
        (Left(("failed_active_health_check",)), "the caller's sidecar finds it unhealthy (failed_active_health_check)"),
    ],
)
def test_why_and_until_when_is_said_as_far_as_it_is_known(left: Left, says: str) -> None:
    assert says in outs(without(explained(), lambda _: {FIRST: left}))[FIRST]
