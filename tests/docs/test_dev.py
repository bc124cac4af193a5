"""`tulle dev` is as its pages say: every field of the file is told, and the guide works as it is typed."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from running import TULLE, Mesh, Running, wait_for
from tulle.cli.development.procfile import read_procfile
from tulle.cli.development.tulle_yaml import FIELDS, TOP_FIELDS, read_tulle_yaml

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = (DOCS / "reference" / "tulle-yaml.md").read_text()
GUIDE = (DOCS / "guides" / "dev.md").read_text()


def section(heading: str) -> str:
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", REFERENCE, re.M | re.S)
    assert found
    return found[1]


def blocks(text: str, language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
    return [block for marked, block in found if marked == language]


@pytest.mark.parametrize(("heading", "fields"), [("The file", TOP_FIELDS), ("A service", FIELDS)])
def test_every_field_is_told(heading: str, fields: tuple[str, ...]) -> None:
    assert re.findall(r"^\| `(\w+)` \|", section(heading), re.M) == list(fields)


def test_the_examples_are_files_that_it_takes(tmp_path: Path) -> None:
    for name in ("b", "lib", "a"):
        (tmp_path / name).mkdir()
    (tmp_path / ".env").touch()
    for text in [*blocks(REFERENCE, "yaml"), *blocks(GUIDE, "yaml")]:
        plan, mistakes = read_tulle_yaml(tmp_path / "tulle.yaml", text, "tulle.yaml")
        assert (len(plan.services), mistakes) == (2, [])
    [text] = blocks(section("Procfile"), "")
    plan, mistakes = read_procfile(tmp_path / "Procfile", text, "Procfile")
    assert (len(plan.services), mistakes) == (2, [])


def test_the_guide_works_as_it_is_typed(tmp_path: Path) -> None:
    project = tmp_path / "project"
    b, a = blocks(GUIDE, "python")
    for name, text in (("b/b.py", b), ("a/a.py", a), ("tulle.yaml", blocks(GUIDE, "yaml")[0])):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    (tmp_path / "bin").mkdir()
    for name, command in (("tulle", TULLE), ("python", [sys.executable])):
        (tmp_path / "bin" / name).write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        (tmp_path / "bin" / name).chmod(0o755)
    check, watch = blocks(GUIDE, "")[0].splitlines()
    with Mesh(tmp_path) as mesh:
        mesh.env["PATH"] = f"{tmp_path / 'bin'}:{mesh.env['PATH']}"
        checked = typed(mesh, project, check)
        assert checked.wait() == 0 and "service-b" in checked.output
        dev = typed(mesh, project, watch)
        wait_for("a has b's answer", lambda: "service-a.1 | hello from b\n" in dev.output)
        for line in blocks(GUIDE, "text")[0].splitlines():
            assert line.replace("/home/you/.local/state/tulle", str(mesh.data)) in dev.output
        program = project / "b" / "b.py"
        program.write_text(program.read_text().replace("hello", "good day"))
        wait_for("the change is heard", lambda: "service-a.1 | good day from b\n" in dev.output)
        assert "Traceback" not in dev.output
        assert dev.stop() == 0


def typed(mesh: Mesh, folder: Path, line: str) -> Running:
    command = ["sh", "-c", f"cd {shlex.quote(str(folder))} && exec {line}"]
    mesh.running.append(Running(line, command, mesh.folder / f"{len(mesh.running)}.log", mesh.env))
    return mesh.running[-1]
