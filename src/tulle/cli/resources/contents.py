"""What `-f` names, as bytes: files, folders with all that is in them, standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tulle.cli.exits import Unreadable
from tulle.sources.limits import LARGEST_FILE

_ENDINGS = (".yaml", ".yml", ".json")


def contents(names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Each file's name, as messages shall have it, and what is in it. Raises Unreadable for one that can't be read.

    A folder's files are those that end in .yaml, .yml or .json, in folders below it as well, in the order of their
    names; hidden ones are left out. Of a file that is too large no more is read than tells that.
    """
    for name in names:
        if name == "-":
            yield "-", sys.stdin.buffer.read(LARGEST_FILE + 1)
            continue
        path = Path(name)
        try:
            for file in _files(path) if path.is_dir() else [path]:
                with file.open("rb") as opened:
                    yield str(file), opened.read(LARGEST_FILE + 1)
        except OSError as error:
            raise Unreadable(f"{error.filename or name} can't be read: {error.strerror}") from error


def _files(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix in _ENDINGS
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
        and file.is_file()
    )
