"""What is found in the file of traces. Every answer is bounded, and so is what is looked at for it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from tulle.telemetry.traces.database import COLUMNS, reading, spans_in, summary_of
from tulle.telemetry.traces.span import Span, Summary

MOST = 1_500  # traces in one answer, as Jaeger
MOST_SPANS = 50_000  # likewise, but for one trace
_LOOKED_AT = 5_000  # traces, for what no index tells
_DEPENDENCIES_OF = 2_000
SHORTEST_PREFIX = 6


class Asked(Struct, frozen=True):
    """service: "" for any. operation, tags, attributes of one of its spans. since, until: of the trace's start.

    All times in nanoseconds. The newest come first.
    """

    service: str = ""
    operation: str = ""
    shortest: int = 0
    longest: int = 0
    errors: bool = False
    since: int = 0
    until: int = 1 << 62
    limit: int = 20
    tags: Mapping[str, str] = {}


class Dependency(Struct, frozen=True):
    parent: str
    child: str
    calls: int


class Ambiguous(Exception):
    """Several traces begin like this."""


class Search:
    """Raises sqlite3.Error where the file can't be read. To be used in any one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, asked: Asked) -> list[Summary]:
        with reading(self._path) as db:
            found = []
            for of in _candidates(db, asked):
                if asked.operation or asked.tags:
                    spans = _spans(db, of.id)
                    if not any(_fits(span, asked) for span in spans):
                        continue
                found.append(of)
                if len(found) >= min(asked.limit, MOST):
                    break
            return found

    def trace(self, text: str) -> list[Span]:
        """By its id, or that of a request in it, or the beginning of one; none if there is no such trace. Raises Ambiguous."""
        with reading(self._path) as db:
            ids = _ids(db, text)
            if len(ids) > 1:
                raise Ambiguous(f"several traces are meant by {text}: {', '.join(ids)}")
            return _spans(db, ids[0]) if ids else []

    def traces(self, found: list[Summary]) -> list[list[Span]]:
        """The first of them, as far as there is room in an answer."""
        with reading(self._path) as db:
            return [_spans(db, of.id) for of in _first(found)]

    def several(self, ids: Iterable[str]) -> list[list[Span]]:
        """Likewise, by their whole ids; those that there are."""
        with reading(self._path) as db:
            known = (_summary(db, id) for id in ids)
            return [_spans(db, of.id) for of in _first(of for of in known if of)]

    def services(self) -> list[str]:
        with reading(self._path) as db:
            return [row[0] for row in db.execute("SELECT DISTINCT service FROM served ORDER BY service LIMIT 10000")]

    def operations(self, service: str, kind: str = "") -> list[tuple[str, str]]:
        """Names and kinds."""
        statement = (
            "SELECT name, kind FROM operations WHERE service = ? AND (? = '' OR kind = ?) ORDER BY name LIMIT 5000"
        )
        with reading(self._path) as db:
            return [(row[0], row[1]) for row in db.execute(statement, (service, kind, kind))]

    def dependencies(self, since: int, until: int) -> list[Dependency]:
        """Who called whom, in the newest traces of that time."""
        calls: Counter[tuple[str, str]] = Counter()
        with reading(self._path) as db:
            ids = "SELECT id FROM traces WHERE start BETWEEN ? AND ? ORDER BY start DESC LIMIT ?"
            for (trace,) in db.execute(ids, (since, until, _DEPENDENCIES_OF)).fetchall():
                spans = {span.id: span for span in _spans(db, trace)}
                for span in spans.values():
                    parent = spans.get(span.parent)
                    if parent and parent.service != span.service:
                        calls[parent.service, span.service] += 1
        return [Dependency(parent, child, count) for (parent, child), count in sorted(calls.items())]

    def size(self) -> tuple[int, int]:
        """How many traces there are, and how many bytes of spans."""
        with reading(self._path) as db:
            traces, size = db.execute("SELECT COUNT(*), COALESCE(SUM(bytes), 0) FROM traces").fetchone()
            return int(traces), int(size)


def _first(found: Iterable[Summary]) -> Iterator[Summary]:
    count = 0
    for of in found:
        if count and count + of.spans > MOST_SPANS:
            return
        count += of.spans
        yield of


def _summary(db: sqlite3.Connection, trace: str) -> Summary | None:
    row = db.execute(f"SELECT {COLUMNS} FROM traces WHERE id = ?", (trace,)).fetchone()  # noqa: S608
    return summary_of(row) if row else None


def _candidates(db: sqlite3.Connection, asked: Asked) -> Iterator[Summary]:
    columns = ", ".join(f"traces.{name.strip()}" for name in COLUMNS.split(","))
    source, where = "traces", "traces.start BETWEEN ? AND ?"
    parameters: list[object] = [asked.since, asked.until]
    if asked.service:
        source = "served JOIN traces ON traces.id = served.trace"
        where = "served.service = ? AND served.start BETWEEN ? AND ?"
        parameters.insert(0, asked.service)
    if asked.errors:
        where += " AND errors > 0"
    if asked.shortest:
        where += " AND finish - traces.start >= ?"
        parameters.append(asked.shortest)
    if asked.longest:
        where += " AND finish - traces.start <= ?"
        parameters.append(asked.longest)
    order = "served.start" if asked.service else "traces.start"
    statement = f"SELECT {columns} FROM {source} WHERE {where} ORDER BY {order} DESC LIMIT ?"  # noqa: S608
    for row in db.execute(statement, (*parameters, _LOOKED_AT)).fetchall():
        yield summary_of(row)


def _fits(span: Span, asked: Asked) -> bool:
    if asked.service and span.service != asked.service:
        return False
    if asked.operation and span.name != asked.operation:
        return False
    return all(_has(span, key, value) for key, value in asked.tags.items())


def _has(span: Span, key: str, value: str) -> bool:
    if key == "error":
        return span.error == (value.lower() == "true")
    if key in ("span.kind", "otel.scope.name"):
        return {"span.kind": span.kind, "otel.scope.name": span.scope}[key] == value
    found = span.attributes.get(key)
    return found is not None and (str(found).lower() if isinstance(found, bool) else str(found)) == value


def _ids(db: sqlite3.Connection, text: str) -> list[str]:
    lower = text.lower()
    is_hex = not lower.strip("0123456789abcdef") and SHORTEST_PREFIX <= len(lower) <= 32
    if is_hex:
        statement = "SELECT id FROM traces WHERE id BETWEEN ? AND ? ORDER BY id LIMIT 5"
        if found := [row[0] for row in db.execute(statement, (lower, f"{lower}g"))]:
            return found
        padded = lower.rjust(32, "0")  # Jaeger leaves the zeros out with which an id begins
        if found := [row[0] for row in db.execute("SELECT id FROM traces WHERE id = ?", (padded,))]:
            return found
    text = text[:128]
    whole = "SELECT DISTINCT trace FROM requests WHERE id = ? LIMIT 5"
    if found := [row[0] for row in db.execute(whole, (text,))]:
        return found
    if len(text) < SHORTEST_PREFIX:
        return []
    beginning = "SELECT DISTINCT trace FROM requests WHERE id BETWEEN ? AND ? LIMIT 5"
    return [row[0] for row in db.execute(beginning, (text, f"{text}\x7f"))]


def _spans(db: sqlite3.Connection, trace: str) -> list[Span]:
    return spans_in(row[0] for row in db.execute("SELECT spans FROM parts WHERE trace = ?", (trace,)))
