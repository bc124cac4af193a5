"""`tulle run --systemd`: the unit file is one that systemd takes, and that runs the same command."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from tulle.agent.config import AgentConfig
from tulle.cli import systemd, unit_syntax
from tulle.cli.commands import tulle
from tulle.cli.systemd import Place

ANALYZE = shutil.which("systemd-analyze")
MANAGER = Path("/usr/lib/systemd/systemd")
NOBODY = 65534
NASTY = [
    "a b", "", "$HOME", "${HOME}", "$$", "%n", "%%", 'say "hi"', "it's", "back\\slash", "\\", ";", "tab\there", "two\nlines",
    "trailing\\\n", "ä→✓", "\x1b[31m", "--", "-", "@:+!", "#", "~", "*", "a;b", "x\x7f", "\\x41", "\\n", "=", "\u2028", "\udcff",
]  # fmt: skip


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user may read, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="tulle-unit-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def place(folder: str = "/srv/app", *, is_root: bool = True, **environment: str) -> Place:
    return Place(Path(folder), environment, "root" if is_root else "ann", is_root, "/usr/bin/python3")


def unit(*program: str, at: Place | None = None, **changes: Any) -> str:
    fields: dict[str, Any] = {"service": "web", "service_account": "web", "data": "/var/lib/tulle"}
    config = AgentConfig(command=program or ("/bin/sleep", "1"), **{**fields, **changes})
    return systemd.unit(config, (), at or place())


def settings(text: str) -> dict[str, list[str]]:
    """The values of each setting."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def read_by_systemd(text: str, folder: Path) -> str:
    """What systemd itself makes of a unit: a user's manager in its test mode, which runs nothing. Not as root."""
    if not MANAGER.exists():
        pytest.skip("systemd is not installed")
    units = folder / "systemd" / "user"
    units.mkdir(parents=True, exist_ok=True)
    (units / "web.service").write_text(text)
    runtime = folder / "runtime"
    runtime.mkdir(exist_ok=True)
    runtime.chmod(0o777)
    done = subprocess.run(
        [MANAGER, "--user", "--test", "--unit=web.service"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder),
            "XDG_RUNTIME_DIR": str(runtime),
        },
        user=NOBODY if os.geteuid() == 0 else None,
        extra_groups=[] if os.geteuid() == 0 else None,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=60,
    )
    [said] = re.findall(r"^\t-> Unit web\.service:\n(.*?)(?=^\t-> Unit |\Z)", done.stdout, re.M | re.S) or [""]
    assert said, done.stdout[:2000] + done.stderr
    return str(said)


def words(shown: str) -> list[str]:
    """The words of a command line as systemd shows it; `$$` is made one when it is run."""
    found = [plain or _unescaped(quoted) for quoted, plain in re.findall(r'"((?:[^"\\]|\\.)*)"|([^ "]+)', shown)]
    return [word.replace("$$", "$") for word in found]


def _unescaped(text: str) -> str:
    letters = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}

    def one(match: re.Match[str]) -> str:
        escape = match[1]
        return os.fsdecode(bytes([int(escape, 8)])) if escape.isdigit() else letters.get(escape, escape)

    return os.fsdecode(os.fsencode(re.sub(r"\\([0-7]{3}|.)", one, text, flags=re.S)))


def test_whatever_the_arguments_are_the_program_gets_them(shared: Path) -> None:
    said = read_by_systemd(unit("/bin/echo", *NASTY), shared)
    [shown] = re.findall(r"Command Line: (.*)", said)
    assert words(shown) == [sys.executable, "-P", "-m", "tulle", "run", "web", "--", "/bin/echo", *NASTY]


def test_folder_and_environment_are_those_of_the_shell(shared: Path) -> None:
    at = place(
        "/srv/my app/100%", PATH='/opt/"x"/bin:/usr/bin:/a $b', VIRTUAL_ENV="/opt/%n", TOKEN="secret", HOME="/root"
    )
    text = unit(at=at)
    said = read_by_systemd(text, shared)
    assert "WorkingDirectory: /srv/my app/100%\n" in said
    assert 'Environment: PATH=/opt/"x"/bin:/usr/bin:/a $b\n' in said
    assert "Environment: VIRTUAL_ENV=/opt/%n\n" in said
    assert "Environment: HOME=/root\n" in said
    assert "secret" not in text and "TOKEN" not in text


def test_only_the_rest_of_drain_grace_and_a_margin_is_waited_for(shared: Path) -> None:
    said = read_by_systemd(unit(drain_seconds=90.5, grace_seconds=10), shared)
    assert "TimeoutStopSec: 2min 1s\n" in said
    assert "KillMode: mixed\n" in said


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("is_root", [True, False])
@pytest.mark.parametrize("capture", ["auto", "redirect", "seccomp", "netns", "proxy", "none"])
def test_systemd_finds_nothing_wrong_with_it(shared: Path, capture: str, is_root: bool) -> None:
    user = "root" if is_root else "daemon"
    at = Place(Path("/srv/a b%"), {"PATH": "/usr/bin:/a b"}, user, is_root)
    text = unit(at=at, capture=capture, data='/var/lib/tu"lle\\x%d')
    (shared / "tulle-web.service").write_text(text)
    manager = "--system" if is_root or capture == "redirect" else "--user"
    verified = subprocess.run(
        [str(ANALYZE), manager, "--man=no", "verify", str(shared / "tulle-web.service")],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "XDG_RUNTIME_DIR": str(shared)},
    )
    assert (verified.returncode, _about(verified.stderr, "tulle-web")) == (0, [])


