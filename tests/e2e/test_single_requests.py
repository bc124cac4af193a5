"""`tulle tap` and `tulle why`: single requests of a mesh that runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from declaring import applied, virtual_service
from running import Caller, Mesh, envoys_of, wait_for

URL = "http://service-b/data"
Shown = Callable[[], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with Mesh(tmp_path_factory.mktemp("single")) as running:
        running.up()
        running.serve("service-b", "b1")
        yield running


@pytest.fixture(scope="module")
def caller(mesh: Mesh) -> Caller:
    return mesh.caller()


@contextmanager
def tapping(mesh: Mesh, *words: str) -> Iterator[Shown]:
    """What a tap has shown so far."""
    running = mesh.start("tap", "tap", *words, "-o", "json")
    try:
        yield lambda: [json.loads(line) for line in running.output.splitlines() if line.startswith("{")]
    finally:
        running.stop()


def test_requests_are_seen_while_they_happen_and_only_those_that_are_wanted(mesh: Mesh, caller: Caller) -> None:
    with tapping(mesh, "service-b", "--path", "/data") as shown:

        def seen() -> list[dict[str, Any]]:
            caller.call(f"{URL}?secret=1")
            caller.call("http://service-b/other")
            return shown()

        first = wait_for("a request is shown", seen)[0]
        assert {one["path"] for one in shown()} == {"/data"}  # and nothing of the query
    assert (first["source"], first["destination"]) == ("default/service-a", "default/service-b")
    assert (first["method"], first["status"], first["mtls"], first["side"]) == ("GET", 200, True, "destination")
    assert first["identity"] == "spiffe://cluster.local/ns/default/sa/service-a"


def test_an_admin_sees_headers_but_no_secret_also_of_an_envoy_that_took_over(mesh: Mesh, caller: Caller) -> None:
    headers = {"authorization": "Bearer nobody-sees-this", "x-tell": "me", "cookie": "a=nobody-sees-this"}
    with tapping(mesh, "service-b", "--headers") as shown:

        def seen() -> list[dict[str, Any]]:
            caller.call(f"{URL}?secret=1", headers=headers)
            return [one for one in shown() if "request_headers" in one]

        first = wait_for("a request is shown with its headers", seen)[0]
        assert first["request_headers"]["x-tell"] == "me"
        assert first["request_headers"]["authorization"] == "<redacted, 23 bytes>"
        assert first["request_headers"]["cookie"] == "<redacted, 18 bytes>"
        assert first["response_headers"]["content-type"]
        assert not any(name.startswith(":") for name in first["request_headers"])
        assert mesh.tulle("proxy", first["proxy"], "restart").returncode == 0
        server = next(one for one in mesh.running if one.name == "service-b")
        wait_for("the old Envoy has gone", lambda: caller.call(URL).status == 200 and len(envoys_of(server)) == 1)
        before = len(seen())
        wait_for("the new Envoy is looked at as well", lambda: seen()[before:])
    with tapping(mesh, "service-b") as shown:
        plain = wait_for("a request is shown without them", lambda: caller.call(URL, headers=headers) and shown())
        assert "request_headers" not in plain[-1]
    audit = [json.loads(line) for line in (mesh.data / "audit.log").read_text().splitlines()]
    assert [one["what"] for one in audit if one["event"] == "looked at headers"] == [
        "GET /v1/tap/headers: service=service-b"
    ]
    for file in mesh.folder.rglob("*"):
        assert not file.is_file() or b"nobody-sees-this" not in file.read_bytes(), file


def test_headers_are_lines_below_the_request(mesh: Mesh, caller: Caller) -> None:
    running = mesh.start("tap-lines", "tap", "service-b", "--headers", "--count", "1")
    wait_for("the tap has ended", lambda: caller.call(URL, headers={"x-tell": "me"}) and running.process.poll() == 0)
    request, *lines = running.output.splitlines()
    assert "service-a -> service-b  GET /data  200" in request
    assert "    > x-tell: me" in lines and any(line.startswith("    < content-type: ") for line in lines)


def test_what_is_no_filter_is_refused(mesh: Mesh) -> None:
    done = mesh.tulle("tap", "--status", "5x5")
    assert done.returncode == 2 and "write a code such as 503" in done.stderr


def test_a_request_that_failed_is_explained_by_its_id_and_so_is_the_next(mesh: Mesh, caller: Caller) -> None:
    fault = {"fault": {"abort": {"httpStatus": 503, "percentage": {"value": 100}}}}
    route = {"route": [{"destination": {"host": "service-b"}}], **fault}
    with (
        applied(mesh, virtual_service("service-b", route)),
        tapping(mesh, "service-b", "--status", "error", "--peer", "service-a") as shown,
        tapping(mesh, "other/service-b", "--status", "error") as others,
    ):

        def seen() -> list[dict[str, Any]]:
            caller.call(URL, headers={"x-request-id": "abc-123-def"})
            return shown()

        first = wait_for("who looks at the called service sees what did not get there", seen)[0]
        assert (first["status"], first["side"], first["destination"]) == (503, "source", "default/service-b")
        assert others() == []
        done = wait_for("it is told", lambda: (found := mesh.tulle("why", "abc-123")).returncode == 0 and found)
        assert "flag      FI: " in done.stdout
        assert "the same request now:" in done.stdout
        assert "a fault answers 100 % of requests with 503" in done.stdout
        assert "VirtualService default/service-b spec.http[0]" in done.stdout
