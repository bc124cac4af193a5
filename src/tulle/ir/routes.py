"""What happens to an HTTP request, in mesh words: matches, in order, and what the first that fits does.

Everything that is known of the caller beforehand (its labels, namespace, the port it called) is decided already: routes that
are not for it are not here. Lengths of time are in nanoseconds, percentages from 0 to 100.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from tulle.model.names import Destination


class Text(StrEnum):
    """How a text is matched. REGEX: RE2, the whole text. PRESENT: whatever it is."""

    EXACT = "exact"
    PREFIX = "prefix"
    REGEX = "regex"
    PRESENT = "present"


class TextMatch(Struct, frozen=True):
    kind: Text
    value: str = ""
    ignore_case: bool = False


class NamedMatch(Struct, frozen=True):
    """Of a header or a query parameter. absent: the opposite, which a request without it fulfils too."""

    name: str
    match: TextMatch
    absent: bool = False


class HttpMatch(Struct, frozen=True):
    """All of it must fit; None and empty fit everything. A prefix of a path is one of its text (Istio's `uri.prefix`)."""

    path: TextMatch | None = None
    method: TextMatch | None = None
    scheme: TextMatch | None = None
    authority: TextMatch | None = None
    headers: tuple[NamedMatch, ...] = ()
    query: tuple[NamedMatch, ...] = ()


class HeaderOperations(Struct, frozen=True):
    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


class Headers(Struct, frozen=True):
    request: HeaderOperations = HeaderOperations()
    response: HeaderOperations = HeaderOperations()


class BackendRef(Struct, frozen=True, order=True):
    """Names an ir Backend: a port of a service, and one of its subsets ("" for all of it).

    detected: what turned out not to be HTTP on a port of which nobody said what it carries. telemetry_timeout: for what the
    sidecar itself tells of calls: how long one delivery may take, in nanoseconds; 0: for calls of programs, which routes limit.
    """

    destination: Destination
    subset: str = ""
    detected: bool = False
    telemetry_timeout: int = 0


class Weighted(Struct, frozen=True):
    """One of the backends among which requests are divided, in proportion to the weights.

    backend: None if there is no such; its share gets 503. missing: what was meant then, as users write it.
    authority: what its requests have for one, if it is not empty.
    """

    backend: BackendRef | None
    weight: int = 1
    headers: Headers = Headers()
    authority: str = ""
    missing: str = ""


class Rewrite(Struct, frozen=True):
    """path: in place of what a prefix or an exact match fitted, or of the whole path. regex: pattern and substitution."""

    path: str = ""
    authority: str = ""
    regex: tuple[str, str] | None = None


class Retries(Struct, frozen=True):
    """Istio's HTTPRetry, completed. attempts 0: none. on: Envoy's conditions, comma-separated. codes: of HTTP, sorted.

    per_try, backoff: nanoseconds; None for Envoy's way. remote_localities: None for no preference.
    """

    attempts: int
    on: str = ""
    codes: tuple[int, ...] = ()
    per_try: int | None = None
    backoff: int | None = None
    ignore_previous_hosts: bool = True
    remote_localities: bool = False


class Mirror(Struct, frozen=True):
    backend: BackendRef
    percent: float = 100.0


class Fault(Struct, frozen=True):
    """delay: nanoseconds. abort: an HTTP status, or a gRPC status by its name."""

    delay: int = 0
    delay_percent: float = 0.0
    abort_http: int = 0
    abort_grpc: str = ""
    abort_percent: float = 0.0


class Cors(Struct, frozen=True):
    """max_age: nanoseconds. credentials: None if nothing is said. forward_unmatched: preflights of other origins go on."""

    origins: tuple[TextMatch, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    max_age: int | None = None
    credentials: bool | None = None
    forward_unmatched: bool = True


class Forward(Struct, frozen=True, tag=True):
    """To the backends. timeout: None for none. retries: None for tulle's own, those that are always safe."""

    backends: tuple[Weighted, ...]
    rewrite: Rewrite = Rewrite()
    timeout: int | None = None
    retries: Retries | None = None
    mirrors: tuple[Mirror, ...] = ()


class Redirect(Struct, frozen=True, tag=True):
    """What is empty stays as it was. prefix: in place of what the match's prefix fitted. port: None to write none."""

    path: str = ""
    prefix: str = ""
    authority: str = ""
    scheme: str = ""
    port: int | None = None
    code: int = 301


class Respond(Struct, frozen=True, tag=True):
    status: int
    body: bytes = b""


class HttpRoute(Struct, frozen=True):
    """name: as users and logs know it. source: the document that made it, `VirtualService default/reviews`; place: where in that,
    `spec.http[1]`.

    stat_prefix: under which Envoy counts its requests, if it is not empty.
    """

    match: HttpMatch
    action: Forward | Redirect | Respond
    name: str = ""
    source: str = ""
    headers: Headers = Headers()
    fault: Fault | None = None
    cors: Cors | None = None
    stat_prefix: str = ""
    place: str = ""
