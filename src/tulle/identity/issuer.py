"""The keys of an OIDC issuer: found by discovery, at a given address or in a file; bounded, cached, fetched anew when unknown.

Sources: OpenID Connect Discovery 1.0, sections 4 and 4.3 (the document's `issuer` must be ours); RFC 7517 (JWK sets). Only
asymmetric keys are taken: a shared secret in a published set is no secret.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, ProxyHandler, Request, build_opener

import jwt

from tulle.model.ip import is_loopback

_MAX_SIZE = 256 * 1024
_MOST_KEYS = 100
_FETCH_SECONDS = 5.0
_FRESH_SECONDS = 300.0
_PAUSE_SECONDS = 10.0  # between two fetches, whatever key ids strangers make up
_LEAST_RSA_BITS = 2048

_log = logging.getLogger(__name__)


class IssuerUnavailable(Exception):
    """The issuer's keys can't be had. The message is for the operator."""


class IssuerKeys:
    """source: where the JWK set is, a URL or a file; "": where the issuer's discovery document says.

    ca: a file with the roots that an https issuer may be of; "": the system's. steady: seconds, only goes forward.
    """

    def __init__(
        self, issuer: str, source: str = "", ca: str = "", steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._issuer, self._source, self._ca = issuer, source, ca
        self._steady = steady
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched = self._tried = float("-inf")
        self._fetching = asyncio.Lock()

    async def find(self, key_id: str) -> jwt.PyJWK | None:
        """The key; None if the issuer has none by this id. Raises IssuerUnavailable if no set could be had at all."""
        if key_id not in self._keys or self._steady() - self._fetched > _FRESH_SECONDS:
            async with self._fetching:
                await self._fetch()
        return self._keys.get(key_id)

    async def _fetch(self) -> None:
        """Anew, unless that was just tried. What could be had once stays good while the issuer does not answer."""
        if self._steady() - self._tried < _PAUSE_SECONDS:
            if not self._keys:
                raise IssuerUnavailable(f"the keys of {self._issuer} could not be had just now")
            return
        self._tried = self._steady()
        try:
            self._keys = await asyncio.to_thread(self._read)
            self._fetched = self._steady()
        except IssuerUnavailable as error:
            _log.warning("the keys of the JWT issuer %s can't be had: %s", self._issuer, error)
            if not self._keys:
                raise

    def _read(self) -> Mapping[str, jwt.PyJWK]:
        if self._source and "://" not in self._source:
            return keys_in(_file(Path(self._source)))
        return keys_in(self._get(self._source or self._discovered()))

    def _discovered(self) -> str:
        found = _object(self._get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"))
        if found.get("issuer") != self._issuer:
            raise IssuerUnavailable("the discovery document is that of another issuer")
        address = found.get("jwks_uri")
        if not isinstance(address, str) or (problem := url_problem(address)):
            raise IssuerUnavailable(f"the discovery document has no usable jwks_uri{f': {problem}' if address else ''}")
        return address

    def _get(self, url: str) -> bytes:
        """What is at a URL, which nothing may redirect. Raises IssuerUnavailable."""
        try:
            context = ssl.create_default_context(cafile=self._ca or None)
            opener = build_opener(_NoRedirect(), ProxyHandler({}), HTTPSHandler(context=context))
            until = time.monotonic() + _FETCH_SECONDS
            with opener.open(Request(url, headers={"Accept": "application/json"}), timeout=_FETCH_SECONDS) as answer:  # noqa: S310  url_problem
                content = b""
                while part := answer.read1(65536):
                    content += part
                    if len(content) > _MAX_SIZE:
                        raise IssuerUnavailable(f"{url} gives more than {_MAX_SIZE} bytes")
                    if time.monotonic() > until:
                        raise IssuerUnavailable(f"{url} takes longer than {_FETCH_SECONDS:g} s")
                return content
        except (URLError, HTTPException, OSError, ValueError) as error:
            raise IssuerUnavailable(f"{url}: {error}") from error


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None  # the answer counts as it is, as an error


def url_problem(url: str) -> str:
    """Why keys can't be fetched from there; "" if they can. In plain text only from this machine itself."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "it is no URL"
    if parts.scheme not in ("https", "http") or not host or parts.username or parts.password:
        return "write https://HOST[:PORT]/PATH"
    if parts.scheme == "http" and not _is_own(host):
        return "keys by plain http could be anybody's; use https"
    return ""


def keys_in(content: bytes) -> Mapping[str, jwt.PyJWK]:
    """The keys of a JWK set by their ids; those that can't verify a signature are left out. Raises IssuerUnavailable."""
    found = _object(content).get("keys")
    if not isinstance(found, list) or len(found) > _MOST_KEYS:
        raise IssuerUnavailable(f"this is no JWK set of at most {_MOST_KEYS} keys")
    keys = {}
    for each in found:
        if isinstance(each, dict) and isinstance(id := each.get("kid"), str) and (key := _usable(each)):
            keys[id] = key
    if not keys:
        raise IssuerUnavailable("the JWK set has no public key with a kid")
    return keys


def algorithms_of(key: jwt.PyJWK) -> list[str]:
    """With which this key may have signed. That a token says another is no reason to believe it (RFC 8725, section 3.1)."""
    if key.key_type == "RSA" and key.algorithm_name == _UNSAID:
        return ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
    return [key.algorithm_name]


def _usable(fields: dict[str, Any]) -> jwt.PyJWK | None:
    if not all(isinstance(fields.get(name, ""), str) for name in _PUBLIC_FIELDS):
        return None
    if fields.get("kty") not in _CURVES or fields.get("crv") not in _CURVES[fields["kty"]]:
        return None
    if fields.get("use", "sig") != "sig" or fields.get("alg", "ES256") not in _ALGORITHMS or "d" in fields:
        return None
    try:
        key = jwt.PyJWK({name: value for name, value in fields.items() if name in _PUBLIC_FIELDS})
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, KeyError):
        return None
    if key.key_type == "RSA" and key.key.key_size < _LEAST_RSA_BITS:
        return None
    return key


# RFC 7518, section 3.1, and RFC 8037: those with a public and a private key.
_ALGORITHMS = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
_CURVES: dict[object, tuple[str | None, ...]] = {
    "RSA": (None,),
    "EC": ("P-256", "P-384", "P-521"),
    "OKP": ("Ed25519",),
}
_UNSAID = "RS256"  # what PyJWT takes an RSA key for that does not say it
_PUBLIC_FIELDS = {"kty", "kid", "use", "alg", "n", "e", "crv", "x", "y"}


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise IssuerUnavailable("it is no JSON") from error
    if not isinstance(found, dict):
        raise IssuerUnavailable("it is no JSON object")
    return found


def _file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_SIZE + 1)
    except OSError as error:
        raise IssuerUnavailable(f"{path}: {error.strerror}") from error
    if len(content) > _MAX_SIZE:
        raise IssuerUnavailable(f"{path} is longer than {_MAX_SIZE} bytes")
    return content


def _is_own(host: str) -> bool:
    return host == "localhost" or is_loopback(host)
