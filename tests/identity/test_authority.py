"""What the authority signs, and what it refuses to sign."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from hypothesis import given, settings
from hypothesis import strategies as st

from tulle.identity.authority import Authority, ServerCertificate
from tulle.identity.csr import CsrRefused
from tulle.identity.root import new_root
from tulle.identity.svid import NotAnSvid, proved_id, subject_of
from tulle.model.spiffe import CONTROL_PLANE_ID, proxy_id, workload_id

NOW = 1_800_000_000.0
WEB = workload_id("default", "web")
AUTHORITY = Authority(new_root(datetime.fromtimestamp(NOW, UTC)), lambda: NOW)
KEY = ec.generate_private_key(ec.SECP256R1())


def csr(key: CertificateIssuerPrivateKeyTypes = KEY, *names: x509.GeneralName) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(serialization.Encoding.PEM).decode()


def uri(name: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(name)


def verify(authority: Authority, pem: str, at: float) -> None:
    """Verifies as a peer would: path validation of RFC 5280 with the Web PKI's rules on top."""
    roots = Store(x509.load_pem_x509_certificates(authority.bundle_pem.encode()))
    builder = PolicyBuilder().store(roots).time(datetime.fromtimestamp(at, UTC).replace(tzinfo=None))
    leaf, *above = x509.load_pem_x509_certificates(pem.encode())
    builder.build_client_verifier().verify(leaf, above)


def test_a_signed_certificate_proves_exactly_the_id_and_verifies_for_its_whole_lifetime() -> None:
    issued = AUTHORITY.issue(csr(KEY, uri(WEB)), WEB, ttl=3600)

    assert (issued.not_before, issued.not_after) == (int(NOW), int(NOW) + 3600)
    assert proved_id(issued.chain_pem.encode()) == WEB
    for moment in (NOW - 299, NOW, NOW + 3599):
        verify(AUTHORITY, issued.chain_pem, moment)
    for moment in (NOW - 301, NOW + 3601):
        with pytest.raises(VerificationError):
            verify(AUTHORITY, issued.chain_pem, moment)


def test_a_certificate_has_the_shape_that_the_svid_standard_asks_for() -> None:
    chain = x509.load_pem_x509_certificates(AUTHORITY.issue(csr(), WEB, ttl=60).chain_pem.encode())
    certificate, issuer = chain
    get = certificate.extensions.get_extension_for_class

    names = get(x509.SubjectAlternativeName)
    assert names.critical and list(names.value) == [uri(WEB)]
    assert not list(certificate.subject)
    named = x509.load_pem_x509_certificate(AUTHORITY.issue(csr(), WEB, ttl=60, instance="web-1").chain_pem.encode())
    assert named.subject.rfc4514_string() == subject_of("web-1") == "CN=web-1"
    assert list(named.extensions.get_extension_for_class(x509.SubjectAlternativeName).value) == [uri(WEB)]
    assert get(x509.BasicConstraints).critical and not get(x509.BasicConstraints).value.ca
    usage = get(x509.KeyUsage)
    assert usage.critical and usage.value.digital_signature
    assert not usage.value.key_cert_sign and not usage.value.crl_sign and not usage.value.key_encipherment
    assert set(get(x509.ExtendedKeyUsage).value) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert get(x509.AuthorityKeyIdentifier).value.key_identifier == (
        issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    )
    assert certificate.issuer == issuer.subject
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)
    assert certificate.public_key() == KEY.public_key()
    another = x509.load_pem_x509_certificate(AUTHORITY.issue(csr(), WEB, ttl=60).chain_pem.encode())
    assert another.serial_number != certificate.serial_number


