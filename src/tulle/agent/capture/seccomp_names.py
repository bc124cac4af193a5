"""Which addresses are the machine's resolvers: questions to them are the agent's to answer.

Once one, always one: a program may have read an older resolv.conf than we. The file is looked at when a question comes
up, at most once a second.
"""

from __future__ import annotations

import os
import time

from tulle.agent.capture.seccomp_address import LOOPBACK, from_text

_LOOK_SECONDS = 1.0


class Nameservers:
    """answers_at: the addresses of loopback on which the agent answers, 127.0.0.1 beside."""

    def __init__(self, file: str, known: list[str], answers_at: list[str]) -> None:
        self._file = file
        self._addresses = {address for text in known if (address := from_text(text))}
        self._answers_at = {address for text in answers_at if (address := from_text(text))}
        self._seen = -1
        self._next = 0.0

    def answering(self, address: bytes) -> bytes | None:
        """Who is to be asked in place of this resolver: on its own address if possible, for there are clients (c-ares)
        that compare from where they are answered. None if it is no resolver of this machine."""
        if time.monotonic() >= self._next:
            self._look()
        if address not in self._addresses:
            return None
        return address if address in self._answers_at else LOOPBACK

    def _look(self) -> None:
        self._next = time.monotonic() + _LOOK_SECONDS
        try:
            changed = os.stat(self._file).st_mtime_ns  # noqa: PTH116 (pathlib costs memory)
            if changed == self._seen:
                return
            with open(self._file, errors="replace") as lines:  # noqa: PTH123
                words = [line.split() for line in lines]
        except OSError:  # it is being replaced, or there is none
            return
        self._seen = changed
        named = [fields[1] for fields in words if fields[:1] == ["nameserver"] and len(fields) > 1]
        self._addresses.update(address for text in named or ["127.0.0.1"] if (address := from_text(text)))
