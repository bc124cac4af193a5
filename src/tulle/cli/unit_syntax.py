"""Text as systemd's unit files have it: words, assignments and paths that come out of systemd as they went in.

systemd.syntax(7), "Quoting"; systemd.service(5), "Command lines"; `%` begins a specifier in each of them (systemd.unit(5)).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

_PLAIN = re.compile(r"[A-Za-z0-9_./:=,@+-]+")
# A newline ends the line whatever is around it, and systemd strips blanks at its end.
_NO_PATH = re.compile(r"[\x00-\x1f\x7f]|[ \\]\Z")


def command_line(file: str, arguments: Iterable[str]) -> str:
    """For ExecStart=. file: absolute; it is the one word in which `$` means nothing."""
    return " ".join([_word(file), *(_word(argument.replace("$", "$$")) for argument in arguments)])


def assignment(name: str, value: str) -> str:
    """For Environment=."""
    return _word(f"{name}={value}")


def path(text: str) -> str:
    """For settings that take one path and the rest of the line, as WorkingDirectory=. Raises ValueError."""
    if _NO_PATH.search(text) or _is_no_text(text):
        raise ValueError(f"{text!r} can't be written in a unit file; use a folder without such characters in its name")
    return text.replace("%", "%%")


def paths(texts: Iterable[str]) -> str:
    """For settings that take a list of paths, as ReadWritePaths=, which knows no escapes but the backslash's own."""
    quoted = (path(text).replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return " ".join(text if _PLAIN.fullmatch(text) else f'"{text}"' for text in quoted)


def comment(text: str) -> str:
    """A part of a comment, which ends at the end of the line, and goes on after it if there is a backslash."""
    return "".join(character if character.isprintable() and character != "\\" else "?" for character in text)


def _word(text: str) -> str:
    text = text.replace("%", "%%")
    return text if _PLAIN.fullmatch(text) else '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))


def _is_no_text(text: str) -> bool:
    """Whether it is a file name that is no UTF-8; Python has surrogates for such bytes."""
    return any("\ud800" <= character <= "\udfff" for character in text)
