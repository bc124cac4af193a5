"""Mutual TLS: who we say that we are, and whom we believe.

TLS 1.3 on both sides: Envoy's own default for a client stops at 1.2 (TlsParameters, `tls_maximum_protocol_version`).
No session is taken up again (RFC 8446, section 2.2): a server sees no certificate then, so one that has ended would still count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.translate.sources import BUNDLE, file_secret

_TYPES = "envoy.extensions.transport_sockets.tls.v3"
_PARAMETERS = {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}


def client_socket(identity: str, peers: Sequence[str], alpn: Sequence[str], sni: str = "") -> dict[str, Any]:
    """A transport socket that proves the secret `identity` and accepts a server that proves one of the SPIFFE ids `peers`."""
    common = _common(identity, [{"exact": peer} for peer in peers], alpn)
    context = message(f"{_TYPES}.UpstreamTlsContext")
    return _socket(context(sni=sni, max_session_keys={"value": 0}, common_tls_context=common))


def server_socket(identity: str, prefixes: Sequence[str], alpn: Sequence[str]) -> dict[str, Any]:
    """A transport socket that proves `identity` and takes only clients whose SPIFFE id starts with one of `prefixes`."""
    common = _common(identity, [{"prefix": prefix} for prefix in prefixes], alpn)
    context = message(f"{_TYPES}.DownstreamTlsContext")
    settings = {"disable_stateless_session_resumption": True, "disable_stateful_session_resumption": True}
    return _socket(context(require_client_certificate={"value": True}, common_tls_context=common, **settings))


def _common(identity: str, matchers: Sequence[dict[str, str]], alpn: Sequence[str]) -> dict[str, Any]:
    return {
        "tls_params": _PARAMETERS,
        "alpn_protocols": alpn,
        "tls_certificate_sds_secret_configs": [file_secret(identity)],
        "combined_validation_context": {
            "default_validation_context": {
                "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": m} for m in matchers]
            },
            "validation_context_sds_secret_config": file_secret(BUNDLE),
        },
    }


def _socket(context: Any) -> dict[str, Any]:
    return {"name": "tls", "typed_config": pack(context)}
