"""Every frame of every session, in both directions, as it crossed the wire. Frames are parsed when they are read.

Frames that left in one write are kept as that write: one entry for many frames, with the bytes that the socket got.
The journal is bounded in bytes and in sessions; the oldest is dropped first, and counted. It holds no HTTP headers,
and so no keys.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from typing import Any, Literal, NamedTuple

import orjson

from mockserver.billing.ledger import Ledger
from mockserver.calls.declared import DeclaredFormats, in_format
from mockserver.protocol.peer import FaultNote
from mockserver.server.calls.sideband_log import SidebandLog
from mockserver.server.narration import Narration
from mockserver.server.session_recorder import SessionRecording
from mockserver.server.waiting import Waiting
from mockserver.session.ears import HeardTurn
from replay.billing.prices import dollars
from replay.cassette import call_sound
from replay.cassette.frames import TEXT, Binary, Close, Frame, Outgoing, Reset, Sound, Text, instants_of
from replay.findings import Finding
from replay.findings.messages import Messages
from replay.findings.watch import Watch
from replay.outlets import clean, is_named
from replay.secrets import names
from replay.secrets.media import is_base64

Way = Literal["in", "out"]
Came = Literal["websocket", "webrtc", "phone"]
Event = dict[str, Any]

MOST_SIDEBANDS = 100
"""Sidebands of one session that are listed."""
_ENTRY_BYTES = 200  # of an entry besides its payload, roughly
_DEEPEST_SHOWN = 100  # events have fewer levels, and JSON encoders have limits
_CUT = 1000  # of a message that is too long to keep, this much is kept
_LONGEST_SHOWN = 64  # characters of audio in a shortened event
_SOUND = ("audio", "delta")
_TRANSCRIPTS = (".input_audio_transcription.completed", ".input_audio_transcription.failed")


class JournalEntry(NamedTuple):
    """One frame: seconds since its connection opened, direction, and the message as it came."""

    at: float
    way: Way
    data: str | Frame | bytes | FaultNote

    @property
    def event(self) -> Event | None:
        """The JSON object in it; None for anything else."""
        text = self.data.data if isinstance(self.data, Text) else self.data
        if not isinstance(text, str | bytes) or (self.way == "in" and isinstance(text, bytes)):
            return None
        try:
            parsed = orjson.loads(text)
        except orjson.JSONDecodeError:
            return None
        return parsed if isinstance(parsed, dict) else None

    @property
    def type(self) -> str | None:
        """The type of an event, or `close`, `reset`, `binary`, `fault`; None for other text."""
        return self._described()[0]

    def shown(self, whole_audio: bool = False) -> Event:
        """As the control plane shows it: `{at, way, type, frame}`, with credentials of the client's tools hidden."""
        kind, frame = self._described()
        audio = () if whole_audio else ("audio", "delta") if (kind or "").endswith("audio.delta") else ("audio",)
        shown = None if kind is None else clean(kind)
        return {"at": round(self.at, 6), "way": self.way, "type": shown, "frame": presentable(frame, audio)}

    def _described(self) -> tuple[str | None, object]:
        if (event := self.event) is not None:
            kind = event.get("type")
            return (kind if isinstance(kind, str) else None), event
        match self.data:
            case Close(code, reason):
                return "close", {"code": code, "reason": reason}
            case Reset():
                return "reset", None
            case Binary(data) | bytes(data):
                return "binary", {"bytes": len(data)}
            case Text(data):
                return None, data.decode(errors="replace")
            case FaultNote(fault, struck):
                return "fault", {"fault": fault, "event": struck}
            case text:
                return None, text


class JournalWrite(NamedTuple):
    """Messages that left in one write: the time of each, and the bytes of their WebSocket frames."""

    at: tuple[float, ...]
    wire: bytes

    def entries(self) -> Iterator[JournalEntry]:
        """The messages as entries."""
        for at, message in self.messages():
            yield JournalEntry(at, "out", message)

    def messages(self) -> Iterator[tuple[float, Text | Binary]]:
        """Each message with its time (RFC 6455 section 5.2; the server neither masks nor fragments)."""
        wire, head = self.wire, 0
        for at in self.at:
            size, start = wire[head + 1], head + 2
            if size > 125:
                start += 2 if size == 126 else 8
                size = int.from_bytes(wire[head + 2 : start], "big")
            data = wire[start : start + size]
            yield at, Text(data) if wire[head] == TEXT else Binary(data)
            head = start + size


