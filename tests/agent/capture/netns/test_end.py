"""Nothing is left of a namespace: after its block, and when its agent, its reaper or its Envoy is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from machine import excused

SOURCES = str(Path(__file__).parents[4] / "src")
HERE = str(Path(__file__).parent)
NO_CAPABILITIES = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
FORBID = "echo 0 > /proc/sys/user/max_user_namespaces; "
NOBODY = (*NO_CAPABILITIES, "--reuid=65534", "--regid=65534", "--clear-groups")


# argv: the data folder. Prints the program's namespace once all is up.
AGENT = """
import asyncio, os, sys
from pathlib import Path
from tulle.agent.capture.mode import Settings, Unavailable
from tulle.agent.capture.netns import prepared
from tulle.agent.folder import agent_folder
from tulle.agent.program import under_reaper
from tulle.agent.descendants import die_with_parent

ENVOY = "import socket, time; s = socket.socket(); s.bind(('127.0.0.1', 15001)); s.listen(); time.sleep(600)"
PROGRAM = (
    "import os, socket, time; s = socket.create_server(('', 8080));"
    "print(os.readlink('/proc/self/ns/net'), flush=True); time.sleep(600)"
)

async def main():
    (Path(sys.argv[1]) / "proxies").mkdir()
    with agent_folder(Path(sys.argv[1]), "a-000001") as folder:
        try:
            with prepared(Settings("a-000001", folder.path, 15001, 15002, 15003, (), ())) as mode:
                def in_child(parent=os.getpid()):
                    die_with_parent(parent)
                    mode.envoy_launch()
                await asyncio.create_subprocess_exec(sys.executable, "-c", ENVOY, preexec_fn=in_child)
                program = (sys.executable, "-c", PROGRAM)
                async with under_reaper(program[0], program, os.environ, folder, mode.plan) as reaper:
                    await reaper.start()
                    await asyncio.sleep(600)
        except Unavailable as error:
            print("skip", error, flush=True)

asyncio.run(main())
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Where others may work, too."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def networks() -> set[str]:
    """The network namespaces in which anything lives, as far as we may look."""
    found = set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                found.add(os.readlink(process / "ns" / "net"))
            except OSError:
                continue
    return found


def of_the_host() -> dict[str, object]:
    """What must be the same before and after."""
    return {"links": sorted(os.listdir("/sys/class/net")), "routes": Path("/proc/net/route").read_text()}


async def test_the_host_is_as_before(isolate: Any, until: Any, ruleset: Callable[[], bytes]) -> None:
    before = of_the_host()
    descriptors = set(os.listdir("/proc/self/fd"))
    async with isolate() as isolated:
        assert await isolated.run('socket.create_server(("", 8080)); say(ask("10.1.2.3", 5))') == "10.1.2.3 5\n"
        assert of_the_host() == before
        assert os.geteuid() != 0 or b"tulle\0" not in ruleset()  # others' tables may come and go
        folder = isolated.folder.path
    assert of_the_host() == before
    assert not folder.exists()
    await until(lambda: set(os.listdir("/proc/self/fd")) == descriptors)


async def test_the_namespace_is_gone_after_the_block(isolate: Any, until: Any) -> None:
    async with isolate() as isolated:
        own = await isolated.run('say(os.readlink("/proc/self/ns/net"))')
        assert own.strip() not in networks()
        assert held(own.strip()) == [os.getpid()]
    await until(lambda: not held(own.strip()))


async def test_nothing_is_left_when_the_agent_is_killed(tmp_path: Path, marked: Any, until: Any) -> None:
    agent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", AGENT, str(tmp_path)),
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": SOURCES, "MARK": str(tmp_path)},
    )
    try:
        assert agent.stdout
        first = (await agent.stdout.readline()).decode().strip()
        if first.startswith("skip"):
            excused("netns", first)
        assert first in networks()
        assert len(marked(f"MARK={tmp_path}")) >= 4  # agent, reaper, program, Envoy
    finally:
        agent.send_signal(signal.SIGKILL)
        await agent.wait()
    await until(lambda: not marked(f"MARK={tmp_path}"))
    await until(lambda: first not in networks())
    assert not (tmp_path / "proxies" / "a-000001").exists()


