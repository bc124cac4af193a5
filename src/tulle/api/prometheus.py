"""What Prometheus asks for: the control plane's own figures, and where those of the mesh are (http_sd)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tulle.api.answers import as_json
from tulle.api.web import Web
from tulle.model.addresses import LOOPBACK
from tulle.model.peer import peer_of
from tulle.model.workload import Proxy
from tulle.telemetry.own import CONTENT_TYPE, Own


class Target(Struct, frozen=True):
    """One of Prometheus' `http_sd_configs`: prometheus.io, "HTTP SD". targets: `host:port`."""

    targets: tuple[str, ...]
    labels: dict[str, str]


class Prometheus:
    """proxies: those that are registered. sessions: how many agents have one. web: where this is served."""

    def __init__(
        self, own: Own, proxies: Callable[[], Iterable[Proxy]], sessions: Callable[[], int], web: Web | None
    ) -> None:
        self._own = own
        self._proxies = proxies
        self._sessions = sessions
        self._web = web
        self.routes = [Route("/metrics", self.metrics), Route("/v1/prometheus/targets", self.targets)]

    async def metrics(self, request: Request) -> Response:
        self._own.has_sessions(self._sessions())
        return Response(self._own.text, headers={"content-type": CONTENT_TYPE})

    async def targets(self, request: Request) -> Response:
        """All, always: what is not told is scraped no more."""
        found = [target for proxy in self._proxies() if (target := target_of(proxy))]
        if self._web:
            found.append(Target((f"{LOOPBACK}:{self._web.port}",), {"job": "tulle-control-plane"}))
        return as_json(found)


def target_of(proxy: Proxy) -> Target | None:
    """None: its agent serves no figures."""
    if not proxy.metrics or not proxy.workloads:
        return None
    workload = proxy.workloads[0]
    labels = {
        "job": "tulle-sidecars",
        "instance": proxy.id,
        "namespace": workload.service.namespace,
        "service": workload.service.name,
        "version": workload.version,
        "workload": peer_of(workload).workload,
    }
    return Target((proxy.metrics,), labels)
