"""Documents as they are sent, checked here again, as a caller may be of another version.

The command line sends a line of JSON for each, with its places. Others, such as the dashboard and curl, send a file as users
write it, in YAML or JSON, and say so: its content type is application/yaml (RFC 9512).
"""

from __future__ import annotations

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request

from tulle.api.bodies import MALFORMED
from tulle.sources.codec import Checked, check_all
from tulle.sources.documents import Document, documents

_FILE_TYPE = "application/yaml"
_FILE_NAME = "request"  # as messages name it

_document = msgspec.json.Decoder(Document)


def is_file(request: Request) -> bool:
    """Whether the body is a file as users write it."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FILE_TYPE


def checked_documents(body: bytes, namespace: str, *, of_file: bool = False) -> list[Checked]:
    """namespace: of those that name none. Raises HTTPException for what is no document."""
    if of_file:
        return check_all(documents(body, _FILE_NAME), namespace)
    sent = []
    for line in body.split(b"\n"):
        if line:
            try:
                sent.append(_document.decode(line))
            except MALFORMED as error:
                raise HTTPException(400, f"a line is no document: {error}") from error
    return check_all(sent, namespace)
