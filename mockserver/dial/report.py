"""What came of a call with a bridge: turns with their times, marks, clears, mistakes, and the sound of both sides."""

from __future__ import annotations

import json
import os
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from mockserver.audio.codecs import rms_dbfs
from mockserver.audio.formats import Samples
from mockserver.audio.wav import stereo_wav_bytes
from mockserver.calls.caller import FRAME_S, HEARD_DBFS, Caller
from mockserver.dial.leg import CallLeg, ClearNote, Ended, MarkNote, Record
from mockserver.dial.mistakes import Mistake, Mistakes
from replay.outlets import clean

RATE = 8000
GAP_S = 0.3
"""Silence between two sounds of the bridge. Pauses between words are shorter."""
QUIET_S = 0.6
"""Silence that ends an answer; pauses between sentences are shorter. A clear ends it at once."""
TALKED_ON_S = 1.5
"""Seconds for which an answer may go on after a barge-in."""
LISTENED_S = 3.0
"""Seconds after a turn from which the caller is taken to have waited for an answer."""
AFTER_CLEAR_S = 0.1
"""Sound that may still arrive after a clear, while the caller speaks."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A turn of the caller. Times are seconds since the stream began.

    ended_s: its last sound. answered_s: the first sound of the bridge after that, None if none came before the next
    turn. barge_in: whether it began while the bridge was heard. stopped_s: of a barge-in, when the bridge fell silent.
    cleared: whether a clear did that, and not the end of the answer.
    """

    text: str
    began_s: float
    ended_s: float
    answered_s: float | None
    barge_in: bool
    stopped_s: float | None
    cleared: bool = False

    @property
    def latency_s(self) -> float | None:
        """From the end of the turn to the first sound of the answer."""
        return None if self.answered_s is None else round(self.answered_s - self.ended_s, 3)

    @property
    def stop_s(self) -> float | None:
        """From the beginning of a barge-in to the silence of the bridge."""
        return None if self.stopped_s is None else round(self.stopped_s - self.began_s, 3)


