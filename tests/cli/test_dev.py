"""`tulle dev` before anything runs: what it takes, what it refuses, and what it would do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

TWO = """
services:
  service-a: {command: python a.py, depends_on: [service-b], env: {TOKEN: secret}}
  service-b: {command: "python b.py 'x y'", replicas: 2, port: 8080}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def test_without_a_file_it_shows_one_to_begin_with(alone: Any, here: Path) -> None:
    ended = await alone("dev")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(
        "Error: there is no tulle.yaml, tulle.yml or Procfile here. A tulle.yaml to begin with:"
    )
    (here / "tulle.yaml").write_text(ended.err.partition(":\n")[2])
    assert [row[1] for row in (await alone("dev", "--check")).rows] == ["service-b", "service-a"]


async def test_the_first_of_the_usual_files_is_taken(alone: Any, here: Path) -> None:
    for name in ("Procfile", "tulle.yml", "tulle.yaml"):
        (here / name).write_text(f"of-{name.lower().replace('.', '-')}: x\n" if name == "Procfile" else TWO)
        first = (await alone("dev", "--check")).rows[0][1]
        assert first == ("of-procfile" if name == "Procfile" else "service-b")


async def test_the_plan_is_printed_in_order(alone: Any, here: Path) -> None:
    (here / "tulle.yaml").write_text(TWO)
    ended = await alone("dev", "--check")
    assert ended.rows == [
        ["1", "service-b", "2", "-", "python b.py 'x y'"],
        ["2", "service-a", "1", "service-b", "python a.py"],
    ]
    b, a = (await alone("dev", "--check", "-o", "json")).json
    assert (b["options"], b["command"]) == (["--port", "8080"], ["python", "b.py", "x y"])
    assert a["env"] == ["TOKEN"]
    assert [row[1] for row in (await alone("dev", "--check", "service-b")).rows] == ["service-b"]
    assert not alone.data.exists()


async def test_mistakes_end_it_before_anything_starts(alone: Any, here: Path) -> None:
    (here / "x.yaml").write_text("services:\n  a: {comand: x}\n  b: {command: x, replicas: 0}\n")
    ended = await alone("dev", "-f", "x.yaml")
    assert (ended.code, ended.out) == (2, "")
    for told in ("3 mistakes:", "- x.yaml:2: services.a.comand: there is no such field; did you mean command?",
                 "- x.yaml:3: services.b.replicas: write a number from 1 to 100, not 0"):  # fmt: skip
        assert told in ended.err
    assert not alone.data.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["-f", "missing.yaml"], 2, "missing.yaml can't be read: No such file or directory"),
        (["-f", "."], 2, "can't be read: Is a directory"),
        (["-f", "latin.yaml"], 2, "latin.yaml can't be read: it is not UTF-8"),
        (["service-x"], 2, "there is no service service-x in tulle.yaml; did you mean service-"),
        (["--color", "green"], 2, "green"),
    ],
)
async def test_other_mistakes_are_told(alone: Any, here: Path, arguments: list[str], code: int, told: str) -> None:
    (here / "tulle.yaml").write_text(TWO)
    (here / "latin.yaml").write_bytes("größe".encode("latin-1"))
    ended = await alone("dev", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert told in ended.err and "Traceback" not in ended.err
