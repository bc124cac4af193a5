"""`tulle dev`: one command makes a mesh of everything that a file names, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from running import PROGRAMS, TULLE, Mesh, Running, command_line, wait_for

PYTHON = sys.executable
POLITE = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: (print('bye'), sys.exit(0))); "


class Folder:
    """A project's folder, and `tulle dev` in it."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh, self.path = mesh, mesh.folder / "project"
        self.path.mkdir()
        del mesh.env["PYTHONUNBUFFERED"]

    def file(self, text: str, name: str = "tulle.yaml") -> None:
        """PYTHON and server.py stand for what they are; the program lies below the folder, so that it can be changed."""
        shutil.copy(PROGRAMS / "server.py", self.path)
        text = textwrap.dedent(text).replace("PYTHON", PYTHON)
        (self.path / name).write_text(text)

    def program(self, name: str, text: str) -> None:
        (self.path / name).write_text(textwrap.dedent(text))

    def dev(self, *options: str, file: str = "tulle.yaml", **env: str) -> Running:
        return self.mesh.start("dev", "dev", "-f", str(self.path / file), *options, **env)

    def left(self) -> list[str]:
        """The processes that have to do with this folder or its state."""
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        lines = {pid: command_line(pid) for pid in pids if pid != os.getpid()}
        return [line for line in lines.values() if str(self.mesh.folder) in line]


@pytest.fixture
def folder(mesh: Mesh) -> Iterator[Folder]:
    folder = Folder(mesh)
    yield folder
    mesh.close()
    wait_for("nothing is left", lambda: not folder.left())


def up(running: Running) -> None:
    def is_up() -> bool:
        assert running.process.poll() is None, running.output
        return "all is up" in running.output

    wait_for("all is up", is_up)


def says(running: Running, text: str) -> None:
    wait_for(f"it says {text!r}", lambda: text in running.output or running.process.poll() is not None)
    assert text in running.output, running.output


def place(running: Running, *patterns: str) -> list[int]:
    """The numbers of the first lines that match."""
    lines = running.output.splitlines()
    return [next(n for n, line in enumerate(lines) if re.search(pattern, line)) for pattern in patterns]


def test_one_command_starts_all_in_order_and_ends_all_in_the_reverse_order(folder: Folder) -> None:
    folder.program("db.py", POLITE + "exec(open('server.py').read())")
    folder.program("web.py", POLITE + "print('web begins'); exec(open('server.py').read())")
    folder.file("""
        env: {GREETING: hello, NAME: all}
        services:
          web:
            command: PYTHON web.py
            depends_on: [db]
            health: /healthz
          job:
            command: PYTHON -c "import os; print(os.environ['GREETING'], os.environ['NAME'], os.getcwd())"
            env: {NAME: job}
            depends_on: web
          last: {command: PYTHON web.py, depends_on: job}
          db: {command: [PYTHON, db.py], replicas: 2, version: v2, labels: {tier: back}, grace: 5s}
    """)
    dev = folder.dev("--data", str(folder.mesh.data), "--no-color")
    up(dev)
    assert f"job.1  | hello job {folder.path}" in dev.output
    assert (folder.mesh.healthy("db"), folder.mesh.healthy("web")) == (2, 1)
    [instance, _] = (folder.mesh.service("db") or {})["instances"]
    assert (instance["version"], instance["labels"]) == ("v2", {"tier": "back"})
    assert folder.mesh.caller().call("http://db/x").status == 200
    dev.signal(signal.SIGINT)
    assert dev.wait() == 0
    first = place(
        dev,
        *(r"db\.1 .*healthy", r"web\.1 .*web begins", r"job\.1 has ended", r"last\.1 .*web begins"),
        *(r"last\.1 +\| bye", r"web\.1 +\| bye", r"db\.[12] +\| bye", "up .*stopping"),
    )
    assert first == sorted(first), dev.output
    assert folder.mesh.tulle("status").returncode == 3


