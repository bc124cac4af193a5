"""How many requests come, how they are answered and how soon, by route."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tulle.telemetry.own import Own

_OTHER = "other"  # refused for who asks, or for a path that there is not


class Measured:
    """An ASGI middleware around callers.py, which finds out the route. Streams count when they begin."""

    def __init__(self, app: ASGIApp, own: Own) -> None:
        self._app = app
        self._own = own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()

        async def measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope["state"].get("way") or _OTHER
                self._own.answered(route, message["status"], time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, measured)
