"""The findings of a recording: its connections go through the rules as live ones do."""

from __future__ import annotations

from itertools import pairwise
from urllib.parse import parse_qsl

from replay.cassette.frames import Binary, Close, Reset
from replay.cassette.json_values import number_at, text_at
from replay.cassette.recording import UNTIMED_US, Line, Moment, Recording
from replay.findings.call import APPEND, DELTA, CallStep, Handshake
from replay.findings.finding import Finding
from replay.findings.handshake import handshake
from replay.findings.levels import Levels
from replay.findings.watch import Watch, Watcher


def lint(recording: Recording, levels: Levels | None = None, claimed_seconds: float | None = None) -> list[Finding]:
    """The mistakes of a recording's client, in the order in which they showed.

    `claimed_seconds`: the billable audio that the client counted, in seconds over all connections.
    """
    watcher = Watcher(levels or Levels())
    watches: list[Watch] = []
    for number, line in enumerate(recording.lines):
        requested = Handshake()
        if line.request is not None:
            query = parse_qsl(line.request.target.partition("?")[2], keep_blank_values=True)
            if line.over_tracks:
                query.append(("call_id", line.call_id or ""))
            requested = handshake(query, line.request.headers, known=False)
        if line.refused and line.response is not None:
            wait = next((value for name, value in line.response.headers if name.lower() == "retry-after"), "")
            retry_after_s = float(wait) if wait.isdecimal() else None
            watcher.refused(recording.service, requested, line.opened_s, line.response.status, retry_after_s)
        else:
            watches.append(_watched(watcher, recording.service, requested, number, line))
    watcher.ended()
    if claimed_seconds is not None:
        watcher.claim(watches, billable_audio_seconds=claimed_seconds)
    return list(watcher.findings)


def _watched(watcher: Watcher, service: str | None, requested: Handshake, number: int, line: Line) -> Watch:
    created = next((m.event for m in line.moments if m.type == "session.created" and m.event is not None), None)
    session = text_at(created, "session", "id") or f"connection {number}"
    # The times were measured unless they count up by UNTIMED_US, as those of a reader of a format without times do.
    times = [round(moment.at_s * 1e6) for moment in line.moments]
    timed = any(later - sooner not in (0, UNTIMED_US) for sooner, later in pairwise(times))
    watch = watcher.open(session, service, requested, now=line.opened_s, timed=timed)
    for moment in line.moments:
        if line.over_tracks and moment.type in (APPEND, DELTA):
            watch.passed()  # no event of the client's
        else:
            _step(watch, moment, moment.at_s - line.opened_s)
    if line.moments:
        end = next((moment for moment in line.moments if isinstance(moment.frame, Close | Reset)), None)
        if end is not None and end.way == "sent" and isinstance(end.frame, Close):
            watch.hung_up()
        watch.closed(line.moments[-1].at_s - line.opened_s)
    return watch


def _step(watch: Watch, moment: Moment, at: float) -> None:
    event = dict(moment.event or {})
    sound: bytes | str | None = None
    if isinstance(moment.frame, Binary):
        sound = moment.frame.data
    elif moment.way == "sent" and moment.type == APPEND:
        sound = text_at(event, "audio")
    elif moment.way == "received" and moment.type in (DELTA, "response.audio.delta"):
        sound = text_at(event, "delta")
    ms = number_at(event, "audio_duration_ms")
    kind = moment.type if moment.event is not None else ""
    watch.recorded(CallStep(at, moment.way, kind, event), sound, seconds=None if ms is None else ms / 1000)