def test_a_certificate_with_a_name_for_figures_proves_the_same_id_and_verifies() -> None:
    peer = "web-v1.shop.web.v1.web.v1.workload"
    issued = AUTHORITY.issue(csr(), WEB, ttl=60, instance="web-1", peer=peer)
    names = x509.load_pem_x509_certificate(issued.chain_pem.encode()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert list(names.value) == [uri(WEB), x509.DNSName(peer)]
    assert proved_id(issued.chain_pem.encode()) == WEB
    verify(AUTHORITY, issued.chain_pem, NOW)


@pytest.mark.parametrize("name", [f"{'a' * 64}.workload", ".".join(["a" * 60] * 5)])
def test_what_is_too_long_for_a_name_is_left_out(name: str) -> None:
    pem = AUTHORITY.issue(csr(), WEB, ttl=60, peer=name).chain_pem.encode()
    names = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert list(names.value) == [uri(WEB)]


def test_openssl_accepts_the_control_planes_certificate_on_both_ends_of_a_connection(tmp_path: Path) -> None:
    authority = Authority.open(tmp_path / "ca", lambda: datetime.now(UTC).timestamp())
    server, client = authority.server_certificate(600), authority.server_certificate(600)

    def context(side: ssl._SSLMethod, made: ServerCertificate) -> ssl.SSLContext:
        context = ssl.SSLContext(side)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.load_verify_locations(cadata=authority.bundle_pem)
        file = tmp_path / "pair.pem"
        file.write_text(made.key_pem + made.certificate.chain_pem)
        context.load_cert_chain(file)
        return context

    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        context(ssl.PROTOCOL_TLS_CLIENT, client).wrap_bio(to_client, to_server),
        context(ssl.PROTOCOL_TLS_SERVER, server).wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(3):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    for end in ends:
        seen = end.getpeercert(binary_form=True)
        assert seen and proved_id(ssl.DER_cert_to_PEM_cert(seen).encode()) == CONTROL_PLANE_ID


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_elliptic_keys_of_256_bits_and_more_are_signed(curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    issued = AUTHORITY.issue(csr(key), WEB, ttl=60)
    assert x509.load_pem_x509_certificate(issued.chain_pem.encode()).public_key() == key.public_key()


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP224R1()),
        ec.generate_private_key(ec.SECP256K1()),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["rsa", "p-224", "secp256k1", "ed25519"],
)
def test_other_keys_are_refused(key: CertificateIssuerPrivateKeyTypes) -> None:
    with pytest.raises(CsrRefused, match="P-256"):
        AUTHORITY.issue(csr(key), WEB, ttl=60)


@pytest.mark.parametrize(
    "names",
    [
        [uri(workload_id("default", "admin"))],
        [uri(WEB), uri(proxy_id("web-000000"))],
        [uri(WEB), x509.DNSName("web")],
        [x509.DNSName("web")],
    ],
    ids=["another id", "two ids", "id and DNS name", "DNS name"],
)
def test_a_request_for_other_names_than_the_one_granted_is_refused(names: list[x509.GeneralName]) -> None:
    with pytest.raises(CsrRefused, match=r"only spiffe://cluster\.local/ns/default/sa/web can be signed"):
        AUTHORITY.issue(csr(KEY, *names), WEB, ttl=60)


def test_a_request_that_another_key_signed_is_refused() -> None:
    der = bytearray(x509.load_pem_x509_csr(csr().encode()).public_bytes(serialization.Encoding.DER))
    theirs = KEY.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    mine = ec.generate_private_key(ec.SECP256R1()).public_key()
    at = bytes(der).index(theirs)
    der[at : at + len(theirs)] = mine.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(CsrRefused, match="not signed by its own key"):
        AUTHORITY.issue(forged, WEB, ttl=60)


@given(st.one_of(st.text(), st.binary().map(lambda raw: raw.decode("latin-1"))))
def test_garbage_instead_of_a_request_is_refused(garbage: str) -> None:
    with pytest.raises(CsrRefused):
        AUTHORITY.issue(garbage, WEB, ttl=60)


# Made once: a signature's length, and with it what hypothesis draws from, differs from one to the next.
REQUEST = x509.load_pem_x509_csr(csr(KEY, uri(WEB)).encode()).public_bytes(serialization.Encoding.DER)


