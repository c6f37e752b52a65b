"""A peer with faults around it: each fault is a case here. It is a peer itself, hosted by a connection as any other.

No clock and no sockets: a delay moves an instant, and what needs the socket is left to the connection (`Act`). The
peer inside is advanced from one instant to the next, so that the time at which the connection asks changes nothing.
"""

from __future__ import annotations

import base64
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import orjson
from typing_extensions import assert_never

from mockserver.audio.formats import PCM_24K, AudioFormat, Samples
from mockserver.faults.armed import Armed, FaultTarget, FaultWatch, TrafficEvent
from mockserver.faults.audio import clipped, format_in, misrated, silent
from mockserver.faults.early_end import ResponseEnder
from mockserver.faults.files import as_line
from mockserver.faults.kinds import (
    AudioFault,
    Bandwidth,
    Clip,
    Close,
    CloseChannel,
    Corrupt,
    Delay,
    Drop,
    DtlsHang,
    Duplicate,
    EarlyEndFault,
    Error,
    Fail,
    Fault,
    Forge,
    Gap,
    HalfOpen,
    Hang,
    HangUp,
    Incomplete,
    Jitter,
    Late,
    LateIce,
    LoseSidebands,
    PacketJitter,
    PacketLoss,
    Press,
    Refuse,
    Reorder,
    Reset,
    Slow,
    Stall,
    Status,
    StopSound,
    Tear,
    Truncate,
    WrongRate,
)
from mockserver.protocol.commands import Rejected
from mockserver.protocol.facts import Fact, Malformed, Refused
from mockserver.protocol.peer import Act, FaultNote, Mute, Peer, SidebandsLost, Torn
from mockserver.protocol.requests import Request, Result
from replay.cassette import frames
from replay.cassette.frames import Binary, Frame, Outgoing, Sound, Text

REORDER_S = 1.0
"""How long an event waits to be overtaken."""
HUNG_UP = "the caller hung up"
"""The reason of the close frame when the fault `hang_up` ends a call."""
HELD_CAP = 64 << 20
"""Bytes that a delay may hold back in one direction. Above that the connection is reset."""

Message = Text | Binary | Sound
Sent = Outgoing | Act
_QUOTES = re.compile(rb'(?<!\\)(?:\\\\)*"')


@dataclass(slots=True, eq=False)
class _Lane:
    """One direction of the connection: what is on its way, in order. Nothing in the queue overtakes."""

    queue: deque[Sent] = field(default_factory=deque)
    floor: float = 0.0
    """Nothing arrives before this instant."""
    late: list[Sent] = field(default_factory=list)
    """What others overtake, by the instant at which it arrives."""
    behind: list[Sent] = field(default_factory=list)
    """What waits to be overtaken, until `behind_due` at the latest."""
    behind_due: float = 0.0
    bytes_per_s: int | None = None
    held: int = 0
    """Bytes in the queue."""

    @property
    def due(self) -> float | None:
        """When the next thing arrives."""
        heads = [each[0].at for each in (self.queue, self.late) if each]
        return min([*heads, *([self.behind_due] if self.behind else [])], default=None)

    def put(self, pieces: Iterable[Sent]) -> None:
        """Send the pieces on their way, each at its instant or as soon after it as the lane allows."""
        for piece in pieces:
            if self.behind and self.behind_due <= piece.at:
                self._give_up()
            at, size = max(piece.at, self.floor), _size(piece.frame)
            if self.bytes_per_s is not None:
                at += size / self.bytes_per_s
            self.floor = at
            self.held += size
            self.queue.append(piece if at == piece.at else replace(piece, at=at))

    def put_late(self, pieces: Iterable[Sent], seconds: float) -> None:
        """Send the pieces so much later, without holding up what follows."""
        self.late += [replace(piece, at=piece.at + seconds) for piece in pieces]
        self.late.sort(key=lambda piece: piece.at)
        self.held += sum(_size(piece.frame) for piece in pieces)

    def overtaken(self) -> None:
        """Put what waits: something has overtaken it."""
        pieces, self.behind = self.behind, []
        self.put(pieces)

    def _give_up(self) -> None:
        """Put what waits: nothing came to overtake it."""
        self.floor = max(self.floor, self.behind_due)
        self.overtaken()

    def arrived(self, now: float) -> Iterator[Sent]:
        """What has arrived by `now`, each piece once."""
        if self.behind and self.behind_due <= now:
            self._give_up()
        while (due := self.due) is not None and due <= now:
            first_late = bool(self.late) and (not self.queue or self.late[0].at < self.queue[0].at)
            piece = self.late.pop(0) if first_late else self.queue.popleft()
            self.held -= _size(piece.frame)
            yield piece


