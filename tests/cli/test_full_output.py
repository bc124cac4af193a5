"""Where what a command prints can't go: a full disk, a reader that has left."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

RULE = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: rule-0}
spec: {host: web-0}
---
"""


async def ended(tulle: Any, *arguments: str, out: int, stdin: str = "") -> tuple[int | None, str]:
    """The exit code, and what is on stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tulle",
        *arguments,
        env={**os.environ, "TULLE_DATA": str(tulle.data)},
        stdin=asyncio.subprocess.PIPE,
        stdout=out,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(out)
    _, err = await asyncio.wait_for(process.communicate(stdin.encode()), 30)
    return process.returncode, err.decode()


@pytest.mark.parametrize(
    "arguments", ["get dr", "get dr -o json", "services", "explain dr", "--help", "apply --wait -f -"]
)
async def test_a_full_disk_is_told_in_one_line(tulle: Any, arguments: str) -> None:
    assert (await tulle("apply", "-f", "-", stdin=RULE)).code == 0
    full = os.open("/dev/full", os.O_WRONLY)
    said = await ended(tulle, *arguments.split(), out=full, stdin=RULE)
    assert said == (1, "Error: the output can't be written: No space left on device\n")


async def test_a_reader_that_has_left_is_no_matter_for_words(tulle: Any, tmp_path: Path) -> None:
    assert (await tulle("apply", "-f", "-", stdin="".join(RULE.replace("-0", f"-{n}") for n in range(99)))).code == 0
    for arguments in (["get", "dr"], ["get", "dr", "-o", "yaml"]):
        reader, writer = os.pipe()
        os.close(reader)
        assert await ended(tulle, *arguments, out=writer) == (1, "")
