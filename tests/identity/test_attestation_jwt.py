"""JWTs of an OIDC issuer that is really there: what each may become, and every way to be refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from tulle.identity.attestation_jwt import JwtAttestor, Mapped
from tulle.identity.attestors import AttestationRefused, AttestationUnavailable
from tulle.identity.caller import Grant
from tulle.identity.issuer import IssuerKeys, IssuerUnavailable, keys_in, url_problem

NOW = 1_800_000_000.0
KEYS: dict[str, Any] = {
    "ec": ec.generate_private_key(ec.SECP256R1()),
    "ec384": ec.generate_private_key(ec.SECP384R1()),
    "rsa": rsa.generate_private_key(65537, 2048),
    "ed": ed25519.Ed25519PrivateKey.generate(),
}
ALGORITHMS = {"ec": "ES256", "ec384": "ES384", "rsa": "RS256", "ed": "EdDSA"}


def jwk(name: str, key: Any) -> dict[str, Any]:
    algorithm = jwt.get_algorithm_by_name(ALGORITHMS.get(name, "ES256"))
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": name, "use": "sig"}


class Issuer:
    """pages: what is served, by path. asked: which paths were."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.pages: dict[str, Any] = {}
        self.asked: list[str] = []
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                page = issuer.pages.get(self.path)
                self.send_response(302 if isinstance(page, str) else 200 if page is not None else 404)
                if isinstance(page, str):
                    self.send_header("Location", page)
                self.end_headers()
                if page is not None:
                    self.wfile.write(page if isinstance(page, bytes) else json.dumps(page).encode())

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_port}"
        self.pages["/.well-known/openid-configuration"] = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        self.pages["/keys"] = {"keys": [jwk(name, key) for name, key in KEYS.items()]}
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def claims(self, **changes: Any) -> dict[str, Any]:
        """As Kubernetes makes them for a pod. A change to None leaves a claim out."""
        claims = {
            "iss": self.url,
            "aud": ["tulle", "other"],
            "exp": int(NOW) + 3600,
            "iat": int(NOW),
            "nbf": int(NOW),
            "sub": "system:serviceaccount:shop:web",
            "kubernetes.io": {
                "namespace": "shop",
                "pod": {"name": "web-1", "uid": "1"},
                "serviceaccount": {"name": "web", "uid": "2"},
            },
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, key: str = "ec", headers: dict[str, Any] | None = None, **changes: Any) -> str:
        made = headers if headers is not None else {"kid": key}
        return jwt.encode(self.claims(**changes), KEYS[key], ALGORITHMS[key], headers=made)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.close()


def attestor(
    issuer: Issuer, keys: IssuerKeys | None = None, mapping: Mapping[str, Mapped] | None = None
) -> JwtAttestor:
    return JwtAttestor(issuer.url, "tulle", keys or IssuerKeys(issuer.url), mapping or {}, lambda: NOW)


async def refusal(issuer: Issuer, token: str) -> str:
    with pytest.raises(AttestationRefused) as refused:
        await attestor(issuer).attest(token)
    return str(refused.value)


@pytest.mark.parametrize("key", list(KEYS))
async def test_a_service_accounts_token_says_what_it_may_become(issuer: Issuer, key: str) -> None:
    attested = await attestor(issuer).attest(issuer.token(key))
    source = f"jwt {issuer.url} system:serviceaccount:shop:web"
    assert attested.grant == Grant(source, "shop", "web", "web")
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]