class FaultInjector:
    """A peer with the faults that `follow` sets."""

    def __init__(self, peer: Peer, target: FaultTarget) -> None:
        self._peer = peer
        self._target = target
        self._all: list[FaultWatch] = []
        self._watches: list[FaultWatch] = []
        """Those that messages trigger here; `_ender` has those that events of a response trigger."""
        self._down = _Lane()
        self._up = _Lane()
        self._timed: list[FaultWatch] = []
        self._next: list[FaultWatch] = []
        """Those that are due, and wait for the next event of the server."""
        self._stalled: Armed | None = None
        self._over = False
        self._response = ""
        """The id of the last response."""
        self._formats = {"input": PCM_24K, "output": PCM_24K}
        self._ender: ResponseEnder | None = None

    def follow(self, faults: Sequence[Armed], now: float) -> None:
        """Apply these faults from `now` on; those that applied before go on counting."""
        known, target = {watch.armed: watch for watch in self._all}, self._target
        self._all = [
            known.get(each) or FaultWatch(each, target.session_id, target.number, now) for each in faults if each.on
        ]
        new = [watch for watch in self._all if watch.armed not in known]
        self._next = [watch for watch in self._next if watch.armed.on]
        if self._stalled is not None and not self._stalled.on:
            self._stalled = None
        if not any(isinstance(watch.fault, Bandwidth) for watch in self._all):
            self._down.bytes_per_s = None
        enders = [watch for watch in self._all if isinstance(watch.fault, EarlyEndFault)]
        if target.session is not None and enders and self._ender is None:
            target.session.observer = self._ender = ResponseEnder(self._note)
        if self._ender is not None:
            self._ender.watches = [watch for watch in enders if not watch.by_client]
        self._watches = [watch for watch in self._all if watch not in enders]
        timed = [watch for watch in (*self._timed, *new) if watch.due is not None and watch.armed.on]
        if target.session is None:  # there is no response to end
            timed = [watch for watch in timed if watch not in enders]
        else:
            self._watches += [watch for watch in enders if watch.by_client]
        self._timed = sorted(timed, key=lambda watch: watch.due or 0.0)

    # The methods of a peer.

    def receive(self, data: str | bytes, now: float) -> None:
        """Take a client's message, as faults leave it. What is due by `now` happens before it."""
        self._run(now)
        if self._over:
            return
        self._take(Text(data.encode(errors="surrogatepass")) if isinstance(data, str) else Binary(data), now)

    def _take(self, frame: Message, now: float) -> None:
        event = _event("in", frame, now)
        self._pass(self._up, Outgoing(now, frame), event, [watch for watch in self._watches if watch.matches(event)])
        self._deliver(now)

    def lost(self, now: float) -> None:
        """The client is gone."""
        self._run(now)
        self._peer.lost(now)

    def next_due(self) -> float | None:
        """When something arrives, a timed fault is due, or the peer inside goes on."""
        dues = [self._down.due]
        if not self._over:
            dues += [self._up.due, self._timed[0].due if self._timed else None, self._peer.next_due()]
        return min((due for due in dues if due is not None), default=None)

    def take_output(self, now: float) -> list[Sent]:
        """What arrives up to and including `now`, oldest first."""
        self._run(now)
        self._collect(now)
        return list(self._down.arrived(now))

    def take_requests(self) -> Sequence[Request]:
        """What the peer inside asks for."""
        return self._peer.take_requests()

    def deliver(self, result: Result, now: float) -> None:
        """Give the peer inside a result, untouched by faults. What is due by `now` happens before it."""
        self._run(now)
        if not self._over:
            self._peer.deliver(result, now)
            self._collect(now)

    def hear(self, samples: Samples, now: float) -> None:
        """Take sound of the caller's track, as faults of `<input_audio_buffer.append` leave it."""
        self._run(now)
        if not self._over:
            self._take(Sound(samples.astype("<i2", copy=False).tobytes()), now)

    def press(self, digit: str, now: float) -> None:
        """Give the peer inside a key, untouched by faults."""
        self._run(now)
        if not self._over:
            self._peer.press(digit, now)
            self._collect(now)

    def truncate(self, item_id: str, played_ms: int, now: float) -> None:
        """Truncate what the peer inside said, untouched by faults."""
        self._run(now)
        if not self._over:
            self._peer.truncate(item_id, played_ms, now)
            self._collect(now)

    # From instant to instant.

    def _run(self, now: float) -> None:
        """Let everything happen inside that is due by `now`, one instant at a time."""
        while not self._over:
            timed = self._timed[0].due if self._timed else None
            inner = self._peer.next_due()
            due = min((each for each in (timed, inner, self._up.due) if each is not None), default=None)
            if due is None or due > now:
                return
            sent = self._collect(due)
            if inner == due == self._peer.next_due() and not sent and not self._over:
                raise RuntimeError(f"{type(self._peer).__name__} is due at {due} s, but has nothing to send then")
            self._deliver(due)
            self._trigger_timed(due)

    def _collect(self, now: float) -> int:
        """Take what the peer inside sends up to `now`; returns how many messages that were."""
        sent = () if self._over else self._peer.take_output(now)
        for each in sent:
            if isinstance(each, Outgoing):
                self._send(each)
            elif not self._over:
                self._down.put([each])
        return len(sent)

    def _deliver(self, now: float) -> None:
        """Give the peer inside what has arrived from the client."""
        for each in self._up.arrived(now):
            match each.frame:
                case Text(data):
                    self._peer.receive(data.decode(errors="surrogatepass"), each.at)
                case Binary(data):
                    self._peer.receive(data, each.at)
                case Sound(data):
                    self._peer.hear(np.frombuffer(data, "<i2"), each.at)
                case _:
                    pass
            self._collect(each.at)

    def _trigger_timed(self, now: float) -> None:
        while self._timed and (self._timed[0].due or 0.0) <= now and not self._over:
            watch = self._timed.pop(0)
            at = watch.due or 0.0
            if _needs_event(watch.fault):
                self._next.append(watch)
            elif watch.triggered(TrafficEvent("out", watch.fault.at, at)):
                self._note(watch, watch.fault.at, at)
                self._down.put(self._changed(watch, [], at, self._down))

    def _send(self, out: Outgoing) -> None:
        """Put a message of the server on its way, as faults leave it."""
        if self._over:
            return
        if not isinstance(out.frame, Message):
            if self._stalled is None:
                self._down.put([out])
            return
        event = _event("out", out.frame, out.at, self._learn_formats)
        self._response = event.response or self._response
        hits = [watch for watch in self._watches if watch.matches(event)]
        hits += [watch for watch in self._next if watch.triggered(event)]
        self._next.clear()
        self._pass(self._down, out, event, hits)

    def _pass(self, lane: _Lane, out: Outgoing, event: TrafficEvent, hits: list[FaultWatch]) -> None:
        pieces: list[Sent] = [out]
        waiting = bool(lane.behind)
        for watch in hits:
            if self._over:
                return
            self._note(watch, event.name, out.at)
            pieces = self._changed(watch, pieces, out.at, lane, event.event_id)
        if self._over or (lane is self._down and self._stalled is not None):
            return
        lane.put(pieces)
        if waiting and pieces:
            lane.overtaken()
        if self._down.held > HELD_CAP or self._up.held > HELD_CAP:
            self._end(out.at, frames.Reset())

    def _note(self, watch: FaultWatch, event: str, at: float) -> None:
        self._down.put([Act(at, FaultNote(as_line(watch.fault), event))])

    def _end(self, at: float, how: Frame | Mute | Torn) -> None:
        """Put the last thing that happens on its way."""
        self._down.put([Act(at, how) if isinstance(how, Mute | Torn) else Outgoing(at, how)])
        self._down.behind.clear()
        self._over = True

    # What each fault does.

    def _changed(
        self, watch: FaultWatch, pieces: list[Sent], at: float, lane: _Lane, event_id: str | None = None
    ) -> list[Sent]:
        """What a fault leaves of an event, which is `pieces`; at a time that list is empty. `event_id` is that of a
        client's event."""
        fault = watch.fault
        match fault:
            case Drop():
                return []
            case Duplicate():
                return [*pieces, *(_each(pieces, lambda frame: _again(frame, watch)) if fault.fresh else pieces)]
            case Reorder():
                if lane.behind or not pieces:
                    return pieces
                lane.behind, lane.behind_due = pieces, at + REORDER_S
                return []
            case Delay():
                lane.floor = max(lane.floor, at + fault.seconds)
            case Late():
                lane.put_late(pieces, fault.seconds)
                return []
            case Jitter():
                lane.floor = max(lane.floor, at + watch.rng.uniform(0, fault.seconds))
            case Bandwidth():
                self._down.bytes_per_s = fault.bytes_per_s
            case Stall():
                if fault.seconds is None:
                    self._stalled = watch.armed
                else:
                    self._down.floor = max(self._down.floor, at + fault.seconds)
            case Corrupt():
                return _each(pieces, lambda frame: _corrupted(frame, watch))
            case Truncate():
                return _each(pieces, _halved)
            case Error():
                message = fault.message.replace("{response}", self._response)
                self._tell(Malformed(Rejected(message, fault.type, fault.code, fault.param, event_id)), at)
            case Refuse():
                message = fault.message.replace("{response}", self._response)
                if message or fault.code != "conversation_already_has_active_response":
                    message = message or "The request is refused."
                    self._tell(Malformed(Rejected(message, fault.type, fault.code, fault.param, event_id)), at)
                else:
                    self._tell(Refused("response_active", self._response, event_id), at)
                return []
            case Close():
                self._end(at, frames.Close(fault.code, fault.reason))
            case Reset():
                self._end(at, frames.Reset())
            case HalfOpen():
                self._end(at, Mute())
            case Tear():
                whole = [each.frame for each in pieces if isinstance(each.frame, Text | Binary)]
                self._end(at, Torn(whole[0]) if whole and lane is self._down else frames.Reset())
            case Gap() | Clip() | WrongRate():
                format = self._formats["output" if lane is self._down else "input"]
                return _each(pieces, lambda frame: _with_audio_fault(frame, fault, format))
            case Fail() | Incomplete():
                if self._ender is not None:
                    self._ender.end(fault)
            case Press(digits=digits):
                for digit in digits:
                    self._peer.press(digit, at)
            case HangUp():
                self._end(at, frames.Close(1000, HUNG_UP))
            case LoseSidebands():
                self._down.put([Act(at, SidebandsLost(silent=fault.by == "silence"))])
            case Status() | Hang() | Slow() | Forge():
                pass  # a handshake, or a webhook, is over before there is a peer
            case PacketLoss() | PacketJitter() | LateIce() | DtlsHang() | CloseChannel() | StopSound():
                pass  # they strike below the peer
            case _:
                assert_never(fault)
        return pieces

    def _tell(self, fact: Fact, at: float) -> None:
        """Send what the service says of a fact."""
        self._down.put(Outgoing(at, each) for each in self._target.dialect.render(fact, at))

    def _learn_formats(self, event: dict[str, Any]) -> None:
        session = event.get("session")
        if isinstance(session, dict):
            self._formats = {side: format_in(session, side) for side in self._formats}


