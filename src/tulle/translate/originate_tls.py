"""TLS that a sidecar begins for its program, to endpoints outside the mesh. Source: Envoy, UpstreamTlsContext.

Files are read when the cluster is made; a missing one makes Envoy reject the cluster, and it says which.
"""

from __future__ import annotations

from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.policies import OriginateTls
from tulle.model.ip import is_address
from tulle.translate.sources import SYSTEM_ROOTS, file_secret

_CONTEXT = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
# Envoy's own default for a client stops at 1.2 (TlsParameters, `tls_maximum_protocol_version`).
_PARAMETERS = {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"}


def originated_tls(tls: OriginateTls, alpn: list[str], host: str) -> dict[str, Any]:
    """A transport socket. host: whom it is for where neither a user nor a request's authority says so; may be empty."""
    common: dict[str, Any] = {"tls_params": _PARAMETERS, "alpn_protocols": alpn}
    if tls.certificate:
        pair = {"certificate_chain": {"filename": tls.certificate}, "private_key": {"filename": tls.key}}
        common["tls_certificates"] = [pair]
    sni = tls.sni or host
    if tls.verify:
        common |= _validation(tls, tls.names or ((sni,) if sni else ()))
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": pack(message(_CONTEXT)(sni=sni, common_tls_context=common)),
    }


def _validation(tls: OriginateTls, names: tuple[str, ...]) -> dict[str, Any]:
    matchers = [{"san_type": _kind(name), "matcher": {"exact": name}} for name in names]
    revoked = {"crl": {"filename": tls.crl}} if tls.crl else {}
    rest = {**revoked, "match_typed_subject_alt_names": matchers}
    if tls.ca:
        return {"validation_context": {"trusted_ca": {"filename": tls.ca}, **rest}}
    # Envoy does not look for the machine's roots itself (`system_root_certs` is gRPC's alone); the agent has found them.
    roots = {"default_validation_context": rest, "validation_context_sds_secret_config": file_secret(SYSTEM_ROOTS)}
    return {"combined_validation_context": roots}


def _kind(name: str) -> str:
    """Under which of a certificate's names one is to be found."""
    if "://" in name:
        return "URI"
    if is_address(name):
        return "IP_ADDRESS"
    return "EMAIL" if "@" in name else "DNS"
