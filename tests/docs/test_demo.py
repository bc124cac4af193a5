"""The demo, as `scripts/demo` starts it, for as short as it can be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).parents[2] / "demo" / "run.py"


def test_no_call_of_the_demo_fails() -> None:
    done = subprocess.run(
        [sys.executable, DEMO],
        env={**os.environ, "DEMO_SECONDS": "15"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    measured = json.loads(done.stdout.splitlines()[-1])
    assert measured["calls"] > 0 and measured["failed"] == 0
    assert measured["peer_identity"] == "spiffe://cluster.local/ns/default/sa/service-b"
