"""What one Envoy and its successors share, so that a new one can take over from an old one without a lost call.

Envoy calls that a hot restart: the new process, one "epoch" later, is handed the listening sockets of the old one, and
tells it to drain once it serves itself. Both find each other by a "base id": it names a piece of shared memory in
/dev/shm and, in the agent's folder, sockets for what they say to each other. Nobody but Envoy clears these up, and it
does not either, so it is done here; a link in the folder tells the reaper, should the agent be killed.
Source: Envoy 1.40, source/server/hot_restart_impl.cc, hot_restarting_base.cc, hot_restart.proto.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

from tulle.agent.folder import Folder
from tulle.agent.shared_memory import LINK, remove_shared_memory
from tulle.aio.unix import short_path

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  where shm_open(3) puts it
_SOCKET = ".restart"
_LOWEST_BASE = 1 << 24  # people who choose a base id by hand take a small one
_SCALE = 10  # Envoy multiplies the base id by that before it makes names of it
_CONCURRENT = 3  # the names of sockets repeat after so many epochs
_FALLBACK_SECONDS = 10
# For how long a connection outlives the listener, or the chain of filters, by which it came (Envoy, Draining). A listener
# changes with the rules for TCP; what HTTP there is leaves it at its next request.
_OUTLIVED_SECONDS = 86_400
_FLAGS_BYTES = 8  # the last field of Envoy's struct SharedMemory, whose first is its size

# HotRestartMessage: its field 1 is a request, which is one of these fields; the whole comes after its length, 8 bytes.
_PASS_LISTEN_SOCKET, _STATS = 1, 3
_NOT_UNDERSTOOD = b"\x18\x01"  # didnt_recognize_your_last_message: true


class Lineage:
    """An Envoy of epoch 0 and those that take over from it, one by one."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._base = _LOWEST_BASE + int.from_bytes(os.urandom(3), "big")
        self._stand_in: _StandIn | None = None
        self.is_possible = os.access(_SHARED_MEMORY, os.W_OK)
        if self.is_possible:
            remove_shared_memory(str(folder.path))
            (folder.path / LINK).symlink_to(self._shared_memory)

    def options(self, epoch: int, drain_seconds: float) -> tuple[str, ...]:
        """What Envoy is told on its command line.

        The agent ends the old one; that the new one does, later, is for the case that the agent does not.
        """
        draining = ("--drain-strategy", "immediate", "--drain-time-s", str(_OUTLIVED_SECONDS))
        if not self.is_possible:
            return ("--disable-hot-restart", *draining)
        last = max(1, round(drain_seconds)) + _FALLBACK_SECONDS
        return (
            *("--base-id", str(self._base), "--restart-epoch", str(epoch)),
            # Relative, and so never too long for a socket's name: Envoy's working directory is the folder.
            *("--socket-path", _SOCKET, "--socket-mode", "600"),
            *draining,
            *("--parent-shutdown-time-s", str(last)),
            # Both are asked for their own.
            "--skip-hot-restart-parent-stats",
        )

    def forgive(self) -> None:
        """Lets an epoch be started although the last one that was died as it started, which Envoy would not have."""
        with self._shared_memory.open("r+b") as memory:
            size = int.from_bytes(memory.read(_FLAGS_BYTES), sys.byteorder)
            if size == memory.seek(0, os.SEEK_END):
                memory.seek(-_FLAGS_BYTES, os.SEEK_END)
                memory.write(bytes(_FLAGS_BYTES))

    def stand_in_for(self, epoch: int) -> None:
        """Answers in place of an epoch that has ended; its successor would crash when it next told it something."""
        if self._stand_in:
            self._stand_in.close()
        scaled = self._base * _SCALE
        self._stand_in = _StandIn(
            self._folder.path / f"{_SOCKET}_parent_{scaled + epoch % _CONCURRENT}",
            self._folder.path / f"{_SOCKET}_child_{scaled + (epoch + 1) % _CONCURRENT}",
        )

    def close(self) -> None:
        """Nobody takes over any more; those that run have no need of what is removed."""
        if self._stand_in:
            self._stand_in.close()
        remove_shared_memory(str(self._folder.path))
        for role in ("parent", "child", "udp_parent", "udp_child"):
            for epoch in range(_CONCURRENT):
                (self._folder.path / f"{_SOCKET}_{role}_{self._base * _SCALE + epoch}").unlink(missing_ok=True)

    @property
    def _shared_memory(self) -> Path:
        return _SHARED_MEMORY / f"envoy_shared_memory_{self._base * _SCALE}"


class _StandIn:
    """Hears what the successor tells its predecessor, and gives it the sockets that it asks for: none."""

    def __init__(self, own: Path, successor: Path) -> None:
        self._successor = successor
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        aside = own.with_suffix(".new")
        aside.unlink(missing_ok=True)
        with short_path(aside) as path:
            self._socket.bind(path)
        aside.chmod(0o600)
        aside.replace(own)  # at no moment there is none, which the successor would not survive
        asyncio.get_running_loop().add_reader(self._socket, self._hear)
        self._answer()  # what was asked of the old one as it died; if nothing was, the next question is answered so

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _hear(self) -> None:
        with suppress(OSError):  # the successor has gone too
            message = self._socket.recv(65536)
            if len(message) > 10 and message[10] >> 3 in (_PASS_LISTEN_SOCKET, _STATS):
                self._answer()

    def _answer(self) -> None:
        with suppress(OSError), short_path(self._successor) as path:
            self._socket.sendto(len(_NOT_UNDERSTOOD).to_bytes(8, "big") + _NOT_UNDERSTOOD, path)
