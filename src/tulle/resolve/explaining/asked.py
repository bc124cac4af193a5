"""The request that somebody might make: from a URL to what the caller's sidecar is asked for."""

from __future__ import annotations

from urllib.parse import urlsplit

from msgspec import Struct

from tulle.model.names import DEFAULT_PORT

_HTTP = "http"


class NoRequest(ValueError):
    """What was asked for is no request. Its text is for people."""


class Asked(Struct, frozen=True):
    """authority: as a client writes it into its Host header, by which sidecars tell who is meant. headers: in order."""

    method: str
    authority: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()


def asked(method: str, url: str, headers: tuple[tuple[str, str], ...] = ()) -> Asked:
    """Raises NoRequest. A Host header counts, as it does for every client."""
    if "://" not in url:
        url = f"http://{url}"
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise NoRequest(f"{url!r} is no URL: {error}") from error
    if parts.scheme == "https":
        raise NoRequest("a sidecar does not see requests within the program's own TLS: ask for an http:// URL")
    if parts.scheme != _HTTP or not host or not url.isascii() or not url.isprintable():
        raise NoRequest(f"{url!r} is no URL of HTTP: write http://HOST[:PORT]/PATH")
    if not method.isascii() or not method.isalpha():
        raise NoRequest(f"{method!r} is no method")
    port = DEFAULT_PORT if port is None else port
    host = f"[{host}]" if ":" in host else host
    authority = next((value for name, value in headers if name.lower() == "host"), "")
    query = f"?{parts.query}" if parts.query else ""
    return Asked(
        method=method.upper(),
        authority=authority or (host if port == DEFAULT_PORT else f"{host}:{port}"),
        path=f"{parts.path or '/'}{query}",
        headers=tuple((name, value) for name, value in headers if name.lower() != "host"),
    )
