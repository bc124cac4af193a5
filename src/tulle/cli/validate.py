"""`tulle validate -f`: what `tulle apply` would say of documents, without a control plane."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click
from msgspec import Struct

from tulle.cli import options
from tulle.cli.exits import Failed
from tulle.cli.printing import print_json, printable
from tulle.cli.resources.files import judged, read
from tulle.sources.codec import Checked
from tulle.sources.problems import Problem, Severity


class _View(Struct):
    """document: which one of its file, from 1."""

    file: str
    document: int
    kind: str
    namespace: str
    name: str
    valid: bool
    problems: Sequence[Problem]


@click.command("validate")
@options.files()
@options.in_namespace
@options.output
def command(files: tuple[str, ...], namespace: str | None, output: str) -> None:
    """Check documents as `tulle apply` does, but only that.

    Each problem is told as FILE:LINE: FIELD: MESSAGE. A document is valid if Istio would take it; what is valid and yet not
    supported by tulle is told as well. Exit code 1 if `tulle apply` would refuse any of it; warnings refuse nothing.

    \b
    Examples:
      tulle validate -f reviews.yaml
      tulle validate -f mesh/ -o json
      tulle validate -n shop -f - < reviews.yaml
    """
    checked = judged(read(files), namespace)
    if output == "json":
        print_json([_view(one) for one in checked])
    else:
        _print(checked)
    if any(problem.severity is not Severity.WARNING for one in checked for problem in one.problems):
        raise SystemExit(Failed.exit_code)


def _view(one: Checked) -> _View:
    document = one.document
    return _View(document.file, document.number, one.kind, one.namespace, one.name, one.valid, one.problems)


def _print(checked: Sequence[Checked]) -> None:
    for one in checked:
        if one.problems:
            click.echo(f"{click.style(printable(_title(one)), bold=True)}: {_verdict(one.problems)}")
            for problem in one.problems:
                click.echo(f"  {printable(_told(one.document.file, problem))}")
    verdicts = [_verdict(one.problems) for one in checked]
    counts = ", ".join(f"{verdicts.count(each)} {each}" for each in dict.fromkeys(sorted(verdicts, key=_ORDER.index)))
    click.echo(f"{len(checked)} document{'s' if len(checked) > 1 else ''}: {counts}")


def _title(one: Checked) -> str:
    """`VirtualService default/reviews`; as much as is known of one that says less."""
    name = "/".join(filter(None, [one.namespace if one.name else "", one.name]))
    return " ".join(filter(None, [one.kind, name])) or f"document {one.document.number} of {one.document.file}"


def _told(file: str, problem: Problem) -> str:
    word = "" if problem.severity is Severity.ERROR else f"{problem.severity.value}: "
    return f"{file}:{problem.line}: {word}{f'{problem.path}: ' if problem.path else ''}{problem.message}"


def _verdict(problems: Iterable[Problem]) -> str:
    severities = {problem.severity for problem in problems}
    if Severity.ERROR in severities:
        return "invalid"
    return "valid, but not supported" if Severity.UNSUPPORTED in severities else "valid"


_ORDER = ("valid", "valid, but not supported", "invalid")
