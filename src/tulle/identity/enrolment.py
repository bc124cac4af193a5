"""Enrolment: an agent that may ask gets its workload's identity, its proxy's, and all that its Envoy needs to start.

What it may become its evidence says (attestors.py); the data folder's secret grants any name, as that folder has one owner.
The same request renews, and then the evidence does not matter: a proxy that is enrolled and alive is renewed, as what it is,
for whoever proves to hold its key, and for nobody else. Who got what is written down before it is given. The keys never
come here. What is in Envoy's bootstrap is decided above.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tulle.identity import enrolled
from tulle.identity.attestors import AttestationRefused, Attested
from tulle.identity.authority import Authority, IssuedCertificate
from tulle.identity.caller import Grant
from tulle.identity.csr import CsrRefused, requested_key
from tulle.identity.enrolled import Enrolled
from tulle.identity.enrolled_records import EnrolledRecords, issued
from tulle.identity.possession import NotProved, Proof, digest_of_key, proved_key
from tulle.identity.revocations import IsRevoked, Revocations
from tulle.model.ip import is_address
from tulle.model.labels import label_problems
from tulle.model.names import ServiceName, label_problem
from tulle.model.peer import peer_of, written
from tulle.model.spiffe import proxy_id, workload_id
from tulle.model.workload import Workload
from tulle.store.contract import Put, Store

_MOST_CERTIFICATES = 128  # of one proxy that are good at once; six are usual

Attest = Callable[[], Awaitable[Attested]]


class Described(Struct, frozen=True):
    """What an agent says of its instance, and nobody vouches for. labels: as a Workload's."""

    version: str = ""
    labels: tuple[tuple[str, str], ...] = ()


class EnrolRequest(Struct, frozen=True):
    """csr, proxy_csr: certificate requests in PEM, for the workload's id and for the proxy's.

    proof: by the key of the proxy's certificate, or by that of `proxy_csr` when it is the first. control_plane: the IP address
    by which an agent on another machine reaches this one; "": it is on this machine. described: None from older agents, whose
    workloads have no name in figures.
    """

    proxy: str
    namespace: str
    service: str
    service_account: str
    csr: str
    proxy_csr: str
    proof: Proof = Proof()
    control_plane: str = ""
    described: Described | None = None


class EnrolAnswer(Struct, frozen=True):
    """identity, proxy: certificate chains in PEM, which lead to the root of the id `root`.

    bundle: the trusted roots in PEM; crl, trust: a Trust's lists and version.

    not_before: when both were issued, from which their lifetime counts. not_after: when the first of them ends. Both
    are Unix time in whole seconds.
    """

    identity: str
    proxy: str
    bundle: str
    not_before: int
    not_after: int
    bootstrap: Mapping[str, Any]
    crl: str = ""
    trust: str = ""
    root: str = ""


class EnrolRefused(Exception):
    """The request names something that can't be, or that its sender may not become, or can't be signed."""


class _Signed(Struct, frozen=True):
    """key: the digest of the proxy's new key."""

    identity: IssuedCertificate
    proxy: IssuedCertificate
    key: str


