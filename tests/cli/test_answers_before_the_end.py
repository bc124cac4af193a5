"""An answer that comes before the whole request was sent is heard."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from tulle.cli.client import ControlPlane, Refused

BODY = b'{"error": "not you!"}'
HEAD = b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(BODY)


def test_a_refusal_is_told_though_the_body_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("5e" * 32)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(tmp_path / "api.sock"))
        listening.listen()

        def refuse() -> None:
            connection, _ = listening.accept()
            with connection:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += connection.recv(1)
                connection.sendall(HEAD + BODY)

        refusing = threading.Thread(target=refuse)
        refusing.start()
        with pytest.raises(Refused, match="not you!") as refused:
            ControlPlane(tmp_path, {}).post("/v1/resources", dict[str, str], 1, b"x" * 4_000_000)
        refusing.join()
    assert refused.value.status == 403
