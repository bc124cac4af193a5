"""Every golden case, stage by stage, and what must hold of all of them."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from golden import CASES, Case, decoded, envoy_yaml, ir_yaml
from tulle.envoy_api.binary import find
from tulle.envoy_api.messages import to_dict
from tulle.ir.types import Outbound, OutboundRoutes
from tulle.model.workload import Capture
from tulle.translate.bootstrap import bootstrap
from tulle.translate.clusters import passthrough_cluster
from tulle.translate.listeners import outbound_listener
from tulle.translate.routes import route_configuration
from tulle.xds.resources import CDS, EDS, LDS, RDS, VHDS
from validating import alone

STAGES = ("ir.yaml", "envoy.yaml")
FOLDERS = sorted(p for p in CASES.iterdir() if p.is_dir())
cases = pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)


@cases
def test_each_stage_is_as_written(folder: Path, request: pytest.FixtureRequest) -> None:
    case = Case(folder)
    made = {"ir.yaml": ir_yaml(case.ir()), "envoy.yaml": envoy_yaml(case.resources())}
    if request.config.getoption("--update-golden"):
        for orphan in {p.name for p in folder.iterdir()} - {"mesh.yaml", *STAGES}:
            path = folder / orphan
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for stage, text in made.items():
            (folder / stage).write_text(text)
    for stage in STAGES:
        assert made[stage] == (folder / stage).read_text(), (
            f"{folder.name}/{stage} (pytest --update-golden writes it anew)"
        )


@cases
def test_names_that_are_referred_to_are_defined(folder: Path) -> None:
    resources = Case(folder).resources()
    defined = {(r.type_url, r.name) for r in resources}
    for resource in resources:
        assert set(resource.requires) <= defined, resource.name
        text = repr(resource.body)
        for cluster in re.findall(r"(?:outbound|inbound)\|[0-9]+\|[^'\\\"]*", text):
            assert any(name == cluster.rstrip(")") or cluster.startswith(name) for _, name in defined), cluster


@cases
def test_the_order_of_facts_does_not_matter(folder: Path) -> None:
    case = Case(folder)
    shuffled = random.Random(7).sample(case.proxies, len(case.proxies))
    assert [r.body for r in case.resources(shuffled)] == [r.body for r in case.resources()]


@cases
def test_no_output_holds_a_secret(folder: Path) -> None:
    for resource in Case(folder).resources():
        assert b"PRIVATE KEY" not in resource.body
        assert b"inline_string" not in resource.body


def test_envoy_takes_the_hosts_of_hundreds_of_namespaces(tmp_path: Path) -> None:
    namespaces = tuple(f"namespace-{n}" for n in range(500))
    outbound = Outbound("outbound.a", 20002, Capture.PROXY)
    routes = to_dict(route_configuration(OutboundRoutes("outbound.a", 20002, namespaces, Capture.PROXY, "a")))
    listener = to_dict(outbound_listener(outbound))
    del routes["vhds"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    del manager["rds"]
    manager["route_config"] = routes
    validate(tmp_path, [to_dict(passthrough_cluster())], [listener])


@cases
def test_envoy_accepts_it(folder: Path, tmp_path: Path) -> None:
    """Everything that the proxy is sent, as one static configuration."""
    resources = [(r.type_url, decoded(r)) for r in Case(folder).resources() if r.body]
    of = {kind: [body for type_url, body in resources if type_url == kind] for kind in (CDS, EDS, LDS, RDS, VHDS)}
    for body in [body for bodies in of.values() for body in bodies]:
        del body["@type"]
    assignments = {body["cluster_name"]: body for body in of[EDS]}
    for cluster in of[CDS]:
        if cluster.get("type") == "EDS":
            del cluster["eds_cluster_config"]
            cluster |= {"type": "STATIC", "load_assignment": assignments[cluster["name"]]}
    for routes in of[RDS]:
        if routes.pop("vhds", None):
            routes["virtual_hosts"] += of[VHDS]
    chains = [chain for listener in of[LDS] for chain in listener["filter_chains"]]
    for filter_ in [filter_ for chain in chains for filter_ in chain.get("filters", ())]:
        manager = filter_["typed_config"]
        if "rds" in manager:
            name = manager.pop("rds")["route_config_name"]
            manager["route_config"] = next(r for r in of[RDS] if r["name"] == name)
    validate(tmp_path, of[CDS], of[LDS])


def validate(folder: Path, clusters: list[Any], listeners: list[Any]) -> None:
    """`envoy --mode validate` with the bootstrap that every sidecar gets."""
    config = bootstrap("proxy", "127.0.0.1", 15012, "spiffe://cluster.local/control-plane")
    config["static_resources"]["clusters"] += clusters
    config["static_resources"]["listeners"] = alone(listeners)
    (folder / "bootstrap.json").write_text(json.dumps(config))
    (folder / "sds").mkdir()
    for name in ("identity", "proxy", "bundle", "roots"):
        (folder / "sds" / f"{name}.json").write_text("{}")
    command = [str(find().path), "-c", "bootstrap.json", "--mode", "validate", "-l", "error"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
