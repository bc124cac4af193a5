"""Enrolment: names, requests and evidence go in; two identities, Envoy's bootstrap and a record of it come out."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tulle.identity import enrolled
from tulle.identity.attestation_token import TokenAttestor
from tulle.identity.attestors import AttestationRefused, Attested
from tulle.identity.audit import Event
from tulle.identity.authority import Authority
from tulle.identity.caller import Grant
from tulle.identity.enrolled_records import EnrolledRecords
from tulle.identity.enrolment import Described, EnrolAnswer, Enrolment, EnrolRefused, EnrolRequest
from tulle.identity.possession import Proof, digest_of_key
from tulle.identity.revocations import Revocations
from tulle.identity.root import new_root
from tulle.identity.svid import proved_id
from tulle.identity.tokens import JoinTokens
from tulle.model.peer import Peer, read
from tulle.model.possession import statement
from tulle.store.contract import Store
from tulle.store.sqlite import open_store

NOW = 1_800_000_000.0
Key = ec.EllipticCurvePrivateKey


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def csr(key: Key | None = None) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = builder.sign(key or new_key(), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def request(key: Key | None = None, prover: Key | None = None, **changes: Any) -> EnrolRequest:
    """key: the proxy's new one. prover: whose holder asks for it."""
    made: dict[str, Any] = {
        "proxy": "web-3fa2c1",
        "namespace": "shop",
        "service": "web",
        "service_account": "frontend",
        "csr": csr(),
        "proxy_csr": csr(key),
        **changes,
    }
    if prover:
        made["proof"] = proof(prover, made["proxy"], made["csr"], made["proxy_csr"])
    return EnrolRequest(**made)


def proof(key: Key, *what: str) -> Proof:
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    signature = key.sign(statement(*what), ec.ECDSA(hashes.SHA256()))
    return Proof(base64.b64encode(public).decode(), base64.b64encode(signature).decode())


async def local() -> Attested:
    return Attested(Grant("local"))


async def nobody() -> Attested:
    raise AttestationRefused("there is no evidence")


@dataclass
class Desk:
    """Where agents enrol. now: Unix time."""

    store: Store
    now: float = NOW
    tokens: JoinTokens = field(init=False)
    records: EnrolledRecords = field(init=False)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.authority = Authority(new_root(datetime.fromtimestamp(NOW, UTC)), self.clock, self.events.append)
        self.tokens = JoinTokens(self.store, self.clock)
        self.records = EnrolledRecords(self.store, self.clock)
        self.revocations = Revocations(self.store, self.clock)
        bootstrap = lambda proxy, address: {"node": {"id": proxy}, "address": address}  # noqa: E731
        self.enrolment = Enrolment(self.authority, 600, bootstrap, self.store, self.records, self.revocations)

    def clock(self) -> float:
        return self.now

    async def enrol(self, asked: EnrolRequest, attest: Any = local) -> EnrolAnswer:
        return await self.enrolment.enrol(asked, attest)

    async def by_token(self, asked: EnrolRequest, evidence: str) -> EnrolAnswer:
        return await self.enrol(asked, lambda: TokenAttestor(self.tokens, self.clock).attest(evidence))

    async def token(self, ttl: float = 3600, uses: int = 1) -> str:
        token, secret = await self.tokens.create("shop", "web", "frontend", ttl, uses)
        return f"{token.id}.{secret}"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_store(tmp_path) as store:
        yield Desk(store)


async def test_an_agent_gets_its_workloads_identity_its_proxys_and_a_bootstrap(desk: Desk) -> None:
    answer = await desk.enrol(request())

    assert proved_id(answer.identity.encode()) == "spiffe://cluster.local/ns/shop/sa/frontend"
    assert proved_id(answer.proxy.encode()) == "spiffe://cluster.local/proxy/web-3fa2c1"
    root = x509.load_pem_x509_certificate(answer.bundle.encode())
    for pem in (answer.identity, answer.proxy):
        leaf, intermediate = x509.load_pem_x509_certificates(pem.encode())
        leaf.verify_directly_issued_by(intermediate)
        intermediate.verify_directly_issued_by(root)
    assert (answer.not_before, answer.not_after) == (int(NOW), int(NOW) + 600)
    assert answer.bootstrap == {"node": {"id": "web-3fa2c1"}, "address": ""}


