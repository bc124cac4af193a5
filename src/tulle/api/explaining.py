"""`POST /v1/explain/request`: what would happen to a request, by the configuration that proxies are given. It only looks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tulle.api.access_shown import Shown
from tulle.api.answers import as_json
from tulle.api.asking import NoAnswer
from tulle.api.bodies import MALFORMED, body_of
from tulle.api.doors import Force, Mesh
from tulle.api.endpoints import LeftOut
from tulle.api.explained_shown import fixes_of, name_of, routes_of, share_of
from tulle.api.explained_views import ExplainedView, RequestView
from tulle.model.names import label_problem
from tulle.model.workload import Proxy, Workload
from tulle.resolve.access.doors import Unknown, service
from tulle.resolve.explaining.asked import NoRequest, asked
from tulle.resolve.explaining.explanation import Explained, Share, explain, outcome
from tulle.resolve.explaining.left_out import asked_about, without
from tulle.resolve.mesh import Mesh as MeshValue
from tulle.translate import names

_request = msgspec.json.Decoder(RequestView)


class Explaining:
    """left_out: asks a proxy's sidecar about clusters (EndpointsApi)."""

    def __init__(self, mesh: Mesh, force: Force, left_out: Callable[[str, Sequence[str]], Awaitable[LeftOut]]) -> None:
        self._mesh, self._force, self._left_out = mesh, force, left_out

    @property
    def routes(self) -> list[Route]:
        return [Route("/v1/explain/request", self.request, methods=["POST"])]

    async def request(self, request: Request) -> Response:
        try:
            wanted = _request.decode(await body_of(request))
            made = asked(wanted.method, wanted.url, tuple(wanted.headers))
        except MALFORMED as error:
            raise HTTPException(400, f"this is no request to explain: {error}") from error
        except NoRequest as error:
            raise HTTPException(400, str(error)) from error
        if problem := label_problem("namespace", wanted.namespace):
            raise HTTPException(400, problem)
        mesh = self._force.mesh()
        try:
            proxy, workload = _caller(mesh, wanted.caller, wanted.namespace)
        except Unknown as error:
            raise HTTPException(404, str(error)) from error
        found, unasked = await self._as_seen(proxy, explain(mesh, proxy, workload, made))
        shown = Shown(mesh.declared.resources)
        text, status = outcome(found)
        return as_json(
            ExplainedView(
                outcome=text,
                status=status,
                caller=str(workload.service),
                proxy=proxy.id,
                identity=workload.identity,
                method=made.method,
                path=found.seen.path if found.seen else made.path,
                name=name_of(found, shown),
                routes=routes_of(found, shown),
                found=found.route is not None,
                shares=[share_of(share, shown, self._pending(_proxies(share))) for share in found.shares],
                fixes=list(dict.fromkeys(fixes_of(found, str(workload.service)))),
                pending=self._pending([proxy.id]),
                unasked=unasked,
            )
        )

    async def _as_seen(self, proxy: Proxy, found: Explained) -> tuple[Explained, str]:
        """Without those that the proxy's own sidecar leaves out; why that is not known, "" if it is."""
        clusters = {ref: names.backend(ref) for ref in asked_about(found)}
        if not clusters:
            return found, ""
        try:
            out = await self._left_out(proxy.id, list(clusters.values()))
        except NoAnswer as error:
            return found, str(error)
        return without(found, lambda ref: out.get(clusters.get(ref, ""), {})), ""

    def _pending(self, proxies: list[str]) -> list[str]:
        """Those that do not yet, or do no longer, hold what the answer is made of."""
        seen = ((proxy, self._mesh.proxy(proxy)) for proxy in proxies)
        return [proxy for proxy, view in seen if view is None or not view.in_sync or view.rejected]


def _proxies(share: Share) -> list[str]:
    return sorted({proxy for door, _ in share.doors for proxy in door.proxies})


def _caller(mesh: MeshValue, text: str, namespace: str) -> tuple[Proxy, Workload]:
    """Raises Unknown."""
    if (proxy := mesh.proxies.get(text)) is not None:
        return proxy, proxy.workloads[0]
    found = service(mesh, text, namespace)
    if not found.instances:
        raise Unknown(f"no instance of {found.name} runs, and what it may do depends on its labels; start one")
    first = found.instances[0]
    return mesh.proxies[first.proxy], first.workload
