"""Verbatim replay: a recorded connection is played to a client that does what the recorded client did.

Player has the interface of the mock's Peer. It makes up nothing: a client that does something else gets an error and no
further frames. Adaptive replay, which goes along with another client, is done by the mock.

A recorded frame leaves when the client has sent as many messages and as many milliseconds of audio as before the
recorded frame, and as long after the last of them as recorded.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, takewhile

from typing_extensions import Never

from replay.cassette.frames import Close, Frame, Outgoing, Reset, Sound, Text
from replay.cassette.json_text import Event, event_in
from replay.cassette.may_differ import NOTHING, Ignored
from replay.cassette.recording import Line, Moment, message
from replay.outlets import clean
from replay.playback.matching import (
    FREE,
    ClientIds,
    FieldDifference,
    field_differences,
    ids_in,
)
from replay.playback.reading import Reading
from replay.playback.sound import SoundClock, is_sound

ALLOWED = ("ping", "rate_limits.updated")
"""Server events that are not reported if they were left over."""
TOLERANCE_MS = 100.0
"""How much shorter than recorded a manual turn may be, in milliseconds: one chunk of audio."""
MOST_MISMATCHES = 100
_ENDS_TURN = "input_audio_buffer.commit"
_UNSENDABLE = (1006, 1015)  # codes that stand for a lost connection (RFC 6455 section 7.4.1)


@dataclass(frozen=True, slots=True)
class Cue:
    """A recorded server frame, and what must come before it.

    `at`: its index in the connection. `messages`, `sound_ms`: messages and milliseconds of audio that the client had
    sent. `wait_s`: seconds since the last.
    """

    at: int
    type: str
    messages: int
    sound_ms: float
    wait_s: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """A recorded client message other than audio: its index in the connection, its type, and the milliseconds of audio
    before it.
    """

    at: int
    type: str
    sound_ms: float


class Track:
    """One recorded connection, to be played any number of times. Frames after the client's close are left out.

    It is read as far as somebody asks for. `service_ids`: the ids that the service made, as far as it is read. A client
    cannot refer to later ones.
    """

    def __init__(self, line: Line) -> None:
        self.service_ids: set[str] = set()
        self._moments = line.moments
        self._cues: list[Cue] = []
        self._wanted: list[Wanted] = []
        self.reading = Reading(self._read(line))

    def cue(self, number: int) -> Cue | None:
        """The server frame of that number; None behind the last."""
        return self._cues[number] if self.reading.until(lambda: len(self._cues) > number) else None

    def wanted(self, number: int) -> Wanted | None:
        """The client message of that number; None behind the last."""
        return self._wanted[number] if self.reading.until(lambda: len(self._wanted) > number) else None

    def rest(self, cues: int, wanted: int) -> tuple[list[Cue], list[Wanted]]:
        """All server frames and client messages from these numbers on."""
        self.reading.on()
        return self._cues[cues:], self._wanted[wanted:]

    def frame(self, cue: Cue) -> Frame:
        """The frame itself, as it can be sent."""
        frame = self._moments[cue.at].frame
        return Reset() if isinstance(frame, Close) and frame.code in _UNSENDABLE else frame

    def message(self, wanted: Wanted) -> Moment:
        """The message itself."""
        return self._moments[wanted.at]

    def _read(self, line: Line) -> Iterator[None]:
        client_ids: set[str] = set()
        clock, last_s = SoundClock(), line.opened_s
        for at, moment in enumerate(line.moments):
            if moment.way == "received":
                wait_s = max(0.0, moment.at_s - last_s)
                self._cues.append(Cue(at, moment.type, len(self._wanted), clock.ms, wait_s))
                self.service_ids |= {value for _, value in ids_in(moment.event)} - client_ids
            elif isinstance(moment.frame, Close | Reset):
                return
            else:
                last_s = moment.at_s
                client_ids |= {value for _, value in ids_in(moment.event)} - self.service_ids
                if not is_sound(moment):
                    self._wanted.append(Wanted(at, moment.type, clock.ms))
                clock.take(moment)
            yield


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The client did something else than recorded.

    `at_s`: seconds since the connection opened. `expected`, `received`: the messages. `path`: the place of the
    difference, empty if the whole message was not expected. `problem`: the difference. `nearest`: the most similar
    recorded message.
    """

    at_s: float
    expected: str
    received: str
    path: str
    problem: str
    nearest: str

    def __str__(self) -> str:
        nearest = f"; the nearest recorded is {self.nearest}" if self.nearest else ""
        return f"expected {self.expected}, got {self.received}: {self.problem}{nearest}"


