"""The dashboard's files, as they were when the control plane was started.

The page finds its way by its URL, so that every path below /ui/ that is no file is the page itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from tulle.api.answers import as_json

FOLDER = Path(__file__).parent / "ui"
ROOT = "/ui/"
_PAGE = "index.html"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
# No script and no style but those of the files; no other page may frame this one.
_POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"


class _File(Struct, frozen=True):
    content: bytes
    type: str
    etag: str


class UiFiles:
    """An ASGI application for `/` and everything below /ui/."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files: Mapping[str, _File] = {
            path.relative_to(folder).as_posix(): _read(path) for path in sorted(folder.rglob("*")) if path.is_file()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope)(scope, receive, send)

    def _answer(self, scope: Scope) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            return as_json({"error": f"{scope['method']} is not for {scope['path']}"}, 405)
        if not scope["path"].startswith(ROOT):
            return RedirectResponse(ROOT)
        file = self._files.get(scope["path"].removeprefix(ROOT)) or self._files.get(_PAGE)
        if file is None:
            return as_json({"error": "this tulle was built without its dashboard"}, 404)
        headers = {"etag": file.etag, "cache-control": "no-cache", "content-security-policy": _POLICY}
        known = dict(scope["headers"]).get(b"if-none-match", b"").decode("latin-1")
        if file.etag in [one.strip().removeprefix("W/") for one in known.split(",")]:
            return Response(status_code=304, headers=headers)
        return Response(file.content, headers=headers | {"content-type": file.type})


def _read(path: Path) -> _File:
    content = path.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return _File(content, _TYPES.get(path.suffix, "application/octet-stream"), etag)
