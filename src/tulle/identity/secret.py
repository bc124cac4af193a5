"""The data folder's secret, by which agents and commands of the same user prove that they may ask.

It is made at the first start. Whoever can read the file can enrol any workload, so its mode is the whole protection.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from tulle.identity.private import StateUnusable, create_private, read_private

_FORM = re.compile(r"[0-9a-f]{64}")


def open_secret(path: Path) -> str:
    """The secret in `path`; a new one of 256 bits if there is no such file. Raises StateUnusable."""
    try:
        content = read_private(path)
    except FileNotFoundError:
        secret = secrets.token_hex(32)
        create_private(path, f"{secret}\n".encode())
        return secret
    secret = content.decode("ascii", "replace").strip()
    if _FORM.fullmatch(secret) is None:
        raise StateUnusable(f"{path} is damaged: it must hold 64 hex digits. Remove it and a new secret will be made")
    return secret
