"""Revoked is what was enrolled, and nobody slips in between; the lists name it, of every authority."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import CRLEntryExtensionOID

from tulle.identity import enrolled, revoked
from tulle.identity.attestors import Attested
from tulle.identity.audit import Event
from tulle.identity.authority import Authority
from tulle.identity.caller import Grant
from tulle.identity.enrolled_records import EnrolledRecords
from tulle.identity.enrolment import EnrolAnswer, Enrolment, EnrolRefused, EnrolRequest
from tulle.identity.revocation_targets import NoTarget
from tulle.identity.revocations import IsRevoked, Revocation, Revocations
from tulle.identity.revoked import RevokedAccount, RevokedProxy
from tulle.identity.root import new_root
from tulle.store.contract import Store
from tulle.store.sqlite import open_store

NOW = 1_800_000_000.0


def csr() -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


@dataclass
class Office:
    """Where agents enrol and are thrown out. now: Unix time."""

    store: Store
    now: float = NOW
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.authority = Authority(new_root(datetime.fromtimestamp(NOW, UTC)), self.clock)
        self.records = EnrolledRecords(self.store, self.clock)
        self.revocations = Revocations(self.store, self.clock, self.events.append)
        self.enrolment = Enrolment(self.authority, 600, lambda *_: {}, self.store, self.records, self.revocations)

    def clock(self) -> float:
        return self.now

    async def enrol(self, proxy: str, service: str = "web", namespace: str = "shop", account: str = "") -> EnrolAnswer:
        async def local() -> Attested:
            return Attested(Grant("local"))

        return await self.enrolment.enrol(
            EnrolRequest(proxy, namespace, service, account or service, csr(), csr()), local
        )

    async def revoked(self) -> set[str]:
        """Proxies, and accounts as `account.namespace`."""
        return {
            one.enrolled.proxy if isinstance(one, RevokedProxy) else f"{one.service_account}.{one.namespace}"
            for one in (await self.revocations.all()).records.values()
        }

    async def is_enrolled(self, proxy: str) -> bool:
        return (await self.records.find(proxy)).record is not None


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_store(tmp_path) as store:
        yield Office(store)


async def test_an_instance_is_revoked_with_its_certificates_and_may_not_enrol_again(office: Office) -> None:
    answer = await office.enrol("web-1")
    await office.enrol("web-2")
    done = await office.revocations.revoke("web-1", reason="laptop stolen", by="local uid 1")
    assert [one.why for one in done.changed] == ["proxy web-1 is revoked: laptop stolen"]
    assert not await office.is_enrolled("web-1")
    assert await office.is_enrolled("web-2")
    with pytest.raises(IsRevoked, match="proxy web-1 is revoked: laptop stolen"):
        await office.enrol("web-1")
    state = await office.revocations.all()
    leaves = [x509.load_pem_x509_certificate(pem.encode()) for pem in (answer.identity, answer.proxy)]
    assert {one.serial for one in state.serials(NOW)} == {leaf.serial_number for leaf in leaves}
    assert state.subjects == ("CN=web-1",) == (leaves[0].subject.rfc4514_string(),)
    assert not list(leaves[1].subject)

    again = await office.revocations.revoke("web-1")
    assert (again.changed, [one.why for one in again.already]) == ((), ["proxy web-1 is revoked: laptop stolen"])
    assert [(e.event, e.who, e.what, e.reason) for e in office.events] == [
        ("revoked", "local uid 1", "proxy web-1", "laptop stolen")
    ]


async def test_what_is_undone_is_as_it_was(office: Office) -> None:
    await office.enrol("web-1")
    before = (await office.records.find("web-1")).record
    await office.revocations.revoke("web-1")
    await office.revocations.undo("web-1", by="local uid 1")
    assert (await office.records.find("web-1")).record == before
    assert await office.revoked() == set()
    with pytest.raises(NoTarget, match="web-1 is not revoked"):
        await office.revocations.undo("web-1")
    # It is taken again, for whoever holds its key alone.
    with pytest.raises(EnrolRefused, match="web-1 is taken"):
        await office.enrol("web-1")


async def test_a_service_is_revoked_as_it_is_now(office: Office) -> None:
    for proxy in ("web-1", "web-2"):
        await office.enrol(proxy)
    await office.enrol("api-1", "api")
    await office.enrol("web-3", namespace="other")
    with pytest.raises(NoTarget, match=r"web is several services: name one of web\.other, web\.shop") as several:
        await office.revocations.revoke("web")
    assert several.value.is_malformed
    await office.revocations.revoke("web.shop")
    assert await office.revoked() == {"web-1", "web-2"}
    await office.enrol("web-4")
    await office.revocations.revoke("web", "other")
    assert await office.revoked() == {"web-1", "web-2", "web-3"}
    await office.revocations.undo("web.shop")
    assert await office.revoked() == {"web-3"}


@pytest.mark.parametrize(
    "text",
    ["ns/shop/sa/frontend", "cluster.local/ns/shop/sa/frontend", "spiffe://cluster.local/ns/shop/sa/frontend"],
)
async def test_nobody_enrols_with_a_revoked_service_account(office: Office, text: str) -> None:
    await office.enrol("web-1", account="frontend")
    await office.enrol("web-2")
    await office.revocations.revoke(text, reason="leaked")
    assert await office.revoked() == {"frontend.shop", "web-1"}
    with pytest.raises(IsRevoked, match="the service account frontend in namespace shop is revoked: leaked"):
        await office.enrol("web-3", account="frontend")
    await office.enrol("web-3", account="frontend", namespace="other")
    with pytest.raises(NoTarget, match="undo that first, tulle revoke --undo ns/shop/sa/frontend"):
        await office.revocations.undo("web-1")
    await office.revocations.undo(text)
    await office.enrol("web-4", account="frontend")
    assert await office.revoked() == {"web-1"}, "its keys are no safer than before"


async def test_who_enrols_while_its_account_is_revoked_is_revoked_with_it_or_not_let_in(office: Office) -> None:
    for number in range(20):
        enrolling = asyncio.create_task(office.enrol(f"web-{number}"))
        await asyncio.sleep(0.0005 * number)
        await office.revocations.revoke("ns/shop/sa/web")
        with suppress(IsRevoked):
            await enrolling
        assert not (await office.store.range(enrolled.PREFIX)).items
        await office.revocations.undo("ns/shop/sa/web")


async def test_who_is_let_in_again_while_its_account_is_revoked_is_not(office: Office) -> None:
    for number in range(20):
        await office.enrol(f"web-{number}")
        await office.revocations.revoke(f"web-{number}")
        undoing = asyncio.create_task(office.revocations.undo(f"web-{number}"))
        await asyncio.sleep(0.0003 * number)
        await office.revocations.revoke("ns/shop/sa/web")
        with suppress(NoTarget):
            await undoing
        assert not (await office.store.range(enrolled.PREFIX)).items
        await office.revocations.undo("ns/shop/sa/web")


async def test_of_two_who_undo_at_once_one_does(office: Office) -> None:
    for number in range(10):
        await office.enrol(f"web-{number}")
        await office.revocations.revoke(f"web-{number}")
        undoing = [office.revocations.undo(f"web-{number}") for _ in range(2)]
        outcomes = await asyncio.gather(*undoing, return_exceptions=True)
        assert sum(isinstance(each, NoTarget) for each in outcomes) == 1


@pytest.mark.parametrize(
    "text", ["", "Web", "web.", "web.shop.svc", "ns/shop/sa/", "ns/shop", "spiffe://other/ns/a/sa/b"]
)
async def test_what_names_nobody_is_refused(office: Office, text: str) -> None:
    with pytest.raises(NoTarget, match="names nobody") as refused:
        await office.revocations.revoke(text)
    assert refused.value.is_malformed


async def test_who_may_have_been_meant_is_said(office: Office) -> None:
    await office.enrol("web-1")
    for text, hint in (("web-l", "web-1"), ("wib", "web"), ("wep.shop", "web.shop")):
        with pytest.raises(NoTarget, match=f"did you mean {hint}?"):
            await office.revocations.revoke(text)
    with pytest.raises(NoTarget, match="`tulle proxies` lists who is there"):
        await office.revocations.revoke("billing")


async def test_a_record_goes_when_what_it_is_about_is_over(office: Office) -> None:
    await office.enrol("web-1")
    await office.revocations.revoke("ns/shop/sa/web")
    office.now += 600 + 301
    assert (await office.revocations.all()).serials(office.now) == frozenset()
    office.now += revoked.KEPT_SECONDS - 302
    await office.revocations.tidy()
    assert await office.revoked() == {"web.shop", "web-1"}
    office.now += 2
    await office.revocations.tidy()
    assert await office.revoked() == {"web.shop"}


async def test_whoever_follows_sees_every_change(office: Office) -> None:
    await office.enrol("web-1")
    states = office.revocations.states()
    seen: list[Revocation] = [await anext(states)]
    await office.revocations.revoke("ns/shop/sa/web")
    while len(seen[-1].records) < 2:
        seen.append(await asyncio.wait_for(anext(states), 10))
    await office.revocations.undo("ns/shop/sa/web")
    last = await asyncio.wait_for(anext(states), 10)
    assert [type(one) for one in last.records.values()] == [RevokedProxy]
    assert any(isinstance(one, RevokedAccount) for one in seen[-1].records.values())
    assert last.revision > seen[-1].revision > seen[0].revision
    await states.aclose()


async def test_a_record_that_cannot_be_read_keeps_its_proxy_out(office: Office) -> None:
    await office.store.put(revoked.proxy_key("web-1"), b"{")
    with pytest.raises(IsRevoked, match="can't be read"):
        await office.enrol("web-1")
    assert await office.revoked() == set()


async def test_every_authority_signs_a_list_and_an_openssl_refuses_by_it(office: Office, tmp_path: Path) -> None:
    out, kept = await office.enrol("web-1"), await office.enrol("web-2")
    await office.revocations.revoke("web-1")
    office.authority.revoke((await office.revocations.all()).serials(NOW))
    office.authority.rotate()
    lists = [
        x509.load_pem_x509_crl(pem.encode() + b"-----END X509 CRL-----\n")
        for pem in office.authority.trust.crl_pem.split("-----END X509 CRL-----\n")[:-1]
    ]
    issuers = office.authority.known.issuers
    assert len(lists) == len(issuers) == 2
    serials = {x509.load_pem_x509_certificate(pem.encode()).serial_number for pem in (out.identity, out.proxy)}
    for crl, issuer in zip(lists, issuers, strict=True):
        assert crl.issuer == issuer.certificate.subject
        assert crl.is_signature_valid(issuer.certificate.public_key())  # type: ignore[arg-type]
        assert {each.serial_number for each in crl} == serials
        assert crl.next_update_utc and crl.next_update_utc > issuer.certificate.not_valid_after_utc
        assert crl.last_update_utc <= datetime.fromtimestamp(NOW, UTC) - timedelta(minutes=4)
        identifier = crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        assert identifier.key_identifier == issuer.key_identifier.key_identifier
        assert all(CRLEntryExtensionOID.CERTIFICATE_ISSUER not in {e.oid for e in each.extensions} for each in crl)
    if not (openssl := shutil.which("openssl")):
        return
    (tmp_path / "roots.pem").write_text(office.authority.trust.bundle_pem)
    (tmp_path / "crl.pem").write_text(office.authority.trust.crl_pem)
    for answer, wanted in ((out, "certificate revoked"), (kept, "OK")):
        (tmp_path / "chain.pem").write_text(answer.identity)
        command = (
            f"verify -CAfile roots.pem -CRLfile crl.pem -crl_check -attime {int(NOW)} -untrusted chain.pem chain.pem"
        )
        done = await asyncio.to_thread(
            subprocess.run, [openssl, *command.split()], cwd=tmp_path, capture_output=True, text=True
        )
        assert wanted in done.stdout + done.stderr
