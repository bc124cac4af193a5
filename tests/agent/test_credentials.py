"""Keys, signing requests, and the files in which Envoy finds its certificates."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tulle.agent import credentials
from tulle.agent.api import ControlPlane, Enrolment
from tulle.agent.config import AgentConfig
from tulle.agent.console import Console
from tulle.agent.credentials import Credentials, renewal_after, write_secrets
from tulle.agent.folder import Folder, agent_folder
from tulle.agent.key_making import begin, finish
from tulle.identity.possession import Proof, digest_of_key, proved_key

CONFIG = AgentConfig("service-b", "/state", ("true",), "account", namespace="shop")


def enrolment(**fields: object) -> Enrolment:
    known = {"identity": "I", "proxy": "P", "bundle": "B", "not_before": 0.0, "not_after": 1000.0, "bootstrap": {}}
    known |= {"crl": "", "trust": "T", "root": "R"}
    return Enrolment(**{**known, **fields})  # type: ignore[arg-type]


async def test_a_child_makes_fresh_keys_and_requests_that_name_workload_and_proxy() -> None:
    keys, others = [await finish(begin(CONFIG, "service-b-000001")) for _ in range(2)]
    wanted = {
        "identity": "spiffe://cluster.local/ns/shop/sa/account",
        "proxy": "spiffe://cluster.local/proxy/service-b-000001",
    }
    assert keys.keys() == {*wanted, "proof"}
    public = set()
    for name, spiffe_id in wanted.items():
        request = x509.load_pem_x509_csr(keys[name]["csr"].encode())
        key = load_pem_private_key(keys[name]["key"].encode(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert isinstance(key.curve, ec.SECP256R1)
        assert request.is_signature_valid
        assert request.public_key() == key.public_key()
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert [name.value for name in names] == [spiffe_id]
        public |= {keys[name]["key"], others[name]["key"]}
    assert len(public) == 4


async def test_a_renewals_proof_is_signed_by_the_key_so_far_and_the_first_ones_by_the_new_key() -> None:
    first = await finish(begin(CONFIG, "service-b-000001"))
    second = await finish(begin(CONFIG, "service-b-000001", first["proxy"]["key"]))
    for keys in (first, second):
        proof = Proof(**keys["proof"])
        shown = proved_key(proof, "service-b-000001", keys["identity"]["csr"], keys["proxy"]["csr"])
        signer = load_pem_private_key(first["proxy"]["key"].encode(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        assert shown == digest_of_key(signer.public_key())


def test_the_secrets_are_written_as_envoy_reads_them(tmp_path: Path) -> None:
    keys = {name: {"key": f"key of {name}", "csr": ""} for name in ("identity", "proxy")}
    with agent_folder(tmp_path, "a-000001") as folder:
        write_secrets(folder, keys, enrolment())
        files = {path.name: json.loads(path.read_text()) for path in (folder.path / "sds").iterdir()}
    resources = {name: content["resources"][0] for name, content in files.items()}
    assert {name: resource["name"] for name, resource in resources.items()} == {
        "identity.json": "identity",
        "proxy.json": "proxy",
        "bundle.json": "bundle",
        "roots.json": "roots",
    }
    assert resources["roots.json"]["validation_context"]["trusted_ca"]["filename"].startswith("/etc/")
    assert resources["bundle.json"]["validation_context"]["trusted_ca"] == {"inline_string": "B"}
    assert resources["identity.json"]["tls_certificate"] == {
        "certificate_chain": {"inline_string": "I"},
        "private_key": {"inline_string": "key of identity"},
    }
    assert resources["proxy.json"]["tls_certificate"]["private_key"] == {"inline_string": "key of proxy"}


def test_certificates_are_renewed_before_half_of_their_lifetime() -> None:
    one = enrolment(not_before=1000.0, not_after=2000.0)
    assert renewal_after(one, 0.0) == 500.0
    assert renewal_after(one, 1.0) == 400.0


async def test_what_was_given_while_the_disk_is_full_is_written_later_and_not_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, full = [], [True] * 3

    class Given(ControlPlane):
        async def enrol(self, request: dict[str, Any]) -> Enrolment:
            asked.append(request)
            return enrolment(identity=f"I{len(asked)}")

    class Disk(Folder):
        def replace(self, name: str, text: str) -> None:
            if full:
                full.pop()
                raise OSError(errno.ENOSPC, "no room")
            super().replace(name, text)

    monkeypatch.setattr(credentials, "_RENEWAL_BACK_OFF", (0.01, 0.01))
    with agent_folder(tmp_path, "service-b-000001") as folder:
        work = Credentials(CONFIG, "service-b-000001", Given(tmp_path), Console("text", "service-b-000001"))
        renewed = await work._renewed(Disk(folder.path, folder.lock), enrolment())
        assert "I1" in (folder.path / "sds/identity.json").read_text()
    assert (renewed.identity, len(asked), full) == ("I1", 1, [])