def test_a_request_of_a_version_that_does_not_exist_is_refused() -> None:
    other = REQUEST.replace(b"\x02\x01\x00", b"\x02\x01\x01", 1)
    with pytest.raises(CsrRefused, match="no PKCS #10 request"):
        AUTHORITY.issue(ssl.DER_cert_to_PEM_cert(other).replace("CERTIFICATE", "CERTIFICATE REQUEST"), WEB, ttl=60)


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_request_is_refused_or_changes_nothing_that_is_signed(data: st.DataObject) -> None:
    damaged = bytearray(REQUEST)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, 999)) % len(REQUEST)] = data.draw(st.integers(0, 255))
    pem = ssl.DER_cert_to_PEM_cert(bytes(damaged)).replace("CERTIFICATE", "CERTIFICATE REQUEST")
    try:
        issued = AUTHORITY.issue(pem, WEB, ttl=60)
    except CsrRefused:
        return
    assert proved_id(issued.chain_pem.encode()) == WEB
    assert x509.load_pem_x509_certificate(issued.chain_pem.encode()).public_key() == KEY.public_key()


def test_an_endless_request_is_refused_without_being_parsed() -> None:
    with pytest.raises(CsrRefused, match="longer than"):
        AUTHORITY.issue(csr() + "\n" * 20_000, WEB, ttl=60)


def test_no_certificate_outlives_what_it_leads_through() -> None:
    issued = AUTHORITY.issue(csr(), WEB, ttl=timedelta(days=36_500).total_seconds())
    above = x509.load_pem_x509_certificates(issued.chain_pem.encode())[1]
    assert issued.not_after == int(above.not_valid_after_utc.timestamp()) == int(NOW) + 7 * 24 * 3600
    assert above.not_valid_after_utc < AUTHORITY.known.anchors[0].root.not_valid_after_utc


def test_what_signs_leaves_may_sign_nothing_else_and_shows_the_trust_domain() -> None:
    intermediate = x509.load_pem_x509_certificates(AUTHORITY.issue(csr(), WEB, ttl=60).chain_pem.encode())[1]
    root = x509.load_pem_x509_certificate(AUTHORITY.bundle_pem.encode())
    for certificate, length in ((root, 1), (intermediate, 0)):
        get = certificate.extensions.get_extension_for_class
        constraints, usage = get(x509.BasicConstraints), get(x509.KeyUsage)
        assert constraints.critical and constraints.value == x509.BasicConstraints(ca=True, path_length=length)
        assert usage.critical and usage.value.key_cert_sign and usage.value.crl_sign
        assert not usage.value.digital_signature and not usage.value.key_encipherment
        assert list(get(x509.SubjectAlternativeName).value) == [uri("spiffe://cluster.local")]
    assert intermediate.issuer == root.subject != intermediate.subject


NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)


@given(NAMES, NAMES, st.integers(1, 10**7), st.sampled_from([NOW, NOW + 3600.5, NOW + 10**6]))
def test_every_certificate_is_a_leaf_with_exactly_one_id_that_a_verifier_takes_for_its_whole_life(
    namespace: str, account: str, ttl: int, now: float
) -> None:
    authority = Authority(AUTHORITY.known.anchors[0], lambda: now)
    spiffe_id = workload_id(namespace, account)
    issued = authority.issue(csr(KEY, uri(spiffe_id)), spiffe_id, ttl)
    leaf, above = x509.load_pem_x509_certificates(issued.chain_pem.encode())
    get = leaf.extensions.get_extension_for_class
    assert [name.value for name in get(x509.SubjectAlternativeName).value] == [spiffe_id]
    assert not get(x509.BasicConstraints).value.ca
    assert not get(x509.KeyUsage).value.key_cert_sign and not get(x509.KeyUsage).value.crl_sign
    assert {one.oid for one in leaf.extensions} == {
        *(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE),
        *(ExtensionOID.EXTENDED_KEY_USAGE, ExtensionOID.SUBJECT_KEY_IDENTIFIER, ExtensionOID.AUTHORITY_KEY_IDENTIFIER),
    }
    assert 0 < leaf.serial_number < 2**159
    assert leaf.not_valid_before_utc == datetime.fromtimestamp(int(now), UTC) - timedelta(minutes=5)
    assert leaf.not_valid_after_utc <= above.not_valid_after_utc
    assert issued.not_after == min(int(now) + ttl, int(above.not_valid_after_utc.timestamp()))
    assert (issued.serial, issued.digest) == (f"{leaf.serial_number:x}", leaf.fingerprint(hashes.SHA256()).hex())
    assert proved_id(issued.chain_pem.encode()) == spiffe_id
    for moment in (now - 299, issued.not_after - 1):
        verify(authority, issued.chain_pem, moment)


