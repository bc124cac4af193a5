"""Programs that end by themselves: jobs, whose streams and exit code are their own, and those that are started again."""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from contextlib import suppress
from functools import partial

from puppets import Puppet, puppet
from running import TULLE, Mesh, children, command_line, envoy_of, wait_for
from traces import processes_with, tables

JOB = """
import sys, urllib.request
given = sys.stdin.buffer.read()
with urllib.request.urlopen("http://service-b/data") as answer:
    sys.stdout.buffer.write(given + b" %d" % answer.status)
sys.stderr.write("the program's own")
raise SystemExit(7)
"""


def test_the_first_thing_that_a_job_does_is_captured_and_its_streams_and_exit_code_are_its_own(
    mesh: Mesh, mode: str
) -> None:
    mesh.up()
    mesh.serve("service-b", "b1")
    mark, log = uuid.uuid4().hex, mesh.folder / "mesh.log"
    name = f"job-{mark[:12]}"  # other tests have jobs as well
    given = bytes(range(256))
    job = subprocess.run(
        [*TULLE, "run", name, "--capture", mode, "--log-file", str(log), "--", "python3", "-c", JOB],
        input=given,
        capture_output=True,
        env={**mesh.env, "TEST_MARK": mark},
        timeout=60,
    )
    assert (job.stdout, job.stderr, job.returncode) == (given + b" 200", b"the program's own", 7)
    assert f"captured by {mode}" in log.read_text()
    assert "exit code 7" in log.read_text()
    assert not processes_with(mark)
    assert not [table for table in tables() if f"tulle-{name}" in table]
    assert [path.name[:-7] for path in (mesh.data / "proxies").iterdir()] == ["service-b"]


def test_a_program_that_is_started_again_keeps_its_sidecar_and_its_place(mesh: Mesh, mode: str) -> None:
    mesh.up()
    mesh.serve("service-b", "b1")
    program = puppet(mesh, "service-a", "--capture", mode, "--restart", "on-failure")
    program.do("import os; serve('127.0.0.1', int(os.environ['PORT']))")
    wait_for("it is in rotation", lambda: mesh.healthy("service-a") == 1)
    envoy, pid, caller = envoy_of(program.running), program.pid, mesh.caller("service-c")
    for ended in ("os._exit(3)", "os.kill(os.getpid(), 9)"):
        with suppress(ValueError):  # it has no time to answer
            program.do(ended)
        wait_for("it lives again", partial(_lives_again, program, pid))
        pid = program.pid
        assert program.get("http://service-b/data")[0] == 200
        wait_for("it is out of rotation meanwhile", lambda: mesh.healthy("service-a") == 0)
        program.do("import os; serve('127.0.0.1', int(os.environ['PORT']))")
        wait_for("it is in rotation again", lambda: mesh.healthy("service-a") == 1)
        wait_for("its caller knows it", lambda: caller.call("http://service-a/").status == 200)
    assert envoy_of(program.running) == envoy
    assert [p["id"] for p in mesh.proxies() if p["service"] == "service-a"] == [program.proxy]
    assert "starting it again" in program.running.output
    program.do("import threading; threading.Timer(0.2, os._exit, [0]).start()")
    assert program.running.wait() == 0


def test_a_program_whose_file_is_gone_for_a_moment_is_started_when_it_is_there_again(mesh: Mesh) -> None:
    mesh.up()
    script = mesh.folder / "program"
    script.write_text("#!/bin/sh\necho here I am\nexec sleep 600\n")
    script.chmod(0o755)
    running = mesh.run("service-a", str(script), options=("--restart", "always"))
    wait_for("it runs", lambda: "here I am" in running.output)
    script.rename(mesh.folder / "aside")
    os.kill(_sleepers(running.pid)[0], signal.SIGTERM)
    wait_for("that is said", lambda: "trying again" in running.output)
    (mesh.folder / "aside").rename(script)
    wait_for("it runs again", lambda: running.output.count("here I am") == 2)
    assert running.stop() == 143


def _lives_again(program: Puppet, before: int) -> bool:
    return program.is_there() and program.pid != before


def _sleepers(pid: int) -> list[int]:
    return [child for child in children(pid) if command_line(child).startswith("sleep 600")]
