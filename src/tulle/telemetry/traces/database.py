"""The file that traces are kept in: SQLite, bounded in bytes and age. One thread writes, others may read.

A trace is a row that says what it is in few words, and the spans of each export that had some of it. Room is shared by who
tells: a trace counts for whoever has told most of it, and who has most room in all loses his oldest first, so that nobody pushes
out what others tell. Traces with errors and slow ones last an hour longer. Nothing in here is precious: a file that is damaged,
or of another version, is begun anew, and the last second may be lost with the machine's power. Where the disk is short, it gives
back what it has, the oldest first (room.py); where there is no room even for that, all of it, as to unlink a file needs none.
"""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

import msgspec
from msgspec.structs import replace

from tulle.telemetry.traces.room import NoRoom, missing
from tulle.telemetry.traces.span import Span, Summary, joined, summary

MOST_BYTES = 200 * 1024 * 1024
MOST_SECONDS = 24 * 3600.0
MOST_SPANS_OF_ONE = 20_000
_PART_OF_ONE = 20  # of all room, for one trace: a twentieth
_PAGE = 4096
SEPARATOR = "\x1f"  # of services
_VERSION = 3
_MOST_OPERATIONS = 5_000
_LONGEST_ID = 128
_LESS = 0.9  # when it is full, so much of it is kept
_AT_ONCE = 4 * 1024 * 1024  # given back: what is deleted is in the write-ahead log first
_FAILED_LAST = 3600 * 10**9  # so much later than its last spans a rank may be: Summary.lasts
_JUMP = 300 * 10**9

_SCHEMA = """
CREATE TABLE traces(id TEXT PRIMARY KEY, start INTEGER, finish INTEGER, spans INTEGER, errors INTEGER,
  root_service TEXT, root_name TEXT, has_root INTEGER, services TEXT, bytes INTEGER, rank INTEGER,
  teller TEXT, lead INTEGER) WITHOUT ROWID;
CREATE INDEX by_rank ON traces(rank);
CREATE INDEX by_teller ON traces(teller, rank);
CREATE INDEX by_start ON traces(start);
CREATE TABLE parts(trace TEXT, spans BLOB);
CREATE INDEX parts_of ON parts(trace);
CREATE TABLE served(service TEXT, trace TEXT, start INTEGER, PRIMARY KEY(service, trace)) WITHOUT ROWID;
CREATE INDEX served_when ON served(service, start);
CREATE INDEX served_in ON served(trace);
CREATE TABLE requests(id TEXT, trace TEXT, PRIMARY KEY(id, trace)) WITHOUT ROWID;
CREATE INDEX requests_of ON requests(trace);
CREATE TABLE operations(service TEXT, name TEXT, kind TEXT, seen INTEGER, PRIMARY KEY(service, name, kind)) WITHOUT ROWID;
"""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[Span, ...])