@dataclass(frozen=True, slots=True, eq=False)
class DialReport:
    """A call that is over. `heard` and `said`: int16 mono at 8 kHz, from the same instant on."""

    provider: str
    url: str
    call_id: str
    stream_id: str
    seconds: float
    greeting: tuple[float, float] | None
    """Beginning and end of what the bridge said before the first turn, in seconds."""
    turns: list[Spoken]
    marks: list[MarkNote]
    clears: list[ClearNote]
    mistakes: list[Mistake]
    ended: Ended
    """Who ended the call: `caller`, `bridge`, `network` (the line was dropped) or `limit` (the call was too long)."""
    close_code: int | None
    close_reason: str
    frames_sent: int
    lost_to_bridge: int
    lost_to_caller: int
    sound_received_s: float
    sizes: dict[int, int]
    """Media messages of the bridge, by their bytes."""
    digits_heard: str
    skipped: list[str]
    """What the answer to the webhook does before its stream, which is not played."""
    heard: Samples
    said: Samples

    @property
    def errors(self) -> list[Mistake]:
        """The mistakes of level `error`."""
        return [each for each in self.mistakes if each.level == "error"]

    def check(self) -> None:
        """Raises AssertionError, with all mistakes, if there is one of level `error`."""
        if self.errors:
            raise AssertionError("\n".join(map(str, self.errors)))

    def wav(self) -> bytes:
        """The call as a stereo WAV file: left the caller, right the bridge, as the caller heard it."""
        return stereo_wav_bytes(self.said, self.heard, RATE)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `wav()` to a file. Raises OSError."""
        Path(path).write_bytes(self.wav())

    def as_json(self) -> str:
        """All but the sound, as JSON. Times are seconds."""
        fields: dict[str, Any] = {
            name: getattr(self, name) for name in self.__slots__ if name not in ("heard", "said", "turns", "mistakes")
        }
        fields["marks"] = [_rounded(asdict(each)) for each in self.marks]
        fields["clears"] = [_rounded(asdict(each)) for each in self.clears]
        turns = [{**asdict(each), "latency_s": each.latency_s, "stop_s": each.stop_s} for each in self.turns]
        mistakes = [_rounded({"level": each.level, **asdict(each), "fix": each.fix}) for each in self.mistakes]
        return json.dumps({**fields, "turns": turns, "mistakes": mistakes}, ensure_ascii=False)

    def lines(self) -> Iterator[str]:
        """The report for people."""
        yield f"call       {self.call_id} over {self.provider} to {self.url.partition('?')[0]}"
        for each in self.skipped:
            yield f"not played {each}"
        if self.greeting is not None:
            began, ended = self.greeting
            yield f"greeting   after {began:.2f} s, {ended - began:.1f} s long"
        for number, turn in enumerate(self.turns, 1):
            yield f"turn {number:<5} {_told(turn)}"
        returned = sum(each.returned_s is not None for each in self.marks)
        cleared = sum(each.cleared for each in self.marks)
        if self.marks:
            yield f"marks      {len(self.marks)} sent, {returned} returned, {cleared} cleared"
        if self.clears:
            yield f"clears     {len(self.clears)}, {sum(each.dropped_s for each in self.clears):.1f} s of sound dropped"
        lost = f", {self.lost_to_bridge} lost; {self.lost_to_caller} lost to the caller" if self._lossy else ""
        yield f"to bridge  {self.frames_sent} frames of 20 ms{lost}"
        sizes = ", ".join(
            f"{count} of {size}" for size, count in sorted(self.sizes.items(), key=lambda each: -each[1])[:4]
        )
        messages = f" (messages: {sizes} bytes)" if sizes else ""
        yield f"to caller  {self.sound_received_s:.1f} s of sound{messages}"
        if self.digits_heard:
            yield f"keys       {self.digits_heard} from the bridge"
        code = "" if self.close_code is None else f", code {self.close_code} {self.close_reason}".rstrip()
        yield f"ended      by the {self.ended} after {self.seconds:.1f} s{code}"
        for mistake in self.mistakes:
            yield str(mistake)

    @property
    def _lossy(self) -> bool:
        return bool(self.lost_to_bridge or self.lost_to_caller)

    def __str__(self) -> str:
        return "\n".join(self.lines())


def _rounded(fields: dict[str, Any]) -> dict[str, Any]:
    """With instants of a tenth of a millisecond, less than a sample."""
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in fields.items()}


def _told(turn: Spoken) -> str:
    parts = [f'"{turn.text}"' if turn.text else "(sound)"]
    if turn.barge_in:
        by = "by a clear" if turn.cleared else "without a clear"
        stopped = "never fell silent" if turn.stop_s is None else f"fell silent after {turn.stop_s:.2f} s, {by}"
        parts.append(f"barge-in: the bridge {stopped}")
    parts.append("not answered" if turn.latency_s is None else f"answered after {turn.latency_s:.2f} s")
    return "  ".join(parts)


def report_of(leg: CallLeg, url: str, skipped: Sequence[str] = ()) -> DialReport:
    """The report of a call that is over."""
    record, provider = leg.record, leg.provider
    turns = list(_turns(leg.caller, record))
    first_turn_s = turns[0].began_s if turns else float("inf")
    greeting = next((each for each in _sounds(record, QUIET_S) if each[0] < first_turn_s), None)
    mistakes = _judged(leg.mistakes, record, turns, len(leg.caller.to_do))
    return DialReport(
        provider=provider.title,
        url=url,
        call_id=provider.call_id,
        stream_id=provider.stream_id,
        seconds=round(len(record.heard) * FRAME_S, 3),
        greeting=greeting,
        turns=turns,
        marks=record.marks,
        clears=record.clears,
        mistakes=mistakes.all(),
        ended=record.ended or "network",
        close_code=record.close_code,
        close_reason=clean(record.close_reason),
        frames_sent=record.frames_sent,
        lost_to_bridge=record.lost_to_bridge,
        lost_to_caller=record.lost_to_caller,
        sound_received_s=round(sum(length for _, length in record.arrivals), 3),
        sizes=dict(record.sizes),
        digits_heard=record.digits_heard,
        skipped=list(skipped),
        heard=_joined(record.heard),
        said=_joined(record.said),
    )


def _joined(frames: Sequence[Samples | None]) -> Samples:
    size = round(FRAME_S * RATE)
    out = np.zeros((len(frames), size), np.int16)
    for row, frame in zip(out, frames, strict=True):
        if frame is not None:
            row[: len(frame)] = frame
    return out.reshape(-1)


def _is_loud(frame: Samples | None) -> bool:
    return frame is not None and rms_dbfs(frame) > HEARD_DBFS


def _sounds(record: Record, gap_s: float) -> list[tuple[float, float]]:
    """Beginning and end of each sound of the bridge, in seconds. A longer silence separates two, so does a clear."""
    clears = sorted(round(each.at_s / FRAME_S) for each in record.clears if each.dropped_s)
    found: list[tuple[int, int]] = []
    for at, frame in enumerate(record.heard):
        if not _is_loud(frame):
            continue
        if found and (at - found[-1][1]) * FRAME_S <= gap_s and bisect(clears, at) == bisect(clears, found[-1][1]):
            found[-1] = (found[-1][0], at)
        else:
            found.append((at, at))
    return [(_seconds(began), _seconds(last + 1)) for began, last in found]


def _seconds(frames: int) -> float:
    return round(frames * FRAME_S, 3)


def _turns(caller: Caller, record: Record) -> Iterator[Spoken]:
    sounds, answers = _sounds(record, GAP_S), _sounds(record, QUIET_S)
    end_s = _seconds(len(record.heard))
    for turn, following in zip_longest(caller.turns, caller.turns[1:]):
        until = following.began_s if following else float("inf")
        begin = round(turn.began_s / FRAME_S)
        end = len(record.said) if turn.ended_s is None else round(turn.ended_s / FRAME_S)
        loud = [at for at in range(begin, min(end, len(record.said))) if _is_loud(record.said[at])]
        ended_s = _seconds(loud[-1] + 1) if loud else _seconds(end)
        over = next((each for each in answers if each[0] < turn.began_s < each[1]), None)
        stopped = None if over is None or over[1] + GAP_S > end_s else over[1]
        answered = next((began for began, _ in sounds if max(ended_s, stopped or 0.0) <= began < until), None)
        # A clear that comes in a pause of the answer drops its rest: the answer did not end by itself.
        again_s = until if answered is None else answered
        cleared = stopped is not None and any(
            turn.began_s <= each.at_s and (each.at_s <= stopped + FRAME_S or (each.dropped_s and each.at_s < again_s))
            for each in record.clears
        )
        yield Spoken(turn.text, turn.began_s, ended_s, answered, over is not None, stopped, cleared)


def _judged(mistakes: Mistakes, record: Record, turns: Sequence[Spoken], to_do: int) -> Mistakes:
    """Adds what only the whole call shows. to_do: what the caller had still to say or press."""
    end_s = len(record.heard) * FRAME_S
    unanswered = [turn for turn in turns if turn.answered_s is None]
    if record.ended == "bridge" and (
        record.close_code not in (1000, 1001, 1005) or (turns and turns[-1] in unanswered)
    ):
        how = "broke the connection" if record.close_code is None else f"closed with {record.close_code}"
        reason = f" ({record.close_reason})" if record.close_reason else ""
        mistakes.add("closed", end_s, f"the bridge {how}{reason} in mid-call")
    elif record.ended == "bridge" and to_do:
        mistakes.add("closed", end_s, f"the bridge hung up while the caller had {to_do} more to say or press")
    elif record.ended == "limit":
        mistakes.add("too-long", end_s, f"the call was hung up after {end_s:.0f} s, before the caller was done")
    elif record.ended == "caller":
        for turn, following in zip_longest(turns, turns[1:]):
            waited_s = (following.began_s if following else end_s) - turn.ended_s
            talked_over = turn.barge_in and (turn.stopped_s or end_s) > turn.ended_s
            if turn in unanswered and waited_s > LISTENED_S and not talked_over:
                mistakes.add("no-answer", turn.ended_s, f'no sound came within {waited_s:.1f} s after "{turn.text}"')
    for turn in turns:
        if turn.barge_in and (turn.stop_s is None or turn.stop_s > TALKED_ON_S):
            on_s = (turn.stopped_s or end_s) - turn.began_s
            what = "the clear came late" if turn.cleared else "no clear came"
            message = f'the answer went on for {on_s:.1f} s after the caller began "{turn.text}": {what}'
            mistakes.add("barge-in-ignored", turn.began_s, message)
        for clear in record.clears:
            late_s = sum(length for at_s, length in record.arrivals if clear.at_s < at_s < turn.ended_s)
            if turn.began_s <= clear.at_s < turn.ended_s and late_s > AFTER_CLEAR_S:
                message = f"{late_s:.1f} s of sound came after the clear, while the caller still spoke"
                mistakes.add("sound-after-clear", clear.at_s, message)
    return mistakes
