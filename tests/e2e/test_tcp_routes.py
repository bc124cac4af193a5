"""Where TCP connections go: a VirtualService's `tcp` routes, by real connections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from declaring import document, versions
from modes import skip_unless_possible
from puppets import Puppet
from running import Mesh
from wires import MODES, apply, dialer, wired

ECHO, AUTO, GREET = 7001, 9001, 7002


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with Mesh(tmp_path_factory.mktemp("tcp")) as mesh:
        mesh.up()
        kinds = ("7001/tcp=echo", "9001=echo", "7002/tcp=greet")
        for version in ("v1", "v2"):
            wired(mesh, "store", version, *kinds, options=("--version", version))
        wired(mesh, "archive", "old", "7001/tcp=echo", "7003/tcp=echo")
        apply(mesh, versions("store", "v1", "v2"))
        yield mesh


@pytest.fixture(scope="module", params=MODES)
def caller(request: pytest.FixtureRequest, store: Mesh) -> Puppet:
    skip_unless_possible(request.param)
    return dialer(store, request.param, f"caller-{request.param}", "--label", "team=red")


def routed(mesh: Mesh, *routes: dict[str, Any], host: str = "store") -> None:
    apply(mesh, document("VirtualService", host, {"hosts": [host], "tcp": list(routes)}))


def to(host: str, subset: str = "", weight: int = 0, port: int = 0) -> dict[str, Any]:
    destination: dict[str, Any] = {"host": host}
    if subset:
        destination["subset"] = subset
    if port:
        destination["port"] = {"number": port}
    return {"destination": destination, **({"weight": weight} if weight else {})}


def answers(caller: Puppet, port: int, times: int = 20) -> Counter[str]:
    """Who answered connections."""
    said = caller.do(f"result = [ask('store', {port}, 'x') for _ in range({times})]")
    return Counter(text.removesuffix(" x") for text in said)


@pytest.mark.parametrize("port", [ECHO, AUTO])
def test_connections_are_divided_by_weight(store: Mesh, caller: Puppet, port: int) -> None:
    routed(store, {"route": [to("store", "v1", 80), to("store", "v2", 20)]})
    shares = answers(caller, port, 200)
    assert set(shares) == {"v1", "v2"}
    assert shares["v2"] > 10
    assert shares["v1"] > 2 * shares["v2"]


def test_all_go_to_the_only_destination(store: Mesh, caller: Puppet) -> None:
    routed(store, {"route": [to("store", "v2")]})
    assert set(answers(caller, ECHO)) == {"v2"}
    routed(store, {"route": [to("archive", port=7003)]})
    assert set(answers(caller, ECHO)) == {"old"}
    routed(store, {"route": [to("archive", weight=50, port=7001), to("store", "v1", 50)]})
    assert set(answers(caller, ECHO, 60)) == {"old", "v1"}


def test_the_first_route_that_fits_counts(store: Mesh, caller: Puppet) -> None:
    routed(
        store,
        {"match": [{"port": 1}], "route": [to("archive", port=7001)]},
        {"match": [{"port": AUTO}, {"port": GREET}], "route": [to("store", "v2")]},
        {"route": [to("store", "v1")]},
    )
    assert set(answers(caller, ECHO)) == {"v1"}
    assert set(answers(caller, AUTO)) == {"v2"}
    assert caller.do(f"with dial('store', {GREET}) as made: result = line(made)") == "220 v2"


def test_routes_may_be_for_some_callers(store: Mesh, caller: Puppet) -> None:
    routed(
        store,
        {"match": [{"sourceLabels": {"team": "blue"}}], "route": [to("archive", port=7001)]},
        {"match": [{"sourceNamespace": "elsewhere"}], "route": [to("archive", port=7001)]},
        {"match": [{"sourceLabels": {"team": "red"}, "sourceNamespace": "default"}], "route": [to("store", "v2")]},
        {"route": [to("store", "v1")]},
    )
    assert set(answers(caller, ECHO)) == {"v2"}


def test_routes_may_be_for_some_addresses(store: Mesh, caller: Puppet) -> None:
    routed(
        store,
        {"match": [{"destinationSubnets": ["10.0.0.0/8"]}], "route": [to("archive", port=7001)]},
        {"match": [{"destinationSubnets": ["10.0.0.0/8", "127.64.0.0/10"]}], "route": [to("store", "v2")]},
        {"route": [to("store", "v1")]},
    )
    assert set(answers(caller, ECHO)) == {"v2"}


def test_what_leads_nowhere_is_closed_and_what_no_route_fits_goes_to_the_service(store: Mesh, caller: Puppet) -> None:
    routed(
        store,
        {"match": [{"port": ECHO}], "route": [to("nobody")]},
        {"match": [{"port": GREET}], "route": [to("archive", port=9)]},
    )
    assert set(answers(caller, AUTO)) <= {"v1", "v2"}
    for port in (ECHO, GREET):
        closed = caller.do(
            f"try:\n    with dial('store', {port}, 20) as made: result = all_of(made)\n"
            f"except TimeoutError: result = 'stalled'\n"
            f"except OSError: result = ''"
        )
        assert closed == "", port


def test_a_change_leaves_open_connections_alone(store: Mesh, caller: Puppet) -> None:
    routed(store, {"route": [to("store", "v1")]})
    caller.do(f"kept = dial('store', {ECHO}); kept.sendall(b'a\\n'); result = line(kept)")
    routed(store, {"route": [to("store", "v2")]})
    assert set(answers(caller, ECHO)) == {"v2"}
    assert caller.do("kept.sendall(b'b\\n'); result = line(kept)") == "v1 b"
    assert store.tulle("delete", "VirtualService", "store").returncode == 0
    assert caller.do("kept.sendall(b'c\\n'); result = line(kept); kept.close()") == "v1 c"