async def test_it_is_known_until_when_the_newest_certificates_are_good(desk: Desk) -> None:
    key = new_key()
    await desk.enrol(request(key))
    assert await desk.enrolment.ends() == {"web-3fa2c1": int(NOW) + 600}
    desk.now += 300
    await desk.enrol(request(None, key), nobody)
    assert await desk.enrolment.ends() == {"web-3fa2c1": int(NOW) + 900}


@pytest.mark.parametrize("field", ["proxy", "namespace", "service", "service_account"])
@pytest.mark.parametrize("name", ["", "Web", "web/admin", "web.shop", "-web", "w" * 64, "web\n", "wéb"])
async def test_a_name_that_is_no_dns_label_is_refused(desk: Desk, field: str, name: str) -> None:
    with pytest.raises(EnrolRefused, match="is no DNS label"):
        await desk.enrol(request(None, None, **{field: name}))


async def test_all_bad_names_are_told_at_once(desk: Desk) -> None:
    with pytest.raises(EnrolRefused, match=r"proxy id 'A'.*; namespace 'B'.*; service account ''"):
        await desk.enrol(request(proxy="A", namespace="B", service_account=""))


@pytest.mark.parametrize("field", ["csr", "proxy_csr"])
async def test_a_bad_request_for_either_certificate_is_refused(desk: Desk, field: str) -> None:
    with pytest.raises(EnrolRefused, match="PKCS #10"):
        bad = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"
        await desk.enrol(request(None, None, **{field: bad}))


@pytest.mark.parametrize("address", ["example.com", "10.0.0.1:80", "fe80::1%eth0", "x" * 1000])
async def test_what_is_no_address_of_a_control_plane_gets_into_no_bootstrap(desk: Desk, address: str) -> None:
    with pytest.raises(EnrolRefused, match="is no IP address"):
        await desk.enrol(request(control_plane=address))
    assert (await desk.enrol(request(control_plane="10.0.0.1"))).bootstrap["address"] == "10.0.0.1"


async def test_a_workloads_certificate_says_what_it_is_called_by_what_is_enrolled_and_its_own_labels(
    desk: Desk,
) -> None:
    key = new_key()
    said = Described("v1", (("app", "shop-web"), ("service.istio.io/canonical-name", "storefront")))
    first = await desk.enrol(request(key, key, described=said))
    renewed = await desk.enrol(request(None, key, described=Described()), nobody)

    assert called(first.identity) == [Peer("web-v1", "shop", "shop-web", "v1", "storefront", "v1")]
    assert called(renewed.identity) == [Peer("web", "shop", "web", "unknown", "web", "latest")]
    assert called(first.proxy) == []
    assert proved_id(first.identity.encode()) == "spiffe://cluster.local/ns/shop/sa/frontend"


async def test_an_agent_that_says_nothing_of_its_instance_gets_no_other_name(desk: Desk) -> None:
    assert called((await desk.enrol(request())).identity) == []


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (Described("v1.other.default"), ""),
        (Described("v1\n"), "version"),
        (Described("", (("app", "payments.default.svc.cluster.local/"),)), "value"),
        (Described("", (("app", "web"), ("app", "payments"))), "2 times"),
    ],
)
async def test_no_label_or_version_makes_up_more_than_its_own_part_of_the_name(
    desk: Desk, said: Described, message: str
) -> None:
    if message:
        with pytest.raises(EnrolRefused, match=message):
            await desk.enrol(request(described=said))
    else:
        (peer,) = called((await desk.enrol(request(described=said))).identity)
        assert peer is not None
        assert (peer.workload, peer.namespace) == ("web-v1.other.default", "shop")


