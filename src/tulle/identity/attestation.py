"""How a caller on this machine proves that it may ask anything of the control plane.

Two proofs, both needed: it runs as our user or as root (the kernel says so), and it knows the data folder's secret.
Which identity it may then ask for is enrolment's matter.
"""

from __future__ import annotations

import hmac
import os
import socket
import struct

_CREDENTIALS = struct.Struct("iII")  # unix(7), struct ucred: pid, uid, gid


class Attestation:
    def __init__(self, secret: str) -> None:
        self._expected = f"Bearer {secret}".encode()

    def accepts(self, authorization: bytes) -> bool:
        """Whether an Authorization header carries the secret. Takes the same time for every wrong one."""
        return hmac.compare_digest(authorization, self._expected)


def peer_is_trusted(connection: socket.socket) -> bool:
    """Whether the other end of a Unix socket is a process of our own user or of root (SO_PEERCRED)."""
    return user_of(connection) in (0, os.geteuid())


def user_of(connection: socket.socket) -> int:
    """The user whose process is at the other end of a Unix socket."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1])