@settings(max_examples=300, deadline=1000)
@given(st.data())
def test_whatever_comes_as_a_request_is_refused_or_signed_in_a_moment(data: st.DataObject) -> None:
    """Cut, doubled, with foreign parts, lengths and PEM armour that are none."""
    request = bytearray(REQUEST)
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(request)))
        match data.draw(st.sampled_from(["cut", "double", "insert", "length"])):
            case "cut":
                del request[at : at + data.draw(st.integers(1, 60))]
            case "double":
                request[at:at] = request[at : at + 200]
            case "insert":
                request[at:at] = data.draw(st.binary(max_size=40))
            case _:
                request[at : at + 2] = data.draw(
                    st.sampled_from([b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", b"\x02\x82"])
                )
    pem = ssl.DER_cert_to_PEM_cert(bytes(request)).replace("CERTIFICATE", "CERTIFICATE REQUEST")
    armour = data.draw(st.sampled_from(["", "\0", "-----BEGIN CERTIFICATE REQUEST-----\n", "Proc-Type: 4,ENCRYPTED\n"]))
    at = data.draw(st.integers(0, len(pem)))
    try:
        issued = AUTHORITY.issue(pem[:at] + armour + pem[at:], WEB, ttl=60)
    except CsrRefused:
        return
    assert proved_id(issued.chain_pem.encode()) == WEB


def leaf_with(*names: x509.GeneralName, ca: bool = False) -> bytes:
    """A certificate as another authority might make it."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(datetime.fromtimestamp(NOW, UTC))
        .not_valid_after(datetime.fromtimestamp(NOW + 60, UTC))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(True, False, False, False, False, ca, False, False, False), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"\xff\x00 no PEM",
        leaf_with(),
        leaf_with(x509.DNSName("web")),
        leaf_with(uri(WEB), uri(proxy_id("web-000000"))),
        leaf_with(uri("spiffe://another.domain/ns/default/sa/web")),
        leaf_with(uri("spiffe://cluster.local.evil/ns/default/sa/web")),
        leaf_with(uri("spiffe://cluster.local")),
        leaf_with(uri("spiffe://cluster.local/")),
        leaf_with(uri("https://cluster.local/ns/default/sa/web")),
        leaf_with(uri(WEB), ca=True),
        AUTHORITY.bundle_pem.encode(),
    ],
    ids=[
        "empty",
        "garbage",
        "no names",
        "only a DNS name",
        "two ids",
        "another trust domain",
        "a trust domain that begins alike",
        "no path",
        "empty path",
        "no SPIFFE id",
        "an authority",
        "the root",
    ],
)
def test_a_certificate_that_is_no_svid_of_the_mesh_proves_nothing(pem: bytes) -> None:
    with pytest.raises(NotAnSvid):
        proved_id(pem)


def test_a_certificate_with_one_id_and_other_names_proves_the_id() -> None:
    assert proved_id(leaf_with(x509.DNSName("web"), uri(WEB))) == WEB
