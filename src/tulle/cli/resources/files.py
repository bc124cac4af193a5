"""What `-f` names, read and checked: files, folders, standard input.

Checked here as well as by the control plane, so that the answer comes at once and with the lines of the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import click
from msgspec.structs import replace

from tulle.api.views import ProblemView
from tulle.cli.exits import Failed
from tulle.cli.printing import printable
from tulle.cli.resources.contents import contents
from tulle.model.names import DEFAULT_NAMESPACE
from tulle.model.resources.resource import Ref, Resource
from tulle.sources.codec import Checked, check_all
from tulle.sources.documents import Document, documents
from tulle.sources.problems import Problem, Severity


def read(names: Sequence[str]) -> list[Document]:
    """The documents of all files, in order. Raises Unreadable, or Failed if there is no document."""
    found = [document for file, data in contents(names) for document in documents(data, file)]
    if not found:
        raise Failed(f"there is no document in {', '.join(names)}")
    return found


def accepted(
    found: Iterable[Document], namespace: str | None, *, quiet: bool = False
) -> list[tuple[Document, Resource]]:
    """All of them, checked; warnings are printed. Raises Failed after printing what is wrong.

    namespace: of documents that name none, and then others must name no other one.
    """
    checked, problems = problems_in(found, namespace)
    refuse(problems, quiet=quiet)
    return [(one.document, one.resource) for one in checked if one.resource is not None]


def problems_in(found: Iterable[Document], namespace: str | None) -> tuple[list[Checked], list[ProblemView]]:
    """The documents checked, and all that is wrong with them, warnings too, by file and line."""
    checked = judged(found, namespace)
    return checked, sorted(_problems(checked), key=lambda one: (one.file, one.line, one.path, one.message))


def judged(found: Iterable[Document], namespace: str | None) -> list[Checked]:
    """All of them with their problems. namespace: of documents that name none, and then others must name no other one."""
    checked = check_all(found, namespace or DEFAULT_NAMESPACE)
    for index, one in enumerate(checked):
        for view in _elsewhere([one], namespace):
            problem = Problem(view.line, view.path, view.message)
            checked[index] = replace(one, resource=None, problems=tuple(sorted([*one.problems, problem])))
    return checked


def refs_of(found: Iterable[Document], namespace: str | None) -> list[Ref]:
    """Which resources the documents are of, whatever else they say. Raises Failed for one that names none."""
    checked = check_all(found, namespace or DEFAULT_NAMESPACE)
    refs = []
    for one in checked:
        if one.ref is None:
            refuse([*_problems([one])])
            raise Failed(f"{one.document.file}:{one.document.line}: this document names no resource")
        refs.append(one.ref)
    refuse(list(_elsewhere(checked, namespace)))
    return list(dict.fromkeys(refs))


def refuse(problems: Sequence[ProblemView], *, quiet: bool = False) -> None:
    """Prints all of them on stderr; raises Failed if one is more than a warning."""
    bad = [one for one in problems if one.severity is not Severity.WARNING]
    for one in problems:
        if one in bad or not quiet:
            click.echo(told(one), err=True)
    if bad:
        raise Failed(f"nothing was changed: {len(bad)} problem{'s' if len(bad) > 1 else ''}")


def told(problem: ProblemView) -> str:
    """`mesh.yaml:12: spec.http[0].timeout: must be at least 1ms`."""
    place = f"{problem.file}:{problem.line}" if problem.line else problem.file
    word = "" if problem.severity is Severity.ERROR else f"{problem.severity.value}: "
    return printable(f"{place}: {word}{f'{problem.path}: ' if problem.path else ''}{problem.message}")


def _problems(checked: Iterable[Checked]) -> Iterator[ProblemView]:
    for one in checked:
        for problem in one.problems:
            yield ProblemView(one.document.file, problem.line, problem.path, problem.message, problem.severity)


def _elsewhere(checked: Iterable[Checked], namespace: str | None) -> Iterator[ProblemView]:
    for one in checked:
        if namespace and one.kind != "MeshConfig" and one.namespace not in ("", namespace):
            message = f"it is of the namespace {one.namespace!r}, and --namespace says {namespace!r}"
            yield _problem_of(one, "metadata.namespace", message)


def _problem_of(one: Checked, path: str, message: str) -> ProblemView:
    line = one.document.by_path.get(path, one.document.line)
    return ProblemView(one.document.file, line, path, message, Severity.ERROR)