def _needs_event(fault: Fault) -> bool:
    """Whether a fault that is due at a time waits for an event that it can change."""
    match fault:
        case Drop() | Duplicate() | Reorder() | Delay() | Late() | Jitter() | Corrupt() | Truncate() | Tear():
            return True
        case Gap() | Clip() | WrongRate():
            return True
        case Bandwidth() | Stall() | Error() | Refuse() | Close() | Reset() | HalfOpen() | Fail() | Incomplete():
            return False
        case Status() | Hang() | Slow() | Forge() | HangUp() | Press() | LoseSidebands():
            return False
        case PacketLoss() | PacketJitter() | LateIce() | DtlsHang() | CloseChannel() | StopSound():
            return False
        case _:
            assert_never(fault)


def _event(
    way: Any, frame: Message, at: float, session: Callable[[dict[str, Any]], None] = lambda event: None
) -> TrafficEvent:
    """The event that a message is. `session` is called with a server event about the session."""
    if isinstance(frame, Binary):
        return TrafficEvent(way, "binary", at)
    if isinstance(frame, Sound):
        sound = "input_audio_buffer.append" if way == "in" else "response.output_audio.delta"
        return TrafficEvent(way, "" if frame.cuts else sound, at, frame.response_id or None)
    event = _json(frame)
    if event is None or not isinstance(type := event.get("type"), str):
        return TrafficEvent(way, "", at)
    if way == "in":
        event_id = event.get("event_id")
        return TrafficEvent(way, type, at, event_id=event_id if isinstance(event_id, str) else None)
    if type.startswith("session."):
        session(event)
    response = event.get("response")
    id = event.get("response_id") or (response.get("id") if isinstance(response, dict) else None)
    return TrafficEvent(way, type, at, id if isinstance(id, str) else None)


