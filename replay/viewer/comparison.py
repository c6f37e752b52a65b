"""Two calls as one document for the viewer: both calls, and which event of one corresponds to which of the other."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from replay.cassette.frames import Text
from replay.cassette.json_text import event_in
from replay.cassette.recording import Line, Moment, Recording
from replay.cassette.records import Content, Request
from replay.cassette.scrub import Scrubber
from replay.diff.align import align
from replay.diff.compare import Difference
from replay.diff.normal_form import normalize
from replay.findings.lint import lint
from replay.viewer.call import CallReader
from replay.viewer.of_recording import AXIS_NOTE, figures_of, reader_of

MOST_ROWS = 20_000
"""Pairs of events of one document. Later ones are counted."""
_LONGEST_VALUE = 400


def without_secrets(recording: Recording, scrubber: Scrubber) -> Recording:
    """The recording as `scrub` would leave it. A frame that cannot be checked is left out."""
    return replace(recording, lines=tuple(_clean(line, scrubber) for line in recording.lines))


def _clean(line: Line, scrubber: Scrubber) -> Line:
    request = None if line.request is None else scrubber.clean(line.request)
    moments = []
    for moment in line.moments:
        frame: Content = scrubber.clean(moment.frame)
        if frame is moment.frame:
            moments.append(moment)
        elif isinstance(frame, Text):
            moments.append(Moment(moment.at_s, moment.way, frame, event_in(frame.data)))
    return replace(line, request=request if isinstance(request, Request) else None, moments=tuple(moments))


def document(
    left: Recording, right: Recording, differences: Sequence[Difference], summary: Sequence[str]
) -> tuple[dict[str, Any], tuple[CallReader, CallReader]]:
    """The document and the readers of both calls. `differences`: those of `compare`. `summary`: sentences."""
    readers = reader_of(left), reader_of(right)
    frames = [_received(recording, reader) for recording, reader in zip((left, right), readers, strict=True)]
    rows: list[dict[str, Any]] = []
    by_left: dict[int, dict[str, Any]] = {}
    by_right: dict[int, dict[str, Any]] = {}
    pairs = align(normalize(left.received()), normalize(right.received()))
    for pair in pairs[:MOST_ROWS]:
        row: dict[str, Any] = {"differences": []}
        if pair.left is not None:
            row["left"], by_left[pair.left.at] = frames[0][pair.left.at], row
        if pair.right is not None:
            row["right"], by_right[pair.right.at] = frames[1][pair.right.at], row
        if pair.moved:
            row["moved"] = True
        rows.append(row)
    places = sorted(by_right)
    for each in differences:
        found = by_left.get(each.at) if each.kind == "missing" and not each.path else by_right.get(each.at)
        if found is None and places:  # of a run, one shape stands for all
            found = by_right[places[max(0, bisect_right(places, each.at) - 1)]]
        if found is not None:
            found["differences"].append(_difference(each))
    calls = [_call(recording, reader) for recording, reader in zip((left, right), readers, strict=True)]
    return {
        "title": f"{left.name} and {right.name}",
        "summary": list(summary),
        "count": len(differences),
        "calls": calls,
        "rows": rows,
        "rows_left_out": max(0, len(pairs) - MOST_ROWS),
    }, readers


def _received(recording: Recording, reader: CallReader) -> list[int]:
    """The numbers of the frames with server events, in the order of `Recording.received`."""
    return [
        frame
        for number, line in enumerate(recording.lines)
        for moment, frame in zip(line.moments, reader.frames_of(number), strict=True)
        if moment.way == "received" and moment.event is not None
    ]


def _call(recording: Recording, reader: CallReader) -> dict[str, Any]:
    findings = lint(recording)
    return reader.document(
        title=recording.name,
        facts={"origin": recording.origin, "dialect": recording.dialect},
        figures=figures_of(reader, len(findings)),
        findings=findings,
        notes=[AXIS_NOTE],
    )


def _difference(each: Difference) -> dict[str, str]:
    told = each.as_json()
    values = {side: _shortened(str(told[side])) for side in ("expected", "actual")}
    return {"kind": each.kind, "path": each.path, **values}


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"
