"""What the control plane wants of this sidecar's certificates, and what Envoy has taken up: between session and credentials.

The session hears and tells, the credentials write and renew; neither waits for the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Trust:
    """bundle: the trusted roots, crl: lists of revoked certificates ("" if there are none), as PEM. version: of both."""

    bundle: str
    crl: str
    version: str


class Trusts:
    """wanted: what is to be trusted; came: set when it is another. holds: what to tell, `trust` and `root`.

    asked: set when the certificates are to be renewed, `within` so many seconds. tell: called when `holds` has changed.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self.wanted: Trust | None = None
        self.came = asyncio.Event()
        self.asked = asyncio.Event()
        self.within = 0.0
        self.holds: dict[str, str] = {}

    def hear(self, message: dict[str, Any]) -> None:
        """A line of the control plane's. Raises ValueError if it makes no sense."""
        if told := message.get("trust"):
            try:
                self.wanted = Trust(str(told["bundle"]), str(told["crl"]), str(told["version"]))
            except (KeyError, TypeError) as error:
                raise ValueError("no trust") from error
            self.came.set()
        if message.get("renew"):
            self.within = float(message.get("within", 0))
            self.asked.set()

    def hold(self, **what: str) -> None:
        """Envoy has taken this up."""
        self.holds = {"trust": "", "root": "", **self.holds, **what}
        self._tell()