async def test_the_program_goes_with_its_reaper(isolate: Any, marked: Any, until: Any) -> None:
    async with isolate() as isolated:
        mark = f"MARK={isolated.folder.path}"
        with pytest.raises(ExceptionGroup):
            async with isolated.program('socket.create_server(("", 8080)); say("up"); time.sleep(600)') as program:
                await until(lambda: isolated.said)
                [reaper] = [pid for pid in marked(mark) if b"reaper.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]
                os.kill(reaper, signal.SIGKILL)
                await program.ended()
        await until(lambda: not marked(mark))


ASK = """
import asyncio, pathlib, sys
from tulle.agent.capture.mode import *
from tulle.agent.capture.netns import prepared
async def main():
    with prepared(Settings('a-000001', pathlib.Path(sys.argv[1]), 15001, 2, 15003, (), ())):
        print("prepared")
try:
    asyncio.run(main())
except Unavailable as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("way", "why"),
    [
        # Root that has no capabilities can't be itself in a user namespace, since Linux 5.12.
        ((), "root without CAP_SETFCAP may not"),
        (("unshare", "--user", "--map-root-user", "sh", "-c", FORBID + 'exec "$@"', "sh"), "user.max_user_namespaces"),
    ],
)
def test_where_it_is_not_allowed_it_says_why(tmp_path: Path, way: tuple[str, ...], why: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("this takes root, to give up its rights")
    told = subprocess.run(
        [*way, *NO_CAPABILITIES, sys.executable, "-c", ASK, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCES},
    )
    assert why in told.stdout, told.stderr


async def test_it_is_not_for_a_program_that_is_isolated_already(isolate: Any, tmp_path: Path) -> None:
    """A filter with a supervisor can't be below another one; it says so."""
    code = """
import subprocess
said = subprocess.run([sys.executable, "-c", sys.argv[2], sys.argv[3]], capture_output=True, text=True)
say(said.stdout or said.stderr)
"""
    async with isolate() as isolated:
        assert "are supervised already" in await isolated.run(code, ASK, str(tmp_path), PYTHONPATH=SOURCES)


def test_it_works_for_an_ordinary_user(open_folder: Path) -> None:
    """By a user namespace: stories of these same files, told by nobody, who has no capability."""
    if os.geteuid() != 0:
        pytest.skip("it is run by an ordinary user already")
    packages = str(Path(pytest.__file__).parents[1])
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{SOURCES}:{packages}", "PYTHONDONTWRITEBYTECODE": "1"}
    for python in (sys.executable, "/usr/bin/python3"):  # the first may be in a folder that is closed to others
        probe = "import pytest, pytest_asyncio, subprocess, sys; open(sys.argv[1]); subprocess.run([sys.executable, '-c', ''])"
        if (
            subprocess.run([*NOBODY, python, "-c", probe, __file__], env=environment, capture_output=True).returncode
            == 0
        ):
            break
    else:
        pytest.skip("nobody may not read this checkout, or run a Python that can run tests")
    stories = "canary or every_connection or who_it or two_programs or itself or privileged or sandbox or gone or killed or sees"
    options = ("-q", "-n", "0", "-k", stories, "-p", "no:cacheprovider", "--basetemp", str(open_folder / "tests"))
    done = subprocess.run(
        [*NOBODY, python, "-m", "pytest", *options, HERE], cwd="/", env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def held(network: str) -> list[int]:
    """Which processes have a descriptor of the namespace."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):
                if network in map(link, (process / "fd").iterdir()):
                    found.append(int(process.name))
    return found


def link(descriptor: Path) -> str:
    try:
        return os.readlink(descriptor)
    except OSError:  # it was closed meanwhile
        return ""
