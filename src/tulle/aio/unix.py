"""Unix socket paths of any length.

The kernel's limit is 107 bytes (unix(7), `sun_path`), which a state folder deep in a home or a test folder exceeds. A path
through an open folder, `/proc/self/fd/N/name`, is always short.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def short_path(socket: Path) -> Iterator[str]:
    """A path for bind or connect that names the same socket, valid within the block.

    Raises FileNotFoundError if the socket's folder is not there.
    """
    folder = os.open(socket.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{socket.name}"
    finally:
        os.close(folder)
