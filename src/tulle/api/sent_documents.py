"""Documents as the command line sends them: a line of JSON each, checked here again, as a caller may be of another version."""

from __future__ import annotations

import msgspec
from starlette.exceptions import HTTPException

from tulle.api.bodies import MALFORMED
from tulle.sources.codec import Checked, check_all
from tulle.sources.documents import Document

MOST_DOCUMENTS_BYTES = 64 * 1024 * 1024

_document = msgspec.json.Decoder(Document)


def checked_documents(body: bytes, namespace: str) -> list[Checked]:
    """namespace: of those that name none. Raises HTTPException for what is no document."""
    documents = []
    for line in body.split(b"\n"):
        if line:
            try:
                documents.append(_document.decode(line))
            except MALFORMED as error:
                raise HTTPException(400, f"a line is no document: {error}") from error
    return check_all(documents, namespace)
