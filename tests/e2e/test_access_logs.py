"""Access logs of a running mesh: declared, they are in the output of `tulle run`, on both sides, and stop when they go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from declaring import Document, apply, telemetry
from running import Mesh, Running, wait_for


def records(running: Running, path: str) -> list[dict[str, Any]]:
    lines = (line for line in running.output.splitlines() if line.startswith('{"') and f'"{path}"' in line)
    return [found for line in lines if "upstream_cluster" in (found := json.loads(line))]


def test_calls_are_in_the_output_of_both_sides_as_declared(tmp_path: Path) -> None:
    with Mesh(tmp_path) as mesh:
        mesh.up()
        server = mesh.serve("service-b", options=("--port", "80"))
        caller = mesh.caller()
        config: Document = {
            "apiVersion": "mesh.istio.io/v1alpha1",
            "kind": "MeshConfig",
            "spec": {"accessLogFile": "/dev/stdout", "accessLogEncoding": "JSON"},
        }
        errors = {"accessLogging": [{"filter": {"expression": "response.code >= 400"}}]}
        # Before the first call: a connection between sidecars that is open goes on as it began.
        apply(mesh, config, telemetry("errors", **errors, selector={"matchLabels": {"app": "service-b"}}))
        shown = mesh.tulle("get", "telemetry").stdout.splitlines()
        assert shown[0].split()[:4] == ["NAME", "TELLS", "OF", "IN"]
        assert shown[1].split()[:3] == ["errors", "accessLogging", "1/1"]

        assert caller.call("http://service-b/first").status == 200
        assert caller.call("http://service-b/second?code=503").status == 503
        wait_for("the caller's side is told", lambda: records(caller.running, "/second?code=503"))
        wait_for("the server's side is told", lambda: records(server, "/second?code=503"))
        [sent], [failed, *_] = records(caller.running, "/first"), records(server, "/second?code=503")
        assert (sent["response_code"], failed["response_code"], sent["authority"]) == (200, 503, "service-b")
        assert sent["upstream_cluster"] == "outbound|80||service-b.default.svc.cluster.local"
        assert records(server, "/first") == []
