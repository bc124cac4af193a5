"""A VirtualService of several routes, as a caller sees it through the whole mesh."""

from __future__ import annotations

import http.client
from pathlib import Path

from running import Mesh

ROUTES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: service-b}
spec:
  hosts: [service-b]
  http:
  - match: [{uri: {prefix: /c/}}]
    rewrite: {uri: /}
    route: [{destination: {host: service-c}}]
  - match: [{uri: {prefix: /ghost}}]
    route: [{destination: {host: service-b, subset: v9}}]
  - match: [{uri: {prefix: /tea}}]
    directResponse: {status: 418}
  - fault: {abort: {httpStatus: 429, percentage: {value: 100}}}
    match: [{headers: {x-user: {exact: ann}}}]
    route: [{destination: {host: service-b}}]
  - route: [{destination: {host: service-b}}]
"""


def test_every_method_and_a_tunnel_go_by_the_routes_of_a_host_from_the_first_call_on(
    mesh: Mesh, tmp_path: Path
) -> None:
    mesh.up()
    mesh.serve("service-b", "b1", options=("--service-account", "robot"))
    mesh.serve("service-c", "c1")
    file = tmp_path / "routes.yaml"
    file.write_text(ROUTES)
    assert mesh.tulle("apply", "-f", str(file)).returncode == 0
    caller = mesh.caller()
    # The first call of all has a body, brings the routes, and a fault of theirs is felt by it already.
    assert caller.call("http://service-b/data", method="POST", body=b"x", headers={"x-user": "ann"}).status == 429
    for method in ("GET", "POST"):
        assert caller.call("http://service-b/data", method=method).json()["instance"] == "b1"
        assert caller.call("http://service-b/c/data", method=method).json()["instance"] == "c1"
        assert caller.call("http://service-b/tea", method=method).status == 418
        ghost = caller.call("http://service-b/ghost", method=method)
        assert ghost.status == 503
        assert "subset v9 of host service-b" in ghost.json()["error"]
    told = caller.call("http://service-b/data", headers={"x-tulle-explain": "1"})
    assert told.headers["x-tulle-peer"] == "spiffe://cluster.local/ns/default/sa/robot"
    tunnel = http.client.HTTPConnection("127.0.0.1", caller.port, timeout=20)
    tunnel.set_tunnel("service-b", 80)
    tunnel.request("GET", "/tea")
    assert tunnel.getresponse().status == 418
    tunnel.close()
