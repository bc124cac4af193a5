"""What the API asks and answers about one request that might be made: `tulle explain request`."""

from __future__ import annotations

from msgspec import Struct

from tulle.api.access_views import AnswerView, PlaceView


class RequestView(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """caller: a service that has an instance, or the id of a proxy. namespace: of a caller that says none."""

    caller: str
    url: str
    method: str = "GET"
    headers: list[tuple[str, str]] = []
    namespace: str = "default"


class NameView(Struct, frozen=True):
    """means: what its virtual host does (ir Answer). service: as `namespace/name`, or a declared host; "" for neither."""

    authority: str
    service: str
    port: int
    means: str
    problem: str
    made_by: list[PlaceView]


class RouteView(Struct, frozen=True):
    """place: of the document that made it; null for the mesh's own. why_not: what the request does not fulfil; empty: it fits.

    does: the action in words. further: what else it does.
    """

    name: str
    place: PlaceView | None
    why_not: list[str]
    does: str = ""
    further: list[str] = []


class CandidateView(Struct, frozen=True):
    """out: why it gets no request, "" if it does."""

    name: str
    address: str
    locality: str
    out: str


class ShareView(Struct, frozen=True):
    """Where a part of the requests goes. cluster: Envoy's name for it. made_by: the documents that shape it. told: whether its
    instances are known here, and not found by DNS. unjudged: why nothing is said of access."""

    percent: float
    destination: str
    subset: str
    cluster: str
    path: str
    authority: str
    made_by: list[PlaceView]
    limits: list[str]
    told: bool
    candidates: list[CandidateView]
    access: list[AnswerView]
    unjudged: str


class ExplainedView(Struct, frozen=True):
    """status: of the answer, 0 if the program decides it. routes: those that were tried, in order; the last fits, if `found`.

    pending: the caller's proxy, if it does not hold all of this yet. unasked: why its sidecar did not say whom it leaves out.
    """

    outcome: str
    status: int
    caller: str
    proxy: str
    identity: str
    method: str
    path: str
    name: NameView | None
    routes: list[RouteView]
    found: bool
    shares: list[ShareView]
    fixes: list[str]
    pending: list[str]
    unasked: str = ""
