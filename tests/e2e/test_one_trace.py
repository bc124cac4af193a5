"""One trace through four services in four frameworks, none of which has a line for it."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from modes import skip_unless_possible
from running import Mesh, wait_for
from tulle.cli.client import ControlPlane
from tulle.cli.exits import Failed

CHAIN = ("flask", "fastapi", "django", "aiohttp")
LAST = "last"
TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLED_WITH = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "baggage": "tenant=7", "x-request-id": "r-1"}


@pytest.fixture(scope="module", params=["seccomp", "proxy"])
def chain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    skip_unless_possible(request.param)
    with Mesh(tmp_path_factory.mktemp("trace")) as mesh:
        mesh.up()
        options = ("--trace", "--capture", request.param)
        for framework, following in zip(CHAIN, (*CHAIN[1:], LAST), strict=True):
            mesh.run(framework, "chain.py", framework, options=options, NEXT=f"http://{following}/")
        mesh.run(LAST, "chain.py", "flask", options=options)
        wait_for("all are healthy", lambda: all(mesh.healthy(name) for name in (*CHAIN, LAST)))
        yield mesh


def test_each_service_is_called_in_the_trace_of_the_first_call(chain: Mesh) -> None:
    caller = chain.caller()
    answer = caller.call("http://flask/", headers=CALLED_WITH)
    assert answer.status == 200, answer.body
    told: dict[str, Any] | None = answer.json()
    hops = []
    while told:
        hops.append(told["got"])
        told = told["next"]
    assert len(hops) == 5
    assert {got["traceparent"].split("-")[1] for got in hops} == {TRACE}
    assert {got["baggage"] for got in hops} == {"tenant=7"}
    assert len({got["x-request-id"] for got in hops}) == 1


def test_the_spans_of_the_chain_are_one_trace_and_each_has_the_right_parent(chain: Mesh) -> None:
    """Of programs that only pass the context on: a service's CLIENT span is the child of its own SERVER span."""
    trace, callers = secrets.token_hex(16), secrets.token_hex(8)
    answer = chain.caller().call("http://flask/", headers={"traceparent": f"00-{trace}-{callers}-01"})
    assert answer.status == 200, answer.body

    wait_for("all spans are kept", lambda: len(_spans(chain, trace)) == 2 * len((*CHAIN, LAST)))
    spans = _spans(chain, trace)
    parents = {span["id"]: span["parent"] for span in spans}
    by_kind = {(span["kind"], span["service"].split(".")[0]): span["id"] for span in spans}
    expected: dict[str, str] = {}
    parent = callers
    for calling, called in pairwise(("service-a", *CHAIN, LAST)):
        client, server = by_kind["client", calling], by_kind["server", called]
        expected |= {client: parent, server: client}
        parent = server
    assert parents == expected
    assert not any(span["error"] for span in spans)


def _spans(mesh: Mesh, trace: str) -> list[dict[str, Any]]:
    try:
        found = ControlPlane(mesh.data).get(f"/v1/traces/{trace}", dict[str, Any])
    except Failed:  # none of it is there yet
        return []
    return list(found["spans"])


_EXPORT = """
import os, urllib.request
url = os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] + "/v1/traces"
request = urllib.request.Request(url, b"", {"Content-Type": "application/x-protobuf"})
print("taken:", urllib.request.urlopen(request, timeout=30).status)
"""


def test_in_every_mode_the_program_reaches_the_agents_door_for_spans(mesh: Mesh, mode: str) -> None:
    mesh.up()
    running = mesh.run("exporter", sys.executable, "-c", _EXPORT, options=("--trace", "--capture", mode))
    assert running.wait() == 0, running.output
    assert "taken: 200" in running.output
    assert "no Python program" not in running.output


def test_a_program_of_another_language_is_told_as_one(mesh: Mesh) -> None:
    mesh.up()
    running = mesh.run("another", "cat", "/dev/null", options=("--trace", "--capture", "none"))
    assert running.wait() == 0, running.output
    assert running.output.count("this is no Python program") == 1
