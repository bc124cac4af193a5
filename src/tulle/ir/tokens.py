"""Tokens that requests to a workload may carry, and by which keys they are checked (RequestAuthentication).

Source: istio.io, RequestAuthentication, JWTRule. A request without a token passes; one with a token that none of the
issuers stands for is answered with 401.
"""

from __future__ import annotations

from msgspec import Struct


class TokenPlace(Struct, frozen=True):
    """One place where a token may be: a header with a prefix before the token, a query parameter or a cookie."""

    header: str = ""
    prefix: str = ""
    parameter: str = ""
    cookie: str = ""


class Issuer(Struct, frozen=True):
    """One JWTRule. jwks: the key set as JSON; "" when there is none of use, so that no token of it is good.

    source: the document, as `str(Ref)`. places: where its tokens are looked for; none: the usual ones (Authorization: Bearer,
    the parameter access_token). claim_headers: (header, claim). spaced: claims whose text is a list, separated by spaces.
    """

    issuer: str
    source: str
    jwks: str = ""
    audiences: tuple[str, ...] = ()
    places: tuple[TokenPlace, ...] = ()
    forward: bool = False
    payload_header: str = ""
    claim_headers: tuple[tuple[str, str], ...] = ()
    spaced: tuple[str, ...] = ()
