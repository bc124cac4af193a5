"""How much a file may hold, and how much is said of it. Beyond, it is refused before it costs time and memory."""

from __future__ import annotations

from tulle.sources.places import Path, rendered
from tulle.sources.problems import Problem, Severity

LARGEST_FILE = 10 * 2**20  # bytes
DEEPEST = 100  # levels; Istio's deepest field is at 12
TOO_DEEP = f"it nests deeper than {DEEPEST} levels"
MOST_DOCUMENTS = 50_000  # in one file
MOST_ALIASED = 100_000  # values that aliases stand for, in one document
LONGEST_NUMBER = 300  # digits; no float is greater than 1e308
MOST_PROBLEMS = 100  # told of one document


class Refused(Exception):
    """A text that is not read on. line: from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


class Noted:
    """The problems of one document. Beyond the most that are told, they are only known to be there."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def note(self, line: int, path: Path, message: str, severity: Severity = Severity.ERROR) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(line, rendered(path), message, severity))
        elif len(self.problems) == MOST_PROBLEMS:
            self.problems.append(
                Problem(line, "", f"there are more than {MOST_PROBLEMS} problems; the rest is not told")
            )
