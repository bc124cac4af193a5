"""Enrolment: names and requests go in, two identities and Envoy's bootstrap come out."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tulle.identity.authority import Authority
from tulle.identity.enrolment import EnrolAnswer, Enrolment, EnrolRefused, EnrolRequest
from tulle.identity.root import new_root
from tulle.identity.svid import proved_id

NOW = 1_800_000_000.0


def enrol(**changes: str) -> EnrolAnswer:
    request = {
        "proxy": "web-3fa2c1",
        "namespace": "shop",
        "service": "web",
        "service_account": "frontend",
        "csr": csr(),
        "proxy_csr": csr(),
    }
    authority = Authority(new_root(datetime.fromtimestamp(NOW, UTC)), lambda: NOW)
    enrolment = Enrolment(authority, 600, lambda proxy: {"node": {"id": proxy}})
    return enrolment.enrol(EnrolRequest(**(request | changes)))


def csr() -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def test_an_agent_gets_its_workloads_identity_its_proxys_and_a_bootstrap() -> None:
    answer = enrol()

    assert proved_id(answer.identity.encode()) == "spiffe://cluster.local/ns/shop/sa/frontend"
    assert proved_id(answer.proxy.encode()) == "spiffe://cluster.local/proxy/web-3fa2c1"
    root = x509.load_pem_x509_certificate(answer.bundle.encode())
    for pem in (answer.identity, answer.proxy):
        leaf, intermediate = x509.load_pem_x509_certificates(pem.encode())
        leaf.verify_directly_issued_by(intermediate)
        intermediate.verify_directly_issued_by(root)
    assert (answer.not_before, answer.not_after) == (int(NOW), int(NOW) + 600)
    assert answer.bootstrap == {"node": {"id": "web-3fa2c1"}}


@pytest.mark.parametrize("field", ["proxy", "namespace", "service", "service_account"])
@pytest.mark.parametrize("name", ["", "Web", "web/admin", "web.shop", "-web", "w" * 64, "web\n", "wéb"])
def test_a_name_that_is_no_dns_label_is_refused(field: str, name: str) -> None:
    with pytest.raises(EnrolRefused, match="is no DNS label"):
        enrol(**{field: name})


def test_all_bad_names_are_told_at_once() -> None:
    with pytest.raises(EnrolRefused, match=r"proxy id 'A'.*; namespace 'B'.*; service account ''"):
        enrol(proxy="A", namespace="B", service_account="")


@pytest.mark.parametrize("field", ["csr", "proxy_csr"])
def test_a_bad_request_for_either_certificate_is_refused(field: str) -> None:
    with pytest.raises(EnrolRefused, match="PKCS #10"):
        enrol(**{field: "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"})
