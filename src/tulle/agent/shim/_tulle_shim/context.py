"""The trace's context of the request that is being served: what came with it, and what goes on with the calls made for it.

Each request has a value of its own in a contextvar, so that requests served at the same time do not see each other's. A hook of a
server enters it before the program sees the request and leaves it afterwards, whatever happens.

Headers: W3C Trace Context and Baggage, Zipkin's B3 in both forms, Envoy's x-request-id. Sidecars make the spans: what
came is passed on as it is, and the sidecar's span on the way in becomes the parent of the one on the way out.
"""

from __future__ import annotations

import os
import sys
from contextvars import ContextVar, Token
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping
    from typing import Any

# Any of these is a context of the trace: a call that has one has been given it by a tracer, and is left alone.
TRACE = (
    *("traceparent", "tracestate", "b3", "x-b3-traceid", "x-b3-spanid"),
    *("x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"),
)
BAGGAGE = "baggage"
REQUEST_ID = "x-request-id"
NAMES = (*TRACE, BAGGAGE, REQUEST_ID)

_KNOWN = frozenset(NAMES)
_VARIABLES = tuple((name, "HTTP_" + name.upper().replace("-", "_")) for name in NAMES)
_LONGEST = 8192  # W3C Baggage, section 3.3.2, asks for as much
# A thread, task or process that a request has left behind is a part of it for so long; one that lives longer is a worker.
_GRACE_SECONDS = 60.0


class Served:
    """One request. trace: pairs of name and value. life: when it ended by time.monotonic(), 0 while it is being served.

    grace: seconds after its end for which it counts.
    """

    __slots__ = ("baggage", "grace", "life", "request_id", "trace")

    def __init__(
        self,
        trace: tuple[tuple[str, str], ...],
        baggage: str,
        request_id: str,
        grace: float = _GRACE_SECONDS,
        life: list[float] | None = None,
    ) -> None:
        self.trace = trace
        self.baggage = baggage
        self.request_id = request_id
        self.grace = grace
        self.life = [0.0] if life is None else life

    def job(self) -> Served:
        """For a piece of work that was handed over, and may take longer than the request."""
        return Served(self.trace, self.baggage, self.request_id)

    def until_its_end(self) -> Served:
        """The same without grace, for what may serve others afterwards."""
        return Served(self.trace, self.baggage, self.request_id, 0.0, self.life)


_SERVED: ContextVar[Served | None] = ContextVar("tulle_served", default=None)
_MESH_SUFFIXES = (".svc.cluster.local", ".svc")
_NAMESPACE = os.environ.get("TULLE_NAMESPACE", "default")
# The provider of tracers that the shim itself has set up (spans.py), if it has.
own_provider: list[Any] = []


def of_pairs(pairs: Iterable[tuple[Any, Any]]) -> Served | None:
    """Of a request with these headers (str or bytes, of any case); None if it has nothing to pass on."""
    found: dict[str, str] = {}
    for name, value in pairs:
        name = name.decode("latin-1") if isinstance(name, bytes) else name
        name = name.lower()
        if name in _KNOWN:
            value = value.decode("latin-1") if isinstance(value, bytes) else value
            if isinstance(value, str):
                found[name] = f"{found[name]},{value}" if name in found else value
    return _of(found) if found else None


def of_environ(environ: Mapping[str, Any]) -> Served | None:
    """The same of a WSGI environment."""
    found = {name: environ[variable] for name, variable in _VARIABLES if isinstance(environ.get(variable), str)}
    return _of(found) if found else None


def _of(found: Mapping[str, str]) -> Served | None:
    good = {name: value for name, value in found.items() if value.isascii() and value.isprintable()}
    good = {name: value for name, value in good.items() if 0 < len(value) <= _LONGEST}
    if not good:
        return None
    trace = tuple((name, good[name]) for name in TRACE if name in good)
    return Served(trace, good.get(BAGGAGE, ""), good.get(REQUEST_ID, ""))


def current() -> Served | None:
    """The request for which this code runs; None: for none."""
    served = _SERVED.get()
    if served is None or not served.life[0] or monotonic() - served.life[0] <= served.grace:
        return served
    return None


def enter(served: Served | None) -> Token[Served | None]:
    """From here on this code runs for that request, or for none."""
    return _SERVED.set(served)


def is_entered(served: Served | None) -> bool:
    """Whether this code runs already for a request that came with the same."""
    now = current()
    if now is None or served is None:
        return now is served
    return (now.trace, now.baggage, now.request_id) == (served.trace, served.baggage, served.request_id)


def leave(token: Token[Served | None]) -> None:
    """The inverse. In another context than the one that was entered, this code runs for no request afterwards."""
    try:
        _SERVED.reset(token)
    except ValueError:
        _SERVED.set(None)


def end(served: Served | None) -> None:
    """The request has been answered."""
    if served is not None:
        served.life[0] = monotonic()


def _forked() -> None:
    """In a process that a request has begun, which does not see the request's end."""
    served = _SERVED.get()
    if served is not None:
        life = [served.life[0] or monotonic()]
        _SERVED.set(Served(served.trace, served.baggage, served.request_id, served.grace, life))


os.register_at_fork(after_in_child=_forked)


def to_pass_on() -> Served | None:
    """What calls that are made here should have; None: nothing, or the program has a tracer that does so itself."""
    served = current()
    return None if served is None or _traces_itself() else served


def added(served: Served, present: Container[str], host: str) -> list[tuple[str, str]]:
    """The headers that a call to `host` (`name` or `name:port`) lacks. present: what it has, in lower case.

    Sidecars add a trace's context to whatever goes through them, so it may go anywhere. Baggage is the program's own, and
    only for services of the mesh.
    """
    headers: list[tuple[str, str]] = []
    if not any(name in present for name in TRACE):
        headers.extend(served.trace)
    if served.baggage and BAGGAGE not in present and _is_in_mesh(host):
        headers.append((BAGGAGE, served.baggage))
    if served.request_id and REQUEST_ID not in present:
        headers.append((REQUEST_ID, served.request_id))
    return headers


def _is_in_mesh(host: str) -> bool:
    """By its name alone: `service`, `service.namespace` of the program's own namespace, and the full names."""
    name = host.partition(":")[0].rstrip(".").lower()
    if not name or name == "localhost" or name.startswith("["):
        return False
    service, dot, rest = name.partition(".")
    return not dot or (rest == _NAMESPACE and bool(service)) or name.endswith(_MESH_SUFFIXES)


def _traces_itself() -> bool:
    """Whether the program has configured the OpenTelemetry SDK. Its API alone, which other packages bring, does nothing."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return False
    if "OTEL_PYTHON_TRACER_PROVIDER" in os.environ:  # it would be loaded by the question
        return True
    try:
        provider = trace.get_tracer_provider()
        return not (
            isinstance(provider, (trace.ProxyTracerProvider, trace.NoOpTracerProvider))
            or any(provider is own for own in own_provider)
        )
    except AttributeError:  # it is being imported
        return True
