"""The table of docs/reference/capture.md: what is captured in which mode, as the tests have found it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from capture_notes import NOTES, SECTIONS
from matrix_mesh import MODES

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "capture.md"
_BEGIN = "<!-- written by scripts/test tests/capture --update-capture-table -->\n"
_END = "<!-- end of what the tests have written -->\n"
_WORDS = {"ok": "yes", "failed": "no", "pointless": "–"}
UNTRIED = "not tested"

Outcomes = dict[str, dict[str, str]]
"""By the program of clients/ and the client."""


def cell(outcome: str) -> str:
    return _WORDS.get(outcome.partition(":")[0], UNTRIED)


def written(text: str) -> dict[tuple[str, str], str]:
    """The cells of a page, by client and mode, without the numbers of their notes."""
    cells = {}
    for line in _part(text).splitlines():
        if line.startswith("| ") and not line.startswith(("| | ", "| --- ", "| **")):
            client, *words = [each.strip() for each in line.strip("|").split(" | ")]
            cells.update({(client, mode): word.partition(" (")[0] for mode, word in zip(MODES, words, strict=True)})
    return cells


def differences(cells: Mapping[tuple[str, str], str], outcomes: Mapping[str, Outcomes]) -> Iterator[str]:
    """What has come out otherwise than is written. What could not be tried is as it is written."""
    for mode, found in outcomes.items():
        for clients in found.values():
            for client, outcome in clients.items():
                told = cells.get((client, mode), "nothing")
                if cell(outcome) not in (told, UNTRIED):
                    yield f"{mode}: {client}: the page says {told}; it is {outcome}"


def unexplained(outcomes: Mapping[str, Outcomes]) -> Iterator[str]:
    """What has failed without a note that says why it must."""
    for mode, found in outcomes.items():
        for section, clients in found.items():
            for client, outcome in clients.items():
                if cell(outcome) == "no" and not {(client, mode), (section, mode)} & NOTES.keys():
                    yield f"{mode}: {client}: {outcome}, and capture_notes.py does not say why"


def updated(text: str, outcomes: Mapping[str, Outcomes]) -> str:
    """The page with these outcomes. What could not be tried stays as it is written."""
    before = written(text)
    rows: dict[str, dict[str, None]] = {}
    cells: dict[tuple[str, str], str] = {}
    for mode, found in outcomes.items():
        for section, clients in found.items():
            rows.setdefault(section, {}).update(dict.fromkeys(clients))
            for client, outcome in clients.items():
                now = cell(outcome)
                cells[client, mode] = before.get((client, mode), now) if now == UNTRIED else now
    kept = {(client, mode): UNTRIED for clients in rows.values() for client in clients for mode in MODES} | before
    lines = "".join(f"{line}\n" for line in _lines(rows, kept | cells))
    return text.replace(f"{_BEGIN}{_part(text)}{_END}", f"{_BEGIN}{lines}{_END}")


def _lines(rows: Mapping[str, Iterable[str]], cells: Mapping[tuple[str, str], str]) -> Iterator[str]:
    notes: dict[str, int] = {}
    yield f"| | {' | '.join(MODES)} |"
    yield f"| --- |{' --- |' * len(MODES)}"
    for section, clients in rows.items():
        yield f"| **{SECTIONS[section]}** |{' |' * len(MODES)}"
        for client in clients:
            words = (_with_note(cells[client, mode], note_of(section, client, mode, cells), notes) for mode in MODES)
            yield f"| {client} | {' | '.join(words)} |"
    yield ""
    yield from (f"{number}. {note}" for note, number in notes.items())


def note_of(section: str, client: str, mode: str, cells: Mapping[tuple[str, str], str]) -> str | None:
    """What is to be said of a cell: of this client, or else, of what is not captured, of all of its kind."""
    if (client, mode) in NOTES:
        return NOTES[client, mode]
    return NOTES.get((section, mode)) if cells[client, mode] == "no" else None


def _with_note(word: str, note: str | None, notes: dict[str, int]) -> str:
    return word if note is None else f"{word} ({notes.setdefault(note, len(notes) + 1)})"


def _part(text: str) -> str:
    found = re.search(f"{re.escape(_BEGIN)}(.*?){re.escape(_END)}", text, re.S)
    assert found, f"{PAGE} has lost the marks of its table"
    return found[1]