class Enrolment:
    """ttl: how long the certificates live, in seconds.

    bootstrap: a proxy's name, and the address by which it reaches the control plane ("" on this machine) -> its Envoy's
    bootstrap as JSON.
    """

    def __init__(
        self,
        authority: Authority,
        ttl: float,
        bootstrap: Callable[[str, str], Mapping[str, Any]],
        store: Store,
        records: EnrolledRecords,
        revocations: Revocations,
    ) -> None:
        self._authority = authority
        self._ttl = ttl
        self._bootstrap = bootstrap
        self._store = store
        self._records = records
        self._revocations = revocations

    @property
    def bundle_pem(self) -> str:
        """The roots that are trusted now."""
        return self._authority.trust.bundle_pem

    async def ends(self) -> dict[str, int]:
        """When certificates end, by proxy; Unix time in seconds."""
        return await self._records.ends()

    async def enrol(self, request: EnrolRequest, attest: Attest) -> EnrolAnswer:
        """Raises EnrolRefused, with every bad name at once, IsRevoked, and what `attest` raises, asked when it matters."""
        try:
            return await self._enrolled(request, attest)
        except (EnrolRefused, IsRevoked, AttestationRefused) as error:
            if not isinstance(error.__cause__, CsrRefused):  # of which the authority has told already
                self._authority.refused("", str(error), request.proxy)
            raise

    async def _enrolled(self, request: EnrolRequest, attest: Attest) -> EnrolAnswer:
        _check_names(request)
        try:
            prover = proved_key(request.proof, request.proxy, request.csr, request.proxy_csr)
        except NotProved as error:
            raise EnrolRefused(str(error)) from error
        signed: _Signed | None = None
        while True:
            found = await self._records.find(request.proxy)
            if found.record is None:
                attested = await attest()
                _check_grant(request, attested.grant)
                record = _first(request, attested.grant)
            else:
                attested, record = Attested(Grant("renewal")), found.record
                _check_renewal(request, record, prover)
                if len(self._records.still_good(record.certificates)) >= _MOST_CERTIFICATES:
                    raise EnrolRefused(
                        f"proxy {request.proxy} renews too often; wait until its older certificates have ended"
                    )
            welcome = await self._revocations.check(record.proxy, record.namespace, record.service_account)
            signed = signed or self._signed(request)
            record = self._with(record, signed, prover)
            compares = (found.unchanged(request.proxy), *welcome, *attested.compares)
            put = Put(enrolled.key(request.proxy), enrolled.encode(record))
            if await self._store.transaction(compares, (put, *attested.operations)) is not None:
                return self._answer(request, signed)

    def _signed(self, request: EnrolRequest) -> _Signed:
        workload, proxy = workload_id(request.namespace, request.service_account), proxy_id(request.proxy)
        try:
            key = requested_key(request.proxy_csr, proxy)
            return _Signed(
                self._authority.issue(request.csr, workload, self._ttl, request.proxy, request.proxy, _peer(request)),
                self._authority.issue(request.proxy_csr, proxy, self._ttl, request.proxy),
                digest_of_key(key),
            )
        except CsrRefused as error:
            raise EnrolRefused(str(error)) from error

    def _with(self, record: Enrolled, signed: _Signed, prover: str) -> Enrolled:
        """As it is once the certificates are given. prover: who asked for them."""
        certificates = (
            *self._records.still_good(record.certificates),
            issued(signed.identity, workload_id(record.namespace, record.service_account)),
            issued(signed.proxy, proxy_id(record.proxy)),
        )
        return replace(record, certificates=certificates, proxy_key=signed.key, earlier_key=prover)

    def _answer(self, request: EnrolRequest, signed: _Signed) -> EnrolAnswer:
        trust = self._authority.trust
        return EnrolAnswer(
            identity=signed.identity.chain_pem,
            proxy=signed.proxy.chain_pem,
            bundle=trust.bundle_pem,
            not_before=signed.identity.not_before,
            not_after=min(signed.identity.not_after, signed.proxy.not_after),
            bootstrap=self._bootstrap(request.proxy, request.control_plane),
            crl=trust.crl_pem,
            trust=trust.version,
            root=signed.identity.root,
        )


def _check_names(request: EnrolRequest) -> None:
    """Raises EnrolRefused."""
    problems: list[str | None] = [
        label_problem("proxy id", request.proxy),
        label_problem("namespace", request.namespace),
        label_problem("service name", request.service),
        label_problem("service account", request.service_account),
    ]
    if request.described:
        problems += label_problems(request.described.version, request.described.labels)
    if (at := request.control_plane) and (not is_address(at) or "%" in at):
        problems.append(f"{at[:60]!r} is no IP address of a control plane")
    if any(problems):
        raise EnrolRefused("; ".join(filter(None, problems)))


def _peer(request: EnrolRequest) -> str:
    """What the workload is called in figures: by the service and namespace as which it is enrolled, and its own labels."""
    said = request.described
    if said is None:
        return ""
    service = ServiceName(request.namespace, request.service)
    return written(peer_of(Workload(request.proxy, service, request.service_account, said.version, said.labels)))


def _check_grant(request: EnrolRequest, grant: Grant) -> None:
    """Raises EnrolRefused."""
    for what, asked, granted in (
        ("namespace", request.namespace, grant.namespace),
        ("service", request.service, grant.service),
        ("service account", request.service_account, grant.service_account),
    ):
        if granted and asked != granted:
            raise EnrolRefused(f"the {what} can't be {asked}: {grant.source} lets an agent enrol as {granted} only")


def _check_renewal(request: EnrolRequest, record: Enrolled, prover: str) -> None:
    """Raises EnrolRefused."""
    if not prover or prover not in (record.proxy_key, record.earlier_key):
        raise EnrolRefused(
            f"proxy id {request.proxy} is taken: it is enrolled, and this request does not prove to hold its key. It ends by "
            "itself with its certificates"
        )
    asked = (request.namespace, request.service, request.service_account)
    if asked != (record.namespace, record.service, record.service_account):
        raise EnrolRefused(
            f"proxy {request.proxy} is enrolled as {record.service}.{record.namespace} with service account "
            f"{record.service_account}, and can't be renewed as anything else"
        )


def _first(request: EnrolRequest, grant: Grant) -> Enrolled:
    return Enrolled(request.proxy, request.namespace, request.service, request.service_account, grant.source)