async def test_a_mapping_comes_before_what_a_subject_says(issuer: Issuer) -> None:
    by_name = {
        "repo:you/app": Mapped("shop", "web", "deploy"),
        "system:serviceaccount:shop:web": Mapped("shop", "api", "web"),
    }
    for subject, become in by_name.items():
        attested = await attestor(issuer, mapping=by_name).attest(issuer.token(sub=subject))
        grant = attested.grant
        assert (grant.namespace, grant.service, grant.service_account) == (
            become.namespace,
            become.service,
            become.service_account,
        )


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"iss": "https://other.example.com"}, "is not of the issuer"),
        ({"iss": None}, "has no claim iss"),
        ({"aud": "other"}, "is not for the audience tulle"),
        ({"aud": None}, "has no claim aud"),
        ({"exp": int(NOW) - 60}, "has expired"),
        ({"exp": None}, "has no claim exp"),
        ({"exp": "soon"}, "is no time"),
        ({"exp": True}, "is no time"),
        ({"exp": 1e300}, "is no time"),
        ({"nbf": int(NOW) + 61}, "is not valid yet"),
        ({"iat": int(NOW) + 61}, "is not valid yet"),
        ({"sub": None}, "has no claim sub"),
        ({"sub": ""}, "may enrol as nothing"),
        ({"sub": "repo:you/app"}, "may enrol as nothing"),
        ({"sub": "system:serviceaccount:shop:web:x"}, "may enrol as nothing"),
        ({"sub": "system:serviceaccount:shop:Web"}, "may enrol as nothing"),
        ({"sub": "system:serviceaccount:shop:api"}, "name different service accounts"),
        ({"sub": "system:serviceaccount:prod:web"}, "name different service accounts"),
        ({"kubernetes.io": None}, "no claim kubernetes.io"),
        ({"kubernetes.io": []}, "no claim kubernetes.io"),
    ],
)
async def test_a_token_that_does_not_say_what_it_must_is_refused(
    issuer: Issuer, changes: dict[str, Any], error: str
) -> None:
    assert error in await refusal(issuer, issuer.token(**changes))


async def test_clocks_may_differ_a_little(issuer: Issuer) -> None:
    await attestor(issuer).attest(issuer.token(exp=int(NOW) - 59, nbf=int(NOW) + 59, iat=int(NOW) + 59))


