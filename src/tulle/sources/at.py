"""A place in a document, where a check can say what is wrong.

at.field("http").item(0).field("timeout").error("must be at least 1ms")
"""

from __future__ import annotations

from collections.abc import Mapping

from tulle.sources.places import Lines
from tulle.sources.problems import Problem, Severity

MOST = 1000  # of a severity; what is beyond would cost time and be read by nobody


class Report:
    """The problems of one document, up to so many of each severity. lines: of its fields, by path.

    namespace: of the resource, what "." means in it. quoted_numbers: whether numbers may be in quotes there.
    """

    def __init__(self, lines: Mapping[str, int] | None = None, namespace: str = "default") -> None:
        self.problems: list[Problem] = []
        self.namespace = namespace
        self.quoted_numbers = False
        self._lines = {} if lines is None else lines
        self._noted = dict.fromkeys(Severity, 0)

    def note(self, path: str, message: str, severity: Severity) -> None:
        self._noted[severity] += 1
        if self._noted[severity] <= MOST:
            self.problems.append(Problem(self.line(path), path, message, severity))

    @property
    def crowded(self) -> bool:
        """Whether no more errors are kept."""
        return self._noted[Severity.ERROR] >= MOST

    def line(self, path: str) -> int:
        """Of the field, or of the nearest one around it that is there."""
        if isinstance(self._lines, Lines):
            return self._lines.nearest(path)
        while path and path not in self._lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self._lines.get(path, 0)


class At:
    """Where a check is. It may name fields that are not there: the line is then that of what is around them."""

    __slots__ = ("path", "report")

    def __init__(self, report: Report, path: str = "spec") -> None:
        self.report = report
        self.path = path

    def field(self, name: str) -> At:
        return At(self.report, f"{self.path}.{name}" if self.path else name)

    def item(self, index: int) -> At:
        return At(self.report, f"{self.path}[{index}]")

    def key(self, key: str) -> At:
        """Of a mapping whose keys the user chooses (labels, headers)."""
        return self.field(key)

    def error(self, message: str) -> None:
        self.report.note(self.path, message, Severity.ERROR)

    def unsupported(self, message: str) -> None:
        self.report.note(self.path, message, Severity.UNSUPPORTED)

    def warning(self, message: str) -> None:
        self.report.note(self.path, message, Severity.WARNING)
