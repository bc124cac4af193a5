"""The two versions of HTTP, as Envoy is to speak them to whomever. Source: Envoy, Http1ProtocolOptions, Http2ProtocolOptions."""

from __future__ import annotations

from typing import Any

from tulle.envoy_api.messages import message, pack

_PRESERVE_CASE = "envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig"
# A smaller window makes one large body slow, a larger one costs as much memory for each whose reader is slow.
_STREAM_WINDOW = 1024 * 1024
_STREAMS = 1024  # on one connection, at most: Envoy's default


def http1() -> dict[str, Any]:
    """As it was written: header names in their case, and trailers."""
    names = {"name": "preserve_case", "typed_config": pack(message(_PRESERVE_CASE)())}
    return {"header_key_format": {"stateful_formatter": names}, "enable_trailers": True}


def http2(**settings: Any) -> dict[str, Any]:
    """With room on a connection for the windows of all its streams, so that those whose readers are slow hold up no other.

    Of Envoy's defaults, 16 MiB a stream and 24 MiB a connection, two bodies that nobody reads leave nothing for all other calls
    between two sidecars. A window is also what an Envoy holds of a body at most, on either side of a connection.
    """
    return {
        "initial_stream_window_size": {"value": _STREAM_WINDOW},
        "initial_connection_window_size": {"value": _STREAM_WINDOW * _STREAMS},
        **settings,
    }