def _json(frame: Message) -> dict[str, Any] | None:
    try:
        event = orjson.loads(frame.data)
    except orjson.JSONDecodeError:
        return None
    return event if isinstance(event, dict) else None


def _size(frame: object) -> int:
    return len(frame.data) if isinstance(frame, Message) else 0


def _each(pieces: list[Sent], change: Callable[[Message], Message]) -> list[Sent]:
    return [
        Outgoing(each.at, change(each.frame))
        if isinstance(each, Outgoing) and isinstance(each.frame, Message)
        else each
        for each in pieces
    ]


def _corrupted(frame: Message, watch: FaultWatch) -> Message:
    """The message without one of its quotation marks, which makes it invalid JSON; binary, with one byte inverted."""
    data = frame.data
    if not isinstance(frame, Text):
        at = watch.rng.randrange(len(data)) if data else 0
        return replace(frame, data=data[:at] + bytes(each ^ 0xFF for each in data[at : at + 1]) + data[at + 1 :])
    ends = [found.end() for found in _QUOTES.finditer(data)]
    end = watch.rng.choice(ends) if ends else len(data)
    return Text(data[: end - 1] + data[end:])


def _again(frame: Message, watch: FaultWatch) -> Message:
    """The same event under another id: the end of its id in another order."""
    event = _json(frame)
    if event is None or not isinstance(id := event.get("event_id"), str):
        return frame
    end = watch.rng.sample(id[-12:], len(id[-12:]))
    return Text(orjson.dumps({**event, "event_id": id[:-12] + "".join(end)}))


