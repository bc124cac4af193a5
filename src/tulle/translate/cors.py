"""Which pages of other origins may call (CORS), by route."""

from __future__ import annotations

from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.routes import Cors
from tulle.translate.answers import share
from tulle.translate.http_match import string_match

CORS_FILTER = "envoy.filters.http.cors"
_CORS = "envoy.extensions.filters.http.cors.v3"


def cors_filter() -> dict[str, Any]:
    """In a manager's chain it does nothing but where a route says so."""
    return {"name": CORS_FILTER, "typed_config": pack(message(f"{_CORS}.Cors")())}


def cors(value: Cors) -> Any:
    """A route's own."""
    parts: dict[str, Any] = {} if value.credentials is None else {"allow_credentials": {"value": value.credentials}}
    return pack(
        message(f"{_CORS}.CorsPolicy")(
            allow_origin_string_match=[string_match(origin) for origin in value.origins],
            allow_methods=",".join(value.methods),
            allow_headers=",".join(value.headers),
            expose_headers=",".join(value.expose),
            max_age="" if value.max_age is None else str(value.max_age // 10**9),
            filter_enabled={"default_value": share(100)},
            forward_not_matching_preflights={"value": value.forward_unmatched},
            **parts,
        )
    )
