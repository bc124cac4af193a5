"""The exit codes of `tulle run`, and the error that ends it.

The program's own exit code is passed through; a program that a signal ended gives 128 + its number, as in a shell.
What the agent itself has to say is 125 to 127, as with env(1) and `docker run`.
"""

from __future__ import annotations

AGENT_FAILED = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127


class AgentError(Exception):
    """Ends the agent: `str(error)` is for the user and names the fix, `code` is the exit code."""

    def __init__(self, message: str, code: int = AGENT_FAILED) -> None:
        super().__init__(message)
        self.code = code


def first_of(error: BaseException) -> BaseException:
    """The first error in a group of a group of ...; what is no group is itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def of_signal(number: int) -> int:
    """The exit code of a program that signal `number` ended."""
    return 128 + number


def of_return_code(code: int) -> int:
    """The exit code for a return code as subprocess gives it: negative for signals."""
    return code if code >= 0 else of_signal(-code)
