"""Conversations as a person reads them: a line for each event, with its time and its sender.

Runs of audio and of deltas become one line. Audio is shown in seconds, and secrets are hidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby

import orjson

from mockserver.protocol.peer import FaultNote
from mockserver.server.journal import JournalEntry, SessionLog
from replay.billing.meter import Meter
from replay.cassette.frames import Binary, Text
from replay.cassette.json_text import Event, event_in
from replay.cassette.recording import Moment
from replay.cassette.records import Record, Way
from replay.cassette.scrub import Scrubber
from replay.outlets import scrubber
from replay.report.listing import line

MOST_ROWS = 120
"""Lines of one session; those left out in the middle are counted."""
MOST_WORDS = 200
"""Characters shown of a run of deltas."""
_WHO: dict[Way, str] = {"sent": "client", "received": "server"}
_SOUND = ("input_audio_buffer.append", "response.output_audio.delta", "response.audio.delta", "(binary)")


@dataclass(slots=True)
class TimelineRow:
    """One line: an event, or a run of `count` events of one type. Seconds since the first session opened."""

    session: int
    at_s: float
    way: Way
    type: str
    text: str
    count: int = 1
    last_s: float = 0.0
    sound_s: Fraction = Fraction(0)
    rules: tuple[str, ...] = ()
    """The rules whose findings point here."""

    def __str__(self) -> str:
        kind = self.type if self.count == 1 else f"{self.type} ×{self.count}, until {self.last_s:.3f} s"
        detail = f"{float(self.sound_s):.2f} s of audio" if self.sound_s else self.text
        arrow = f"  <-- {', '.join(self.rules)}" if self.rules else ""
        return f"{self.at_s:10.3f} s  {_WHO[self.way]}  {kind:45}  {detail}".rstrip() + arrow


def moments(log: SessionLog) -> list[Moment]:
    """The frames of a session in the order of time; seconds since it opened."""
    return sorted(map(_moment, log.entries), key=lambda moment: moment.at_s)


def sound_seconds(found: Iterable[Moment]) -> Iterator[tuple[Moment, float]]:
    """Each frame of a session with its seconds of audio, by the format that was declared by then."""
    meter = Meter(None)
    for moment in found:
        yield moment, float(_counted(moment, meter))


def conversation_text(logs: Sequence[SessionLog], around_s: float | None = None, rows: int = MOST_ROWS) -> str:
    """All sessions, one after the other. With `around_s`, in seconds since the first opened, only what is near it."""
    if not logs:
        return "no client has connected"
    lines: list[str] = []
    for number, log in enumerate(logs):
        found = list(_rows(number, log, log.opened - logs[0].opened))
        end = "still open" if log.closed_s is None else f"closed with {log.close_code} after {log.closed_s:.3f} s"
        reason = f" ({log.close_reason})" if log.close_reason else ""
        gone = f", {log.dropped} older frames were dropped" if log.dropped else ""
        lines.append(f"session {number + 1} ({log.id}): {end}{reason}{gone}")
        lines += _near(found, around_s, rows) if around_s is not None else _ends(found, rows)
    return "\n".join(lines)


def _moment(entry: JournalEntry) -> Moment:
    way: Way = "sent" if entry.way == "in" else "received"
    frame = entry.data
    if isinstance(frame, str):
        frame = Text(frame.encode(errors="surrogatepass"))
    elif isinstance(frame, bytes):
        frame = Binary(frame)
    elif isinstance(frame, FaultNote):
        frame = Text(orjson.dumps({"type": "fault", "fault": frame.fault, "event": frame.event}))
    return Moment(entry.at, way, frame, event_in(frame.data) if isinstance(frame, Text) else None)


def _rows(number: int, log: SessionLog, opened_s: float) -> Iterator[TimelineRow]:
    meter, cleaner = Meter(None), scrubber()
    rules = _rules_at(log)
    found = sorted(enumerate(map(_moment, log.entries)), key=lambda numbered: numbered[1].at_s)
    rows = (
        replace(_row(number, moment, opened_s, meter, cleaner), rules=tuple(rules.get(place, ())))
        for place, moment in found
    )
    for mergeable, group in groupby(rows, key=lambda row: row.type in _SOUND or row.type.endswith(".delta")):
        run = list(group)
        yield from _merged(run, cleaner) if mergeable else run


def _rules_at(log: SessionLog) -> dict[int, list[str]]:
    """The rules of the findings at each entry of the journal. A finding counts frames, and those that are dropped."""
    frames = [place for place, entry in enumerate(log.entries) if not isinstance(entry.data, FaultNote)]
    rules: dict[int, list[str]] = {}
    for finding in log.findings:
        if finding.frame is not None and 0 <= (at := finding.frame - log.dropped) < len(frames):
            rules.setdefault(frames[at], []).append(finding.rule)
    return rules


def _row(number: int, moment: Moment, opened_s: float, meter: Meter, cleaner: Scrubber) -> TimelineRow:
    sound_s = _counted(moment, meter)
    at_s, text = moment.at_s + opened_s, ""
    if moment.type.endswith(".delta") and moment.type not in _SOUND and isinstance(_delta(moment.event), str):
        text = _delta(moment.event) or ""  # in full: the run is joined from it
    elif moment.type not in _SOUND:
        text = line(Record(0, 0, moment.way, cleaner.clean(moment.frame))).text
    return TimelineRow(number, at_s, moment.way, moment.type, text, last_s=at_s, sound_s=sound_s)


def _counted(moment: Moment, meter: Meter) -> Fraction:
    return meter.count(moment.way, moment.frame) if isinstance(moment.frame, Text | Binary) else Fraction(0)


def _delta(event: Event | None) -> str | None:
    delta = event.get("delta") if event is not None else None
    return delta if isinstance(delta, str) else None


def _merged(rows: Iterable[TimelineRow], cleaner: Scrubber) -> Iterator[TimelineRow]:
    """Each type once, at the time of its first event, with the text and audio of all."""
    found: dict[tuple[Way, str], TimelineRow] = {}
    for row in rows:
        if (first := found.setdefault((row.way, row.type), row)) is not row:
            first.count += 1
            first.last_s = row.at_s
            first.sound_s += row.sound_s
            first.rules = tuple(dict.fromkeys(first.rules + row.rules))
            first.text = (first.text + row.text)[: 10 * MOST_WORDS]
    for row in found.values():
        clean = cleaner.clean(Text(" ".join(row.text.split()).encode(errors="replace")))
        words = clean.data.decode(errors="replace") if isinstance(clean, Text) else ""
        yield replace(row, text=words if len(words) <= MOST_WORDS else f"{words[:MOST_WORDS]}…")


def _ends(rows: Sequence[TimelineRow], most: int) -> list[str]:
    """The beginning and, twice as long, the end; between them only what findings point to."""
    if len(rows) <= most:
        return [str(row) for row in rows]
    head, middle, tail = most // 3, rows[most // 3 : len(rows) - (most - most // 3)], rows[most // 3 - most :]
    marked = [str(row) for row in middle if row.rules]
    return [*map(str, rows[:head]), f"    … {len(middle) - len(marked)} more …", *marked, *map(str, tail)]


def _near(rows: Sequence[TimelineRow], at_s: float, most: int) -> list[str]:
    """Up to `most` lines around a time, two thirds of them before it. The line of that time is marked."""
    here = max((i for i, row in enumerate(rows) if row.at_s <= at_s), default=0)
    begin = max(0, min(here - most * 2 // 3, len(rows) - most))
    shown = [f"{'→' if i == here else ' '}{row}" for i, row in enumerate(rows)][begin : begin + most]
    before = [f"    … {begin} before …"] if begin else []
    after = [f"    … {len(rows) - begin - most} after …"] if len(rows) > begin + most else []
    return before + shown + after