def _about(said: str, name: str) -> list[str]:
    """Only what is said of our unit; other units of the machine may have faults of their own."""
    return [line for line in said.splitlines() if name in line]


def test_a_system_unit_for_root_has_what_servers_and_the_capture_need_and_no_more() -> None:
    said = settings(unit())
    assert said["WantedBy"] == ["multi-user.target"]
    assert "User" not in said and "AmbientCapabilities" not in said
    [rights] = said["CapabilityBoundingSet"]
    assert "CAP_NET_ADMIN" in rights and "CAP_NET_BIND_SERVICE" in rights
    assert not {"CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_TIME"} & set(rights.split())
    assert said["Delegate"] == ["yes"]
    assert "ProtectControlGroups" not in said
    assert said["ReadWritePaths"] == ["/var/lib/tulle /srv/app"]


def test_a_mode_without_rights_gets_none() -> None:
    said = settings(unit(capture="seccomp"))
    assert "CAP_NET_ADMIN" not in said["CapabilityBoundingSet"][0]
    assert said["ProtectControlGroups"] == ["yes"]


def test_a_network_namespace_may_be_made() -> None:
    said = settings(unit(capture="netns"))
    assert "CAP_SYS_ADMIN" in said["CapabilityBoundingSet"][0]
    assert "RestrictNamespaces" not in said
    assert settings(unit())["RestrictNamespaces"] == ["yes"]


def test_an_ordinary_user_gets_a_unit_of_their_own_manager_with_what_that_one_can_do() -> None:
    text = unit(at=place(is_root=False))
    said = settings(text)
    assert said["WantedBy"] == ["default.target"]
    assert "~/.config/systemd/user/tulle-web.service" in text and "loginctl enable-linger" in text
    assert not {"ProtectSystem", "PrivateTmp", "CapabilityBoundingSet", "User", "Delegate"} & set(said)
    assert said["NoNewPrivileges"] == ["yes"]


def test_redirect_for_an_ordinary_user_is_a_system_unit_with_that_one_right() -> None:
    said = settings(unit(at=place(is_root=False), capture="redirect"))
    assert said["User"] == ["ann"]
    assert said["AmbientCapabilities"] == said["CapabilityBoundingSet"] == ["CAP_NET_ADMIN"]
    assert said["WantedBy"] == ["multi-user.target"]


def test_temporary_files_are_private_unless_something_of_the_command_lies_there() -> None:
    assert settings(unit("/bin/sleep", "1"))["PrivateTmp"] == ["yes"]
    for text in (unit(data="/tmp/mesh"), unit("/bin/sh", "/var/tmp/a.sh"), unit(at=place("/tmp/app"))):
        assert "PrivateTmp" not in settings(text)
        assert settings(text)["ReadWritePaths"][0].endswith(" /tmp /var/tmp")


def test_a_program_that_is_there_is_named_in_full_and_another_as_it_was_written(tmp_path: Path) -> None:
    assert settings(unit("sh", "-c", "true"))["ExecStart"][0].split(" -- ")[1].endswith("/sh -c true")
    assert settings(unit("not-yet-there", "x"))["ExecStart"][0].endswith(" -- not-yet-there x")


@pytest.mark.parametrize("folder", ["/srv/two\nlines", "/srv/blank ", "/srv/back\\", "/srv/\udcff"])
def test_a_folder_that_a_unit_file_can_not_name_is_refused(folder: str) -> None:
    with pytest.raises(ValueError, match="can't be written in a unit file"):
        unit(at=place(folder))


def test_a_unit_is_named_after_its_service_and_another_namespace() -> None:
    assert "/tulle-web.service, then:" in unit()
    assert "/tulle-shop-web.service, then:" in unit(namespace="shop")


def given(*words: str) -> list[str]:
    command = tulle.get_command(click.Context(tulle), "run")
    assert command
    return systemd.given_options(command.make_context("run", [*words, "--systemd", "--", "true"]))


def test_the_options_are_those_that_were_given_and_the_state_folder(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TULLE_DATA", "state")
    assert given("web") == [f"--data={tmp_path / 'state'}"]
    assert given("web", "-n", "shop", "--label", "a=b", "--label=-c=d e", "--drain", "30s", "--data", "/x") == [
        "--namespace=shop", "--label=a=b", "--label=-c=d e", "--drain=30s", "--data=/x",
    ]  # fmt: skip


async def test_the_command_prints_the_unit_and_runs_nothing(alone: Any, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    ended = await alone(
        "run", "web", "--version", "v2", "--systemd", "--", "/usr/bin/touch", str(ran), "--systemd", "a  b"
    )
    assert (ended.code, ended.err) == (0, "")
    assert f'-- /usr/bin/touch {ran} --systemd "a  b"\n' in ended.out
    assert f" {unit_syntax._word('--version=v2')} " in ended.out
    assert not ran.exists()


async def test_a_mistake_is_told_and_nothing_printed(alone: Any) -> None:
    ended = await alone("run", "Web", "--systemd", "--", "true")
    assert (ended.code, ended.out) == (2, "")
    assert "service name 'Web' is no DNS label" in ended.err
