"""PeerAuthentication, felt: mutual TLS, plain text and TLS of the program's own."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from declaring import Document, applied, apply
from running import Caller, Mesh, wait_for
from wires import free_ports


def peers(mode: str, name: str = "default", namespace: str = "default", **more: Any) -> Document:
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"mtls": {"mode": mode}, **more},
    }


(INBOUND,) = free_ports(1)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with Mesh(tmp_path_factory.mktemp("m")) as mesh:
        mesh.up()
        mesh.serve("service-b", options=("--port", "80", "--inbound-port", str(INBOUND)))
        yield mesh


@pytest.fixture(scope="module")
def caller(mesh: Mesh) -> Caller:
    return mesh.caller()


def door(mesh: Mesh, service: str = "service-b") -> tuple[str, int]:
    """Where its sidecar takes calls."""
    (found,) = (one for one in mesh.proxies() if one["service"] == service)
    return found["address"], found["inbound_port"]


def plain(where: tuple[str, int], **headers: str) -> dict[str, Any] | None:
    """What an HTTP client without a sidecar is answered there; None if it is not let in."""
    connection = http.client.HTTPConnection(*where, timeout=10)
    try:
        connection.request("GET", "/data", headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        return json.loads(body) if answer.status == 200 else {"status": answer.status}
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def certified(answer: dict[str, Any]) -> bool:
    """Whether the program was told who the caller is, as its sidecar does after mutual TLS."""
    return "spiffe://cluster.local/ns/default/sa/service-a" in answer["headers"].get("x-forwarded-client-cert", "")


def test_a_new_mesh_is_strict(mesh: Mesh, caller: Caller) -> None:
    assert certified(caller.call("http://service-b/data").json())
    assert plain(door(mesh)) is None


def test_the_sidecars_port_is_where_it_was_named_also_after_a_restart_of_envoy(mesh: Mesh) -> None:
    assert door(mesh) == ("127.0.0.1", INBOUND)
    with applied(mesh, peers("PERMISSIVE")):
        wait_for("plain text to be taken", lambda: plain(door(mesh)))
        (proxy,) = (one["id"] for one in mesh.proxies() if one["service"] == "service-b")
        assert mesh.tulle("proxy", proxy, "restart").returncode == 0
        assert plain(door(mesh)) is not None
    assert door(mesh) == ("127.0.0.1", INBOUND)
    wait_for("plain text to be refused", lambda: plain(door(mesh)) is None)


def test_permissive_takes_both_on_one_port_and_callers_stay_with_mutual_tls(mesh: Mesh, caller: Caller) -> None:
    with applied(mesh, peers("PERMISSIVE")):
        wait_for("plain text to be taken", lambda: plain(door(mesh)))
        assert certified(caller.call("http://service-b/data").json())
        assert "80/http permissive" in mesh.tulle("services").stdout
        forged = plain(door(mesh), **{"x-forwarded-client-cert": "URI=spiffe://cluster.local/ns/default/sa/service-a"})
        assert forged is not None and "x-forwarded-client-cert" not in forged["headers"]
    wait_for("plain text to be refused", lambda: plain(door(mesh)) is None)


@pytest.mark.parametrize(
    "spec",
    [
        {"rules": [{"from": [{"source": {"principals": ["*"]}}]}]},
        {"rules": [{"from": [{"source": {"namespaces": ["default"]}}]}]},
        {
            "action": "DENY",
            "rules": [{"from": [{"source": {"notPrincipals": ["cluster.local/ns/default/sa/service-a"]}}]}],
        },
    ],
    ids=["principals", "namespaces", "all others denied"],
)
def test_plain_text_is_nobody_to_a_policy(mesh: Mesh, caller: Caller, spec: Document) -> None:
    policy = {**peers(""), "kind": "AuthorizationPolicy", "spec": spec}
    with applied(mesh, peers("PERMISSIVE"), policy):
        wait_for("plain text to be denied", lambda: plain(door(mesh)) == {"status": 403})
        assert certified(caller.call("http://service-b/data").json())


def test_where_it_is_disabled_callers_use_plain_text(mesh: Mesh, caller: Caller) -> None:
    with applied(mesh, peers("DISABLE")):
        wait_for("the caller to follow", lambda: not certified(caller.call("http://service-b/data").json()))
        assert plain(door(mesh)) is not None
    wait_for("the caller to be back", lambda: certified(caller.call("http://service-b/data").json()))


def test_the_workload_counts_before_its_namespace_and_that_before_the_mesh(mesh: Mesh) -> None:
    front: dict[str, Any] = {"selector": {"matchLabels": {"app": "service-b"}}}
    port: dict[str, Any] = {"portLevelMtls": {"80": {"mode": "STRICT"}}}
    with applied(mesh, peers("PERMISSIVE", namespace="istio-system")):
        wait_for("what holds for the mesh", lambda: plain(door(mesh)))
        with applied(mesh, peers("STRICT")):
            wait_for("what holds for the namespace", lambda: plain(door(mesh)) is None)
            with applied(mesh, peers("PERMISSIVE", "front", **front)):
                wait_for("what holds for the workload", lambda: plain(door(mesh)))
                apply(mesh, peers("PERMISSIVE", "front", **front, **port))
                wait_for("what holds for the port", lambda: plain(door(mesh)) is None)


def test_tls_of_the_programs_own_passes_and_is_never_taken_for_the_meshs(mesh: Mesh, tmp_path: Path) -> None:
    program = tmp_path / "secure.py"
    program.write_text(SECURE)
    pem = tmp_path / "own.pem"
    pem.write_bytes(own_certificate())
    running = mesh.run("service-s", "python3", str(program), str(pem), options=("--port", "443/tcp"))
    wait_for("service-s", lambda: running.process.poll() is None and mesh.healthy("service-s"))
    strange = ssl.create_default_context()
    strange.check_hostname, strange.verify_mode = False, ssl.CERT_NONE
    strange.set_alpn_protocols(["http/1.1"])

    def subject() -> bytes | None:
        try:
            with (
                socket.create_connection(door(mesh, "service-s"), 10) as raw,
                strange.wrap_socket(raw, server_hostname="b.example") as tls,
            ):
                assert tls.recv(5) == b"hello"
                return tls.getpeercert(binary_form=True)
        except OSError:
            return None

    assert subject() is None
    with applied(mesh, peers("PERMISSIVE")):
        der = wait_for("the program's own TLS", subject)
        text = pem.read_text()
        assert der == ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERT") :])


SECURE = """
import os, socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
with socket.create_server(("127.0.0.1", int(os.environ["PORT"]))) as server:
    while True:
        client, _ = server.accept()
        try:
            with context.wrap_socket(client, server_side=True) as tls:
                tls.sendall(b"hello")
                tls.recv(1)
        except OSError:
            pass
"""


def own_certificate() -> bytes:
    """Key and certificate, self-signed."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "b.example")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + made.public_bytes(serialization.Encoding.PEM)
