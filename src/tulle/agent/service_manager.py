"""Tells the service manager that started the agent how it goes, by systemd's protocol (sd_notify(3)).

One datagram a message, to the Unix socket that $NOTIFY_SOCKET names. Without one nobody is told, and nothing happens.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress

_SEND_SECONDS = 1.0


class ServiceManager:
    """The one whose unit this agent is, if there is one."""

    def __init__(self, address: str | None = None, watchdog_seconds: float | None = None) -> None:
        self._address = address
        self._watchdog_seconds = watchdog_seconds
        self._socket: socket.socket | None = None

    def ready(self) -> None:
        """The start is over: the instance is healthy, or its program runs and only calls others. Once is enough."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """What `systemctl status` shows, on one line."""
        self._send(f"STATUS={'; '.join(text.splitlines())}")

    def stopping(self) -> None:
        """The end has begun: calls in flight are answered, then the program is ended."""
        self._send("STOPPING=1")

    async def heartbeat(self) -> None:
        """Says that the agent's event loop turns, twice as often as is asked for; for ever, or not at all."""
        while self._address and self._watchdog_seconds:
            self._send("WATCHDOG=1")
            await asyncio.sleep(self._watchdog_seconds / 2)

    def close(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> None:
        if not self._address:
            return
        with suppress(OSError):  # the manager itself is being restarted: the workload goes on all the same
            if not self._socket:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
                self._socket.settimeout(_SEND_SECONDS)
            self._socket.sendto(message.encode(errors="replace"), self._address)


def service_manager(environment: MutableMapping[str, str]) -> ServiceManager:
    """The manager that `environment` names. Its variables are taken out: they are meant for this process alone."""
    address = environment.pop("NOTIFY_SOCKET", "")
    interval = environment.pop("WATCHDOG_USEC", "")
    meant_for = environment.pop("WATCHDOG_PID", "") or str(os.getpid())
    if address[:1] not in ("/", "@"):  # as vsock:2:1234, for the init of a virtual machine
        return ServiceManager()
    watched = interval.isdigit() and int(interval) > 0 and meant_for == str(os.getpid())
    # An address that begins with @ is an abstract one (unix(7)): in the kernel's terms it begins with a zero byte.
    return ServiceManager(
        address.replace("@", "\0", 1) if address[0] == "@" else address, int(interval) / 1e6 if watched else None
    )
