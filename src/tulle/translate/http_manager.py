"""HTTP connection managers: where Envoy parses HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.types import Paths
from tulle.translate.http_versions import http1, http2
from tulle.translate.telemetry.tracing import request_ids

_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "envoy.extensions.filters.http.router.v3.Router"


_FORMS: Mapping[Paths, dict[str, Any]] = {
    Paths.AS_IT_IS: {},
    Paths.BASE: {"normalize_path": {"value": True}},
    Paths.MERGE_SLASHES: {"normalize_path": {"value": True}, "merge_slashes": True},
    Paths.DECODE_AND_MERGE_SLASHES: {
        "normalize_path": {"value": True},
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD",
    },
}


def http_manager(paths: Paths = Paths.BASE, **settings: Any) -> dict[str, Any]:
    """A lean network filter: what no feature needs is left out, as parsing HTTP is what costs CPU."""
    manager = message(_HCM)(
        **_FORMS[paths],
        server_header_transformation="PASS_THROUGH",
        skip_xff_append=True,
        **request_ids(),
        strip_trailing_host_dot=True,
        # The program says itself whether it wants a body, as with no sidecar.
        proxy_100_continue=True,
        http_protocol_options={"accept_http_10": True, **http1()},
        **{"http2_protocol_options": http2(), **settings},
    )
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": pack(manager)}


def router() -> dict[str, Any]:
    """The last of a manager's filters."""
    settings = message(_ROUTER)(dynamic_stats={"value": False}, suppress_envoy_headers=True)
    return {"name": "envoy.filters.http.router", "typed_config": pack(settings)}
