"""A calendar in a SQLite file: it survives a restart, and several processes may use it at once.

A primary key of the file makes a double booking impossible, not a check in this module.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, time
from os import PathLike, fspath
from time import monotonic
from types import TracebackType
from typing import Any

from clinic_agent.call.tool import Unavailable
from clinic_agent.clinic.schedule import Booking, Change, NotBooked, SlotTaken

VERSION = 1
"""Version of the tables below; a file with a newer version is refused."""
BUSY_S = 2.0
"""How long a write waits for another process, in seconds, before it raises Unavailable."""
_RETRY_S = 0.01

_TABLES = """
CREATE TABLE bookings (
    service TEXT NOT NULL, day TEXT NOT NULL, start TEXT NOT NULL, reference TEXT NOT NULL, name TEXT NOT NULL,
    PRIMARY KEY (service, day, start)
) WITHOUT ROWID;
CREATE INDEX by_reference ON bookings (reference, day);
CREATE TABLE changes (key TEXT PRIMARY KEY, removed TEXT, added TEXT) WITHOUT ROWID;
CREATE TABLE transfers (number INTEGER PRIMARY KEY, key TEXT UNIQUE, reason TEXT NOT NULL);
"""
_BOOKING = "reference, service, day, start, name"


class BadDatabase(ValueError):
    """The file cannot be used as a calendar; the message has its name and says what to do."""


class SqliteSchedule:
    """A `Schedule` in the file at `path`, which is created if it is missing. Close it, or use `with`.

    Raises BadDatabase for a path that cannot be opened or is something else, and Unavailable if other programs hold the
    file for longer than BUSY_S.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._lock = threading.Lock()
        with suppress(OSError):  # SQLite reports it with better words
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # only the owner may read patients' names
        try:
            self._db = sqlite3.connect(fspath(path), timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise BadDatabase(f"{fspath(path)}: {error}; name a file in a folder that can be written to") from error
        try:
            self._use_wal()
            self._make_tables()
        except Unavailable as busy:
            self._db.close()
            raise Unavailable(f"{fspath(path)}: {busy}; try again when it has finished") from busy
        except (sqlite3.Error, BadDatabase) as error:
            self._db.close()
            raise BadDatabase(f"{fspath(path)}: {error}; name another file, or a new one") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> SqliteSchedule:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def taken(self, service: str, day: date) -> frozenset[time]:
        """See Schedule."""
        rows = self._read("SELECT start FROM bookings WHERE service = ? AND day = ?", service, day.isoformat())
        return frozenset(time.fromisoformat(start) for (start,) in rows)

    def find(self, reference: str) -> Booking | None:
        """See Schedule."""
        latest = f"SELECT {_BOOKING} FROM bookings WHERE reference = ? ORDER BY day DESC LIMIT 1"
        return next(map(_booking, self._read(latest, reference)), None)

    def bookings(self) -> list[Booking]:
        """See Schedule."""
        return [*map(_booking, self._read(f"SELECT {_BOOKING} FROM bookings ORDER BY day, start, service"))]

    def done(self, key: str) -> Change | None:
        """See Schedule."""
        return _change(self._read(_DONE, key))

    def change(self, key: str, *, remove: Booking | None = None, add: Booking | None = None) -> Change:
        """See Schedule."""
        with self._writing() as db:
            known = _change(db.execute(_DONE, (key,)).fetchall())
            if known is not None:
                return known
            if remove is not None:
                where = "service = ? AND day = ? AND start = ? AND reference = ? AND name = ?"
                gone = db.execute(
                    f"DELETE FROM bookings WHERE {where}", (*_slot(remove), remove.reference, remove.name)
                )
                if not gone.rowcount:
                    raise NotBooked(remove.reference)
            if add is not None:
                self._add(db, add)
            touched = [_text(each) for each in (remove, add) if each is not None]
            for text in touched:
                db.execute("DELETE FROM changes WHERE removed = ? OR added = ?", (text, text))
            if key:
                done = (key, remove and _text(remove), add and _text(add))
                db.execute("INSERT INTO changes (key, removed, added) VALUES (?, ?, ?)", done)
            return Change(remove, add)

    def transfer(self, key: str, reason: str) -> None:
        """See Schedule."""
        with self._writing() as db:
            db.execute("INSERT OR IGNORE INTO transfers (key, reason) VALUES (?, ?)", (key or None, reason))

    def transfers(self) -> list[str]:
        """See Schedule."""
        return [reason for (reason,) in self._read("SELECT reason FROM transfers ORDER BY number")]

    def _use_wal(self) -> None:
        """Write-ahead logging, in which readers and a writer do not wait for each other.

        The switch of a new file fails at once while another process holds the file: SQLite's own timeout does not cover
        it. So it is tried again, for at most BUSY_S.
        """
        pause, give_up_s = threading.Event(), monotonic() + BUSY_S
        while True:
            try:
                self._read("PRAGMA journal_mode = WAL")
                return
            except Unavailable:
                if monotonic() >= give_up_s:
                    raise
            pause.wait(_RETRY_S)

    def _make_tables(self) -> None:
        with self._writing() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise BadDatabase(f"made by a newer version ({version}, this one knows {VERSION})")
            if version == 0:
                for statement in _TABLES.split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {VERSION}")

    def _read(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        with self._lock, _explained():
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction. It takes the write lock first, so no other write comes between its read and its write."""
        with self._lock, _explained():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _add(self, db: sqlite3.Connection, add: Booking) -> None:
        try:
            insert = f"INSERT INTO bookings ({_BOOKING}) VALUES (?, ?, ?, ?, ?)"
            db.execute(insert, (add.reference, *_slot(add), add.name))
        except sqlite3.IntegrityError as error:
            holder = f"SELECT {_BOOKING} FROM bookings WHERE service = ? AND day = ? AND start = ?"
            raise SlotTaken(_booking(db.execute(holder, _slot(add)).fetchone())) from error


_DONE = "SELECT removed, added FROM changes WHERE key = ?"


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if any(word in str(error) for word in ("locked", "busy", "locking protocol")):
            raise Unavailable("another program is writing to the calendar") from error
        raise


def _slot(booking: Booking) -> tuple[str, str, str]:
    return (booking.service, booking.date.isoformat(), f"{booking.time:%H:%M}")


def _booking(row: tuple[str, str, str, str, str]) -> Booking:
    reference, service, day, start, name = row
    return Booking(reference, service, date.fromisoformat(day), time.fromisoformat(start), name)


def _text(booking: Booking) -> str:
    return json.dumps([booking.reference, *_slot(booking), booking.name])


def _change(rows: list[tuple[Any, ...]]) -> Change | None:
    for removed, added in rows:
        return Change(*(text and _booking(json.loads(text)) for text in (removed, added)))
    return None