_Kept = tuple[tuple[float, ...], bytes] | tuple[float, Way, str | Frame | bytes | FaultNote | Sound]
"""What is kept: a write or an entry, as plain tuples, which garbage collections leave out. The sound of a call is kept
as samples."""
HEARD_BYTES = 4_800
"""Bytes of the caller's sound in one entry: 100 ms. Callers bring 20 ms at a time."""


def _entry(at: float, way: Way, data: str | Frame | bytes | FaultNote | Sound) -> JournalEntry:
    """An entry. The sound of a call is in the event that would carry it on a WebSocket."""
    if not isinstance(data, Sound):
        return JournalEntry(at, way, data)
    return JournalEntry(at, way, call_sound.appended(data.data) if way == "in" else Text(call_sound.sent(data)))


def _entries(kept: _Kept) -> Iterator[JournalEntry]:
    return JournalWrite(*kept).entries() if len(kept) == 2 else iter((_entry(*kept),))


def _size(kept: _Kept) -> int:
    """Bytes that it occupies, roughly."""
    data = kept[-1]
    if isinstance(data, str):
        return _ENTRY_BYTES + len(data)
    if len(kept) == 2:
        return len(kept[1]) + _ENTRY_BYTES + 32 * len(kept[0])
    data = data.data if isinstance(data, (Text, Binary, Sound)) else data
    return _ENTRY_BYTES + (len(data) if isinstance(data, (str, bytes)) else 0)


def presentable(value: object, audio: Collection[str] = (), keys: tuple[str, ...] = (), depth: int = 0) -> object:
    """A copy with credentials hidden and the strings under the names in `audio` shortened. `keys`: those around it."""
    name = keys[-1] if keys else ""
    match value:
        case _ if value and keys and is_named(keys):
            return "(hidden)"
        case _ if value and (name == "headers" or (isinstance(value, str) and names.tells(name, value))):
            return "(hidden)"
        case dict() | list() if depth == _DEEPEST_SHOWN:
            return "(nested too deeply to show)"
        case dict():
            return {clean(key): presentable(each, audio, (*keys, key), depth + 1) for key, each in value.items()}
        case list():
            return [presentable(each, audio, keys, depth + 1) for each in value]
        case str() if name in _SOUND and is_base64(value):
            if name not in audio or len(value) <= _LONGEST_SHOWN:
                return value
            return f"{value[:_LONGEST_SHOWN]}… ({len(value)} characters)"
        case str():
            return clean(value)
        case _:
            return value


