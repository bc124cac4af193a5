"""What Prometheus asks for: the control plane's own figures."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tulle.telemetry.own import CONTENT_TYPE, Own


class Prometheus:
    """sessions: how many agents have one."""

    def __init__(self, own: Own, sessions: Callable[[], int]) -> None:
        self._own = own
        self._sessions = sessions
        self.routes = [Route("/metrics", self.metrics)]

    async def metrics(self, request: Request) -> Response:
        self._own.has_sessions(self._sessions())
        return Response(self._own.text, headers={"content-type": CONTENT_TYPE})
