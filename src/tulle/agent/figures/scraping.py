"""The program's own metrics, asked for when ours are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tulle.agent import http1
from tulle.agent.figures.exposition import lines_of
from tulle.agent.figures.merging import Merged, NoExposition

_SECONDS = 1.0
_MOST_BYTES = 4 << 20
_ACCEPT = "text/plain;version=0.0.4;q=1,*/*;q=0.1"


class Scraping:
    """path: on the program's port. port: None for its first. place: where it listens, its address and ports."""

    def __init__(
        self,
        port: int | None,
        path: str,
        place: Callable[[], tuple[str, tuple[int, ...]]],
        is_ours: Callable[[str], bool],
    ) -> None:
        self._port = port
        self._path = path
        self._place = place
        self._is_ours = is_ours
        self.failures = 0
        self.left_out = 0  # metrics, of the last time that it answered
        self.problem = ""  # of the last time

    async def lines(self) -> list[str]:
        """None of them if it does not answer in time, or with anything else."""
        try:
            async with asyncio.timeout(_SECONDS):
                found = await self._scraped()
        except (OSError, NoExposition) as error:  # a TimeoutError is an OSError
            self.failures += 1
            self.problem = str(error) or f"no answer within {_SECONDS:g} s"
            return []
        self.problem = ""
        return found

    async def _scraped(self) -> list[str]:
        address, ports = self._place()
        port = self._port or next(iter(ports), None)
        if port is None:
            raise ConnectionRefusedError("the program does not listen")
        async with http1.over_tcp(address, port) as connection:
            headers = {"Accept": _ACCEPT, "User-Agent": "tulle"}
            await connection.request("GET", self._path, headers, host=f"localhost:{port}")
            status = await connection.response()
            if status != 200:
                raise ConnectionError(f"GET {self._path} is answered with {status}")
            text = await connection.body(_MOST_BYTES)
            is_open = "openmetrics" in connection.header("content-type").lower()
        merged = Merged(self._is_ours, is_open=is_open)
        for lines in lines_of(text):
            merged.take(lines)
            await asyncio.sleep(0)
        self.left_out = len(merged.left_out)
        return merged.lines