def _halved(frame: Message) -> Message:
    half = frame.data[: len(frame.data) // 2]
    match frame:
        case Text():
            return Text(half.decode(errors="ignore").encode())
        case Binary():
            return Binary(half)
        case Sound():
            return replace(frame, data=half[: len(half) // 2 * 2])
        case _:
            assert_never(frame)


def _with_audio_fault(frame: Message, fault: AudioFault, format: AudioFormat) -> Message:
    """The same message with other audio; a message without audio is returned as it is."""
    if isinstance(frame, Binary):
        return Binary(_faulty_audio(frame.data, fault, format))
    if isinstance(frame, Sound):
        return replace(frame, data=_faulty_audio(frame.data, fault, PCM_24K))
    try:
        event = orjson.loads(frame.data)
        key = "audio" if "audio" in event else "delta"
        audio = base64.b64decode(event[key], validate=True)
    except (ValueError, TypeError, KeyError):
        return frame
    if not str(event.get("type")).endswith(("audio.delta", "append")):
        return frame
    return Text(orjson.dumps({**event, key: base64.b64encode(_faulty_audio(audio, fault, format)).decode()}))


def _faulty_audio(audio: bytes, fault: AudioFault, format: AudioFormat) -> bytes:
    match fault:
        case Gap():
            return silent(audio, format)
        case Clip():
            return clipped(audio, format)
        case WrongRate():
            return misrated(audio, format, fault.rate)
        case _:
            assert_never(fault)
