"""Documents to resources: structure, then meaning, and all that is wrong with each. What others call is here.

The command line reads a file and can send its documents; the control plane decodes what was sent. Both come to the same
resources and the same problems, as both go through `check`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tulle.model.resources.resource import SPECS, Origin, Ref, Resource
from tulle.sources.at import At, Report
from tulle.sources.documents import Document, documents
from tulle.sources.envelope import envelope, kind_of
from tulle.sources.limits import MOST_PROBLEMS
from tulle.sources.places import Lines, walk
from tulle.sources.problems import Problem, Severity
from tulle.sources.schema import typed
from tulle.sources.unsupported import note_unsupported
from tulle.sources.validation import dry_run
from tulle.sources.validation.kinds import CHECKS


class Checked(Struct, frozen=True, eq=False):
    """A document, and what was found in it. Problems are in the order of their lines.

    ref: None if it does not say which one it is. resource: None if it must not be applied, being in error or unsupported.
    kind, namespace and name are as it has them, "" where it has none.
    """

    document: Document
    ref: Ref | None
    resource: Resource | None
    problems: tuple[Problem, ...] = ()
    kind: str = ""
    namespace: str = ""
    name: str = ""

    @property
    def valid(self) -> bool:
        """Whether Istio would take it."""
        return all(problem.severity is not Severity.ERROR for problem in self.problems)


def read(data: bytes, file: str, namespace: str) -> list[Checked]:
    """A file's documents. namespace: of those that name none."""
    return check_all(documents(data, file), namespace)


def check_all(found: Iterable[Document], namespace: str) -> list[Checked]:
    """All documents of one input, maybe of several files: none may be there twice."""
    return _without_twins([check(document, namespace) for document in found])


def check(document: Document, namespace: str) -> Checked:
    """One document for itself."""
    if document.value is None and document.problems:
        return Checked(document, None, None, document.problems)
    report = Report(document.by_path, namespace)
    kind = kind_of(document.value, At(report, ""))
    ref: Ref | None = None
    resource: Resource | None = None
    if kind is not None:
        ref, labels, annotations = envelope(document.value, kind, namespace, At(report, ""))
        report.namespace = ref.namespace
        spec = _spec(document.value, kind, report)
        dry_run.check(annotations, spec, At(report, "metadata.annotations"))
        if ref.name:
            resource = Resource(ref, spec, labels, annotations, origin=_origin(document))
    problems = _ordered([*document.problems, *report.problems])
    sound = all(problem.severity is Severity.WARNING for problem in problems)
    known = ref if ref is not None and ref.name else None
    said = (known.kind, known.namespace, known.name) if known else _said(document.value, namespace)
    return Checked(document, known, resource if sound else None, problems, *said)


def _spec(value: Mapping[str, Any], kind: str, report: Report) -> Any:
    """The spec as far as it can be read, after noting what is wrong with it."""
    at = At(report, "spec")
    if value.get("spec") is None:
        at.error(
            f"{'an' if kind[0] in 'AEIOU' else 'a'} {kind} needs a spec; where it says nothing, write `spec: {{}}`"
        )
        return typed({}, SPECS[kind], at)
    start = len(report.problems)
    # Protobuf's JSON takes them, by which Istio reads MeshConfig, and its examples write `port: "9000"` there. The schemas of its
    # other kinds do not.
    report.quoted_numbers = kind == "MeshConfig"
    spec = typed(value["spec"], SPECS[kind], at)
    structural = report.problems[start:]
    note_unsupported(spec, at)
    start = len(report.problems)
    CHECKS[kind](spec, at)
    if structural:
        # What could not be read is not there for the check: what it says of that would mislead.
        broken = {problem.path for problem in structural}
        report.problems[start:] = [p for p in report.problems[start:] if not _touches(p.path, broken)]
    return spec


def _touches(path: str, broken: set[str]) -> bool:
    """Whether a path is one of these, above one, or below one."""
    return any(_within(path, other) or _within(other, path) for other in broken)


def _within(path: str, outer: str) -> bool:
    return path == outer or (path.startswith(outer) and path[len(outer)] in ".[")


def _origin(document: Document) -> Origin:
    """The lines of the elements of lists alone: those are what is named later."""
    lines = {path: line for path, line in walk(document.lines) if path.endswith("]") and line}
    return Origin(document.file, document.line, lines)


def _said(value: Any, namespace: str) -> tuple[str, str, str]:
    """What a document says of itself, sound or not."""
    if not isinstance(value, dict):
        return "", "", ""
    metadata = value.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    kind, name = value.get("kind"), metadata.get("name")
    given = metadata.get("namespace") or namespace
    return tuple(text if isinstance(text, str) else "" for text in (kind, given, name))  # type: ignore[return-value]


def _ordered(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    found = sorted(set(problems))
    if len(found) > MOST_PROBLEMS:
        left = len(found) - MOST_PROBLEMS
        # The worst are told first, so that cutting never hides that a document is in error.
        worst = sorted(found, key=lambda problem: _WORST.index(problem.severity))[:MOST_PROBLEMS]
        return (*sorted(worst), Problem(found[-1].line, "", f"there are {left} more problems", worst[0].severity))
    return tuple(found)


def _without_twins(found: list[Checked]) -> list[Checked]:
    first: dict[Ref, Document] = {}
    for index, checked in enumerate(found):
        if checked.ref is None:
            continue
        earlier = first.setdefault(checked.ref, checked.document)
        if earlier is not checked.document:
            place = f"{earlier.file}:{earlier.line}"
            line = Lines(checked.document.lines).get("metadata.name", checked.document.line)
            problem = Problem(line, "metadata.name", f"{checked.ref} is given twice, first in {place}")
            found[index] = replace(checked, resource=None, problems=_ordered([*checked.problems, problem]))
    return found


_WORST = (Severity.ERROR, Severity.UNSUPPORTED, Severity.WARNING)
