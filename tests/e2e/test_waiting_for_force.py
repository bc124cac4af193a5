"""`--wait` returns when real Envoys go by what was applied: the very next call shows it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from subprocess import CompletedProcess

from running import Mesh, envoy_of, wait_for

TEAPOT = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: service-b}
spec:
  hosts: [service-b]
  http: [{directResponse: {status: 418}}]
"""
OUTSIDE = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside}
spec:
  hosts: [api.example.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 127.0.0.1, ports: {http: 9}}]
"""
REFUSED = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: outside}
spec:
  host: api.example.com
  trafficPolicy: {tls: {mode: SIMPLE, caCertificates: /nowhere/ca.pem}}
"""


def apply(mesh: Mesh, folder: Path, text: str, *options: str) -> CompletedProcess[str]:
    file = folder / "mesh.yaml"
    file.write_text(text)
    return mesh.tulle("apply", "-f", str(file), "--wait", *options)


def test_the_next_call_after_the_wait_goes_by_what_was_applied_and_then_deleted(mesh: Mesh, tmp_path: Path) -> None:
    mesh.up()
    mesh.serve("service-b", "b1")
    caller = mesh.caller()
    assert caller.call("http://service-b/data").status == 200
    for status in (418, 429, 451):
        said = apply(mesh, tmp_path, TEAPOT.replace("418", str(status)))
        assert (said.returncode, said.stderr) == (0, "in force on 1 proxy\n")
        assert caller.call("http://service-b/data").status == status
    assert "1/1        in force" in mesh.tulle("get", "vs").stdout
    gone = mesh.tulle("delete", "vs", "service-b", "--wait")
    assert (gone.returncode, gone.stderr) == (0, "in force on 1 proxy\n")
    assert caller.call("http://service-b/data").status == 200


def test_a_shift_is_waited_for(mesh: Mesh) -> None:
    mesh.up()
    for version in ("v1", "v2"):
        mesh.serve("service-b", version, options=("--version", version))
    caller = mesh.caller()
    assert caller.call("http://service-b/data").status == 200
    for version in ("v2", "v1", "v2"):
        done = mesh.tulle("shift", "service-b", f"{version}=100", "--wait")
        assert done.returncode == 0, done.stderr
        answers = {caller.call("http://service-b/data").json()["instance"] for _ in range(10)}
        assert answers == {version}


def test_an_envoy_that_does_not_answer_is_named_when_time_is_up(mesh: Mesh, tmp_path: Path) -> None:
    mesh.up()
    mesh.serve("service-b", "b1")
    caller = mesh.caller()
    assert caller.call("http://service-b/data").status == 200
    envoy = envoy_of(caller.running)
    os.kill(envoy, signal.SIGSTOP)
    try:
        said = apply(mesh, tmp_path, TEAPOT, "--timeout", "500ms")
    finally:
        os.kill(envoy, signal.SIGCONT)
    assert (said.returncode, said.stdout) == (1, "virtualservice/service-b created\n")
    assert f"in force on 0 of 1 proxies after 0.5 s; not on {caller.proxy}\n" in said.stderr
    wait_for("it is in force all the same", lambda: "1/1        in force" in mesh.tulle("get", "vs").stdout)
    assert caller.call("http://service-b/data").status == 418


def test_an_envoy_that_refuses_it_ends_the_wait_with_its_reason(mesh: Mesh, tmp_path: Path) -> None:
    mesh.up()
    caller = mesh.caller()
    assert apply(mesh, tmp_path, OUTSIDE).returncode == 0
    assert caller.call("http://api.example.com/").status == 503
    assert "1/1        in force" in mesh.tulle("get", "se").stdout
    said = apply(mesh, tmp_path, REFUSED)
    assert said.returncode == 1
    assert f"rejected by 1 of 1 proxies, which keep what they had:\n  {caller.proxy}: " in said.stderr
    assert "/nowhere/ca.pem" in said.stderr
    assert "rejected by 1" in mesh.tulle("get", "dr").stdout
    assert f"rejected by {caller.proxy}" in mesh.tulle("describe", "dr", "outside").stdout
