"""The records of the calls: transcript, tools, latencies, cost, and the frames of each call, in one SQLite file.

Sound is kept only if that is switched on. Records are deleted after a number of days, and by their id.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal

from clinic_agent.call.connection import Watcher
from clinic_agent.call.report import CallReport
from clinic_agent.call.turn import Event
from clinic_agent.clinic.safety import CallLock

KEEP_DAYS = 30
"""Days for which a record is kept, by default."""
MAX_FRAMES = 50_000
"""Frames that are kept of one call; the record counts those that are left out."""
_AUDIO = {"input_audio_buffer.append": "audio", "response.output_audio.delta": "delta"}
_TABLES = """
CREATE TABLE IF NOT EXISTS calls (
    id TEXT PRIMARY KEY, conversation TEXT,
    began TEXT NOT NULL, ended TEXT NOT NULL, front TEXT NOT NULL, model TEXT NOT NULL,
    usd TEXT, failure TEXT, emergency TEXT, turns TEXT NOT NULL, frames_left_out INTEGER NOT NULL DEFAULT 0,
    phone TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS frames (
    call TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    at_s REAL NOT NULL, way TEXT NOT NULL, event TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_call ON frames (call, at_s);
CREATE INDEX IF NOT EXISTS by_end ON calls (ended);
"""

_NEW_COLUMN = "ALTER TABLE calls ADD COLUMN phone TEXT"
"""For files of releases without telephone calls."""

Front = Literal["api", "page", "playground", "command", "phone"]
"""The front end that made a call."""


def utc_now() -> datetime:
    """The time of this machine."""
    return datetime.now(timezone.utc)  # noqa: TID251 - the one place where the records read the clock


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of a call; `at` is the time when it was sent or received."""

    at: datetime
    way: Literal["sent", "received"]
    event: Event = field(repr=False)


@dataclass(frozen=True, slots=True)
class PhoneFacts:
    """What is known of a telephone call besides its session.

    `caller` and `called` are the numbers or SIP addresses of the incoming call. `ended` is the side that ended it:
    `caller`, `assistant`, `transfer` (the caller was handed to a person), `service`, `clinic`; None: it goes on.
    `steps` are what the clinic did with the call, with the seconds since it was reported. `usd_is_estimate`: the
    service did not tell all that the cost counts.
    """

    caller: str = ""
    called: str = ""
    ended: str | None = None
    keys: str = ""
    steps: tuple[tuple[float, str], ...] = ()
    usd_is_estimate: bool = False


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call. `id` is its conversation's, if this server made the call itself.

    `turns` are those of `CallReport.as_json`; of a call on the page they have the transcript and the tools.
    `emergency`: the words that locked the calendar; None: they did not, or a person released it.
    """

    id: str
    conversation_id: str | None
    began: datetime
    ended: datetime
    front: Front
    model: str
    usd: str | None
    failure: str | None
    emergency: str | None
    turns: Sequence[dict[str, Any]]
    frames_left_out: int = 0
    phone: PhoneFacts | None = None
    """None: the call did not come by telephone."""

    def summary(self) -> dict[str, Any]:
        """The record without its turns, for a list."""
        return {
            "id": self.id,
            "conversation_id": self.conversation_id,
            "began": self.began.isoformat(timespec="seconds"),
            "seconds": round((self.ended - self.began).total_seconds(), 1),
            "front": self.front,
            "model": self.model,
            "turns": len(self.turns),
            "tools": [tool["name"] for turn in self.turns for tool in turn.get("tools", ())],
            "usd": self.usd,
            "failure": self.failure,
            "emergency": self.emergency,
            "phone": None if self.phone is None else asdict(self.phone),
        }


def call_record(
    report: CallReport,
    front: Front,
    began: datetime,
    ended: datetime,
    lock: CallLock,
    phone: PhoneFacts | None = None,
) -> CallRecord:
    """The record of the turns in a report. Raises ValueError without a conversation id."""
    if report.conversation_id is None:
        raise ValueError("a call that the service did not name has no record")
    usd = None if report.cost.usd is None else str(round(report.cost.usd, 6))
    call_id, turns = report.conversation_id, report.as_json()["turns"]
    why = report.failure
    return CallRecord(call_id, call_id, began, ended, front, report.model, usd, why, lock.emergency, turns, phone=phone)


class CallStore:
    """The file `calls.sqlite3` in `folder`, readable by its owner only. The methods are thread-safe.

    Raises OSError if the file cannot be made, and sqlite3.Error if it is something else.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keep_audio: bool = False,
        keep_days: int = KEEP_DAYS,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.path = folder / "calls.sqlite3"
        self.now = now
        self.keep_audio = keep_audio
        self._keep_days = keep_days
        self._lock = threading.Lock()

    @property
    def notice(self) -> str:
        """The notice for callers."""
        kept = "text and audio are kept" if self.keep_audio else "its text is kept, its audio is not"
        return f"This call is recorded: {kept}. You speak with a computer. In an emergency dial your emergency number."

    def watcher(self, frames: list[Frame]) -> Watcher:
        """A watcher that adds the frames of a call to the list, without their sound unless sound is kept."""

        def watch(way: Literal["sent", "received"], event: Event) -> None:
            frames.append(self.frame(self.now(), way, event))

        return watch

    def frame(self, at: datetime, way: Literal["sent", "received"], event: Event) -> Frame:
        """A frame as it is kept: without its sound, unless sound is kept."""
        name = _AUDIO.get(str(event.get("type")))
        return Frame(at, way, event if name is None or self.keep_audio else {**event, name: ""})

    def add(self, call: CallRecord, frames: Sequence[Frame] = ()) -> None:
        """Add turns and frames to a call, which is made if it is new. Old records are deleted."""
        with self._writing() as db:
            old = db.execute("SELECT turns, usd, frames_left_out FROM calls WHERE id = ?", (call.id,)).fetchone()
            turns = [*(json.loads(old[0]) if old else ()), *call.turns]
            usd = call.usd if old is None or old[1] is None or call.usd is None else str(_sum(old[1], call.usd))
            self._put(db, call, turns, usd, frames, old[2] if old else 0)

    def put(self, call: CallRecord) -> None:
        """Write a call, in place of what is known of it but for its frames."""
        with self._writing() as db:
            old = self._find(db, call.id)
            self._put(db, call, call.turns, call.usd, (), old.frames_left_out if old else 0)

    def add_frames(self, call: CallRecord, frames: Sequence[Frame], left_out: int = 0) -> None:
        """Add frames to a call, which is made if it is new. `left_out`: further frames that are not kept."""
        with self._writing() as db:
            known = self._find(db, call.id) or call
            left_out += known.frames_left_out
            self._put(db, replace(known, ended=call.ended), known.turns, known.usd, frames, left_out)

    def calls(self) -> list[CallRecord]:
        """All calls, the last one first."""
        with self._writing() as db:
            return [_record(row) for row in db.execute(f"SELECT {_COLUMNS} FROM calls ORDER BY began DESC, id")]

    def find(self, call_id: str) -> CallRecord | None:
        """The call with this id."""
        with self._writing() as db:
            return self._find(db, call_id)

    def frames(self, call_id: str) -> list[tuple[float, str, Event]]:
        """The frames of a call in order: seconds since its beginning, `sent` or `received`, event."""
        with self._writing() as db:
            rows = db.execute("SELECT at_s, way, event FROM frames WHERE call = ? ORDER BY at_s, rowid", (call_id,))
            return [(at_s, way, json.loads(event)) for at_s, way, event in rows]

    def delete(self, call_id: str) -> bool:
        """Delete the calls with this id, or of this conversation, with their frames; False: there are none."""
        with self._writing() as db:
            gone = db.execute("DELETE FROM calls WHERE id = ? OR conversation = ?", (call_id, call_id))
            return bool(gone.rowcount)

    def release(self, call_id: str) -> bool:
        """Note that a person released the calendar for a call; False: there is no such call."""
        with self._writing() as db:
            return bool(db.execute("UPDATE calls SET emergency = NULL WHERE id = ?", (call_id,)).rowcount)

    def _find(self, db: sqlite3.Connection, call_id: str) -> CallRecord | None:
        row = db.execute(f"SELECT {_COLUMNS} FROM calls WHERE id = ?", (call_id,)).fetchone()
        return _record(row) if row else None

    def _put(
        self,
        db: sqlite3.Connection,
        call: CallRecord,
        turns: Sequence[dict[str, Any]],
        usd: str | None,
        frames: Sequence[Frame],
        left_out: int,
    ) -> None:
        known = db.execute("SELECT began FROM calls WHERE id = ?", (call.id,)).fetchone()
        began = datetime.fromisoformat(known[0]) if known else call.began
        (count,) = db.execute("SELECT count(*) FROM frames WHERE call = ?", (call.id,)).fetchone()
        kept = frames[: max(0, MAX_FRAMES - count)]
        row: tuple[Any, ...] = (
            call.id,
            call.conversation_id,
            began.isoformat(),
            call.ended.isoformat(),
            call.front,
            call.model,
            usd,
            call.failure,
        )
        phone = None if call.phone is None else json.dumps(asdict(call.phone))
        row += (call.emergency, json.dumps(turns), left_out + len(frames) - len(kept), phone)
        update = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", ")[1:])
        marks = ", ".join("?" * len(row))
        db.execute(f"INSERT INTO calls ({_COLUMNS}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {update}", row)
        db.executemany(
            "INSERT INTO frames (call, at_s, way, event) VALUES (?, ?, ?, ?)",
            ((call.id, (each.at - began).total_seconds(), each.way, json.dumps(each.event)) for each in kept),
        )
        oldest = self.now() - timedelta(days=self._keep_days)
        db.execute("DELETE FROM calls WHERE ended < ?", (oldest.isoformat(),))

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            db = sqlite3.connect(self.path, timeout=5)
            try:
                # What is deleted is overwritten, so that it cannot be read from the file.
                db.executescript(f"PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; {_TABLES}")
                with suppress(sqlite3.OperationalError):  # the column is there
                    db.execute(_NEW_COLUMN)
                with db:
                    yield db
            finally:
                db.close()


_COLUMNS = "id, conversation, began, ended, front, model, usd, failure, emergency, turns, frames_left_out, phone"


def _record(row: tuple[Any, ...]) -> CallRecord:
    call_id, conversation, began, ended, front, model, usd, failure, emergency, turns, left_out, phone = row
    times = (datetime.fromisoformat(began), datetime.fromisoformat(ended))
    facts = None if phone is None else _phone_facts(json.loads(phone))
    return CallRecord(
        call_id, conversation, *times, front, model, usd, failure, emergency, json.loads(turns), left_out, facts
    )


def _phone_facts(kept: dict[str, Any]) -> PhoneFacts:
    return PhoneFacts(**{**kept, "steps": tuple((at_s, what) for at_s, what in kept["steps"])})


def _sum(*usd: str) -> float:
    return round(sum(map(float, usd)), 6)
