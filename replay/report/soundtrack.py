"""The audio of a recording: both sides as PCM16, turn by turn, and on the time axis of the call.

Audio begins when it crossed the wire, or when the audio before it on the same side has played: services send faster
than real time, and clients may send a whole turn at once. If the user interrupts, audio that had not played is dropped.
The wire does not say what a client played, so this is inferred. Opus is not decoded: its time is silence.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from replay.billing.meter import Meter
from replay.cassette import g711
from replay.cassette.base64_text import decoded
from replay.cassette.frames import Binary, Text
from replay.cassette.json_values import number_at
from replay.cassette.recording import Moment, Recording
from replay.cassette.records import Way
from replay.report.samples import SampleFile, Samples

RATE = 24_000
"""Sample rate of a track, in Hz."""
LONGEST_S = 4 * 3600.0
_BLOCK = 20 * RATE

_DELTAS = ("response.output_audio.delta", "response.audio.delta")
_INTERRUPTS = ("response.cancel", "output_audio_buffer.clear")


class TooLong(ValueError):
    """The call is longer than LONGEST_S. The message says so."""


@dataclass(slots=True)
class Piece:
    """Audio without a gap from `start_s` on. Side `sent` is the user, `received` the service. `rate` in Hz."""

    side: Way
    start_s: float
    rate: int
    samples: Samples | array[int] = field(repr=False)

    @property
    def end_s(self) -> float:
        return self.start_s + len(self.samples) / self.rate

    def blocks(self) -> Iterator[array[int]]:
        """The samples, twenty seconds at a time."""
        return (self.samples[at : at + _BLOCK] for at in range(0, len(self.samples), _BLOCK))


@dataclass(slots=True)
class Soundtrack:
    """`pieces` are on the time axis. `turns` are complete, whether they were played to their end or not."""

    pieces: list[Piece] = field(default_factory=list)
    turns: list[Piece] = field(default_factory=list)
    silenced: bool = False
    """Some audio was not decoded and is silence here."""
    file: SampleFile = field(default_factory=SampleFile, repr=False, compare=False)
    """Where the samples are."""

    def blocks(self, side: Way, seconds: float) -> Iterator[array[int]]:
        """One side from 0 to `seconds`, at RATE, twenty seconds at a time: silence takes no memory. Raises TooLong."""
        if seconds > LONGEST_S:
            raise TooLong(f"{seconds:.0f} s is too long for one file; the limit is {LONGEST_S:.0f} s")
        return _laid([piece for piece in self.pieces if piece.side == side], round(seconds * RATE))


def _laid(pieces: list[Piece], length: int) -> Iterator[array[int]]:
    for begin in range(0, length, _BLOCK):
        end = min(length, begin + _BLOCK)
        block = array("h", bytes(2 * (end - begin)))
        for piece in pieces:
            start, count = round(piece.start_s * RATE), len(piece.samples) * RATE // piece.rate
            first, last = max(begin, start), min(end, start + count)
            if first < last:
                part = resampled(piece.samples, piece.rate, RATE, first - start, last - start)
                block[first - begin : last - begin] = part
        yield block


def soundtrack(recording: Recording) -> Soundtrack:
    """The audio of a recording. Messages without readable audio are skipped."""
    found = Soundtrack()
    for line in recording.lines:
        audio = ConnectionAudio(found, line.opened_s)
        for moment in line.moments:
            audio.take(moment)
    found.turns.sort(key=lambda turn: turn.start_s)
    return found


def sound_in(moment: Moment) -> bytes:
    """The encoded audio in a message; empty if it carries none."""
    if isinstance(moment.frame, Binary):
        return moment.frame.data
    event = moment.event or {}
    name = "audio" if moment.way == "sent" and moment.type == "input_audio_buffer.append" else "delta"
    if name == "delta" and not (moment.way == "received" and moment.type in _DELTAS):
        return b""
    try:
        return decoded(event[name])
    except (KeyError, TypeError, ValueError):
        return b""


def resampled(samples: Samples | array[int], rate: int, to: int, first: int, last: int) -> array[int]:
    """Audio at another rate, from the sample `first` to `last` of the result: by linear interpolation, which is good
    enough to listen to, not to measure."""
    if rate == to:
        return samples[first:last]
    begin = first * rate // to
    near = samples[begin : (last - 1) * rate // to + 2]  # with the one behind, if there is one
    return array("h", (_between(near, number * rate - begin * to, to) for number in range(first, last)))


def _between(samples: array[int], place: int, to: int) -> int:
    index, rest = divmod(place, to)
    here, after = samples[index], samples[min(index + 1, len(samples) - 1)]
    return here + (after - here) * rest // to


class ConnectionAudio:
    """One connection: where each side's audio ends, and which part of the user's audio belongs to which turn."""

    def __init__(self, found: Soundtrack, opened_s: float) -> None:
        self._found = found
        self._meter = Meter(None)
        self._said: list[tuple[float, int, Samples]] = []
        """The user's chunks since the last turn: start in seconds, rate, samples."""
        self._spoken_ms = 0.0
        """Milliseconds of user audio before those."""
        self._began_ms = 0.0
        self._answer = ""
        self.ends = {"sent": opened_s, "received": opened_s}
        """By side: where its audio ends, in seconds."""

    def take(self, moment: Moment) -> Piece | None:
        """Read one frame. Returns its audio on the time axis; None if it has none."""
        if not isinstance(moment.frame, Text | Binary):
            return None
        seconds = self._meter.count(moment.way, moment.frame)
        if data := sound_in(moment):
            return self._sound(moment, data, float(seconds))
        event = moment.event or {}
        match moment.way, moment.type:
            case "sent", "input_audio_buffer.commit" | "conversation.item.commit":
                self._turn(None, None)
            case "sent", "input_audio_buffer.clear":
                self._forget()
            case "received", "input_audio_buffer.speech_started":
                self._began_ms = number_at(event, "audio_start_ms") or 0.0
                if self._meter.by_duration:
                    self._cut(moment.at_s)
            case "received", "input_audio_buffer.speech_stopped" if self._meter.by_duration:
                self._turn(self._began_ms, (number_at(event, "audio_end_ms") or 0.0))
            case "sent", kind if kind in _INTERRUPTS:
                self._cut(moment.at_s)
            case "received", "output_audio_buffer.cleared":
                self._cut(moment.at_s)
            case _:
                pass
        return None

    def _sound(self, moment: Moment, data: bytes, seconds: float) -> Piece | None:
        samples, rate = self._decoded(moment.way, data, seconds)
        if not samples:
            return None
        start_s = max(moment.at_s, self.ends[moment.way])
        stored, chunk = self._found.file.add(samples), Piece(moment.way, start_s, rate, samples)
        self.ends[moment.way] = chunk.end_s
        self._join(chunk, stored)
        if moment.way == "sent":
            self._said.append((chunk.start_s, rate, stored))
            return chunk
        response = str((moment.event or {}).get("response_id", ""))
        whole = next((turn for turn in reversed(self._found.turns) if turn.side == "received"), None)
        if whole is None or response != self._answer or whole.rate != rate:
            self._answer = response
            self._found.turns.append(Piece("received", start_s, rate, stored))
        else:
            _stored(whole).extend(stored)
        return chunk

    def _join(self, chunk: Piece, stored: Samples) -> None:
        """Append to the side's last piece if the chunk begins at its end."""
        pieces = self._found.pieces
        last = next((piece for piece in reversed(pieces) if piece.side == chunk.side), None)
        if last is not None and last.rate == chunk.rate and abs(last.end_s - chunk.start_s) < 0.001:
            _stored(last).extend(stored)
        else:
            pieces.append(Piece(chunk.side, chunk.start_s, chunk.rate, stored.part(0, len(stored))))

    def _decoded(self, way: Way, data: bytes, seconds: float) -> tuple[array[int], int]:
        """The samples and their rate, in Hz, as the meter counted it."""
        match self._meter.encoding(way):
            case "pcm":
                samples = g711.from_little_endian(data)
            case "opus":
                self._found.silenced = True
                return array("h", bytes(2 * round(seconds * RATE))), RATE
            case law:
                samples = g711.decode(data, law)
        return samples, max(1, round(len(samples) / seconds)) if seconds else RATE

    def _turn(self, start_ms: float | None, end_ms: float | None) -> None:
        """The user's audio becomes a turn. Of a continuous stream the service names the part."""
        if self._said:
            began_s, rate, _ = self._said[0]
            samples = self._found.file.add(array("h"))
            for _, here, chunk in self._said:
                if here != rate:
                    chunk = self._found.file.add(resampled(chunk, here, rate, 0, len(chunk) * rate // here))
                samples.extend(chunk)
            first = 0 if start_ms is None else max(0, round((start_ms - self._spoken_ms) * rate / 1000))
            last = len(samples) if end_ms is None else max(first, round((end_ms - self._spoken_ms) * rate / 1000))
            if len(kept := samples.part(first, last)):
                self._found.turns.append(Piece("sent", began_s + first / rate, rate, kept))
        self._forget()

    def _forget(self) -> None:
        self._spoken_ms += sum(len(samples) * 1000 / rate for _, rate, samples in self._said)
        self._said = []

    def _cut(self, at_s: float) -> None:
        """Drop the service's audio that nobody can have heard yet."""
        if self.ends["received"] <= at_s:
            return
        self.ends["received"] = at_s
        for piece in self._found.pieces:
            if piece.side == "received" and piece.end_s > at_s:
                _stored(piece).cut(max(0, round((at_s - piece.start_s) * piece.rate)))


def _stored(piece: Piece) -> Samples:
    """The samples of a piece of the soundtrack; an array is only in what `take` returns."""
    assert isinstance(piece.samples, Samples)
    return piece.samples


def sides(found: Soundtrack) -> Iterator[tuple[Way, float]]:
    """Each side, and the seconds of its audio."""
    both: tuple[Way, Way] = ("sent", "received")
    for side in both:
        yield side, sum(len(piece.samples) / piece.rate for piece in found.pieces if piece.side == side)
