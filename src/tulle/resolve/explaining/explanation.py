"""What would happen to a request, step by step: name, route, backend, instances, access.

Read from the same picture that translation reads. What only a sidecar knows is not in it: which instances it has
ejected (`left_out.py`), how many requests are under way.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from tulle.ir.routes import Forward, HttpRoute, Redirect, Respond, Weighted
from tulle.ir.types import Answer as Means
from tulle.model.names import Destination
from tulle.model.workload import Proxy, Workload
from tulle.resolve.access.asking import Answer, From
from tulle.resolve.access.asking import answer as judged
from tulle.resolve.access.calls import Written
from tulle.resolve.access.doors import Door, Unknown, doors
from tulle.resolve.access.paths import normalised
from tulle.resolve.callers import caller_of
from tulle.resolve.explaining.asked import Asked
from tulle.resolve.explaining.matching import Seen, lines, misses
from tulle.resolve.explaining.reached import Reachable, reachable
from tulle.resolve.explaining.rewriting import sent
from tulle.resolve.inbound import paths
from tulle.resolve.meanings import meant
from tulle.resolve.mesh import Mesh
from tulle.resolve.outbound import virtual_host


class Missed(Struct, frozen=True):
    """A route that the request does not fit."""

    route: HttpRoute
    why: tuple[str, ...]


class Share(Struct, frozen=True):
    """A part of the requests. percent: of all. to: None where its destination does not exist. doors: with what they say."""

    percent: float
    weighted: Weighted
    seen: Seen
    to: Reachable | None = None
    doors: tuple[tuple[Door, Answer], ...] = ()
    unjudged: str = ""


class Explained(Struct, frozen=True):
    """seen: None if the sidecar refuses the request as it is. destination: None: the host names nothing that mesh names can.

    means: what the virtual host does; None where there is none. route: the first that fits; None if none does. missed: those
    before it. problem: what the caller is told where it gets no further.
    """

    asked: Asked
    seen: Seen | None = None
    destination: Destination | None = None
    means: Means | None = None
    problem: str = ""
    sources: tuple[str, ...] = ()
    missed: tuple[Missed, ...] = ()
    route: HttpRoute | None = None
    shares: tuple[Share, ...] = ()


def explain(mesh: Mesh, proxy: Proxy, workload: Workload, asked: Asked) -> Explained:
    """For a request of this workload."""
    path = normalised(asked.path, paths(mesh.declared.config))
    if path is None:
        return Explained(asked, problem="the sidecar refuses the request: its path is none")
    seen = Seen(asked.method, path, asked.authority, lines(asked.headers))
    destination = meant(mesh, asked.authority, workload.service.namespace)
    if destination is None:
        return Explained(asked, seen, problem="the host can be no name of the mesh")
    reached = virtual_host(mesh, workload, destination, proxy.capture)
    host, sources = reached.host, tuple(sorted(reached.sources))
    found = Explained(asked, seen, destination, host.answer, host.problem, sources)
    if host.answer is not Means.ROUTE:
        return found
    return _routed(mesh, workload, found, host.routes)


def _routed(mesh: Mesh, workload: Workload, found: Explained, routes: tuple[HttpRoute, ...]) -> Explained:
    assert found.seen is not None
    missed: list[Missed] = []
    for route in routes:
        why = misses(route.match, found.seen)
        if not why:
            shares = _shares(mesh, workload, found, route)
            return replace(found, missed=tuple(missed), route=route, shares=shares)
        missed.append(Missed(route, tuple(why)))
    return replace(found, missed=tuple(missed))


def _shares(mesh: Mesh, workload: Workload, found: Explained, route: HttpRoute) -> tuple[Share, ...]:
    action = route.action
    if not isinstance(action, Forward):
        return ()
    assert found.seen is not None
    total = sum(one.weight for one in action.backends) or 1
    return tuple(
        _share(mesh, workload, weighted, 100 * weighted.weight / total, sent(route, action, weighted, found.seen))
        for weighted in action.backends
        if weighted.weight or len(action.backends) == 1
    )


def _share(mesh: Mesh, workload: Workload, weighted: Weighted, percent: float, seen: Seen) -> Share:
    if weighted.backend is None:
        return Share(percent, weighted, seen)
    to = reachable(mesh, caller_of(workload), weighted.backend)
    if to.basis is None or not to.basis.offer.of_mesh:
        return Share(
            percent, weighted, seen, to, unjudged="it is outside the mesh: no policy of the mesh is asked there"
        )
    destination = weighted.backend.destination
    serving = {one.proxy for one in to.serving}
    try:
        found = [door for door in doors(mesh, destination.service, destination.port) if serving & set(door.proxies)]
    except Unknown as error:
        return Share(percent, weighted, seen, to, unjudged=str(error))
    by = From(workload.identity.removeprefix("spiffe://"))
    written = Written(
        seen.method,
        seen.path,
        seen.authority,
        tuple((name, line) for name, values in seen.headers.items() for line in values),
    )
    decided = tuple((door, judged(door, by, "", _sni(destination), written)) for door in found)
    return Share(percent, weighted, seen, to, decided)


def _sni(destination: Destination) -> str:
    return f"outbound_.{destination.port}_._.{destination.service.host}"


def outcome(found: Explained) -> tuple[str, int]:
    """In one line, and the status of the answer; 0 for whatever the program says."""
    if found.seen is None:
        return "refused by the caller's own sidecar", 400
    if found.destination is None or found.means in (None, Means.PASSTHROUGH):
        return "goes on to wherever DNS says, outside the mesh", 0
    if found.means is not Means.ROUTE:
        return found.problem, 502 if found.means is Means.BLOCKED else 503
    if found.route is None:
        return "no route of its VirtualService fits", 404
    action = found.route.action
    if isinstance(action, Redirect):
        return f"is redirected ({action.code})", action.code
    if isinstance(action, Respond):
        return f"is answered by the caller's sidecar with {action.status}", action.status
    fault = found.route.fault
    if fault is not None and fault.abort_percent >= 100 and fault.abort_http:
        return f"is aborted by a fault with {fault.abort_http}", fault.abort_http
    ends = [_end(share) for share in found.shares]
    if len(set(ends)) == 1:
        return ends[0]
    parts = [f"{share.percent:.3g} %: {text}" for share, (text, _) in zip(found.shares, ends, strict=True)]
    return "; ".join(parts), 0


def _end(share: Share) -> tuple[str, int]:
    name = str(share.weighted.backend.destination) if share.weighted.backend else share.weighted.missing
    if share.to is None or share.to.basis is None:
        return f"its destination {share.weighted.missing or name} does not exist", 503
    if share.to.told and not share.to.serving:
        return f"nobody serves {name} now", 503
    refusals = [answer for _, answer in share.doors if not answer.allowed]
    if refusals and len(refusals) == len(share.doors):
        status = refusals[0].status or (403 if refusals[0].verdict else 503)
        return f"{name} denies it", status
    if refusals:
        return f"some instances of {name} deny it", 0
    return f"is served by {name}", 0