class Database:
    """Raises sqlite3.Error and OSError; after one, it is opened anew by the next call. To be used by one thread."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES, most_seconds: float = MOST_SECONDS) -> None:
        self.path = path
        self._most = most_bytes
        self._seconds = most_seconds
        self._db: sqlite3.Connection | None = None
        self._bytes_of: Counter[str] = Counter()  # by who tells
        self.deleted = 0  # traces, for the want of room or for their age
        self.crowded_out = 0  # of these, for the want of room
        self.lost = 0  # spans, of traces that have too many
        self.given_back = 0  # traces, for the want of room on the disk
        self._is_short = False

    def write(self, told: Mapping[str, Iterable[Span]], now: int) -> None:
        """Adds spans, by who tells, and deletes what is too much. now: Unix time in nanoseconds. Raises NoRoom as well."""
        try:
            self._leave_room(now)
            db = self._opened(now)
            try:
                self._put(db, told, now)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                    raise
                db.rollback()
                self._count(db)
                try:
                    self._make_room(db, int(self._bytes / 2))
                    self._put(db, told, now)
                except sqlite3.OperationalError:  # less is free than is said, as where there are quotas
                    self._begin_anew()
                    raise
        except BaseException:
            self.close()
            raise

    def _leave_room(self, now: int) -> None:
        """On the disk, for the mesh's own store. Raises NoRoom."""
        folder = self.path.parent
        if not missing(folder, spare=self._is_short):
            self._is_short = False
            return
        before = self.crowded_out
        try:
            self._give_way(folder, now)
        finally:
            self.given_back += self.crowded_out - before

    def _give_way(self, folder: Path, now: int) -> None:
        if self.path.exists():
            try:
                self._shrink(self._opened(now))
            except sqlite3.Error:
                self._begin_anew()
        if missing(folder, spare=True):
            self._begin_anew()
            self._is_short = True
            raise NoRoom("its disk has too little room, and what is left there is for the mesh's own store")

    def _shrink(self, db: sqlite3.Connection) -> None:
        """Until enough is free, or nothing is left. Raises NoRoom while somebody reads what is to go."""
        while True:
            db.executescript("PRAGMA incremental_vacuum")  # `execute` would give back one page of all
            (busy, _, _) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise NoRoom("its disk has too little room, and traces are being read")
            short = missing(self.path.parent, spare=True)
            if not short or not self._bytes:
                return
            self._make_room(db, max(0, self._bytes - min(short, _AT_ONCE)))

    def _begin_anew(self) -> None:
        if self._db:
            with suppress(sqlite3.Error):
                (gone,) = self._db.execute("SELECT COUNT(*) FROM traces").fetchone()
                self.deleted += gone
                self.crowded_out += gone
        self.close()
        self._unlink()
        self._bytes_of.clear()

    def _unlink(self) -> None:
        for path in (self.path, *self._beside()):
            path.unlink(missing_ok=True)

    def shift(self, nanoseconds: int, now: int) -> None:
        """The clock has jumped by so much: nothing has grown older by that. now: what it is after that."""
        try:
            _shift(self._opened(now - nanoseconds), nanoseconds)
        except BaseException:
            self.close()
            raise

    @property
    def shares(self) -> dict[str, float]:
        """Of the room that is taken: 0 to 1, by who tells. May be asked for by any thread."""
        taken = dict(self._bytes_of)
        whole = sum(taken.values())
        return {teller: size / whole for teller, size in taken.items() if size > 0} if whole > 0 else {}

    @property
    def _bytes(self) -> int:
        return sum(self._bytes_of.values())

    def _count(self, db: sqlite3.Connection) -> None:
        self._bytes_of = Counter(dict(db.execute("SELECT teller, SUM(bytes) FROM traces GROUP BY teller")))

    def close(self) -> None:
        db, self._db = self._db, None
        if db:
            with suppress(sqlite3.Error):
                db.close()

    def _put(self, db: sqlite3.Connection, told: Mapping[str, Iterable[Span]], now: int) -> None:
        with db:
            for teller, spans in told.items():
                by_trace: dict[str, list[Span]] = {}
                for span in spans:
                    by_trace.setdefault(span.trace, []).append(span)
                for trace, some in by_trace.items():
                    self._add(db, teller, trace, some, now)
            oldest = now - int(self._seconds * 1e9)
            old = [row[0] for row in db.execute("SELECT id FROM traces WHERE rank < ? LIMIT 1000", (oldest,))]
            if old:
                self._delete(db, old)
                db.execute("DELETE FROM operations WHERE seen < ?", (oldest,))
        if self._bytes > self._most:
            self._make_room(db, int(self._most * _LESS))

    def _add(self, db: sqlite3.Connection, teller: str, trace: str, spans: list[Span], seen: int) -> None:
        more, before = summary(spans), _summary(db, trace)
        encoded = _encoder.encode(spans)
        size, whose, lead = 0, teller, 0
        if before:
            row = db.execute("SELECT bytes, teller, lead FROM traces WHERE id = ?", (trace,)).fetchone()
            size, whose, lead = row
            if before.spans + more.spans > MOST_SPANS_OF_ONE or size + len(encoded) > self._most // _PART_OF_ONE:
                self.lost += len(spans)
                return
        of = _not_ahead(joined(before, more) if before else more, seen)
        whole, (mainly, lead) = size + len(encoded), _mainly(whose, lead, teller, len(encoded))
        self._bytes_of[whose] -= size
        self._bytes_of[mainly] += whole
        db.execute("INSERT INTO parts VALUES(?, ?)", (trace, encoded))
        db.execute(
            "INSERT OR REPLACE INTO traces VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(trace, of.start, of.end, of.spans, of.errors, *of.root, of.has_root),
                SEPARATOR.join(of.services),
                *(whole, seen + of.lasts, mainly, lead),
            ),
        )
        db.executemany(
            "INSERT INTO served VALUES(?, ?, ?) ON CONFLICT DO UPDATE SET start = excluded.start",
            [(service, trace, of.start) for service in of.services],
        )
        requests = {span.request_id[:_LONGEST_ID] for span in spans} - {""}
        db.executemany("INSERT OR IGNORE INTO requests VALUES(?, ?)", [(request, trace) for request in requests])
        db.executemany(
            "INSERT INTO operations VALUES(?, ?, ?, ?) ON CONFLICT DO UPDATE SET seen = excluded.seen",
            [(*operation, seen) for operation in {(span.service, span.name, span.kind) for span in spans}],
        )

    def _make_room(self, db: sqlite3.Connection, bytes_left: int) -> None:
        while self._bytes > bytes_left:
            ((teller, _),) = self._bytes_of.most_common(1)
            with db:
                by_age = "SELECT id FROM traces WHERE teller = ? ORDER BY rank LIMIT 20"
                oldest = [row[0] for row in db.execute(by_age, (teller,))]
                if not oldest:
                    self._count(db)
                    break
                self._delete(db, oldest)
                self.crowded_out += len(oldest)
                db.execute(
                    "DELETE FROM operations WHERE seen < (SELECT seen FROM operations ORDER BY seen DESC LIMIT 1 OFFSET ?)",
                    (_MOST_OPERATIONS,),
                )

    def _delete(self, db: sqlite3.Connection, traces: Sequence[str]) -> None:
        for trace in traces:
            size, teller = db.execute("SELECT bytes, teller FROM traces WHERE id = ?", (trace,)).fetchone()
            self._bytes_of[teller] -= size
            if self._bytes_of[teller] <= 0:
                del self._bytes_of[teller]
            for statement in _DELETE:
                db.execute(statement, (trace,))
        self.deleted += len(traces)

    def _opened(self, now: int) -> sqlite3.Connection:
        if self._db is None:
            try:
                self._db = self._open()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                self._unlink()
                self._db = self._open()
            self._count(self._db)
            (newest,) = self._db.execute("SELECT MAX(rank) FROM traces").fetchone()
            ahead = (newest or 0) - _FAILED_LAST - now
            if ahead > _JUMP:  # the clock was put back meanwhile
                _shift(self._db, -ahead)
        return self._db

    def _beside(self) -> list[Path]:
        return [self.path.with_name(f"{self.path.name}-{end}") for end in ("wal", "shm")]

    def _open(self) -> sqlite3.Connection:
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = sqlite3.connect(self.path, timeout=5, check_same_thread=False)
        try:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # of a file that is new
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = OFF")
            db.execute(f"PRAGMA journal_size_limit = {self._most // 8}")
            # Indexes and what is free in pages come on top of what is counted.
            db.execute(f"PRAGMA max_page_count = {max(64, 5 * self._most // 2 // _PAGE)}")
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version not in (0, _VERSION):
                raise sqlite3.DatabaseError("it was written by another version")
            if version == 0:
                db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        except BaseException:
            db.close()
            raise
        return db


