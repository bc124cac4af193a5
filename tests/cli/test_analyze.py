"""`tulle analyze`, and what `get` and `describe` say of a resource that does nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

NOWHERE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - route:
    - destination: {host: revews}
"""
GATEWAY = NOWHERE.replace("hosts: [reviews]", "hosts: [www.example.com]\n  gateways: [front]").replace(
    "name: reviews", "name: front"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "mesh.yaml"
    found.write_text(NOWHERE)
    return found


async def test_nothing_is_found_in_nothing(tulle: Any) -> None:
    said = await tulle("analyze")
    assert (said.code, said.out, said.err) == (0, "", "nothing is found in the namespace default\n")
    assert (await tulle("analyze", "-A", "-o", "json")).json == []


async def test_documents_are_analysed_with_their_lines_and_nothing_is_applied(tulle: Any, file: Path) -> None:
    said = await tulle("analyze", "-f", str(file))
    assert said.code == 1
    line = f"{file}:8: error: VirtualService default/reviews: spec.http[0].route[0].destination.host: no service has"
    assert any(found.startswith(line) and found.endswith("[IST0101]") for found in said.out.splitlines())
    assert (await tulle("get", "all", "-A")).out == ""


async def test_what_is_applied_is_analysed_by_namespace(tulle: Any, file: Path) -> None:
    assert (await tulle("apply", "-n", "shop", "-f", str(file), "--wait")).code == 0
    assert (await tulle("analyze")).code == 0
    assert (await tulle("analyze", "-n", "shop")).code == 1
    found = (await tulle("analyze", "-A", "-o", "json")).json
    assert [(one["namespace"], one["level"]) for one in found] == [("shop", "warning"), ("shop", "error")]


async def test_the_threshold_says_what_fails(tulle: Any) -> None:
    document = GATEWAY.replace("revews", "api.example.com").replace("destination: {host", "destination: {host")
    said = await tulle("analyze", "-f", "-", "--failure-threshold", "error", "-o", "json", stdin=GATEWAY)
    assert said.code == 1  # of its destination
    redirect = document.replace("route:\n    - destination: {host: api.example.com}", "redirect: {uri: /new}")
    said = await tulle("analyze", "-f", "-", "--failure-threshold", "error", stdin=redirect)
    assert said.code == 0 and "warning" in said.out
    assert (await tulle("analyze", "-f", "-", stdin=redirect)).code == 1


async def test_namespaces_and_all_of_them_contradict_each_other(tulle: Any) -> None:
    assert (await tulle("analyze", "-A", "-n", "shop")).code == 2


async def test_get_and_describe_say_that_a_resource_is_not_in_force_and_why(tulle: Any) -> None:
    waited = await tulle("apply", "-f", "-", "--wait", stdin=GATEWAY)
    assert (waited.code, waited.err) == (0, "no proxy needs it yet\n")
    (row,) = (await tulle("get", "vs")).rows
    assert row[:5] == ["front", "front", "www.example.com", "-", "not in force: no gateway"]
    said = await tulle("describe", "vs", "front")
    assert "not in force: no gateway" in said.out
    assert "tulle has no gateways yet [IST0101]" in said.out
    document = yaml.safe_load((await tulle("get", "vs", "front", "-o", "yaml")).out)
    assert document["status"]["summary"] == "not in force: no gateway"
    again = await tulle("apply", "-f", "-", stdin=yaml.safe_dump(document))
    assert again.out == "virtualservice/front unchanged\n"


async def test_what_is_deleted_is_waited_for(tulle: Any, file: Path) -> None:
    await tulle("apply", "-f", str(file))
    said = await tulle("delete", "-f", str(file), "--wait", "--timeout", "20s")
    assert (said.code, said.out) == (0, "virtualservice/reviews deleted\n")
    assert (await tulle("delete", "vs", "x", "--wait", "--timeout", "soon")).code == 2
