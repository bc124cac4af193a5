"""What a sidecar answers itself: redirects and direct responses."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error

from tulle.model.resources.virtual_service import HTTPBody, HTTPDirectResponse, HTTPRedirect
from tulle.sources.at import At
from tulle.sources.validation.amounts import check_one_of
from tulle.sources.validation.basics import check_authority, check_one_line, check_port

_LARGE, _LARGEST = 100 * 1024, 1024 * 1024
# Envoy, api/envoy/config/route/v3/route_components.proto, RedirectAction.RedirectResponseCode.
_REDIRECTS = (301, 302, 303, 307, 308)


def check_redirect(redirect: HTTPRedirect | None, at: At) -> None:
    if redirect is None:
        return
    check_one_of(redirect, at, port="port", derive_port="derivePort")
    port = redirect.port is not None or redirect.derive_port is not None
    if not (redirect.uri or redirect.prefix_rewrite or redirect.authority or redirect.scheme or port):
        at.error("leads nowhere else: give `uri`, `prefixRewrite`, `authority`, `scheme`, `port` or `derivePort`")
    if redirect.uri and redirect.prefix_rewrite:
        at.field("prefixRewrite").error("`uri` is all of the new path, `prefixRewrite` its beginning: keep one")
    code = redirect.redirect_code
    if code and not 300 <= code <= 399:
        at.field("redirectCode").error(f"is {code}: use 301, 302, 303, 307 or 308")
    elif code and code not in _REDIRECTS:
        at.field("redirectCode").unsupported(f"is {code}, which Envoy can't answer: use 301, 302, 303, 307 or 308")
    if redirect.scheme not in ("", "http", "https"):
        at.field("scheme").error(f"is `{redirect.scheme}`: use `http` or `https`")
    check_one_line(redirect.uri, at.field("uri"))
    check_one_line(redirect.prefix_rewrite, at.field("prefixRewrite"))
    check_authority(redirect.authority, at.field("authority"))
    if redirect.port:
        check_port(redirect.port, at.field("port"))


def check_direct_response(response: HTTPDirectResponse | None, at: At) -> None:
    if response is None:
        return
    if not 200 <= response.status <= 600:
        at.field("status").error(f"is {response.status}: use a status from 200 to 599")
    elif response.status == 600:
        at.field("status").unsupported("is 600, which Envoy can't answer: use a status from 200 to 599")
    if response.body is not None:
        _check_body(response.body, at.field("body"))


def _check_body(body: HTTPBody, at: At) -> None:
    check_one_of(body, at, string="string", bytes="bytes")
    size = len((body.string or "").encode(errors="replace"))
    if body.bytes is not None:
        try:
            size = len(b64decode(body.bytes, altchars=b"-_" if set("-_") & set(body.bytes) else None, validate=True))
        except (Error, ValueError):
            at.field("bytes").error("is not base64: encode the bytes with `base64`, or give the text as `string`")
    if size > _LARGEST:
        at.error(f"is {size} bytes long: shorten it to 1 MiB, or let a service answer")
    elif size > _LARGE:
        at.warning(f"is {size} bytes long, which each sidecar holds: let a service answer what is over 100 KiB")
