"""Which modes of capture this machine allows, asked of the modes themselves; whether they work is what tests are for."""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile

from machine import excused

MODES = ("redirect", "seccomp", "netns", "proxy")
_TRY = """
import asyncio, pathlib, sys
from tulle.agent.capture import choose
from tulle.agent.capture.mode import Settings, Unavailable
from tulle.agent.dns.resolv_conf import Nameservers
async def main():
    try:
        settings = Settings("test-000000", pathlib.Path(sys.argv[2]), 4, 5, 6, (), Nameservers()())
        with choose.prepared(sys.argv[1], settings):
            pass
    except Unavailable as error:
        print(error)
asyncio.run(main())
"""


@functools.cache
def why_not(mode: str) -> str:
    """The machine's reason against a mode; "" if it has none."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, "-c", _TRY, mode, folder], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def skip_unless_possible(mode: str) -> None:
    """Where the machine does not allow the mode; that the mode itself says so is not enough."""
    if reason := why_not(mode):
        excused(mode, reason)