@dataclass(frozen=True, slots=True)
class Report:
    """How a replay went: mismatches, server events never sent (`unsent`), client messages never received (`unmet`), and
    what the player is waiting for.
    """

    mismatches: tuple[Mismatch, ...] = ()
    unsent: Counter[str] = field(default_factory=Counter)
    unmet: Counter[str] = field(default_factory=Counter)
    waiting: str = ""

    @property
    def clean(self) -> bool:
        """Whether everything was played and the client did everything."""
        return not (self.mismatches or self.unsent or self.unmet)

    def lines(self) -> list[str]:
        """The report as text; empty if everything was as recorded."""
        lines = [f"at {each.at_s:.3f} s: {each}" for each in self.mismatches]
        lines += [f"never sent by the client: {_counted(self.unmet)}"] if self.unmet else []
        lines += [f"never sent to the client: {_counted(self.unsent)}"] if self.unsent else []
        return list(map(clean, lines)) + ([f"waiting for {self.waiting}"] if self.waiting and not self.clean else [])


def _counted(types: Counter[str]) -> str:
    return ", ".join(f"{count} x {kind}" if count > 1 else kind for kind, count in types.items())


MakeError = Callable[[Mismatch], Iterable[Frame | Sound]]
"""Makes the `error` event for a mismatch, in the form of its service."""