_DELETE = (
    "DELETE FROM traces WHERE id = ?",
    "DELETE FROM parts WHERE trace = ?",
    "DELETE FROM served WHERE trace = ?",
    "DELETE FROM requests WHERE trace = ?",
)


def _mainly(teller: str, lead: int, other: str, size: int) -> tuple[str, int]:
    """Who has told most of a trace, and his lead, after `other` has told so many bytes more. Exact where that is more than half.

    Source: Boyer and Moore, "MJRTY: A Fast Majority Vote Algorithm".
    """
    if other == teller:
        return teller, lead + size
    return (teller, lead - size) if size <= lead else (other, size - lead)


def _not_ahead(of: Summary, seen: int) -> Summary:
    """No trace begins after it was told of, but for clocks that differ: else it would stand before all others for ever."""
    ahead = of.start - seen - _JUMP
    return replace(of, start=of.start - ahead, end=of.end - ahead) if ahead > 0 else of


def _shift(db: sqlite3.Connection, nanoseconds: int) -> None:
    with db:
        db.execute("UPDATE traces SET rank = rank + ?", (nanoseconds,))
        db.execute("UPDATE operations SET seen = seen + ?", (nanoseconds,))


COLUMNS = "id, start, finish, spans, errors, root_service, root_name, has_root, services"


def _summary(db: sqlite3.Connection, trace: str) -> Summary | None:
    row = db.execute(f"SELECT {COLUMNS} FROM traces WHERE id = ?", (trace,)).fetchone()  # noqa: S608
    return summary_of(row) if row else None


def summary_of(row: Sequence[str | int]) -> Summary:
    """Of a row of `traces`, its columns as in COLUMNS."""
    trace, start, end, spans, errors, service, name, has_root, services = row
    return Summary(
        *(str(trace), int(start), int(end), int(spans), int(errors), (str(service), str(name)), bool(has_root)),
        tuple(str(services).split(SEPARATOR)),
    )


def spans_in(parts: Iterable[bytes]) -> list[Span]:
    """Of the parts of one trace. A span that was sent twice is there once."""
    found = {span.id: span for part in parts for span in _decoder.decode(part)}
    return sorted(found.values(), key=lambda span: (span.start, span.id))


def reading(path: Path) -> closing[sqlite3.Connection]:
    """A connection that only reads. Raises sqlite3.Error."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
    return closing(db)