class SessionLog:
    """One session: when it was open, its frames, its findings, and what it used."""

    def __init__(self, journal: Journal, id: str, conversation_id: str, opened: float, ledger: Ledger) -> None:
        self.id = id
        self.conversation_id = conversation_id
        self.opened = opened
        """Unix time in seconds."""
        self._ledger = ledger
        self.dialect = ""
        """The dated dialect of the connection."""
        self.closed_s: float | None = None
        """Seconds after it opened; None while it is open."""
        self.close_code: int | None = None
        """1005 if the client sent no code, 1006 if the connection was lost without a close frame."""
        self.close_reason = ""
        self.by_client = False
        """The client closed the connection, or lost it."""
        self.messages_in = self.messages_out = 0
        """Text and binary messages so far, including those that the journal has dropped."""
        self.dropped = 0
        """Frames that were dropped because the journal was full."""
        self.frames = 0
        """Frames that are kept."""
        self.forgotten = 0
        """Entries that were dropped; one may have many frames."""
        self.watch: Watch | None = None
        """Looks for the client's mistakes; None if all findings are off."""
        self.recording: SessionRecording | None = None
        """The cassette that the session is written to; None if it is not recorded."""
        self.narration: Narration | None = None
        """Tells what goes on in the session; None if nobody listens."""
        self._messages: Messages | None = None
        """Reads messages for both."""
        self.number = 0
        """Among the sessions of the server, or of its fleet, from 1."""
        self.came: Came = "websocket"
        """How its client came."""
        self.call_id = ""
        """The id of the call that it is the session of; empty for a WebSocket."""
        self.sidebands: deque[SidebandLog] = deque(maxlen=MOST_SIDEBANDS)
        """The latest sockets beside the call, oldest first."""
        self.heard: Sequence[HeardTurn] = ()
        """What the last spoken turns were taken to say, and what decided that."""
        self._journal = journal
        self._kept: deque[_Kept] = deque()
        self.declared = DeclaredFormats()
        """The formats that the client of a call declares."""
        self._heard = b""
        """The caller's latest sound, which is not kept yet, and when it began."""
        self._heard_at = 0.0

    @property
    def ledger(self) -> Ledger:
        """What the session used."""
        return self._ledger

    @property
    def entries(self) -> list[JournalEntry]:
        """Every frame that is kept, oldest first."""
        found: list[JournalEntry] = []
        for kept in tuple(self._kept):
            found.extend(_entries(kept))
        return found

    @property
    def findings(self) -> list[Finding]:
        """The client's mistakes so far, in the order in which they were found."""
        return list(self.watch.findings) if self.watch is not None else []

    def inbound(self, at: float, data: str | bytes | Close) -> None:
        """A message came in. Of one longer than an eighth of the journal only the beginning is kept."""
        if self._heard:
            self._keep_heard()
        if self.recording is not None:
            self.recording.sent(at, data)
        if isinstance(data, Close):
            self._keep((at, "in", data))
            return
        journal, size = self._journal, len(data)
        self.messages_in += 1
        journal.bytes_in += size
        (self._messages or self._told()).sent(at, data)
        if size > (most := journal.max_bytes // 8):
            data = _beginning(data, most)
            size = len(data)
        self._kept.append((at, "in", data))
        self.frames += 1
        if journal.waiting.waiters:
            self._offer((at, "in", data))
        journal.kept(self, _ENTRY_BYTES + size)

    def outbound(self, at: float, frame: Frame) -> None:
        """A frame went out, or the connection was reset."""
        self._keep_heard()
        if self.recording is not None:
            self.recording.put(at, "received", frame)
        self._keep((at, "out", frame))

    def hears(self, at: float, data: bytes) -> None:
        """The caller's track brought samples: 16-bit, little-endian, mono, 24 kHz."""
        self._heard_at = self._heard_at if self._heard else at
        self._heard += data
        if len(self._heard) >= HEARD_BYTES:
            self._keep_heard()

    def _keep_heard(self) -> None:
        if self._heard:
            sound, self._heard = Sound(in_format(self._heard, self.declared.input)), b""
            self._sound(self._heard_at, "in", sound)

    def plays(self, at: float, sound: Sound) -> None:
        """The service sent sound to be played to the caller."""
        self._keep_heard()
        if self.narration is not None:
            self.narration.spoke(at, len(sound.data))
        self._sound(at, "out", replace(sound, data=in_format(sound.data, self.declared.output)))

    def _sound(self, at: float, way: Way, sound: Sound) -> None:
        self._told().passed()
        if self.recording is not None:
            event = call_sound.appended(sound.data).encode() if way == "in" else call_sound.sent(sound)
            self.recording.put(at, "sent" if way == "in" else "received", Text(event))
        self._keep((at, way, sound))

    def struck(self, at: float, note: FaultNote) -> None:
        """A fault was triggered. Its effect is in the frames after this."""
        self._keep_heard()
        self._keep((at, "in" if note.event.startswith("<") else "out", note))

    def written(self, messages: Sequence[Outgoing], wire: bytes) -> None:
        """Text and binary messages go out in one write. `wire`: the bytes of their frames."""
        if self._heard:
            self._keep_heard()
        (self._messages or self._told()).received(messages)
        instants = instants_of(messages)
        self.messages_out += len(instants)
        self._journal.bytes_out += len(wire)
        if self.recording is not None:
            for instant, message in JournalWrite(instants, wire).messages():
                self.recording.put(instant, "received", message)
        self._keep((instants, wire))

    def _told(self) -> Messages:
        """Tells the messages to those that follow them."""
        if self._messages is None:
            self._messages = Messages(*(each for each in (self.watch, self.narration) if each is not None))
        return self._messages

    def hung_up(self) -> None:
        """The client closes first."""
        self.by_client = True
        if self.watch is not None:
            self.watch.hung_up()

    def ended(self, at: float, code: int, reason: str = "") -> None:
        """The connection is over."""
        self._keep_heard()
        self.closed_s, self.close_code, self.close_reason = at, code, reason
        if self.watch is not None:
            self.watch.closed(at)
        if self.narration is not None:
            self.narration.closed(at, code, reason, self.by_client or (code, reason) == (1006, "connection lost"))
        if self.recording is not None:
            self.recording.ended(at, code, reason)
        # They hold the session.
        self.heard, self.narration, self.recording, self._messages = tuple(self.heard), None, None, None

    @property
    def faults(self) -> list[FaultNote]:
        """The faults that were triggered, oldest first."""
        return [entry.data for entry in self.entries if isinstance(entry.data, FaultNote)]

    def received(self, type: str | None = None) -> list[Event]:
        """The client's events, oldest first; only those of one type when it is given."""
        return self._events("in", type)

    def sent(self, type: str | None = None) -> list[Event]:
        """The server's events, oldest first; only those of one type when it is given."""
        return self._events("out", type)

    def summary(self) -> Event:
        """As the control plane shows it."""
        return {
            "id": self.id,
            "number": self.number,
            "conversation_id": clean(self.conversation_id),
            "dialect": self.dialect,
            "came": self.came,
            "call_id": self.call_id or None,
            "sidebands": [each.as_json() for each in tuple(self.sidebands)],
            "opened": self.opened,
            "open": self.closed_s is None,
            "closed_s": None if self.closed_s is None else round(self.closed_s, 6),
            "close_code": self.close_code,
            "close_reason": clean(self.close_reason),
            "frames": self.frames,
            "dropped": self.dropped,
            "findings": len(self.findings),
            "heard": [
                {
                    "item_id": turn.item_id,
                    "at": round(turn.at, 6),
                    "words": clean(turn.words),
                    "heard_by": turn.heard_by,
                }
                for turn in tuple(self.heard)
            ],
        }

    def shown(self, whole_audio: bool = False, since: int = 0) -> list[Event]:
        """Every frame kept, as the control plane shows it, with the findings that point to it. The first `since` frames
        of the session are left out."""
        entries = self.entries
        skipped = min(max(0, since - self.dropped), len(entries))
        rows = [entry.shown(whole_audio) for entry in entries[skipped:]]
        frames = [
            row for entry, row in zip(entries[skipped:], rows, strict=True) if not isinstance(entry.data, FaultNote)
        ]
        gone = self.dropped + sum(not isinstance(entry.data, FaultNote) for entry in entries[:skipped])
        for finding in self.findings:
            if finding.frame is not None and 0 <= (at := finding.frame - gone) < len(frames):
                frames[at].setdefault("findings", []).append(finding.as_json())
        by = {turn.item_id: turn.heard_by for turn in tuple(self.heard)}
        for row in rows:
            if (row["type"] or "").endswith(_TRANSCRIPTS) and (decided := by.get(row["frame"].get("item_id"))):
                row["heard_by"] = decided
        return rows

    def since(self, number: int, most: int) -> tuple[int, list[JournalEntry]]:
        """The frames of at most so many entries from that number on, counted over the whole session, as far as they are
        kept; and the number of the entry after them."""
        left = max(0, min(self.forgotten + len(self._kept) - number, len(self._kept)))
        new = list(islice(reversed(self._kept), left))[::-1][:most]
        return self.forgotten + len(self._kept) - left + len(new), [each for kept in new for each in _entries(kept)]

    def recall(self, entries: Iterable[JournalEntry], dropped: int) -> None:
        """Take the frames of a session that another server kept, without the first `dropped` ones."""
        for entry in entries:
            self._keep((entry.at, entry.way, entry.data))
        self.dropped = dropped

    @property
    def kept_count(self) -> int:
        """Entries that are kept."""
        return len(self._kept)

    def forget_oldest(self) -> int:
        """Drop the oldest entry, if there is one. Returns the bytes that this freed. Only for the journal."""
        if not self._kept:
            return 0
        oldest = self._kept.popleft()
        self.forgotten += 1
        self.dropped += (frames := _frames(oldest))
        self.frames -= frames
        return _size(oldest)

    def _keep(self, kept: _Kept) -> None:
        self._kept.append(kept)
        self.frames += len(kept[0]) if len(kept) == 2 else 1
        if self._journal.waiting.waiters:
            self._offer(kept)
        self._journal.kept(self, _size(kept))

    def _offer(self, kept: _Kept) -> None:
        """Give it to the requests that wait for it."""
        for entry in _entries(kept):
            self._journal.waiting.offer(self.id, entry.way, entry.type, (self, entry))

    def _events(self, way: Way, type: str | None) -> list[Event]:
        events = (entry.event for entry in self.entries if entry.way == way)
        return [event for event in events if event is not None and type in (None, event.get("type"))]


def _beginning(data: str | bytes, most: int) -> str | bytes:
    kept, what = min(_CUT, most), "characters" if isinstance(data, str) else "bytes"
    note = f"… ({len(data)} {what}, too long for the journal)"
    return data[:kept] + note if isinstance(data, str) else data[:kept] + note.encode()


def _frames(kept: _Kept) -> int:
    return len(kept[0]) if len(kept) == 2 else 1


class Journal:
    """The sessions of one namespace, oldest first."""

    def __init__(
        self, max_bytes: int = 256 << 20, max_sessions: int = 10_000, *, log_type: type[SessionLog] = SessionLog
    ) -> None:
        self.max_bytes = max_bytes
        self.max_sessions = max_sessions
        self.log_type = log_type
        self.waiting = Waiting()
        """Requests that wait for a frame."""
        self.bytes_in = self.bytes_out = 0
        """Of all messages since the start: characters of texts and bytes of binary messages in; bytes of frames out."""
        self.reset()

    def reset(self) -> None:
        """Forget everything. Sessions that are still open go on, and no longer appear."""
        self.sessions: deque[SessionLog] = deque()
        self.dropped_sessions = 0
        self.gone = UsageTotals()
        """What dropped sessions used."""
        self._bytes = 0
        self._order: deque[SessionLog] = deque()  # the session of the oldest frame, of the next oldest, ...
        self._stale = 0  # of these, how many frames are gone with their sessions

    def __iter__(self) -> Iterator[JournalEntry]:
        """Every frame kept, session by session."""
        for session in self.sessions:
            yield from session.entries

    def open(self, id: str, conversation_id: str, opened: float, ledger: Ledger) -> SessionLog:
        """Begin a session's log. `opened` is Unix time in seconds."""
        log = self.log_type(self, id, conversation_id, opened, ledger)
        self.sessions.append(log)
        while len(self.sessions) > self.max_sessions:
            self._forget(self.sessions.popleft())
        return log

    @property
    def held_bytes(self) -> int:
        """Bytes of the frames that are kept, about."""
        return self._bytes

    def find(self, id: str) -> SessionLog | None:
        """The session of that id, or None."""
        return next((log for log in self.sessions if log.id == id), None)

    def total(self) -> UsageTotals:
        """What all sessions used so far, including dropped ones."""
        total = UsageTotals().plus(self.gone)
        for log in self.sessions:
            total.count(log.ledger)
        return total

    def kept(self, log: SessionLog, size: int) -> None:
        """Make room for a frame of `size` bytes that was added to `log`. Only for the log itself."""
        self._bytes += size
        self._order.append(log)
        while self._bytes > self.max_bytes and self._order:
            freed = self._order.popleft().forget_oldest()
            self._bytes -= freed
            self._stale -= not freed

    def _forget(self, log: SessionLog) -> None:
        self.dropped_sessions += 1
        self.gone.count(log.ledger)
        while freed := log.forget_oldest():
            self._bytes -= freed
            self._stale += 1
        if self._stale > len(self._order) // 2:
            self._forget_order()

    def _forget_order(self) -> None:
        """Drop the places of frames that are gone, so that their sessions can be freed."""
        left: dict[SessionLog, int] = {}
        order: deque[SessionLog] = deque()
        for log in reversed(self._order):
            count = left.setdefault(log, log.kept_count)
            if count:
                left[log] = count - 1
                order.appendleft(log)
        self._order, self._stale = order, 0


class UsageTotals:
    """Sums over sessions: seconds of audio, billable items, hosted tool calls, USD."""

    def __init__(self) -> None:
        self.sessions = 0
        self.audio_in_s = Fraction(0)
        self.audio_out_s = Fraction(0)
        self.text_items = 0
        self.hosted_calls: Counter[str] = Counter()
        self.telephony_s = Fraction(0)
        self.exact_usd = Fraction(0)

    def count(self, ledger: Ledger) -> None:
        """Add one session. Raises UnknownPrice."""
        self.sessions += 1
        self._add(ledger)

    def plus(self, other: UsageTotals) -> UsageTotals:
        """Adds another sum to this one, and returns this one."""
        self.sessions += other.sessions
        self._add(other)
        return self

    def _add(self, part: Ledger | UsageTotals) -> None:
        self.audio_in_s += part.audio_in_s
        self.audio_out_s += part.audio_out_s
        self.text_items += part.text_items
        self.hosted_calls.update(part.hosted_calls)
        self.telephony_s += part.telephony_s
        self.exact_usd += part.exact_usd

    @property
    def total_usd(self) -> Decimal:
        """The amount to a millionth of a USD."""
        return dollars(self.exact_usd)

    def as_json(self) -> Event:
        """As the control plane shows it. The amount is a string, so that no digit is lost."""
        return {
            "sessions": self.sessions,
            "audio_in_s": float(self.audio_in_s),
            "audio_out_s": float(self.audio_out_s),
            "text_items": self.text_items,
            "hosted_calls": dict(self.hosted_calls),
            "telephony_s": float(self.telephony_s),
            "usd": str(self.total_usd),
        }
