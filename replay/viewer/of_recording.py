"""The call document of a recording."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from heapq import merge
from statistics import median
from typing import Any

from replay.billing.bill import Bill, bill
from replay.billing.prices import UnknownPrice
from replay.cassette.recording import Line, Moment, Recording
from replay.cassette.records import Header
from replay.findings.lint import lint
from replay.viewer.call import CallReader

AXIS_NOTE = "Audio begins where it crossed the wire, or when the audio before it has played."
"""What a reader must know of the time axis."""


def reader_of(recording: Recording) -> CallReader:
    """The frames of all connections in a reader, in the order of time."""
    reader = CallReader()
    for number, line in enumerate(recording.lines):
        reader.open(number, line)
    for _, number, moment in merge(*(_timed(number, line) for number, line in enumerate(recording.lines)), key=_at):
        reader.take(number, moment)
    return reader


def document(
    header: Header, recording: Recording, reader: CallReader, title: str, *, packed: bool = False
) -> dict[str, Any]:
    """The document, with the findings of the recording's client and the bill. `packed`: see `CallReader.document`."""
    cost = _bill(header, recording)
    findings = lint(recording)
    figures = [
        ("cost", f"${cost.usd:.4f}" if isinstance(cost, Bill) else "–"),
        *figures_of(reader, len(findings)),
        ("connections", str(len(recording.lines))),
    ]
    notes = [AXIS_NOTE]
    if header.audio == "outline":
        notes.append("The recording left audio out: a tone of its length and peak level replaces it.")
    if reader.sound.silenced:
        notes.append("Opus is not decoded: its time is silence.")
    return reader.document(
        title=title,
        facts={
            "origin": header.origin,
            "model": header.model,
            "dialect": header.dialect,
            "recorded": header.recorded_at,
            "made by": header.tool,
            "source": header.source,
        },
        figures=figures,
        findings=findings,
        cost=_cost(cost),
        notes=notes,
        packed=packed,
    )


def figures_of(reader: CallReader, findings: int) -> list[tuple[str, str]]:
    """Names and values that a reader of the call wants first. `findings`: their number."""
    waits = [float(each["ms"]) for each in reader.brackets() if each["lane"] == "first audio"]
    caller_s, service_s = reader.audio_s("sent"), reader.audio_s("received")
    return [
        *([("caller's audio", f"{caller_s:.1f} s")] if caller_s else []),
        *([("service's audio", f"{service_s:.1f} s")] if service_s else []),
        ("responses", str(len(reader.transcript.responses))),
        ("median time to first audio", f"{median(waits):.0f} ms" if waits else "–"),
        ("tool calls", str(len(reader.transcript.tool_calls))),
        ("findings", str(findings)),
    ]


def _timed(number: int, line: Line) -> Iterator[tuple[float, int, Moment]]:
    return ((moment.at_s, number, moment) for moment in line.moments)


def _at(each: tuple[float, int, Moment]) -> float:
    return each[0]


def _bill(header: Header, recording: Recording) -> Bill | str:
    """The bill, or why there is none."""
    try:
        return bill(recording, date.fromisoformat(header.recorded_at[:10]), header.url)
    except (UnknownPrice, ValueError) as unknown:
        return str(unknown)


def _cost(found: Bill | str) -> dict[str, Any]:
    if isinstance(found, str):
        return {"rows": [], "total": None, "note": found}
    rows = [
        {"what": each.what, "quantity": f"{float(each.quantity):,.2f} {each.unit}", "usd": f"{float(each.usd):.6f}"}
        for each in found.entries
    ]
    note = f"Prices as of {found.table.as_of} ({found.table.source})."
    if found.doubt is not None:
        note += f" {found.doubt.capitalize()}."
    if found.server_vad:
        note += f" Under server VAD the service may bill the duration instead: {found.lasted_s:.1f} s."
    return {"rows": rows, "total": f"{found.usd:f}", "note": note}
