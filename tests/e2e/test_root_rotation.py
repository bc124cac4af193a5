"""The root is exchanged under load: no call is lost, and in the end nobody trusts or shows the old one."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from running import Mesh, wait_for
from tulle.identity.ca import id_of, key_pem, pem_of


def certificates(folder: Path, name: str) -> list[x509.Certificate]:
    """In one of the files that an agent writes for its Envoy."""
    resource = json.loads((folder / "sds" / f"{name}.json").read_text())["resources"][0]
    pem = json.dumps(resource).replace("\\n", "\n")
    texts = re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", pem, re.S)
    return x509.load_pem_x509_certificates("".join(texts).encode())


def phase(mesh: Mesh, wanted: str) -> Any:
    def reached() -> Any:
        found = mesh.json("ca", "status")
        return found if found and found["phase"] == wanted else None

    return wait_for(f"the rotation is {wanted}", reached)


def trusted(folder: Path) -> set[str]:
    return {id_of(root) for root in certificates(folder, "bundle")}


def test_the_root_is_rotated_under_load_without_a_failed_call(mesh: Mesh) -> None:
    mesh.up()
    for name in ("b1", "b2"):
        mesh.serve("service-b", name)
    caller = mesh.caller()
    folders = [mesh.data / "proxies" / proxy["id"] for proxy in mesh.proxies()]
    [old] = {root["id"] for root in phase(mesh, "steady")["roots"]}
    assert mesh.tulle("ca", "finish").returncode == 1
    with caller.load("http://service-b/data") as load:
        begun = mesh.tulle("ca", "rotate")
        assert begun.returncode == 0, begun.stderr
        assert "rotation" in begun.stdout
        ready = phase(mesh, "ready")
        [new] = {root["id"] for root in ready["roots"]} - {old}
        assert ready["trusting"] == ready["renewed"] == len(folders) == 3
        assert all(trusted(folder) == {old, new} for folder in folders)
        assert all(root["signs"] == (root["id"] == new) for root in ready["roots"])
        load.more(100)

        # A control plane that is killed now goes on where it was: proxies say anew what they have.
        mesh.running[0].kill()
        control_plane = mesh.up()
        phase(mesh, "ready")
        finished = mesh.tulle("ca", "finish")
        assert finished.returncode == 0, finished.stderr
        wait_for("the old root is trusted by nobody", lambda: all(trusted(folder) == {new} for folder in folders))
        done = wait_for("all have said so", lambda: (v := mesh.json("ca", "status"))["trusting"] == 3 and v)
        assert done["phase"] == "steady" and done["renewed"] == 3
        load.more(100)
    assert not load.failed

    newcomer = mesh.caller("service-c")
    assert {newcomer.call("http://service-b/data").status for _ in range(5)} == {200}
    for name in ("identity", "proxy"):
        chain = certificates(folders[0], name)
        assert len(chain) == 2
        assert chain[1].issuer == certificates(folders[0], "bundle")[0].subject
    assert all(proxy["in_sync"] for proxy in mesh.proxies())
    assert "PRIVATE KEY" not in control_plane.output


def test_a_rotation_is_not_finished_while_a_proxy_would_be_cut_off_unless_that_is_meant(mesh: Mesh) -> None:
    mesh.up()
    mesh.caller()
    folder = next(iter((mesh.data / "proxies").iterdir()))
    # An agent that can't write keeps what it has; it says nothing of what its Envoy has not.
    (folder / "sds").rename(folder / "away")
    (folder / "sds").touch()
    mesh.tulle("ca", "rotate")
    refused = mesh.tulle("ca", "finish")
    assert refused.returncode == 1
    assert f"{folder.name} would be cut off" in refused.stderr
    assert phase(mesh, "distributing")["trusting"] == 0
    assert folder.name in mesh.tulle("ca", "status").stdout
    (folder / "sds").unlink()
    (folder / "away").rename(folder / "sds")
    phase(mesh, "ready")
    assert mesh.tulle("ca", "finish", "--force").returncode == 0


def signed(name: str, key: rsa.RSAPrivateKey, above: tuple[x509.Name, rsa.RSAPrivateKey] | None = None) -> Any:
    """An authority as `openssl` makes it for Istio's users: RSA, no SPIFFE id, no right to sign CRLs."""
    subject = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Istio"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )
    issuer, issuer_key = above or (subject, key)
    now = datetime.now(UTC)
    usage = x509.KeyUsage(True, True, True, False, False, True, False, False, False)
    return (
        x509.CertificateBuilder(
            issuer, subject, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=9)
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0 if above else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


@pytest.fixture
def cacerts(tmp_path: Path) -> Path:
    """A folder as Istio's users have it."""
    root_key, key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    root = signed("Root CA", root_key)
    below = signed("Intermediate CA", key, (root.subject, root_key))
    folder = tmp_path / "cacerts"
    folder.mkdir()
    (folder / "ca-cert.pem").write_text(pem_of([below]))
    (folder / "ca-key.pem").write_bytes(key_pem(key))
    (folder / "ca-key.pem").chmod(0o600)
    (folder / "root-cert.pem").write_text(pem_of([root]))
    (folder / "cert-chain.pem").write_text(pem_of([below, root]))
    return folder


def test_an_authority_that_is_brought_along_is_the_meshs_from_the_start_or_by_a_rotation(
    mesh: Mesh, cacerts: Path
) -> None:
    mesh.up("--ca-dir", str(cacerts))
    mesh.serve("service-b", "b1")
    caller = mesh.caller()
    assert caller.call("http://service-b/data").status == 200
    folder = mesh.data / "proxies" / caller.proxy
    [root] = x509.load_pem_x509_certificates((cacerts / "root-cert.pem").read_bytes())
    assert trusted(folder) == {id_of(root)}
    leaf, above = certificates(folder, "identity")
    assert above == x509.load_pem_x509_certificate((cacerts / "ca-cert.pem").read_bytes())
    leaf.verify_directly_issued_by(above)

    assert not mesh.json("ca", "status")["revokes"]

    mesh.tulle("ca", "rotate")
    phase(mesh, "ready")
    assert mesh.tulle("ca", "finish").returncode == 0
    mesh.running[0].stop()
    refused = mesh.start("up", "up", "--ca-dir", str(cacerts))
    assert refused.wait() == 1
    assert "another certificate authority" in refused.output
    mesh.up()
    back = mesh.tulle("ca", "rotate", "--ca-dir", str(cacerts))
    assert back.returncode == 0, back.stderr
    phase(mesh, "ready")
    assert mesh.tulle("ca", "finish").returncode == 0
    assert caller.call("http://service-b/data").status == 200
