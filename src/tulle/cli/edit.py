"""`tulle edit KIND NAME`: a resource in the user's editor, until it can be applied or is given up.

Nothing that was typed is lost, and nothing else is left.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

import click

from tulle.api.views import DeclaredView, ProblemView
from tulle.cli import options
from tulle.cli.apply import print_outcomes
from tulle.cli.client import ControlPlane, Refused
from tulle.cli.exits import Failed, Mistakes
from tulle.cli.resources import sending
from tulle.cli.resources.files import problems_in, told
from tulle.cli.resources.kinds import named
from tulle.cli.resources.reading import existing, ref_of
from tulle.cli.resources.yaml_text import document_of, to_yaml
from tulle.model.resources.resource import Ref
from tulle.sources.documents import Document, documents
from tulle.sources.problems import Severity

_HEAD = "# Lines that begin with # are left out. An empty file changes nothing."


@click.command("edit")
@click.argument("what", nargs=-1, required=True, metavar="KIND[/NAME] [NAME]")
@options.in_namespace
@options.data
def command(what: tuple[str, ...], namespace: str | None, data: Path) -> None:
    """Change a resource in an editor.

    The editor is $VISUAL, $EDITOR, or vi. What can't be applied is opened again, with what is wrong with it at its
    head. Leave it unchanged then to give up: what was typed stays in a file, whose name is printed.

    \b
    Examples:
      tulle edit vs reviews
      EDITOR="code --wait" tulle edit dr/reviews -n shop
    """
    _, pairs = named(what)
    if len(pairs) != 1:
        raise Mistakes(["name one resource: KIND NAME"])
    control_plane = ControlPlane(data)
    resource = existing(control_plane, ref_of(*pairs[0], namespace))
    with tempfile.NamedTemporaryFile("w", prefix=f"tulle-{resource.name}-", suffix=".yaml", delete=False) as file:
        path = Path(file.name)
    editing = _Editing(control_plane, resource, path)
    try:
        editing.run()
    finally:
        if editing.is_nothing_lost():
            path.unlink(missing_ok=True)
        else:
            click.echo(f"what you wrote is kept in {path}", err=True)


class _Editing:
    """One resource being edited in the file at `path`."""

    def __init__(self, control_plane: ControlPlane, resource: DeclaredView, path: Path) -> None:
        self._control_plane = control_plane
        self._resource = resource
        self._ref = Ref(resource.kind, resource.namespace, resource.name)
        self._path = path
        self._original = to_yaml(document_of(resource, is_plain=True))
        self._is_applied = False

    def run(self) -> None:
        """Raises Failed, Refused, Unreachable."""
        text, problems = self._original, list[str]()
        while True:
            opened, text = text, self._edited(text, problems)
            if not text.strip() or text == self._original:
                click.echo(f"{self._ref} is left as it was")
                return
            if problems and text == opened:
                raise Failed(f"{self._ref} is left as it was, as there are problems left")
            if (found := self._applied(text)) is None:
                return
            problems = found

    def is_nothing_lost(self) -> bool:
        """Whether the file may go: it is applied, or as it was made."""
        try:
            text = _written_in(self._path)
        except (OSError, UnicodeDecodeError):
            return not self._path.exists()
        return self._is_applied or not text.strip() or text == self._original

    def _applied(self, text: str) -> list[str] | None:
        """What is wrong with it; None when it is applied."""
        given = documents(text.encode(), str(self._path))
        wrong = self._problems(given)
        if not wrong:
            try:
                revisions = [self._resource.revision]
                applied = sending.post(self._control_plane, given, self._ref.namespace, revisions=revisions)
            except Refused as refused:
                if not (wrong := sending.problems_of(refused)):
                    raise
            else:
                self._is_applied = True
                for warning in applied.warnings:
                    click.echo(told(warning), err=True)
                print_outcomes(applied.outcomes, None, dry_run=False)
                return None
        return [_without_file(problem) for problem in wrong]

    def _problems(self, given: list[Document]) -> list[ProblemView]:
        checked, problems = problems_in(given, self._ref.namespace)
        bad = [problem for problem in problems if problem.severity is not Severity.WARNING]
        if not bad and [one.ref for one in checked] != [self._ref]:
            message = f"this must stay one document, of {self._ref}: to rename it, apply another and delete this one"
            bad = [ProblemView(str(self._path), 0, "", message, Severity.ERROR)]
        return bad

    def _edited(self, text: str, problems: list[str]) -> str:
        """What the user makes of it, without the comments at its head."""
        head = [_HEAD, *(f"# {line}" for line in problems), "#"]
        self._path.write_text("\n".join(head) + "\n" + text, encoding="utf-8")
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        try:
            code = subprocess.run([*shlex.split(editor), str(self._path)], check=False).returncode
        except (OSError, ValueError) as error:
            raise Failed(f"the editor {editor!r} can't be started ({error}): set EDITOR") from error
        if code:
            raise Failed(f"the editor {editor!r} ended with the code {code}; {self._ref} is left as it was")
        try:
            return _written_in(self._path)
        except (OSError, UnicodeDecodeError) as error:
            raise Failed(f"{self._path} can't be read: {error}") from error


def _written_in(path: Path) -> str:
    """Without comments."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("#"))


def _without_file(problem: ProblemView) -> str:
    place = f"line {problem.line} below: " if problem.line else ""
    return f"{place}{f'{problem.path}: ' if problem.path else ''}{problem.message}"
