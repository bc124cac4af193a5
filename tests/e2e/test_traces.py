"""Traces of a whole mesh: what sidecars tell, what the control plane keeps, and what is found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from running import Caller, Mesh, wait_for

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with Mesh(tmp_path_factory.mktemp("traces")) as made:
        made.up("--trace-sampling", "0", "--trace-b3")
        made.serve("service-b")
        yield made


@pytest.fixture(scope="module")
def caller(mesh: Mesh) -> Caller:
    return mesh.caller()


def traceparent(trace: str, flags: str) -> dict[str, str]:
    return {"traceparent": f"00-{trace}-00f067aa0ba902b7-{flags}"}


def test_a_call_whose_caller_wants_it_is_one_trace_with_a_span_of_each_sidecar(mesh: Mesh, caller: Caller) -> None:
    unwanted = "a" * 32
    assert caller.call("http://service-b/data/42", headers=traceparent(unwanted, "00")).status == 200
    assert caller.call("http://service-b/data/42").status == 200  # nobody has said anything, and the share is 0 %
    answer = caller.call("http://service-b/data/42", headers={**traceparent(TRACE, "01"), "x-request-id": "my-own-id"})
    assert answer.status == 200

    def whole() -> Any:
        found = mesh.json("trace", "show", TRACE)
        return found if found and len(found["spans"]) == 2 else None

    out, into = wait_for("both sidecars have told", whole)["spans"]
    assert (out["service"], out["kind"], out["name"]) == (
        "service-a.default",
        "client",
        "GET service-b.default.svc.cluster.local:80",
    )
    assert (into["service"], into["kind"], into["name"]) == (
        "service-b.default",
        "server",
        "GET service-b.default.svc.cluster.local:80",
    )
    assert (out["parent"], into["parent"]) == ("00f067aa0ba902b7", out["id"])
    assert out["instance"] == caller.proxy
    assert into["attributes"]["peer.identity"] == "spiffe://cluster.local/ns/default/sa/service-a"
    assert out["attributes"]["peer.identity"] == "spiffe://cluster.local/ns/default/sa/service-b"
    assert out["attributes"]["http.status_code"] == "200"
    for text in (TRACE[:8], "my-own-id"):
        assert mesh.json("trace", "show", text)["id"] == TRACE
    listed = [one["id"] for one in mesh.json("trace", "ls", "--service", "service-b")["traces"]]
    assert TRACE in listed and unwanted not in listed
    shown = mesh.tulle("trace", "show", TRACE[:10]).stdout
    assert "tulle run --trace" in shown
    assert shown.count("200") >= 2


def test_a_caller_may_say_by_b3_which_trace_it_is(mesh: Mesh, caller: Caller) -> None:
    trace, unwanted, span = "b3" * 16, "3b" * 16, "00f067aa0ba902b7"
    assert caller.call("http://service-b/b3", headers={"b3": f"{unwanted}-{span}-0"}).status == 200
    assert caller.call("http://service-b/b3", headers={"b3": f"{trace}-{span}-1"}).status == 200

    def whole() -> Any:
        found = mesh.json("trace", "show", trace)
        return found if found and len(found["spans"]) == 2 else None

    out, into = wait_for("both sidecars have told", whole)["spans"]
    assert (out["parent"], into["parent"]) == (span, out["id"])
    assert unwanted not in [one["id"] for one in mesh.json("trace", "ls")["traces"]]


def test_a_request_that_went_well_is_told_step_by_step(mesh: Mesh, caller: Caller) -> None:
    trace = "7" * 32
    headers = {**traceparent(trace, "01"), "x-request-id": "went-well-1"}
    assert caller.call("http://service-b/data/7?a=1", headers=headers).status == 200
    wait_for("both sidecars have told", lambda: (one := mesh.json("why", "went-well")) and one["steps"][0]["instances"])
    found = mesh.json("why", trace[:6])
    (step,) = found["steps"]
    assert (found["trace"], found["calls"], found["now"]["status"]) == (trace, [], 0)
    assert (step["source"], step["destination"], step["result"]) == ("default/service-a", "default/service-b", "200")
    assert (step["tries"], step["failed"], len(step["instances"])) == (1, False, 1)
    said = mesh.tulle("why", "went-well-1").stdout
    assert "service-a -> service-b  GET /data/7  200" in said
    assert "the same request now:" in said


def test_a_request_that_nobody_knows_of_is_not_there(mesh: Mesh) -> None:
    done = mesh.tulle("why", "nothing-of-it")
    assert (done.returncode, done.stdout) == (1, "")
    assert "tulle tap" in done.stderr and "--trace-sampling" in done.stderr and "Usage" not in done.stderr


def test_what_a_sidecar_knows_of_its_last_call_is_told_before_it_ends(mesh: Mesh, caller: Caller) -> None:
    trace = "c" * 32
    last = mesh.serve("service-d")
    answer = caller.call("http://service-d/data?code=500", headers=traceparent(trace, "01"))
    assert answer.status == 500
    last.stop()
    requests = {one["name"]: one["requests"] for one in mesh._ask("stats")["rows"]}
    assert requests["service-d"] == 1
    assert "destination" in {one["side"] for one in mesh._ask(f"calls/{trace}")["calls"]}
    found = wait_for("the caller's sidecar has told too", lambda: len(mesh.json("trace", "show", trace)["spans"]) == 2)
    assert found


def test_every_request_has_an_id_and_keeps_the_one_that_it_has(mesh: Mesh, caller: Caller) -> None:
    first = caller.call("http://service-b/echo").json()["headers"]
    second = caller.call("http://service-b/echo", headers={"x-request-id": "any text"}).json()["headers"]
    assert len(first["x-request-id"]) == 36
    assert second["x-request-id"] == "any text"


def test_the_store_outlives_the_control_plane(mesh: Mesh, caller: Caller) -> None:
    kept = "b" * 32
    assert caller.call("http://service-b/data/42", headers=traceparent(kept, "01")).status == 200
    wait_for("it is kept", lambda: mesh.json("trace", "show", kept))
    mesh.running[0].kill()
    mesh.up("--trace-sampling", "100")
    assert mesh.json("trace", "show", kept)["id"] == kept

    def recorded() -> bool:
        assert caller.call("http://service-b/data/43").status == 200
        return len(mesh.json("trace", "ls")["traces"]) > 1

    wait_for("new traces are recorded without anybody asking", recorded)
