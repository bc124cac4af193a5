"""The door for browsers: its port is remembered, as people and Prometheus come back to it. It is opened where it can be."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from starlette.types import ASGIApp

from tulle.api import web
from tulle.api.ui_files import UiFiles
from tulle.config import OFF
from tulle.control_plane import port

_REMEMBERED = "web-port"

_log = logging.getLogger(__name__)


class Door:
    def __init__(self, listening: socket.socket) -> None:
        self.web = web.Web(listening.getsockname()[1])
        self._listening = listening

    async def serve(self, api: ASGIApp) -> None:
        """Until it is cancelled."""
        await web.serve(web.WebDoor(api, UiFiles(), self.web), self._listening)


@contextmanager
def opened(data: Path, wanted: int | Literal["off"] | None) -> Iterator[Door | None]:
    """The door, which takes connections as soon as it is served; None if there is none to be.

    Raises OSError if the port that was asked for is taken. One that nobody asked for stops no control plane.
    """
    if wanted == OFF:
        yield None
        return
    remembered = data / _REMEMBERED
    try:
        chosen = port.choose(remembered, wanted)
        listening = web.listening(chosen)
    except OSError as error:
        if wanted:
            raise
        _log.warning("there is no dashboard: %s; for another one: tulle up --web-port PORT", error)
        yield None
        return
    with closing(listening):
        port.remember(remembered, chosen)
        yield Door(listening)
