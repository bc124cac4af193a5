"""A version of HTTP, as Envoy is to speak it to whomever. Source: Envoy, Http1ProtocolOptions."""

from __future__ import annotations

from typing import Any

from tulle.envoy_api.messages import message, pack

_PRESERVE_CASE = "envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig"


def http1() -> dict[str, Any]:
    """As it was written: header names in their case, and trailers."""
    names = {"name": "preserve_case", "typed_config": pack(message(_PRESERVE_CASE)())}
    return {"header_key_format": {"stateful_formatter": names}, "enable_trailers": True}
