"""What two recordings have in common, so that the numbers that depend on it can be compared: see numbers.py."""

from __future__ import annotations

from collections.abc import Iterator

from replay.billing.meter import Meter
from replay.cassette.frames import Binary, Text
from replay.cassette.json_values import number_at, objects, text_at
from replay.cassette.recording import UNTIMED_US, Recording
from replay.diff.numbers import Basis

_SAME_SPEECH_S = 0.005
_SAME_INPUT_S = 0.1
_SAME_INSTANT_S = 0.15


def shared_basis(one: Recording, other: Recording) -> frozenset[Basis]:
    """The words, the length of speech and of input audio, and the instants of the client's messages, as far as they are
    the same in both."""
    found: set[Basis] = set()
    if list(_words(one)) == list(_words(other)):
        found.add("words")
    (sent, spoken), (their_sent, their_spoken) = _seconds(one), _seconds(other)
    if abs(spoken - their_spoken) <= _SAME_SPEECH_S:
        found.add("speech")
    if abs(sent - their_sent) <= _SAME_INPUT_S:
        found.add("input")
    instants, theirs = list(_instants(one)), list(_instants(other))
    if _is_timed(one) and _is_timed(other) and len(instants) == len(theirs):
        pairs = zip(instants, theirs, strict=True)
        if all(abs(ours - there) <= _SAME_INSTANT_S for ours, there in pairs):
            found.add("clock")
    return frozenset(found)


def _words(recording: Recording) -> Iterator[str]:
    """What was typed, heard and said, once each, in order."""
    for moment in recording.moments():
        event = moment.event or {}
        if moment.way == "sent":
            yield from (text_at(part, "text") for part in objects((event.get("item") or {}).get("content")))
        elif moment.type.endswith((".done", ".completed")) and event.get("status", "completed") == "completed":
            yield from (event[key] for key in ("transcript", "text", "arguments") if isinstance(event.get(key), str))


def _seconds(recording: Recording) -> tuple[float, float]:
    """Seconds of input audio and of the assistant's speech: as the service counted them, else as they are in the file,
    from which recorders may have cut them."""
    sent = spoken = 0.0
    counted: float | None = None
    for line in recording.lines:
        meter = Meter(None)
        for moment in line.moments:
            if isinstance(moment.frame, Text | Binary):
                meter.count(moment.way, moment.frame)
            if moment.type == "response.done":
                seconds = number_at(moment.event, "usage", "output_audio_seconds")
                counted = counted if seconds is None else (counted or 0.0) + seconds
        sent, spoken = sent + float(meter.audio_s["sent"]), spoken + float(meter.audio_s["received"])
    return sent, spoken if counted is None else counted


def _is_timed(recording: Recording) -> bool:
    """Whether the file had times: a reader of files without them sets one message a millisecond."""
    moments = list(recording.moments())
    return bool(moments) and moments[-1].at_s > (len(moments) + 2 * len(recording.lines)) * UNTIMED_US / 1e6


def _instants(recording: Recording) -> Iterator[float]:
    for line in recording.lines:
        yield from (moment.at_s - line.opened_s for moment in line.moments if moment.way == "sent")
