"""The store's file: SQLite with a write-ahead log, synced at every commit.

All methods of a Database are for one and the same thread. Its connection is the only one and locks the file against
others: with two that write or checkpoint, SQLite before 3.51.3 can corrupt a write-ahead log
(https://sqlite.org/wal.html).
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tulle.store.contract import KeyValue
from tulle.store.errors import StoreCorrupt, StoreError, StoreFull, StoreUnavailable
from tulle.store.mirror import Draft, Mirror

_APPLICATION = int.from_bytes(b"tull")
_VERSION = 1
_SCHEMA = f"""
pragma application_id = {_APPLICATION};
pragma user_version = {_VERSION};
begin;
create table state(revision integer not null, last_lease integer not null);
create table leases(id integer primary key, ttl real not null);
create table items(key text primary key, value blob not null, revision integer not null, lease integer not null);
insert into state values(1, 0);
commit;
"""

# The world's failures (https://sqlite.org/rescode.html). Any other means that the file is not what we wrote.
_UNAVAILABLE = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}


class Database:
    """The file at `path`, which is made by `open` if there is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def open(self) -> Mirror:
        """Everything that the file holds. Raises StoreCorrupt, StoreUnavailable; the file then stays as it was."""
        with self._errors():
            self._check_files()
            if not self._path.exists():
                _create(self._path)
            self._connection = connection = _connect(self._path)
            self._check(connection)
            connection.execute("pragma journal_mode = wal")
            connection.execute("begin immediate")  # a file that may only be read opens all the same
            connection.execute("rollback")
            return _load(connection)

    def commit(self, draft: Draft) -> None:
        """Write the draft durably, all of it or nothing. Raises StoreError."""
        connection = self._connection
        assert connection is not None
        with self._errors():
            try:
                connection.execute("begin immediate")
                _write(connection, draft)
                connection.execute("commit")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("rollback")
                raise

    def close(self) -> None:
        """Also after an `open` that failed, or none. Raises nothing for a full disk: all that is durable stays so."""
        if self._connection is not None:
            self._connection.close()

    def _check_files(self) -> None:
        log = self._path.with_name(f"{self._path.name}-wal")
        if log.exists() and not self._path.exists():
            raise StoreCorrupt(
                f"{log} is there, but not the {self._path.name} that it belongs to: put that back beside it, or move "
                "it away too"
            )
        if self._path.exists() and self._path.stat().st_size == 0:
            raise self._corrupt("the file is empty")

    def _check(self, connection: sqlite3.Connection) -> None:
        application, version = (
            connection.execute(f"pragma {name}").fetchone()[0] for name in ("application_id", "user_version")
        )
        if application != _APPLICATION:
            raise self._corrupt("it was not made by tulle")
        if version > _VERSION:
            raise StoreCorrupt(
                f"{self._path} has version {version}, and this tulle knows versions up to {_VERSION}: use the newer "
                "tulle that wrote it, or choose another folder with --data"
            )
        complaint = connection.execute("pragma quick_check(1)").fetchone()[0]
        if complaint != "ok":
            raise self._corrupt(str(complaint))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise self._store_error(error) from error

    def _store_error(self, error: sqlite3.Error | OSError) -> StoreError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the details of an extended code
        if code == sqlite3.SQLITE_FULL or (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)):
            return StoreFull(f"{self._path} can't be written: no space is left on its disk: free some")
        if code == sqlite3.SQLITE_BUSY:
            return StoreUnavailable(f"{self._path} is open in another program: end that one")
        if code in _UNAVAILABLE or isinstance(error, OSError):
            return StoreUnavailable(
                f"{self._path} can't be read or written: {error}: see that this user may write it and its folder"
            )
        return self._corrupt(str(error))

    def _corrupt(self, why: str) -> StoreCorrupt:
        return StoreCorrupt(
            f"{self._path} is damaged or no store of tulle ({why}): restore it from a backup, or move it and "
            f"{self._path.name}-wal away to start afresh"
        )


def _create(path: Path) -> None:
    """Under another name first, so that a file of the right name is always whole."""
    draft = path.with_name(f"{path.name}.new")
    for leftover in (draft, draft.with_name(f"{draft.name}-journal")):
        leftover.unlink(missing_ok=True)
    # Made by us for its mode, which SQLite's other files take over.
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        connection.executescript(_SCHEMA)
    draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=1)
    try:
        connection.execute("pragma locking_mode = exclusive")
        connection.execute("pragma synchronous = full")
    except BaseException:
        connection.close()
        raise
    return connection


def _load(connection: sqlite3.Connection) -> Mirror:
    state = connection.execute("select revision, last_lease from state").fetchone()
    if state is None:
        raise sqlite3.DatabaseError("its state is missing")
    revision, last_lease = state
    leases = dict(connection.execute("select id, ttl from leases"))
    rows = connection.execute("select key, value, revision, lease from items")
    return Mirror(revision, last_lease, leases, (KeyValue(*row) for row in rows))


def _write(connection: sqlite3.Connection, draft: Draft) -> None:
    puts = [(item.key, item.value, item.revision, item.lease) for item in draft.items.values() if item is not None]
    deletes = [(key,) for key, item in draft.items.items() if item is None]
    connection.executemany("insert or replace into items values(?, ?, ?, ?)", puts)
    connection.executemany("delete from items where key = ?", deletes)
    for lease, ttl in draft.leases.items():
        if ttl is None:
            connection.execute("delete from leases where id = ?", (lease,))
        else:
            connection.execute("insert into leases values(?, ?)", (lease, ttl))
    connection.execute("update state set revision = ?, last_lease = ?", (draft.revision, draft.last_lease))
