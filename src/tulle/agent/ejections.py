"""Which endpoints Envoy has ejected, why and when: it writes so itself, into a pipe in its folder that is read here.

Source: Envoy, outlier detection, "Ejection event logging" (envoy.data.cluster.v3.OutlierDetectionEvent).
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from tulle.agent.output import Lines

_NAME = "ejections"
_MOST = 1000
_PART = 65536


class Ejection(NamedTuple):
    """why: Envoy's word for the kind, as `CONSECUTIVE_5XX`. at: Unix time. times: how often it was."""

    why: str
    at: float
    times: int


class Ejections:
    """Those that last, of all of this agent's Envoys; of too many the newest. clock: Unix time in seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._last: dict[tuple[str, str], Ejection] = {}

    def told(self, cluster: str, address: str) -> dict[str, Any]:
        """What is known of one, in the words of a report; `seconds` is how long ago it was."""
        found = self._last.get((cluster, address))
        if found is None:
            return {}
        return {"why": found.why, "seconds": round(max(0.0, self._clock() - found.at), 3), "times": found.times}

    def said(self, lines: bytes) -> None:
        """Whole lines of Envoy's."""
        for line in lines.splitlines():
            with suppress(ValueError, KeyError, TypeError):
                event = json.loads(line)
                where = str(event["cluster_name"]), str(event["upstream_url"])
                self._last.pop(where, None)
                if event["action"] == "EJECT" and event["enforced"]:
                    at = datetime.fromisoformat(event["timestamp"]).timestamp()
                    self._last[where] = Ejection(str(event["type"]), at, int(event["num_ejections"]))
                    if len(self._last) > _MOST:
                        del self._last[next(iter(self._last))]

    @contextmanager
    def read(self, folder: Path) -> Iterator[dict[str, Any]]:
        """Reads within the block what Envoys write; yields what their bootstrap has to say for that, nothing if it can't be."""
        pipe = folder / _NAME
        try:
            os.mkfifo(pipe, 0o600)
            # Open for both, so that it neither waits for an Envoy nor ends with one.
            descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # of a kind that some file systems have not
            pipe.unlink(missing_ok=True)
            yield {}
            return
        lines, loop = Lines(self.said), asyncio.get_running_loop()

        def some() -> None:
            with suppress(BlockingIOError):
                lines.add(os.read(descriptor, _PART))

        loop.add_reader(descriptor, some)
        try:
            yield {"cluster_manager": {"outlier_detection": {"event_log_path": _NAME}}}
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
