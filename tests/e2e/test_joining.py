"""The ways to join, by files and streams, on one machine."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from puppets import started
from running import TULLE, Mesh, wait_for

KEY = ec.generate_private_key(ec.SECP256R1())


def listen(mesh: Mesh, *options: str) -> tuple[str, ...]:
    """A control plane that does, on a free port; its options."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = ("--listen", f"127.0.0.1:{port}", *options)
    mesh.up(*given)
    return given


def by_kubernetes(**changes: Any) -> str:
    claims = {
        "iss": "https://kubernetes.example.com",
        "aud": "tulle",
        "exp": int(time.time()) + 600,
        "sub": "system:serviceaccount:shop:web",
        "kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "web"}},
    }
    return jwt.encode({**claims, **changes}, KEY, "ES256", headers={"kid": "1"})


@pytest.fixture
def issuer(tmp_path: Path) -> tuple[str, ...]:
    """What `tulle up` is told of an issuer."""
    public = jwt.get_algorithm_by_name("ES256").to_jwk(KEY.public_key(), as_dict=True)
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [{**public, "kid": "1"}]}))
    return ("--jwt-issuer", "https://kubernetes.example.com", "--jwt-audience", "tulle", "--jwt-jwks", str(keys))


def test_a_jwt_lets_a_program_in_as_what_it_names(mesh: Mesh, tmp_path: Path, issuer: tuple[str, ...]) -> None:
    listen(mesh, *issuer)
    where, proof = tmp_path / "where", tmp_path / "jwt"
    where.write_text(mesh.tulle("token", "create", "--jwt").stdout)
    options = ("--join-file", str(where), "--join-jwt", str(proof), "--capture", "proxy")
    elsewhere = {"TULLE_DATA": str(tmp_path / "elsewhere")}

    proof.write_text(by_kubernetes())
    other = mesh.run("api", "/bin/sleep", "60", options=(*options, "-n", "shop"), **elsewhere)
    assert other.wait() == 125
    assert "the service can't be api: jwt https://kubernetes.example.com" in other.output
    proof.write_text(by_kubernetes(aud="other"))
    other = mesh.run("web", "/bin/sleep", "60", options=(*options, "-n", "shop"), **elsewhere)
    assert other.wait() == 125
    assert "is not for the audience tulle" in other.output

    proof.write_text(by_kubernetes())
    mesh.run("web", "server.py", options=(*options, "-n", "shop"), **elsewhere)
    wait_for("web is healthy", lambda: mesh.healthy("web"))


def test_a_token_comes_by_standard_input_and_certificates_are_renewed_without_it(mesh: Mesh, tmp_path: Path) -> None:
    listen(mesh, "--cert-ttl", "5s")
    made = mesh.json("token", "create", "--service", "web")
    data = tmp_path / "elsewhere"
    command = [*TULLE, "run", "web", "--capture", "proxy", "--join", "-", "--", "/bin/sleep", "60"]
    environment = {**mesh.env, "TULLE_DATA": str(data)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as agent:
        try:
            assert agent.stdin
            agent.stdin.write(made["token"].encode() + b"\n")
            agent.stdin.close()
            wait_for("it is in the mesh", lambda: [each for each in mesh.proxies() if each["in_sync"]])
            assert mesh.tulle("token", "revoke", made["id"]).returncode == 0
            (secret,) = data.glob("proxies/*/sds/identity.json")
            seen = set()
            for _ in range(2):
                seen.add(secret.read_text())
                wait_for("it has renewed", lambda: secret.read_text() not in seen)
            assert [each["in_sync"] for each in mesh.proxies()] == [True]
        finally:
            agent.terminate()


def test_a_program_may_be_reached_at_an_address_of_this_machine_and_at_no_other(mesh: Mesh) -> None:
    mesh.up()
    mesh.serve("service-b", "b1", options=("--address", "127.0.0.2"))
    assert {each["address"] for each in mesh.proxies()} == {"127.0.0.2"}
    assert mesh.caller().call("http://service-b/").json()["instance"] == "b1"
    running, _ = started(mesh, "service-b", "--address", "192.0.2.1")
    assert running.wait() == 125
    assert "give an address of this machine with --address" in running.output


def test_who_has_joined_follows_the_root_to_the_next_one(mesh: Mesh, tmp_path: Path) -> None:
    options = listen(mesh)
    before = mesh.json("token", "create", "--service", "web", "--uses", "2")["token"]
    elsewhere = {"TULLE_DATA": str(tmp_path / "elsewhere")}
    agent = mesh.run("web", "server.py", options=("--capture", "proxy"), TULLE_JOIN=before, **elsewhere)
    wait_for("web is healthy", lambda: mesh.healthy("web"))
    assert mesh.tulle("ca", "rotate").returncode == 0
    wait_for("all is ready", lambda: mesh.json("ca", "status")["phase"] == "ready")
    between = mesh.json("token", "create", "--service", "web")["token"]
    assert mesh.tulle("ca", "finish").returncode == 0

    # Its session, and its renewals, are with a control plane of the new root from now on.
    mesh.running[0].stop()
    mesh.up(*options)
    wait_for("it is back", lambda: mesh.healthy("web") and all(each["in_sync"] for each in mesh.proxies()))
    assert agent.process.poll() is None

    # A token names the roots of its time.
    late = mesh.run("web", "/bin/sleep", "60", options=("--capture", "proxy"), TULLE_JOIN=before, **elsewhere)
    assert late.wait() == 125
    assert "If the control plane has a new authority, make a new token" in late.output
    mesh.run("web", "/bin/sleep", "60", options=("--capture", "proxy"), TULLE_JOIN=between, **elsewhere)
    wait_for("the other is in the mesh", lambda: len(mesh.proxies()) == 2)
