"""Asks the kernel which TCP sockets listen (sock_diag(7)), which is some fifty times cheaper than /proc/net/tcp.

That file's reader walks the whole table of connections, of which an idle machine has half a million empty slots.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY = 20
_ERROR, _DONE = 2, 3
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_TCP_LISTEN = 10
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBxI48x")  # struct inet_diag_req_v2, with no socket in particular
_MESSAGE = struct.Struct("!4xH2x16s36x")  # struct inet_diag_msg up to its last two fields, from there on:
_USER_AND_INODE = struct.Struct("=II")
_BUFFER = 65536


def listening(family: int) -> Iterator[tuple[int, str, int, int]]:
    """Inode, address, port and user of each in this network namespace. Raises OSError where the kernel can't be asked."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG) as asked:
        question = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 1 << _TCP_LISTEN)
        asked.send(_HEADER.pack(_HEADER.size + len(question), _BY_FAMILY, _REQUEST_DUMP, 1, 0) + question)
        while True:
            answer = memoryview(asked.recv(_BUFFER))
            while answer:
                length, kind, *_ = _HEADER.unpack_from(answer)
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    raise OSError(-struct.unpack_from("=i", answer, _HEADER.size)[0], "sock_diag")
                yield _socket(family, answer[_HEADER.size : length])
                answer = answer[(length + 3) & ~3 :]


def _socket(family: int, message: memoryview) -> tuple[int, str, int, int]:
    port, address = _MESSAGE.unpack_from(message)
    user, inode = _USER_AND_INODE.unpack_from(message, 64)
    return inode, socket.inet_ntop(family, address[: 4 if family == socket.AF_INET else 16]), port, user
