"""How the API answers: in JSON."""

from __future__ import annotations

import msgspec
from starlette.responses import Response


def as_json(content: object, status: int = 200) -> Response:
    return encoded(msgspec.json.encode(content), status)


def encoded(content: bytes, status: int = 200) -> Response:
    """content: JSON, which was made elsewhere."""
    return Response(content, status, media_type="application/json")
