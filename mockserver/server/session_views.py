"""Sessions as the viewer shows them: the call document, the audio, and the session as a cassette or a scenario.

Reading a long session takes seconds, so a thread does it. What was read is kept for the sessions that were looked at
last, and a later look reads only the frames that came since. Credentials are hidden as in the journal.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

from mockserver.faults.files import as_line
from mockserver.faults.kinds import KINDS, Fault
from mockserver.protocol.peer import FaultNote
from mockserver.server.journal import JournalEntry, SessionLog
from mockserver.server.service import MockService
from replay.cassette.frames import Binary, Close, Frame, Reset, Text
from replay.cassette.recording import CALL_HEADER, Line, Moment, Recording
from replay.cassette.records import Content, Header, Record, Request, Response, Way
from replay.findings.finding import Finding
from replay.formats import tape
from replay.outlets import clean
from replay.report import as_scenario
from replay.secrets.media import is_base64
from replay.secrets.named import Secrets
from replay.version import tool_version
from replay.viewer.call import CallReader
from replay.viewer.loudness import sound_of
from replay.viewer.of_recording import AXIS_NOTE, figures_of

MOST_READ = 3
"""Sessions of which a reader is kept."""
MOST_HELD = 64 << 20
"""Bytes of one session that a reader keeps, besides what the journal still has."""
_OPENED = Line(0.0, None, None, ())


@dataclass(slots=True, eq=False)
class _Look:
    """What was read of one session. `begun`, `taken`: numbers of journal entries, counted over the whole session."""

    begun: int
    reader: CallReader = field(default_factory=CallReader)
    taken: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.taken = self.begun
        self.reader.open(0, _OPENED, skipped=self.begun)

    def read(self, entries: Sequence[JournalEntry]) -> None:
        """Read entries that are new."""
        for entry in entries:
            if isinstance(entry.data, FaultNote):
                self.reader.struck(entry.at, _way(entry), entry.data.fault, entry.data.event)
            else:
                self.reader.take(0, _moment(entry))
        self.taken += len(entries)


class SessionViews:
    """The readers of the sessions that were looked at last."""

    def __init__(self) -> None:
        self._looks: OrderedDict[SessionLog, _Look] = OrderedDict()

    async def document(self, log: SessionLog, since: int, skipped: int, now: float) -> dict[str, Any]:
        """The call document, without its first `since` frames. `now`: Unix time in seconds.

        `skipped`: that of the document which the client has. Its frames are numbered from there, so if another number
        is true now, all frames are in the document.
        """
        look = self._look(log)
        async with look.lock:
            entries, findings = self._new(log, look), log.findings
            since = since if skipped == look.begun else 0
            heard_by = {turn.item_id: turn.heard_by for turn in tuple(log.heard)}
            lasted_s = log.closed_s if log.closed_s is not None else max(0.0, now - log.opened)
            return await asyncio.to_thread(_document, log, look, entries, findings, heard_by, since, lasted_s)

    async def sound(self, log: SessionLog) -> dict[str, Any]:
        """The audio, for the viewer."""
        look = self._look(log)
        async with look.lock:
            entries = self._new(log, look)
            return await asyncio.to_thread(_sound, look, entries)

    def _look(self, log: SessionLog) -> _Look:
        look = self._looks.get(log)
        if look is None or look.taken < log.dropped or self._outgrown(look, log):
            look = self._looks[log] = _Look(log.dropped)
        self._looks.move_to_end(log)
        while len(self._looks) > MOST_READ:
            self._looks.popitem(last=False)
        return look

    def _outgrown(self, look: _Look, log: SessionLog) -> bool:
        """Whether much is kept of a session that the journal no longer has. What the journal has is bounded."""
        return look.reader.held_bytes > MOST_HELD and log.dropped > look.begun

    def _new(self, log: SessionLog, look: _Look) -> list[JournalEntry]:
        return log.entries[max(0, look.taken - log.dropped) :]


def _document(
    log: SessionLog,
    look: _Look,
    entries: Sequence[JournalEntry],
    findings: Sequence[Finding],
    heard_by: Mapping[str, str],
    since: int,
    lasted_s: float,
) -> dict[str, Any]:
    look.read(entries)
    ledger = log.ledger.as_json()
    state = "open"
    if log.closed_s is not None:
        state = f"closed after {log.closed_s:.1f} s with {log.close_code} {clean(log.close_reason)}".rstrip()
    hosted = [(str(tool), str(calls)) for tool, calls in log.ledger.hosted_calls.items()]
    figures = [("cost", f"${log.ledger.total_usd:.4f}"), *figures_of(look.reader, len(findings)), *hosted]
    notes = [AXIS_NOTE]
    if look.begun:
        notes.append(f"The journal was full: the first {look.begun} frames are gone.")
    if look.reader.sound.silenced:
        notes.append("Opus is not decoded: its time is silence.")
    note = f"Prices as of {ledger['prices_as_of']}. The cost is what the mock would have charged."
    document = look.reader.document(
        title=log.id,
        facts={
            "origin": "mock",
            "state": state,
            "dialect": log.dialect,
            "model": clean(str(ledger["model"] or "")),
            "conversation": clean(log.conversation_id),
            "came": None if log.came == "websocket" else f"by {log.came}, call {log.call_id}",
            "sidebands": _sidebands(log),
        },
        figures=figures,
        findings=findings,
        cost={"rows": [], "total": None, "note": f"{ledger['usd']} USD. {note}"},
        notes=notes,
        heard_by=heard_by,
        since=min(since, len(look.reader.frames)),
        seconds=lasted_s,
    )
    return {**document, "skipped": look.begun}


def _sidebands(log: SessionLog) -> str | None:
    """The sockets beside a call, in words."""
    kept = tuple(log.sidebands)
    if log.came == "websocket":
        return None
    still = sum(each.closed_s is None for each in kept)
    return f"{len(kept)}, {still} of them open" if kept else "none"


def _sound(look: _Look, entries: Sequence[JournalEntry]) -> dict[str, Any]:
    look.read(entries)
    return sound_of(look.reader.sound)


def _way(entry: JournalEntry) -> Way:
    return "sent" if entry.way == "in" else "received"


def _moment(entry: JournalEntry) -> Moment:
    """An entry as the reader takes it: its event without credentials, as the journal shows it, and with its audio."""
    shown, event = entry.shown()["frame"], entry.event
    match entry.data:
        case str() if event is None:
            return Moment(entry.at, _way(entry), Text(str(shown).encode()), None)
        case str(text):
            frame: Frame = Text(text.encode(errors="surrogatepass"))
        case bytes(data):
            frame = Binary(data)
        case FaultNote():
            raise AssertionError("a fault is no frame")
        case Close(code, reason):
            frame = Close(code, clean(reason))
        case other:
            frame = other
    if event is None:
        return Moment(entry.at, _way(entry), Text(str(shown).encode()) if isinstance(frame, Text) else frame, None)
    if str(event.get("type")).endswith(("append", "audio.delta")):
        shown |= {name: sound for name in ("audio", "delta") if is_base64(sound := str(event.get(name, "")))}
    return Moment(entry.at, _way(entry), frame, shown)


def cassette(log: SessionLog, secrets: Secrets) -> bytes:
    """The session so far as a cassette, without secrets. Of its handshake only the model is known: the journal holds no
    headers.
    """
    with _cassette(log, secrets) as path:
        return path.read_bytes()


def scenario(log: SessionLog, secrets: Secrets) -> str:
    """The session so far as a scenario file, without secrets."""
    with _cassette(log, secrets) as path:
        return as_scenario.written(replace(Recording.read(path), name=log.id))


@contextmanager
def _cassette(log: SessionLog, secrets: Secrets) -> Iterator[Path]:
    at = datetime.fromtimestamp(log.opened, timezone.utc).isoformat(timespec="seconds")
    model = log.ledger.as_json()["model"]
    made_by = f"realtape {tool_version()}"
    header = Header("mock", "ws://mock.invalid", log.dialect, str(model) if model else None, at, made_by)
    target = f"/v1/realtime?{urlencode({'model': model})}" if model else "/v1/realtime"
    handshake = (
        Record(0, 0, "sent", Request("GET", target, ((CALL_HEADER, log.call_id),) if log.call_id else ())),
        Record(0, 0, "received", Response(101, ())),
    )
    records = (*handshake, *_records(log))
    end_us = records[-1].at_us if log.closed_s is None else round(1e6 * (log.closed_s or 0.0))
    with TemporaryDirectory() as folder:
        path = Path(folder, "call.tape")
        tape.write(tape.Tape(header, records, end_us), path, secrets=secrets)
        yield path


def _records(log: SessionLog) -> Iterator[Record]:
    ended = False
    for entry in log.entries:
        match entry.data:
            case FaultNote():
                continue
            case str(text):
                content: Content = Text(text.encode(errors="surrogatepass"))
            case bytes(data):
                content = Binary(data)
            case frame:
                content = frame
        ended = ended or isinstance(content, Close | Reset)
        yield Record(round(entry.at * 1e6), 0, _way(entry), content)
    if log.closed_s is not None and not ended:
        lost = log.close_code in (None, 1006)
        end: Content = Reset() if lost else Close(log.close_code or 1005, log.close_reason)
        yield Record(round(log.closed_s * 1e6), 0, "sent" if log.by_client else "received", end)


def limits(service: MockService) -> list[dict[str, Any]]:
    """The limits in use: for each team with an open session, its id, its sessions and how many it may have (None:
    any)."""
    found: dict[int, dict[str, Any]] = {}
    for session in service.open_sessions.values():
        team = session.team
        most = service.limits(team, session.target.dialect.name).max_sessions
        found[id(team)] = {"id": team.id.hex(), "team": team.name, "sessions": team.sessions, "most": most}
    return list(found.values())


def fault_kinds() -> list[dict[str, str]]:
    """Each kind of fault: its name, what it does, and an example that can be added as it is."""
    return [
        {"kind": kind, "about": " ".join((each.__doc__ or "").split()), "example": as_line(_example(each))}
        for kind, each in KINDS.items()
    ]


def _example(kind: type[Fault]) -> Fault:
    places = {
        "request": "handshake",
        "client": "<response.create",
        "audio": "response.output_audio.delta",
        "socket": "response.done",
        "anywhere": "response.done",
        "webhook": "webhook",
        "webrtc": "webrtc",
    }
    return kind(at=places[kind.where], times=1)
