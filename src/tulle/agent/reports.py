"""Reports to the control plane that are none of the session's: figures, spans, live requests.

They go by connections of their own, so that nothing of them ever holds up a heartbeat. One is kept open as long as it works.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Any

from tulle.agent import http1
from tulle.agent.api import ControlPlane, Refused, answered

_SECONDS = 10.0


class Reports:
    """Of one kind: `POST /v1/agents/{proxy}/{what}`."""

    def __init__(self, control_plane: ControlPlane, proxy: str, what: str, content_type: str) -> None:
        self._control_plane = control_plane
        self._path = f"/v1/agents/{proxy}/{what}"
        self._content_type = content_type
        self._turn = asyncio.Lock()
        self._open: AsyncExitStack | None = None
        self._connection: http1.Connection | None = None
        self._headers: dict[str, str] = {}

    async def send(self, body: bytes, **headers: str) -> Any:
        """The answer's JSON. headers: of this report.

        Raises OSError, TimeoutError among it, and Refused; the connection is then opened anew.
        """
        async with self._turn:
            try:
                async with asyncio.timeout(_SECONDS):
                    if self._connection:
                        try:
                            return await self._sent(self._connection, body, headers)
                        except OSError:  # the control plane closes what was idle for 5 s
                            await self._close()
                    return await self._sent(await self._connect(), body, headers)
            except Refused:
                raise
            except BaseException:
                await self._close()
                raise

    async def _sent(self, connection: http1.Connection, body: bytes, headers: dict[str, str]) -> Any:
        await connection.request("POST", self._path, self._headers | headers, body, keep=True)
        status = await connection.response()
        return answered(status, await connection.body())

    async def close(self) -> None:
        async with self._turn:
            await self._close()

    async def _connect(self) -> http1.Connection:
        stack = AsyncExitStack()
        opened = self._control_plane.reporting(self._content_type)
        connection, self._headers = await stack.enter_async_context(opened)
        self._open, self._connection = stack, connection
        return connection

    async def _close(self) -> None:
        stack, self._open, self._connection = self._open, None, None
        if stack:
            with suppress(OSError):
                await stack.aclose()