def test_a_control_plane_that_runs_is_used_and_left_running(folder: Folder) -> None:
    control_plane = folder.mesh.up()
    folder.file("services: {b: {command: PYTHON server.py}}")
    dev = folder.dev()
    up(dev)
    assert folder.mesh.healthy("b") == 1
    assert dev.stop() == 0
    assert "control plane" not in dev.output
    assert folder.mesh.json("status")["pid"] == control_plane.pid


def test_a_control_plane_of_its_own_is_started_again_when_it_is_killed(folder: Folder) -> None:
    folder.file("services: {b: {command: PYTHON server.py}}")
    dev = folder.dev()
    up(dev)
    pid = folder.mesh.json("status")["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for("another one answers", lambda: (folder.mesh.json("status") or {"pid": pid})["pid"] != pid)
    assert dev.stop() == 0


def test_only_what_is_named_and_what_it_needs_is_started(folder: Folder) -> None:
    folder.file("""
        services:
          a: {command: PYTHON server.py, depends_on: [b]}
          b: {command: PYTHON server.py}
          c: {command: PYTHON server.py}
    """)
    dev = folder.dev("a")
    up(dev)
    assert {proxy["service"] for proxy in folder.mesh.proxies()} == {"a", "b"}
    assert dev.stop() == 0


def test_a_procfile_does_as_well(folder: Folder) -> None:
    folder.file("# comment\nweb: echo port $PORT $GREETING; exec PYTHON server.py\n\nshout: echo LOUD\n", "Procfile")
    (folder.path / ".env").write_text("GREETING='good day'\n")
    dev = folder.dev(file="Procfile")
    up(dev)
    assert re.search(r"web\.1 +\| port \d+ good day\n", dev.output)
    assert folder.mesh.healthy("web") == 1
    assert dev.stop() == 0


def test_one_that_fails_is_told_the_others_go_on_and_the_exit_code_says_it(folder: Folder) -> None:
    folder.file("""
        services:
          good: {command: PYTHON server.py}
          bad: {command: PYTHON -c "raise SystemExit(3)", restart: no}
          needy: {command: PYTHON server.py, depends_on: [bad]}
          missing: {command: no-such-program, restart: no}
    """)
    dev = folder.dev()
    says(dev, "bad.1 has failed with exit code 3; the others go on")
    says(dev, "missing.1 has failed with exit code 127")
    says(dev, "needy is not started: it needs bad, which has failed")
    wait_for("the good one is healthy", lambda: folder.mesh.healthy("good") == 1)
    assert dev.stop() == 1


def test_one_that_fails_can_end_all(folder: Folder) -> None:
    folder.file("""
        services:
          good: {command: PYTHON server.py}
          bad: {command: PYTHON -c "raise SystemExit(3)", restart: no, depends_on: [good]}
    """)
    assert folder.dev("--exit-on-failure").wait() == 1


def test_it_ends_by_itself_when_all_jobs_are_done(folder: Folder) -> None:
    folder.file("""
        services:
          second: {command: echo two, depends_on: [first]}
          first: {command: echo one}
    """)
    dev = folder.dev()
    assert dev.wait() == 0
    [one, two] = place(dev, r"\| one$", r"\| two$")
    assert one < two


def test_one_that_waits_for_long_says_for_whom(folder: Folder) -> None:
    folder.file("""
        services:
          late: {command: PYTHON server.py, env: {SICK_FILE: ./sick}, health: /healthz}
          eager: {command: PYTHON server.py, depends_on: [late]}
    """)
    sick = folder.path / "sick"
    sick.touch()
    dev = folder.dev()
    says(dev, "eager waits for late: late.1 is starting")
    sick.unlink()
    up(dev)
    assert dev.stop() == 0


STUBBORN = """
    import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("does not listen", flush=True)
    time.sleep(3600)
"""


@pytest.mark.parametrize("more", [1, 2])
def test_a_second_ctrl_c_hurries_and_a_third_kills(folder: Folder, more: int) -> None:
    folder.program("stubborn.py", STUBBORN)
    grace = "1s" if more == 1 else "1h"
    folder.file(f"""
        services:
          b: {{command: PYTHON stubborn.py, grace: {grace}}}
          a: {{command: PYTHON stubborn.py, grace: {grace}, depends_on: [b]}}
    """)
    dev = folder.dev()
    says(dev, "a.1 | does not listen")
    dev.signal(signal.SIGINT)
    says(dev, "ending in good order")
    for word in ("hurrying", "killing all")[:more]:
        dev.signal(signal.SIGINT)
        says(dev, word)
    assert dev.wait() == 0
    wait_for("nothing is left", lambda: not folder.left())


def test_kill_9_leaves_nothing_running(folder: Folder) -> None:
    folder.file("""
        services:
          b: {command: PYTHON server.py, replicas: 2}
          a: {command: sh -c "sleep 3600 & exec PYTHON server.py a", depends_on: [b]}
    """)
    dev = folder.dev("--data", str(folder.mesh.data))
    up(dev)
    assert len(folder.left()) > 6
    dev.kill()
    wait_for("nothing is left", lambda: not folder.left())
    assert not list((folder.mesh.data / "proxies").iterdir())


def test_a_change_restarts_one_replica_after_another_and_no_call_fails(folder: Folder) -> None:
    (folder.path / "other").mkdir()
    folder.file("""
        services:
          b: {command: PYTHON server.py, replicas: 2, ignore: ["generated*"]}
          other: {command: PYTHON ../server.py, folder: other}
    """)
    dev = folder.dev("--watch")
    up(dev)
    before = instances(folder, "b")
    others = instances(folder, "other")
    with folder.mesh.caller().load("http://b/data", threads=2) as load:
        for ignored in ("generated.txt", "debug.log", "state.db"):
            (folder.path / ignored).write_text("")
        with (folder.path / "server.py").open("a") as program:
            program.write("# changed\n")
        wait_for(
            "both are new and healthy", lambda: folder.mesh.healthy("b") == 2 and not before & instances(folder, "b")
        )
        load.more(50)
    assert load.failed == []
    assert instances(folder, "other") == others
    assert re.findall(r"(\S+) has changed", dev.output) == ["server.py"]
    assert dev.stop() == 0


def test_a_syntax_error_is_shown_and_the_next_change_mends_it(folder: Folder) -> None:
    folder.file("services: {b: {command: PYTHON server.py, replicas: 2}}")
    dev = folder.dev("--watch")
    up(dev)
    before = instances(folder, "b")
    program = folder.path / "server.py"
    good = program.read_text()
    program.write_text("def broken(:\n")
    says(dev, "b.1 has failed with exit code 1; a change of its files starts it again")
    assert re.search(r"b\.1 +\| SyntaxError", dev.output)
    says(dev, "left as before: b.2")
    wait_for("the other one serves on", lambda: folder.mesh.healthy("b") == 1 and instances(folder, "b") < before)
    program.write_text(good + "# mended\n")
    wait_for("both are new and healthy", lambda: folder.mesh.healthy("b") == 2 and not before & instances(folder, "b"))
    assert dev.stop() == 0


def test_a_change_of_the_file_itself_is_told_to_need_a_new_start(folder: Folder) -> None:
    folder.file("services: {b: {command: PYTHON server.py}}")
    dev = folder.dev("--watch")
    up(dev)
    before = instances(folder, "b")
    (folder.path / "tulle.yaml").write_text("services: {}\n")
    says(dev, "tulle.yaml has changed, which counts after a new start")
    assert instances(folder, "b") == before
    assert dev.stop() == 0


def test_a_program_that_fails_is_started_again_unless_its_files_are_watched(folder: Folder) -> None:
    there = folder.path.parent / "there"  # not where changes are looked for
    folder.program("once.py", f"import os; os.path.exists('{there}') or (open('{there}', 'w'), os._exit(3))")
    folder.file("services: {b: {command: sh -c 'PYTHON once.py && exec PYTHON server.py'}}")
    dev = folder.dev()
    up(dev)
    assert dev.stop() == 0
    there.unlink()
    watching = folder.dev("--watch")
    says(watching, "b.1 has failed with exit code 3; a change of its files starts it again")
    (folder.path / "once.py").touch()
    wait_for("it is healthy", lambda: folder.mesh.healthy("b") == 1)
    assert watching.stop() == 0


def test_junk_and_endless_lines_do_not_break_it(folder: Folder) -> None:
    folder.program(
        "junk.py",
        r"""
        import os, sys
        os.write(1, b"\x00\xff\xfe\x1b[2J\x1b]0;title\x07\x1b[31mred\x1b[0m\rover\n")
        os.write(1, b'{"time": 1, "level": "info", "message": "mine", "instance": "b"}\n')
        for _ in range(64):
            os.write(1, b"x" * 65536)
        os.write(2, b"\nno end")
        """,
    )
    folder.file("services: {b: {command: PYTHON junk.py}}")
    dev = folder.dev()
    assert dev.wait() == 0
    text = dev.log.read_bytes()
    assert b"\x1b" not in text and b"\x00" not in text
    assert b"b.1 | over\n" in text and b'b.1 | {"time": 1' in text and b"b.1 | no end\n" in text
    assert text.count(b"x") >= 64 * 65536
    assert max(map(len, text.splitlines())) < 20_000


def test_it_ends_all_when_nobody_reads_any_more(folder: Folder) -> None:
    folder.file(
        "services: {b: {command: PYTHON server.py}, talker: {command: sh -c 'while sleep 0.1; do echo x; done'}}"
    )
    command = [*TULLE, "dev", "-f", str(folder.path / "tulle.yaml")]
    with subprocess.Popen(command, env=folder.mesh.env, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while b"talker.1 | x" not in process.stdout.readline():
            pass
        process.stdout.close()
        assert process.wait(30) == 0


def test_a_control_plane_that_can_not_start_is_told(folder: Folder) -> None:
    folder.file("services: {b: {command: PYTHON server.py}}")
    dev = folder.dev("--data", str(folder.path / "tulle.yaml" / "state"))
    assert dev.wait() == 1
    assert "Error: the control plane could not be started" in dev.output and "Traceback" not in dev.output


def test_as_json_each_line_is_an_object(folder: Folder) -> None:
    folder.file("services: {b: {command: echo hello}}")
    dev = folder.dev("--log-format", "json")
    assert dev.wait() == 0
    lines = [json.loads(line) for line in dev.output.splitlines()]
    [said] = [line for line in lines if line["message"] == "hello"]
    assert (said["name"], said["from"]) == ("b.1", "program")
    assert {line["from"] for line in lines} == {"program", "tulle", "dev"}


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_on_a_terminal_it_is_coloured_and_ctrl_c_ends_it(
    folder: Folder, environ: dict[str, str], coloured: bool
) -> None:
    folder.file("services: {b: {command: PYTHON server.py}, talker: {command: echo hello}}")
    code, seen = on_a_terminal(folder, environ)
    assert code == 0
    assert ("\x1b[36mb.1      |" in seen, "\x1b[35mtalker.1 |\x1b[0m hello" in seen) == (coloured, coloured)
    assert ("\x1b" in seen) == coloured


def on_a_terminal(folder: Folder, environ: dict[str, str]) -> tuple[int, str]:
    """Types Ctrl-C when all is up."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "-c", *TULLE, "dev", "-f", str(folder.path / "tulle.yaml")],
        stdin=theirs, stdout=theirs, stderr=theirs, env={**folder.mesh.env, **environ},
    )  # fmt: skip
    os.close(theirs)
    seen, typed = b"", False
    while True:
        try:
            seen += os.read(ours, 4096)
        except OSError:  # nobody has it open any more
            break
        if b"all is up" in seen and not typed:
            os.write(ours, b"\x03")
            typed = True
    os.close(ours)
    return process.wait(30), seen.decode()


def instances(folder: Folder, service: str) -> set[str]:
    found: dict[str, Any] = folder.mesh.service(service) or {"instances": []}
    return {instance["id"] for instance in found["instances"]}
