"""A file's bytes as documents: values with their places, and what kept them from being read. START HERE.

What they should say is for others: schema.py and validation/. Nothing that a file can hold makes this raise, hang, or
take more memory than a small multiple of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tulle.sources.config_map import mesh_config
from tulle.sources.json_text import json_fault, json_values
from tulle.sources.limits import LARGEST_FILE, MOST_DOCUMENTS, Noted, Refused
from tulle.sources.places import Lines, Place, inside, line_of
from tulle.sources.problems import Problem
from tulle.sources.yaml_values import yaml_values

# A name in quotes at once, or nothing, is how programs write.
_MEANT_FOR_JSON = re.compile(r"\s*(?:\{\s*(?:\"|$)|\[\s*(?:[\"{\[]|$))")
_START = re.compile(r"^---(?=\s|$)", re.M)


class Document(Struct, frozen=True, eq=False):
    """One document of a file, as it is written and as it is sent.

    number: from 1, empty ones not counted; the items of a list count each. line: of its first field. lines: its
    places, see places.py. problems: why it, or what follows it in the file, could not be read.
    """

    file: str
    number: int
    line: int = 0
    value: Any = None
    lines: Place = None
    problems: tuple[Problem, ...] = ()

    @property
    def by_path(self) -> Lines:
        return Lines(self.lines)


def documents(data: bytes, file: str) -> list[Document]:
    """file: as messages shall name it."""
    found: list[Document] = []
    for read in _read(data, file):
        if isinstance(read, Refused):
            problem = Problem(read.line, "", read.message)
            found.append(Document(file, len(found) + 1, read.line, problems=(problem,)))
            continue
        value, place, noted = read
        for one, at, more in _expanded(value, place, tuple(noted.problems)):
            if len(found) == MOST_DOCUMENTS:
                message = f"the file has more than {MOST_DOCUMENTS} documents: split it"
                problem = Problem(line_of(at), "", message)
                return [*found, Document(file, len(found) + 1, line_of(at), problems=(problem,))]
            found.append(Document(file, len(found) + 1, line_of(at), one, at, more))
    return found


def _read(data: bytes, file: str) -> Iterator[tuple[Any, Place, Noted] | Refused]:
    """A text that is JSON is one; of YAML each document is read for itself, so that a bad one hides none of the others."""
    not_json: Refused | None = None
    try:
        text = _text(data)
        if text.lstrip()[:1] in ("{", "["):
            if (values := json_values(text)) is not None:
                yield from values
                return
            if file.endswith(".json") or _MEANT_FOR_JSON.match(text):
                not_json = json_fault(text)
    except Refused as refused:
        yield refused
        return
    for line, part in _parts(text):
        try:
            yield from yaml_values(part, line)
        except Refused as refused:
            yield not_json or refused
            if not_json:
                return


def _text(data: bytes) -> str:
    if len(data) > LARGEST_FILE:
        raise Refused(1, f"the file has more than {LARGEST_FILE // 2**20} MB: split it")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Refused(line, f"this is no text in UTF-8: it has the byte 0x{data[error.start]:02x}") from None
    if (nul := text.find("\0")) >= 0:
        raise Refused(text.count("\n", 0, nul) + 1, "this is no text: it has a NUL character")
    if text.count("\n---") > MOST_DOCUMENTS:
        raise Refused(1, f"the file has more than {MOST_DOCUMENTS} documents: split it")
    return text


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """A text cut before each `---`, which can begin a line in no other sense (yaml.org/spec/1.2.2, rule 206).

    Each with its first line. What has directives alone is left out with them, as is what is empty.
    """
    line = 1
    starts = [0, *(found.start() for found in _START.finditer(text)), len(text)]
    for start, end in pairwise(starts):
        part = text[start:end]
        if part.strip() not in ("", "---") and not _directives(part):
            yield line, part
        line += part.count("\n")


def _directives(part: str) -> bool:
    return part.startswith("%") and all(line.startswith(("%", "#")) or not line.strip() for line in part.split("\n"))


def _expanded(
    value: Any, place: Place, problems: tuple[Problem, ...]
) -> Iterator[tuple[Any, Place, tuple[Problem, ...]]]:
    """The documents in a list of them, and the MeshConfig in Istio's ConfigMap; each with its own problems."""
    items, places, prefix = value, place, ""
    if isinstance(value, dict) and isinstance(value.get("kind"), str) and value["kind"].endswith("List"):
        items, places, prefix = value.get("items"), inside(place, "items"), "items"
    if isinstance(items, list):
        others = tuple(problem for problem in problems if not problem.path.startswith(f"{prefix}["))
        for index, item in enumerate(items):
            own = tuple(
                _relative(problem, f"{prefix}[{index}]") for problem in problems if _is_in(problem, prefix, index)
            )
            yield from _expanded(item, inside(places, index), own if index else (*others, *own))
    elif (found := mesh_config(value, place)) is not None:
        config, at, more = found
        yield config, at, (*problems, *more)
    else:
        yield value, place, problems


def _is_in(problem: Problem, prefix: str, index: int) -> bool:
    return problem.path.startswith(f"{prefix}[{index}]")


def _relative(problem: Problem, prefix: str) -> Problem:
    return replace(problem, path=problem.path[len(prefix) :].removeprefix("."))