def called(chain: str) -> list[Peer | None]:
    """What a certificate says that its workload is called."""
    names = x509.load_pem_x509_certificate(chain.encode()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    return [read(name) for name in names.value.get_values_for_type(x509.DNSName)]


async def test_what_was_given_is_written_down(desk: Desk) -> None:
    key = new_key()
    answer = await desk.enrol(request(key, key))
    stored = await desk.store.get("identity/enrolled/web-3fa2c1")
    assert stored
    record = enrolled.decode(stored.value)
    assert (record.namespace, record.service, record.service_account) == ("shop", "web", "frontend")
    assert (record.source, record.proxy_key) == ("local", digest_of_key(key.public_key()))
    leaves = [x509.load_pem_x509_certificate(pem.encode()) for pem in (answer.identity, answer.proxy)]
    assert [(f"{each.serial_number:x}", each.fingerprint(hashes.SHA256()).hex()) for each in leaves] == [
        (each.serial, each.digest) for each in record.certificates
    ]
    assert {each.not_after for each in record.certificates} == {int(NOW) + 600}


async def test_who_holds_the_proxys_key_renews_without_evidence(desk: Desk) -> None:
    first, second = new_key(), new_key()
    await desk.enrol(request(first, first))
    desk.now += 300
    await desk.enrol(request(second, first), nobody)
    desk.now += 290
    await desk.enrol(request(new_key(), second), nobody)
    record = (await desk.records.find("web-3fa2c1")).record
    assert record
    assert len(record.certificates) == 6
    desk.now += 20  # the first two have ended
    await desk.enrol(request(second, second), nobody)
    record = (await desk.records.find("web-3fa2c1")).record
    assert record
    assert len(record.certificates) == 6


async def test_an_answer_that_was_lost_is_asked_for_again_with_the_key_of_before(desk: Desk) -> None:
    first, lost, third = new_key(), new_key(), new_key()
    asked = request(first, first)
    await desk.enrol(asked)
    await desk.enrol(asked, nobody)
    await desk.enrol(request(lost, first), nobody)
    await desk.enrol(request(third, first), nobody)
    await desk.enrol(request(new_key(), third), nobody)
    with pytest.raises(EnrolRefused, match="is taken"):
        await desk.enrol(request(new_key(), first))


async def test_nobody_else_renews_a_proxy_that_is_alive_not_by_the_secret_nor_by_a_token(desk: Desk) -> None:
    key, thief = new_key(), new_key()
    token = await desk.token(uses=5)
    await desk.by_token(request(key, key), token)
    stolen = request(key, key)
    for asked in (
        request(thief),
        request(thief, thief),
        # A proof of another request is none of this one.
        EnrolRequest("web-3fa2c1", "shop", "web", "frontend", csr(thief), stolen.proxy_csr, stolen.proof),
        request(thief, key, proxy="web-000000"),
    ):
        asked = EnrolRequest(
            "web-3fa2c1", asked.namespace, asked.service, asked.service_account, asked.csr, asked.proxy_csr, asked.proof
        )
        for attempt in (desk.enrol(asked), desk.by_token(asked, token)):
            with pytest.raises(EnrolRefused, match=r"is taken|is no signature of these requests"):
                await attempt
    assert [each.used for each in await desk.tokens.all()] == [1]


@pytest.mark.parametrize("field", ["namespace", "service", "service_account"])
async def test_a_renewal_is_as_the_same_workload(desk: Desk, field: str) -> None:
    key = new_key()
    await desk.enrol(request(key, key))
    with pytest.raises(EnrolRefused, match=r"enrolled as web.shop with service account frontend"):
        await desk.enrol(request(new_key(), key, **{field: "payments"}))


async def test_when_all_its_certificates_have_ended_a_proxy_enrols_anew(desk: Desk) -> None:
    key, other = new_key(), new_key()
    await desk.enrol(request(key, key))
    desk.now += 601
    with pytest.raises(AttestationRefused):
        await desk.enrol(request(new_key(), key), nobody)
    await desk.enrol(request(other, other, service="api"))
    record = (await desk.records.find("web-3fa2c1")).record
    assert record
    assert (record.service, len(record.certificates)) == ("api", 2)


async def test_who_has_no_certificate_any_more_is_forgotten(desk: Desk) -> None:
    await desk.enrol(request())
    desk.now += 300
    await desk.enrol(request(proxy="web-000001"))
    desk.now += 301
    await desk.records.tidy()
    assert [each.key for each in (await desk.store.range("identity/enrolled/")).items] == [
        "identity/enrolled/web-000001"
    ]


async def test_who_renews_without_end_is_stopped(desk: Desk) -> None:
    key = new_key()
    await desk.enrol(request(key, key))
    with pytest.raises(EnrolRefused, match="renews too often"):
        for _ in range(70):
            await desk.enrol(request(key, key), nobody)


@pytest.mark.parametrize("field", ["namespace", "service", "service_account"])
async def test_a_token_is_good_for_what_it_names_and_for_nothing_else(desk: Desk, field: str) -> None:
    token = await desk.token()
    with pytest.raises(EnrolRefused, match=f"the {field.replace('_', ' ')} can't be payments: token"):
        await desk.by_token(request(None, None, **{field: "payments"}), token)
    await desk.by_token(request(), token)


async def test_a_refused_enrolment_costs_no_use(desk: Desk) -> None:
    token = await desk.token()
    with pytest.raises(EnrolRefused):
        await desk.by_token(request(csr="no request"), token)
    await desk.by_token(request(), token)


async def test_a_token_is_refused_when_it_is_used_up_expired_revoked_or_unknown(desk: Desk) -> None:
    token = await desk.token(uses=2)
    for number in (1, 2):
        await desk.by_token(request(proxy=f"web-{number}"), token)
    with pytest.raises(AttestationRefused, match="is used up"):
        await desk.by_token(request(), token)
    short = await desk.token(ttl=60)
    desk.now += 60
    with pytest.raises(AttestationRefused, match="has expired at"):
        await desk.by_token(request(), short)
    revoked = await desk.token()
    assert await desk.tokens.revoke(revoked.partition(".")[0])
    other, secret = (await desk.token()).split("."), revoked.partition(".")[2]
    for evidence in (revoked, f"{other[0]}.{secret}", f"0000000000.{secret}"):
        with pytest.raises(AttestationRefused, match="no join token"):
            await desk.by_token(request(), evidence)


async def test_who_is_refused_and_why_is_in_the_audit_log_without_the_secret(desk: Desk) -> None:
    token = await desk.token()
    id = token.partition(".")[0]
    with pytest.raises(AttestationRefused):
        await desk.by_token(request(), f"{id}.{'A' * 43}")
    with pytest.raises(EnrolRefused):
        await desk.by_token(request(service="payments"), token)
    assert [(each.event, each.who) for each in desk.events] == [("certificate refused", "web-3fa2c1")] * 2
    assert f"no join token {id} with this secret" in desk.events[0].reason
    assert "AAAA" not in str(desk.events)
    assert token.partition(".")[2] not in str(desk.events)


async def test_of_more_enrolments_at_once_than_uses_exactly_as_many_succeed(desk: Desk) -> None:
    token = await desk.token(uses=8)
    requests = [request(proxy=f"web-{number}") for number in range(9)]
    outcomes = await asyncio.gather(*(desk.by_token(each, token) for each in requests), return_exceptions=True)
    refused = [each for each in outcomes if not isinstance(each, EnrolAnswer)]
    assert [type(each) for each in refused] == [AttestationRefused]
    assert [each.used for each in await desk.tokens.all()] == [8]
    assert len((await desk.store.range("identity/enrolled/")).items) == 8


async def test_of_two_that_enrol_as_one_proxy_at_once_one_succeeds(desk: Desk) -> None:
    one, other = new_key(), new_key()
    outcomes = await asyncio.gather(
        desk.enrol(request(one, one)), desk.enrol(request(other, other)), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in outcomes) == ["EnrolAnswer", "EnrolRefused"]


async def test_a_tokens_secret_is_kept_nowhere(desk: Desk, tmp_path: Path) -> None:
    token, secret = await desk.tokens.create("shop", "web", "frontend", 60, 1)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes()
    assert secret not in repr(token)


async def test_a_token_that_ended_long_ago_is_forgotten(desk: Desk) -> None:
    await desk.token(ttl=60)
    desk.now += 3600
    await desk.tokens.tidy()
    assert len(await desk.tokens.all()) == 1
    desk.now += 86400
    await desk.tokens.tidy()
    assert await desk.tokens.all() == []
