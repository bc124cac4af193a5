"""Rules that change while calls go on: make before break. No request fails, no connection is cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from declaring import document, versions
from modes import skip_unless_possible
from puppets import Puppet
from running import PROGRAMS, Mesh, wait_for
from wires import apply, dialer, wired

pytestmark = pytest.mark.soak


@pytest.mark.parametrize("mode", ["redirect", "seccomp"])
def test_no_change_of_rules_fails_a_call(mesh: Mesh, mode: str) -> None:
    skip_unless_possible(mode)
    mesh.up()
    for version in ("v1", "v2"):
        kinds = ("80/http=http", "7001/tcp=echo")
        wired(mesh, "store", version, *kinds, options=("--version", version))
    caller = dialer(mesh, mode)
    caller.do((PROGRAMS / "steady.py").read_text() + "\nload = Steady('store', 80, 7001)")
    more(caller)
    for change in range(3):
        apply(mesh, versions("store", "v1", "v2"), split(v1=90 - change, v2=10 + change))  # subsets and routes at once
        more(caller)
        apply(mesh, split(v1=50, v2=50))
        more(caller)
        apply(mesh, versions_with({"connectionPool": {"tcp": {"connectTimeout": f"{change + 2}s"}}}))
        more(caller)
        apply(mesh, versions_with({"loadBalancer": {"simple": "RANDOM"}}, "v2"))
        apply(mesh, split(v2=100))
        apply(mesh, versions("store", "v2"))  # the one that nobody uses goes
        more(caller)
        delete_all(mesh, "DestinationRule/store", "VirtualService/store")  # subsets and routes at once
        more(caller)
    failed = caller.do("result = load.stop()", 120)
    answered = caller.do("result = dict(load.answered)")
    assert failed == [], answered
    assert answered["kept"] == 1, "the connection that was kept has lived all the time"


@pytest.mark.parametrize("mode", ["redirect"])
def test_no_change_of_hosts_fails_a_call(mesh: Mesh, mode: str) -> None:
    """A VirtualService that takes a host in, and leaves it to itself again."""
    skip_unless_possible(mode)
    mesh.up()
    for service in ("store", "other"):
        wired(mesh, service, service, "80/http=http", "7001/tcp=echo")
    caller = dialer(mesh, mode)
    caller.do((PROGRAMS / "steady.py").read_text() + "\nload = Steady('store', 80, 7001)")
    more(caller)
    for _ in range(3):
        for hosts in (["store", "other"], ["other"], ["*.default.svc.cluster.local"], ["other", "store"]):
            to = [{"route": [{"destination": {"host": "other"}}]}]
            apply(mesh, document("VirtualService", "all", {"hosts": hosts, "http": to, "tcp": to}))
            more(caller, 20)
    failed = caller.do("result = load.stop()", 120)
    assert failed == []
    assert caller.do("result = load.answered['kept']") == 1


def more(caller: Puppet, number: int = 50) -> None:
    """Return when so many more of each kind are answered."""
    before = caller.do("result = dict(load.answered)")

    def done() -> bool:
        now = caller.do("result = dict(load.answered)")
        return all(now.get(kind, 0) >= before.get(kind, 0) + number for kind in ("request", "connection", "line"))

    wait_for(f"{number} more calls are answered", done)


def split(**weights: int) -> dict[str, Any]:
    routes = [
        {"destination": {"host": "store", "subset": subset}, "weight": weight} for subset, weight in weights.items()
    ]
    spec = {"hosts": ["store"], "http": [{"route": routes}], "tcp": [{"route": routes}]}
    return document("VirtualService", "store", spec)


def versions_with(policy: dict[str, Any], *_: str) -> dict[str, Any]:
    made = versions("store", "v1", "v2")
    made["spec"]["trafficPolicy"] = policy
    return made


def delete_all(mesh: Mesh, *resources: str) -> None:
    file = Path(mesh.folder / "gone.yaml")
    documents = [document(kind, name, {"hosts": ["x"]}) for kind, _, name in (r.partition("/") for r in resources)]
    file.write_text(yaml.safe_dump_all(documents))
    done = mesh.tulle("delete", "-f", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
