"""How many files may be open: as many as allowed for the sidecar, as many as before for the program."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from typing import Any

import pytest

RAISED = """
import json, resource, subprocess, sys
from tulle.agent.limits import limit_open_files, raise_open_files

def limits(**options):
    shell = subprocess.run(["sh", "-c", "ulimit -Sn; ulimit -Hn"], stdout=subprocess.PIPE, text=True, **options)
    return shell.stdout.split()

before = raise_open_files()
envoy = limits()
program = limits(preexec_fn=lambda: limit_open_files(before))
again = raise_open_files()
print(json.dumps([before, envoy, program, again]))
"""


def run(soft: int, hard: int) -> list[Any]:
    done = subprocess.run(
        [sys.executable, "-c", RAISED],
        stdout=subprocess.PIPE,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
    )
    found: list[Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(("soft", "hard"), [(256, 512), (512, 512)])
def test_the_sidecar_has_all_that_is_allowed_and_the_program_what_it_had(soft: int, hard: int) -> None:
    before, envoy, program, again = run(soft, hard)
    assert (before, again) == (soft, hard)
    assert envoy == [str(hard), str(hard)]
    assert program == [str(soft), str(hard)]
