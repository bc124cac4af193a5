"""Who may speak to whom, proved by certificates alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import time
from pathlib import Path

import pytest

from running import Mesh, envoy_of, wait_for
from tulle.envoy_api.binary import find


def secret(folder: Path, name: str) -> dict[str, str]:
    """The PEM texts in one of the files that an agent writes for its Envoy."""
    resource = json.loads((folder / "sds" / f"{name}.json").read_text())["resources"][0]
    texts = re.findall(r"-----BEGIN .+?-----END [A-Z ]+-----\n?", json.dumps(resource).replace("\\n", "\n"), re.S)
    key = "".join(t for t in texts if "PRIVATE" in t)
    return {"key": key, "certificates": "".join(t for t in texts if "PRIVATE" not in t)}


def client_context(folder: Path, tmp: Path, identity: str) -> ssl.SSLContext:
    """A TLS client that shows one of a proxy's certificates, and offers itself as a sidecar does."""
    pem = tmp / f"{identity}.pem"
    found = secret(folder, identity)
    pem.write_text(found["key"] + found["certificates"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(pem)
    context.set_alpn_protocols(["tulle", "http/1.1"])
    return context


def ask_inbound(port: int, context: ssl.SSLContext | None) -> bytes:
    """What an instance's inbound door answers to a request; nothing if it ends the connection."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
            connection = plain
            if context is not None:
                sni = "outbound_.80_._.service-b.default.svc.cluster.local"
                connection = context.wrap_socket(plain, server_hostname=sni)
            connection.sendall(b"GET /data HTTP/1.1\r\nHost: service-b\r\nConnection: close\r\n\r\n")
            return connection.recv(4096)
    except OSError:
        return b""


@pytest.fixture
def pair(mesh: Mesh) -> tuple[Mesh, Path, Path, int]:
    """A mesh of a caller and an instance; their folders, and the instance's inbound port."""
    mesh.up()
    mesh.serve("service-b", "b1")
    caller = mesh.caller()
    proxies = {p["service"]: p for p in mesh.proxies()}
    folders = mesh.data / "proxies"
    return mesh, folders / caller.proxy, folders / proxies["service-b"]["id"], proxies["service-b"]["inbound_port"]


def test_an_instance_takes_calls_only_from_workloads_of_the_mesh(
    pair: tuple[Mesh, Path, Path, int], tmp_path: Path
) -> None:
    _, caller, _, port = pair
    assert b"200 OK" in ask_inbound(port, client_context(caller, tmp_path, "identity"))
    assert ask_inbound(port, client_context(caller, tmp_path, "proxy")) == b"", (
        "a proxy's own identity is for the control plane"
    )
    assert ask_inbound(port, None) == b"", "plain text"
    without = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    without.check_hostname, without.verify_mode = False, ssl.CERT_NONE
    without.set_alpn_protocols(["tulle"])
    assert ask_inbound(port, without) == b"", "no certificate"


def test_a_certificate_of_another_mesh_proves_nothing(pair: tuple[Mesh, Path, Path, int], tmp_path: Path) -> None:
    _, _, _, port = pair
    folder = tmp_path / "other"
    folder.mkdir()
    with Mesh(folder) as other:
        other.up()
        foreign = other.data / "proxies" / other.caller().proxy
        assert ask_inbound(port, client_context(foreign, tmp_path, "identity")) == b""


def test_an_envoy_that_claims_another_node_id_gets_nothing_of_it(
    pair: tuple[Mesh, Path, Path, int], tmp_path: Path
) -> None:
    mesh, caller, instance, _ = pair
    lying = tmp_path / "lying"
    shutil.copytree(caller, lying, ignore=shutil.ignore_patterns("*.sock", ".*", "ejections"))
    bootstrap = json.loads((lying / "bootstrap.json").read_text())
    bootstrap["node"]["id"] = instance.name
    (lying / "bootstrap.json").write_text(json.dumps(bootstrap))
    log = tmp_path / "lying.log"
    command = [
        str(find().path),
        "-c",
        "bootstrap.json",
        "--disable-hot-restart",
        "--concurrency",
        "1",
        "--log-path",
        str(log),
    ]
    with subprocess.Popen(command, cwd=lying, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as envoy:
        try:
            said = f"the certificate is proxy {caller.name}'s, the node says that it is {instance.name}"
            wait_for("it is refused", lambda: log.exists() and said in log.read_text())
            listeners = _admin(lying / "admin.sock", "/listeners")
            assert "inbound" not in listeners
            assert "outbound" not in listeners
        finally:
            envoy.kill()
    mine = next(p for p in mesh.proxies() if p["id"] == instance.name)
    assert mine["in_sync"]


def _admin(path: Path, target: str, method: str = "GET") -> str:
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as admin:
            admin.settimeout(20)
            admin.connect(f"/proc/self/fd/{folder}/{path.name}")
            admin.sendall(f"{method} {target} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while part := admin.recv(65536):
                answer += part
    finally:
        os.close(folder)
    return answer.partition(b"\r\n\r\n")[2].decode()


def test_certificates_are_renewed_under_load_without_a_failed_call(mesh: Mesh) -> None:
    mesh.up("--cert-ttl", "6s")
    for name in ("b1", "b2"):
        mesh.serve("service-b", name)
    caller = mesh.caller()
    folder = mesh.data / "proxies" / caller.proxy
    seen = {secret(folder, "identity")["certificates"]}
    with caller.load("http://service-b/data") as load:
        until = time.monotonic() + 15
        while time.monotonic() < until:
            seen.add(secret(folder, "identity")["certificates"])
            time.sleep(0.1)
        load.more(100)
    assert not load.failed
    assert len(seen) >= 4
    os.kill(envoy_of(mesh.running[1]), signal.SIGKILL)
    wait_for("new connections are made with what was renewed", lambda: mesh.healthy("service-b") == 2)
    assert {caller.call("http://service-b/data").status for _ in range(20)} == {200}
    wait_for("all are in sync", lambda: all(p["in_sync"] for p in mesh.proxies()))


def test_files_are_for_their_owner_alone_and_no_key_is_said(pair: tuple[Mesh, Path, Path, int]) -> None:
    mesh, caller, _, _ = pair
    for path in [mesh.data, *mesh.data.rglob("*")]:
        if path.is_symlink():  # has no mode of its own
            continue
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert not mode & 0o077, f"{path} has mode {mode:o}"
    key = secret(caller, "identity")["key"]
    assert key
    password = (mesh.data / "secret").read_text().strip()
    said = (
        "".join(r.output for r in mesh.running) + str(mesh.json("proxy", caller.name, "clusters")) + str(mesh.proxies())
    )
    assert "PRIVATE KEY" not in said
    assert password not in said
    for pid in [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()]:
        try:
            shown = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        assert password.encode() not in shown
        assert b"PRIVATE KEY" not in shown
