"""How the API answers: in JSON."""

from __future__ import annotations

import msgspec
from starlette.responses import Response


def as_json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
