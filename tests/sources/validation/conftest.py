"""What a check says of a document's spec, so that a test is a table of documents and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import yaml

from tulle.sources.at import At, Report
from tulle.sources.problems import Problem, Severity
from tulle.sources.unsupported import note_unsupported


class Verdict:
    """Of one document. Its problems are sorted by path."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.path)

    def of(self, severity: Severity) -> dict[str, str]:
        """What is said, by path."""
        return {problem.path: problem.message for problem in self.problems if problem.severity is severity}

    @property
    def errors(self) -> dict[str, str]:
        return self.of(Severity.ERROR)

    @property
    def warnings(self) -> dict[str, str]:
        return self.of(Severity.WARNING)

    @property
    def unsupported(self) -> dict[str, str]:
        return self.of(Severity.UNSUPPORTED)


@pytest.fixture
def judge() -> Callable[..., Verdict]:
    """judge(check, kind, text, namespace): text is the spec as YAML."""

    def of(check: Callable[[Any, At], None], kind: type[Any], text: str, namespace: str = "default") -> Verdict:
        report = Report(namespace=namespace)
        spec = msgspec.convert(yaml.safe_load(text), kind)
        check(spec, At(report))
        note_unsupported(spec, At(report))
        return Verdict(report.problems)

    return of