class Player:
    """A recorded connection as a Peer.

    `name`: its name in reports. `track`: the recorded connection. `make_error`: see MakeError. `speed`: 1.0 is as
    recorded, 2.0 twice as fast, infinity without waiting; ValueError unless above 0. `free`: fields that may differ.
    `ignored`: what else may.
    """

    def __init__(
        self,
        name: str,
        track: Track,
        make_error: MakeError,
        *,
        speed: float = 1.0,
        free: Sequence[tuple[str, str]] = FREE,
        ignored: Ignored = NOTHING,
    ) -> None:
        if not speed > 0:
            raise ValueError(f"speed {speed} is not above 0; 1 is as recorded, inf at once")
        self.name = name
        self.mismatches: list[Mismatch] = []
        """The first 100 mismatches, oldest first."""
        self._track = track
        self._make_error = make_error
        self._speed = speed
        self._free = free
        self._ignored = ignored
        self._ids = ClientIds(track.service_ids)
        self._matched = 0
        self._armed = 0
        self._clock = SoundClock()
        """Audio sent so far. It is set to the recorded value whenever the client ends a turn."""
        self._pending: deque[tuple[float, Cue]] = deque()
        """What is due, and when. A frame is read when it leaves."""
        self._out: list[Outgoing] = []
        self._sent = 0
        self._over = False
        self._arm(0.0)

    def receive(self, data: str | bytes, now: float) -> None:
        """Take a client's message. Audio is counted; any other message must be the recorded one."""
        self._advance(now)
        if self._over:
            return
        received = message(data, now)
        if is_sound(received):
            self._clock.take(received)
        else:
            self._match(received, now)
        self._arm(now)

    def lost(self, now: float) -> None:
        """The client has disconnected. Nothing more is played."""
        self._advance(now)
        self._pending.clear()
        self._over = True

    def next_due(self) -> float | None:
        """When the next frame leaves; None while the client must do something first."""
        return self._pending[0][0] if self._pending else None

    def take_requests(self) -> Sequence[Never]:
        """It asks for nothing."""
        return ()

    def deliver(self, result: object, now: float) -> None:
        """It waits for nothing."""

    def take_output(self, now: float) -> list[Outgoing]:
        """All frames up to and including `now`, oldest first."""
        self._advance(now)
        out, self._out = self._out, []
        return out

    def accepts(self, received: Moment) -> bool:
        """Whether a client's message is the one that was recorded here."""
        return is_sound(received) or self._problem(self._track.wanted(self._matched), received) is None

    @property
    def complete(self) -> bool:
        """Whether the client has sent all recorded messages but audio."""
        return self._track.wanted(self._matched) is None

    @property
    def due_frames(self) -> int:
        """Frames that the client has got itself and that did not leave yet."""
        return len(self._out) + len(self._pending)

    def events(self, messages: int) -> list[Event]:
        """The recorded server events up to where the client has sent so many messages."""
        cues = takewhile(lambda cue: cue is not None and cue.messages <= messages, map(self._track.cue, count()))
        frames = (self._track.frame(cue) for cue in cues if cue is not None)
        events = (event_in(frame.data) for frame in frames if isinstance(frame, Text))
        return [event for event in events if event is not None]

    def skip(self, frames: int) -> None:
        """Skip this many of the due frames: the client got them from another recording."""
        while frames > 0 and self.due_frames:
            if self._out:
                del self._out[0]
            else:
                self._pending.popleft()
                self._sent += 1
            frames -= 1

    def report(self, allowed: Collection[str] = ALLOWED) -> Report:
        """How it went so far. `allowed`: types of server events that may be left over."""
        cues, wanted = self._track.rest(self._sent, self._matched)
        unsent = Counter(cue.type for cue in cues if cue.type not in allowed)
        unmet = Counter(each.type for each in wanted)
        waiting = ""
        if (cue := self._track.cue(self._armed)) is not None:
            waiting = f"{cue.sound_ms - self._clock.ms:.0f} ms more of audio, to send {cue.type}"
            if cue.messages > self._matched:
                waiting = self._expected()
        return Report(tuple(self.mismatches), unsent, unmet, waiting)

    def _arm(self, now: float) -> None:
        """Set the time of each frame whose conditions are met."""
        while (cue := self._track.cue(self._armed)) is not None:
            if cue.messages > self._matched or cue.sound_ms > self._clock.ms + 1e-6:
                return
            due = now + cue.wait_s / self._speed
            if self._pending:
                due = max(due, self._pending[-1][0])
            self._pending.append((due, cue))
            self._armed += 1

    def _advance(self, now: float) -> None:
        while self._pending and self._pending[0][0] <= now and not self._over:
            due, cue = self._pending.popleft()
            frame = self._track.frame(cue)
            self._out.append(Outgoing(due, frame))
            self._sent += 1
            self._over = isinstance(frame, Close | Reset)

    def _match(self, received: Moment, now: float) -> None:
        wanted = self._track.wanted(self._matched)
        problem = self._problem(wanted, received)
        if problem is not None:
            text = str(problem) if problem.path else "no such message was recorded here"
            nearest = self._nearest(received)
            mismatch = Mismatch(now, self._expected(), received.type, problem.path, text, nearest)
            if len(self.mismatches) < MOST_MISMATCHES:
                self.mismatches.append(mismatch)
            self._out += [Outgoing(now, frame) for frame in self._make_error(mismatch)]
            return
        assert wanted is not None
        recorded = self._track.message(wanted)
        if recorded.event is not None and received.event is not None:
            self._ids.learn(recorded.event, received.event)
        if received.type == _ENDS_TURN:
            self._clock.ms = wanted.sound_ms
        self._clock.take(received)
        self._matched += 1

    def _problem(self, wanted: Wanted | None, received: Moment) -> FieldDifference | None:
        """The first difference between the message and the expected one."""
        if wanted is None:
            return FieldDifference("", "nothing more", received.type)
        recorded = self._track.message(wanted)
        if recorded.event is None or received.event is None:
            same = recorded.frame == received.frame
            return None if same else FieldDifference("", wanted.type, received.type)
        found = field_differences(recorded.event, received.event, self._ids, self._free, self._ignored)
        if found:
            return found[0]
        if received.type == _ENDS_TURN and wanted.sound_ms > self._clock.ms + TOLERANCE_MS:
            return FieldDifference("audio", f"{wanted.sound_ms:.0f} ms by then", f"{self._clock.ms:.0f} ms")
        return None

    def _expected(self) -> str:
        wanted = self._track.wanted(self._matched)
        return "nothing more" if wanted is None else self._named(self._matched, wanted)

    def _named(self, index: int, wanted: Wanted) -> str:
        return f"message {index + 1}, {wanted.type}"

    def _nearest(self, received: Moment) -> str:
        """The recorded message with the fewest differences; of equals, the one nearest to the current position."""
        if received.event is None or len(self.mismatches) >= MOST_MISMATCHES:
            return ""
        _, every = self._track.rest(0, 0)
        ranked = [
            (
                len(field_differences(event, received.event, self._ids, self._free, self._ignored)),
                abs(index - self._matched),
                index,
            )
            for index, wanted in enumerate(every)
            if wanted.type == received.type and (event := self._track.message(wanted).event) is not None
        ]
        if not ranked:
            return ""
        nearest = min(ranked)[2]
        return self._named(nearest, every[nearest])