def part(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


async def test_no_signature_and_one_made_with_a_public_key_prove_nothing(issuer: Issuer) -> None:
    claims = part(issuer.claims())
    public = KEYS["rsa"].public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for name in ("none", "None", "NONE"):
        assert "signature is not" in await refusal(issuer, f"{part({'alg': name, 'kid': 'rsa'})}.{claims}.")
    signed = f"{part({'alg': 'HS256', 'kid': 'rsa', 'typ': 'JWT'})}.{claims}"
    mac = base64.urlsafe_b64encode(hmac.digest(pem, signed.encode(), hashlib.sha256)).decode().rstrip("=")
    assert "signature is not" in await refusal(issuer, f"{signed}.{mac}")


async def test_a_key_signs_by_its_own_algorithm_alone(issuer: Issuer) -> None:
    token = jwt.encode(issuer.claims(), KEYS["rsa"], "RS256", headers={"kid": "ec"})
    assert "signature is not" in await refusal(issuer, token)
    issuer.pages["/keys"]["keys"] = [{**jwk("rsa", KEYS["rsa"]), "alg": "PS256"}]
    assert "signature is not" in await refusal(issuer, issuer.token("rsa"))
    signed = jwt.encode(issuer.claims(), KEYS["rsa"], "PS256", headers={"kid": "rsa"})
    assert (await attestor(issuer).attest(signed)).grant.service == "web"


async def test_a_key_that_comes_with_the_token_is_not_believed(issuer: Issuer) -> None:
    thief = ec.generate_private_key(ec.SECP256R1())
    own = {"jwk": jwk("ec", thief), "jku": f"{issuer.url}/stolen", "x5u": f"{issuer.url}/stolen"}
    token = jwt.encode(issuer.claims(), thief, "ES256", headers={"kid": "ec", **own})
    assert "signature is not" in await refusal(issuer, token)
    assert "/stolen" not in issuer.asked


@pytest.mark.parametrize("headers", [{}, {"kid": ""}, {"kid": "ec", "crit": ["exp"]}, {"kid": "ec", "crit": []}])
async def test_a_token_must_name_its_key_and_ask_for_nothing_strange(issuer: Issuer, headers: dict[str, Any]) -> None:
    signed = jwt.encode(issuer.claims(), KEYS["ec"], "ES256", headers={"kid": "ec"})
    _, claims, signature = signed.split(".")
    said = await refusal(issuer, f"{part({'alg': 'ES256', **headers})}.{claims}.{signature}")
    assert "does not name the key" in said or said == "this is no JWT"


async def test_a_changed_token_is_refused(issuer: Issuer) -> None:
    head, _claims, signature = issuer.token().split(".")
    other = part(issuer.claims(sub="system:serviceaccount:shop:api"))
    assert "signature is not" in await refusal(issuer, f"{head}.{other}.{signature}")
    assert "longer than" in await refusal(issuer, f"{head}.{'A' * 20_000}.{signature}")


async def test_a_key_that_is_not_known_is_looked_for_and_not_for_every_stranger(issuer: Issuer) -> None:
    now = 0.0
    keys = IssuerKeys(issuer.url, steady=lambda: now)
    made = attestor(issuer, keys)
    await made.attest(issuer.token("ec"))
    newer = ec.generate_private_key(ec.SECP256R1())
    issuer.pages["/keys"]["keys"].append(jwk("newer", newer))
    token = jwt.encode(issuer.claims(), newer, "ES256", headers={"kid": "newer"})
    for _ in range(20):
        with pytest.raises(AttestationRefused, match="a key that its issuer does not have"):
            await made.attest(token)
    assert issuer.asked.count("/keys") == 1
    now += 11
    await made.attest(token)
    assert issuer.asked.count("/keys") == 2


async def test_what_was_had_once_is_good_while_the_issuer_is_away(issuer: Issuer) -> None:
    now = 0.0
    made = attestor(issuer, IssuerKeys(issuer.url, steady=lambda: now))
    await made.attest(issuer.token())
    issuer.pages.clear()
    now += 3600
    await made.attest(issuer.token())


async def test_without_any_keys_nobody_can_tell(issuer: Issuer) -> None:
    issuer.pages.clear()
    made = attestor(issuer)
    for _ in range(3):
        with pytest.raises(AttestationUnavailable):
            await made.attest(issuer.token())
    assert len(issuer.asked) == 1


def broken(pages: dict[str, Any], url: str) -> Iterator[Callable[[], None]]:
    document = pages["/.well-known/openid-configuration"]
    yield lambda: document.update(issuer="https://other.example.com")
    yield lambda: document.update(jwks_uri="http://192.0.2.1/keys")
    yield lambda: document.update(jwks_uri="file:///etc/passwd")
    yield lambda: document.pop("jwks_uri")
    yield lambda: pages.update({"/keys": f"{url}/elsewhere", "/elsewhere": dict(pages["/keys"])})
    yield lambda: pages.update({"/keys": b" " * 300_000})
    yield lambda: pages.update({"/keys": b"[" * 100_000})
    yield lambda: pages.update({"/keys": {"keys": []}})
    yield lambda: pages.update({"/keys": {"keys": [{"kty": "oct", "k": "AAAA", "kid": "ec"}]}})


@pytest.mark.parametrize("number", range(9))
async def test_an_issuer_that_says_something_else_is_not_believed(issuer: Issuer, number: int) -> None:
    list(broken(issuer.pages, issuer.url))[number]()
    with pytest.raises(IssuerUnavailable):
        await IssuerKeys(issuer.url).find("ec")
    assert "/elsewhere" not in issuer.asked


async def test_keys_may_be_in_a_file_or_elsewhere(issuer: Issuer, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(issuer.pages["/keys"]))
    for source in (str(file), f"{issuer.url}/keys"):
        await attestor(issuer, IssuerKeys("https://nobody.example.com", source)).attest(issuer.token())
    file.unlink()
    with pytest.raises(IssuerUnavailable, match="No such file"):
        await IssuerKeys(issuer.url, str(file)).find("ec")


@contextmanager
def https_issuer(folder: Path) -> Iterator[tuple[Issuer, str]]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(private + pem)
    (folder / "ca.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    issuer = Issuer(context)
    try:
        yield issuer, str(folder / "ca.pem")
    finally:
        issuer.close()


async def test_an_https_issuer_must_prove_itself(tmp_path: Path) -> None:
    with https_issuer(tmp_path) as (issuer, ca):
        await attestor(issuer, IssuerKeys(issuer.url, ca=ca)).attest(issuer.token())
        with pytest.raises(AttestationUnavailable):
            await attestor(issuer).attest(issuer.token())


@pytest.mark.parametrize(
    ("url", "is_good"),
    [
        ("https://oidc.example.com", True),
        ("http://127.0.0.1:8080/keys", True),
        ("http://[::1]:8080", True),
        ("http://localhost", True),
        ("http://oidc.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("https://user@example.com", False),
        ("ftp://example.com", False),
        ("https://", False),
        ("https://[", False),
        ("https://a:99999", False),
    ],
)
def test_where_keys_may_come_from(url: str, is_good: bool) -> None:
    assert (url_problem(url) == "") is is_good


def test_a_set_holds_what_can_verify_and_nothing_else() -> None:
    weak = rsa.generate_private_key(65537, 1024)
    private = jwt.get_algorithm_by_name("ES256").to_jwk(KEYS["ec"], as_dict=True)
    bad: list[Any] = [
        jwk("rsa", weak) | {"kid": "weak"},
        {**private, "kid": "private"},
        {**jwk("ec", KEYS["ec"]), "kid": "for encryption", "use": "enc"},
        {**jwk("ec", KEYS["ec"]), "kid": "shared", "alg": "HS256"},
        {**jwk("ec", KEYS["ec"]), "kid": "bent", "crv": "secp256k1"},
        {**jwk("ec", KEYS["ec"]), "kid": 7},
        {**jwk("ec", KEYS["ec"]), "kid": "off the curve", "x": "AAAA"},
        "no object",
        {"kid": "no kind"},
        {"kid": "list", "kty": ["EC"]},
    ]
    found = keys_in(json.dumps({"keys": [*bad, jwk("ec", KEYS["ec"])]}).encode())
    assert set(found) == {"ec"}


class NoFetch(IssuerKeys):
    """The keys without an issuer, for many questions."""

    async def find(self, key_id: str) -> jwt.PyJWK | None:
        return _KEYS_BY_ID.get(key_id)


_KEYS_BY_ID = keys_in(json.dumps({"keys": [jwk(name, key) for name, key in KEYS.items()]}).encode())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def judged(token: str) -> None:
    """Attested, or refused as it may be; anything else is a mistake."""
    made = JwtAttestor("https://issuer", "tulle", NoFetch("https://issuer"), {}, lambda: NOW)
    try:
        made.attest(token).send(None)
    except StopIteration as done:
        assert done.value.grant.namespace == "shop"
    except AttestationRefused as refused:
        assert len(str(refused)) < 1000


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.text(),
        st.lists(st.text(alphabet="AZaz09-_="), min_size=2, max_size=4).map(".".join),
        st.tuples(JSON, JSON, st.binary(max_size=70)).map(
            lambda t: f"{part(t[0])}.{part(t[1])}.{base64.urlsafe_b64encode(t[2]).decode()}"
        ),
    )
)
def test_any_text_is_a_jwt_or_refused(token: str) -> None:
    judged(token)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(sorted(jwk("rsa", KEYS["rsa"]) | jwk("ec", KEYS["ec"]))), JSON), max_size=3
    )
)
def test_any_json_is_a_set_of_keys_or_refused(keys: list[Any]) -> None:
    mixed = [{**jwk("ec", KEYS["ec"]), **key} for key in keys]
    for content in ({"keys": keys}, {"keys": mixed}, keys):
        with suppress(IssuerUnavailable):
            keys_in(json.dumps(content).encode())


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "b64", "crit", "jku"]), JSON | st.sampled_from(["ES256", "ec"])
    ),
    st.dictionaries(
        st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "kubernetes.io", "jti"]),
        JSON | st.sampled_from(["https://issuer", "tulle", "system:serviceaccount:shop:web"]),
    ),
)
def test_any_signed_claims_are_judged(headers: dict[str, Any], claims: dict[str, Any]) -> None:
    signed = f"{part({'alg': 'ES256', 'kid': 'ec', **headers})}.{part(claims)}"
    signature = jwt.get_algorithm_by_name("ES256").sign(signed.encode(), KEYS["ec"])
    judged(f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}")
