"""A certificate authority that is brought along: which are taken, which are refused, and with what words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from tulle.config import CaFiles
from tulle.identity.authority import Authority, AuthorityEnded
from tulle.identity.brought import Brought, brought_ca, read_brought
from tulle.identity.ca import Ca, CaUnusable, key_pem, pem_of
from tulle.identity.crl import Revoked
from tulle.identity.private import StateUnusable
from tulle.identity.svid import proved_id

NOW = 1_800_000_000.0
WHEN = datetime.fromtimestamp(NOW, UTC)
ELLIPTIC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)


def made(above: Ca | None = None, name: str = "", key: Any = None, **shape: Any) -> Ca:
    """An authority as others may have made it. shape: ca, length, usage, extensions, begins, days."""
    key = key or ec.generate_private_key(ec.SECP384R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name or ("root" if above is None else "below"))])
    begins = shape.get("begins", WHEN - timedelta(days=1))
    builder = x509.CertificateBuilder(
        above.certificate.subject if above else subject,
        subject,
        key.public_key(),
        x509.random_serial_number(),
        begins,
        begins + timedelta(days=shape.get("days", 365)),
    ).add_extension(x509.BasicConstraints(shape.get("ca", True), shape.get("length")), critical=True)
    if usage := shape.get("usage", (True, True)):
        sign, crl = usage
        flags = x509.KeyUsage(not sign, False, False, False, False, sign, crl, False, False)
        builder = builder.add_extension(flags, critical=True)
    for extension in shape.get("extensions", ()):
        builder = builder.add_extension(extension, critical=False)
    certificate = builder.sign(above.key if above else key, hashes.SHA256())
    return Ca(key, certificate, above.path if above else ())


def brought(ca: Ca, between: Sequence[Ca] = ()) -> Brought:
    chain = pem_of(one.certificate for one in between)
    return Brought(pem_of([ca.certificate]), key_pem(ca.key).decode(), pem_of([ca.root]), chain)


def opened(folder: Path, what: Brought | None, now: float = NOW) -> Authority:
    return Authority.open(folder / "ca", lambda: now, what)


ROOT = made(key=RSA)


@pytest.mark.parametrize(
    ("ca", "between", "shown"),
    [
        (ROOT, [], 2),  # and an intermediate of our own
        (made(ROOT, length=0), [], 2),
        (made(ROOT), [], 3),
        (made(made(ROOT, "one"), "two", length=0, key=RSA), [made(ROOT, "one")], 3),
        (made(ROOT, length=0, usage=None), [], 2),
    ],
    ids=["a root", "one below it", "one with room", "two below it", "one without key usage"],
)
def test_leaves_lead_through_what_was_brought_to_its_root_alone(
    tmp_path: Path, ca: Ca, between: list[Ca], shown: int
) -> None:
    # What is given of the chain is found by its names: the order, and whether root and authority are in it, is others' habit.
    given = brought(ca, [])
    chain = pem_of([ca.root, *reversed(ca.chain), ca.certificate])
    authority = opened(tmp_path, Brought(given.cert, given.key, given.root, chain))

    issued = authority.server_certificate(600).certificate
    leaf, *above = x509.load_pem_x509_certificates(issued.chain_pem.encode())
    assert authority.bundle_pem == given.root
    assert 1 + len(above) == shown
    assert proved_id(issued.chain_pem.encode()) == "spiffe://cluster.local/control-plane"
    current = leaf
    for certificate in (*above, ca.root):
        current.verify_directly_issued_by(certificate)
        current = certificate
    assert opened(tmp_path, brought(ca, [Ca(ca.key, one) for one in ca.chain[:-1]])).bundle_pem == given.root
    assert opened(tmp_path, None).bundle_pem == given.root


def test_a_verifier_of_the_web_takes_a_chain_of_a_brought_authority(tmp_path: Path) -> None:
    identified = [x509.SubjectKeyIdentifier.from_public_key(RSA.public_key())]
    root = made(key=RSA, extensions=identified)
    below = made(
        root,
        extensions=[
            x509.SubjectKeyIdentifier(b"12345678"),
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identified[0]),
        ],
        length=0,
    )
    issued = opened(tmp_path, brought(below)).server_certificate(600).certificate
    leaf, *above = x509.load_pem_x509_certificates(issued.chain_pem.encode())
    policy = PolicyBuilder().store(Store([root.certificate])).time(WHEN.replace(tzinfo=None))
    policy.build_client_verifier().verify(leaf, above)


@pytest.mark.parametrize("limit", ["example.com", None])
def test_an_authority_that_is_for_some_names_of_dns_gives_workloads_none(tmp_path: Path, limit: str | None) -> None:
    root = made(extensions=[x509.NameConstraints([x509.DNSName(limit)], None)] if limit else [])
    authority = opened(tmp_path, brought(root))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    csr = builder.sign(ELLIPTIC, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    issued = authority.issue(csr, "spiffe://cluster.local/ns/shop/sa/web", 60, peer="web.shop.web.v1.web.v1.workload")
    leaf, *above = x509.load_pem_x509_certificates(issued.chain_pem.encode())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert len(names) == (1 if limit else 2)
    policy = PolicyBuilder().store(Store([root.certificate])).time(WHEN.replace(tzinfo=None))
    policy.build_client_verifier().verify(leaf, above)


OTHER = made(name="other")


def name_limits(permitted: list[str] | None = None, excluded: list[str] | None = None) -> x509.NameConstraints:
    def names(texts: list[str] | None) -> list[x509.GeneralName] | None:
        return [x509.UniformResourceIdentifier(text) for text in texts] if texts else None

    return x509.NameConstraints(names(permitted), names(excluded))


def uri(text: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(text)])


@pytest.mark.parametrize(
    ("ca", "message"),
    [
        (made(ROOT, ca=False), "no certificate of an authority"),
        (made(ROOT, usage=(False, False)), "no certificate of an authority"),
        (Ca(ELLIPTIC, made(ROOT).certificate, ROOT.path), "the key is not the certificate's"),
        (Ca(ROOT.key, ROOT.certificate, OTHER.path), "does not lead to the root"),
        (made(ROOT, days=0), "clock says"),
        (made(ROOT, begins=WHEN + timedelta(days=2)), "clock says"),
        (made(made(days=1)), "clock says"),
        (made(made(length=0), length=0), "allows 0 authorities below it"),
        (made(ROOT, extensions=[uri("spiffe://example.com")]), "trust domain is cluster.local"),
        (made(ROOT, extensions=[name_limits(["example.com"])]), "name constraints"),
        (made(ROOT, extensions=[name_limits(excluded=[".local"])]), "name constraints"),
        (made(ROOT, key=rsa.generate_private_key(65537, 1024)), "RSA of 2048 bits or more"),
        (made(ROOT, key=ec.generate_private_key(ec.SECP224R1())), "P-256, P-384 or P-521"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_what_can_be_no_authority_of_this_mesh_is_refused(tmp_path: Path, ca: Ca, message: str) -> None:
    with pytest.raises(CaUnusable, match=message):
        brought_ca(brought(ca), WHEN)
    with pytest.raises(StateUnusable, match="brought along can't be used"):
        opened(tmp_path, brought(ca))
    assert not (tmp_path / "ca").exists()


def test_a_link_that_only_has_the_right_name_is_refused() -> None:
    impostor = made(name="root", key=ELLIPTIC)
    given = brought(made(ROOT))
    with pytest.raises(CaUnusable, match="is not signed by"):
        brought_ca(Brought(given.cert, given.key, pem_of([impostor.certificate])), WHEN)
    between = made(ROOT, "one")
    with pytest.raises(CaUnusable, match="no root: it is not signed by itself"):
        brought_ca(brought(Ca(between.key, between.certificate)), WHEN)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cert": "no PEM"}, "ca-cert: .*can't be read"),
        ({"root": ""}, "ca-root: .*can't be read"),
        ({"root": pem_of([ROOT.certificate, OTHER.certificate])}, "it holds 2 certificates"),
        ({"chain": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, "ca-chain: .*can't be read"),
        ({"key": "garbage"}, "ca-key: .*can't be read"),
        (
            {
                "key": ELLIPTIC.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.BestAvailableEncryption(b"word"),
                ).decode()
            },
            "encrypted: decrypt it first",
        ),
        (
            {
                "key": ed25519.Ed25519PrivateKey.generate()
                .private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
                .decode()
            },
            "P-256, P-384 or P-521, or RSA",
        ),
    ],
)
def test_a_file_that_holds_something_else_is_named(fields: dict[str, str], message: str) -> None:
    given = brought(made(ROOT))
    whole = {"cert": given.cert, "key": given.key, "root": given.root, "chain": given.chain}
    with pytest.raises(CaUnusable, match=message):
        brought_ca(Brought(**{**whole, **fields}), WHEN)


@pytest.mark.parametrize(
    "limits", [name_limits(["cluster.local"]), name_limits([".local"]), name_limits(None, ["a.b"])]
)
def test_name_constraints_that_allow_the_trust_domain_are_taken(limits: x509.NameConstraints) -> None:
    brought_ca(brought(made(ROOT, extensions=[limits, uri("spiffe://cluster.local")])), WHEN)


def test_a_key_file_that_others_can_read_is_refused_and_no_key_is_ever_shown(tmp_path: Path) -> None:
    ca = made(ROOT)
    files = CaFiles(*(tmp_path / name for name in ("cert", "key", "root")))
    files.cert.write_text(pem_of([ca.certificate]))
    files.root.write_text(pem_of([ca.root]))
    files.key.write_bytes(key_pem(ca.key))
    files.key.chmod(0o644)
    with pytest.raises(StateUnusable, match=f"chmod 600 {files.key}"):
        read_brought(files)
    files.key.chmod(0o600)
    found = read_brought(files)
    assert brought_ca(found, WHEN).id == ca.id
    assert "PRIVATE" not in repr(found)
    files.root.unlink()
    with pytest.raises(StateUnusable, match=f"can't read {files.root}"):
        read_brought(files)


def test_another_root_for_a_mesh_that_has_one_is_refused_with_the_way_to_it(tmp_path: Path) -> None:
    before = opened(tmp_path, None)
    with pytest.raises(StateUnusable, match="tulle ca rotate"):
        opened(tmp_path, brought(ROOT))
    assert opened(tmp_path, None).bundle_pem == before.bundle_pem


def test_another_authority_below_the_same_root_takes_over_once_it_may(tmp_path: Path) -> None:
    old, new = made(ROOT, "old", length=0, days=30), made(ROOT, "new", length=0)
    opened(tmp_path, brought(old))
    authority = opened(tmp_path, brought(new))
    assert authority.known.active.id == old.id  # until all that check lists have one of the new
    authority.activate()
    assert authority.known.active.id == new.id
    assert opened(tmp_path, brought(new)).known.active.id == new.id


def test_an_authority_that_has_ended_is_replaced_by_another_below_its_root(tmp_path: Path) -> None:
    opened(tmp_path, brought(made(ROOT, "old", length=0, days=30)))
    later = NOW + timedelta(days=40).total_seconds()
    with pytest.raises(StateUnusable, match="clock says"):
        opened(tmp_path, None, later)
    newest = made(ROOT, "newest", length=0)
    assert opened(tmp_path, brought(newest), later).known.active.id == newest.id


@pytest.mark.parametrize("length", [0, 1])
def test_an_authority_that_ends_meanwhile_signs_nothing_and_ends_nothing_else(length: int) -> None:
    now = NOW
    authority = Authority(made(ROOT, "short", length=length, days=30), lambda: now)
    first = authority.known
    now += timedelta(days=40).total_seconds()
    authority.renew()
    assert authority.known is first
    authority.revoke([Revoked(5, NOW)])
    assert authority.trust.crl_pem
    with pytest.raises(AuthorityEnded, match=r"has ended at 2027-02-1. .*tulle ca rotate"):
        authority.server_certificate(600)
    authority.rotate(brought(made(ROOT, "newest", length=0)))
    authority.activate()
    assert authority.server_certificate(600)
