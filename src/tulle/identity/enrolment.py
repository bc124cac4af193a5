"""Enrolment: an agent that may ask gets its workload's identity, its proxy's, and all that its Envoy needs to start.

The caller is attested already (attestation.py), and whoever is may enrol any name: the data folder has one owner. The
same request renews. The keys never come here. What is in Envoy's bootstrap is decided above.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from tulle.identity.authority import Authority
from tulle.identity.csr import CsrRefused
from tulle.model.names import label_problem
from tulle.model.spiffe import proxy_id, workload_id


class EnrolRequest(Struct, frozen=True):
    """csr, proxy_csr: certificate requests in PEM, for the workload's id and for the proxy's."""

    proxy: str
    namespace: str
    service: str
    service_account: str
    csr: str
    proxy_csr: str


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
    """The request names something that can't be, or its certificate requests can't be signed."""


class Enrolment:
    """ttl: how long the certificates live, in seconds. bootstrap: a proxy's name -> its Envoy's bootstrap as JSON."""

    def __init__(self, authority: Authority, ttl: float, bootstrap: Callable[[str], Mapping[str, Any]]) -> None:
        self._authority = authority
        self._ttl = ttl
        self._bootstrap = bootstrap

    def enrol(self, request: EnrolRequest) -> EnrolAnswer:
        """Raises EnrolRefused, with every bad name at once."""
        problems = [
            label_problem("proxy id", request.proxy),
            label_problem("namespace", request.namespace),
            label_problem("service name", request.service),
            label_problem("service account", request.service_account),
        ]
        if any(problems):
            raise EnrolRefused("; ".join(filter(None, problems)))
        workload = workload_id(request.namespace, request.service_account)
        try:
            identity = self._authority.issue(request.csr, workload, self._ttl, request.proxy)
            proxy = self._authority.issue(request.proxy_csr, proxy_id(request.proxy), self._ttl, request.proxy)
        except CsrRefused as error:
            raise EnrolRefused(str(error)) from error
        trust = self._authority.trust
        return EnrolAnswer(
            identity=identity.chain_pem,
            proxy=proxy.chain_pem,
            bundle=trust.bundle_pem,
            not_before=identity.not_before,
            not_after=min(identity.not_after, proxy.not_after),
            bootstrap=self._bootstrap(request.proxy),
            crl=trust.crl_pem,
            trust=trust.version,
            root=identity.root,
        )
