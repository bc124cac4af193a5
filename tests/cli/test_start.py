"""What a command loads before it asks: Python needs a good part of a second for all of the control plane."""

import subprocess
import sys
from pathlib import Path

import tulle.cli

# Those that are, or start, a part of the mesh, or make certificates.
OTHERS = {"__init__", "ca", "ca_files", "dev", "run", "systemd", "up"}
HEAVY = ("asyncio", "cryptography", "grpc", "sqlite3", "starlette", "tulle.resolve", "tulle.store", "tulle.translate")


def test_a_command_that_asks_loads_nothing_of_what_answers() -> None:
    names = sorted({path.stem for path in Path(tulle.cli.__file__).parent.glob("*.py")} - OTHERS)
    program = f"import sys, {', '.join(f'tulle.cli.{name}' for name in names)}; print(*sys.modules)"
    loaded = subprocess.run((sys.executable, "-c", program), check=True, capture_output=True, text=True).stdout.split()
    assert {name for name in HEAVY if name in loaded} == set()
