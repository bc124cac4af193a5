"""What the programs under `tulle dev` say on one terminal, and which file concerns whom."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tulle.cli.development.plan import Plan
from tulle.cli.development.process import LONGEST_LINE, Lines
from tulle.cli.development.screen import Screen, harmless, told_apart
from tulle.cli.development.tulle_yaml import read_tulle_yaml
from tulle.cli.development.watching import concerned


@given(st.lists(st.binary(max_size=50).map(lambda data: data.replace(b"x", b"\n"))))
def test_lines_are_whole_however_they_arrive(pieces: list[bytes]) -> None:
    lines = Lines()
    found = [line for piece in pieces for line in lines.feed(piece)]
    assert [*found, lines.rest] == b"".join(pieces).split(b"\n")


def test_a_line_without_an_end_is_never_kept_whole() -> None:
    lines = Lines()
    found = [line for _ in range(100) for line in lines.feed(b"y" * 60_000)]
    assert len(lines.rest) <= LONGEST_LINE
    assert {len(line) for line in found} == {LONGEST_LINE}
    assert sum(map(len, found)) + len(lines.rest) == 6_000_000


@pytest.mark.parametrize(
    ("said", "coloured", "plain"),
    [
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m", "red"),
        ("a\x1b[2J\x1b[1;1Hb\x1b]0;title\x07c", "abc", "abc"),
        ("tab\there\x00\x08", "tab\there\ufffd\ufffd", "tab\there\ufffd\ufffd"),
        ("größe → 😀", "größe → 😀", "größe → 😀"),
        ("\x1b", "\ufffd", "\ufffd"),
    ],
)
def test_what_moves_the_cursor_is_taken_out(said: str, coloured: str, plain: str) -> None:
    assert (harmless(said, colours=True), harmless(said, colours=False)) == (coloured, plain)


@given(st.text())
def test_no_text_whatever_moves_the_cursor(text: str) -> None:
    assert all(c.isprintable() or c == "\t" for c in harmless(text, colours=False))


def test_the_agents_lines_are_told_from_the_programs() -> None:
    line = json.dumps({"time": 1.5, "level": "warning", "instance": "web-000001", "message": "late"}).encode()
    words, said = told_apart(line, "web")
    assert (words, said and said.message, said and said.level) == (b"", "late", "warning")
    words, said = told_apart(b"no end" + line, "web")
    assert (words, said and said.instance) == (b"no end", "web-000001")
    for own in (line.replace(b"web-0", b"api-0"), b'{"time": 1}', b'{"time": ', b"tulle"):
        assert told_apart(own, "web") == (own, None)
    assert told_apart(b"tulle | can't end it", "web")[1] is not None


def test_names_are_aligned_and_services_have_colours_of_their_own() -> None:
    reading, writing = os.pipe()
    screen = Screen(writing, "text", colours=True)
    screen.introduce("a", ["a.1", "a.2"])
    screen.introduce("service-b", ["service-b.1"])
    screen.program("a.2", b"50%\r100%\r\n".rstrip(b"\n"))
    screen.program("service-b.1", b"\x1b[31mred")
    screen.tulle("a.1", "warning", "two\nlines")
    os.close(writing)
    with os.fdopen(reading) as seen:
        assert seen.read().splitlines() == [
            "\x1b[36ma.2         |\x1b[0m 100%",
            "\x1b[35mservice-b.1 |\x1b[0m \x1b[31mred\x1b[0m",
            "\x1b[36ma.1         |\x1b[0m \x1b[33mtulle: two\x1b[0m",
            "\x1b[36ma.1         |\x1b[0m \x1b[33mtulle: lines\x1b[0m",
        ]


def test_a_file_concerns_those_that_watch_it(tmp_path: Path) -> None:
    for name in ("a", "b", "lib"):
        (tmp_path / name).mkdir()
    (tmp_path / "lib" / "one.py").touch()
    text = """
        services:
          a: {command: x, folder: a, watch: [., ../lib], ignore: [gen/*, "*.txt", dist/]}
          b: {command: x, folder: b, watch: [., ../lib/one.py]}
    """
    file = tmp_path / "tulle.yaml"
    plan, mistakes = read_tulle_yaml(file, text, "tulle.yaml")
    assert mistakes == []
    assert changed(plan, tmp_path, "a/x.py") == {"a": "x.py"}
    assert changed(plan, tmp_path, "lib/one.py") == {"a": "one.py", "b": "one.py"}
    assert changed(plan, tmp_path, "lib/sub/two.py") == {"a": "sub/two.py"}
    assert changed(plan, tmp_path, "tulle.yaml") == {"": "tulle.yaml"}
    for ignored in ("a/gen/x.py", "a/x.txt", "a/dist/x", "a/.git/HEAD", "b/x/__pycache__/y.pyc", "b/x.log", "c/x.py"):
        assert changed(plan, tmp_path, ignored) == {}
    assert changed(plan, tmp_path / "a", "a/x.py") == {}


def changed(plan: Plan, data: Path, *names: str) -> dict[str, str]:
    return dict(concerned(plan, data if data.name == "a" else data / "state", [plan.file.parent / n for n in names]))
