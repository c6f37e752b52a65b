"""The viewer as the page of one of the clinic's calls. The agent imports no recordings, so the page is given to it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from clinic_agent.app.call_page import Action, Frames
from replay.cassette.frames import Text
from replay.cassette.recording import Line, Moment, Recording
from replay.findings.lint import lint
from replay.formats.page import page_of
from replay.viewer.of_recording import AXIS_NOTE, figures_of, reader_of


def call_page(
    *,
    title: str,
    facts: Mapping[str, str],
    figures: Mapping[str, str],
    alerts: Sequence[str],
    actions: Sequence[Action],
    frames: Frames,
) -> tuple[str, str]:
    """The viewer's page of a recorded call, and its policy. See clinic_agent/app/call_page.py."""
    recording = Recording(title, "unknown", "live", (Line(0.0, None, None, tuple(_moments(frames))),))
    reader, findings = reader_of(recording), lint(recording)
    call = reader.document(
        title=title,
        facts={name.lower(): value for name, value in facts.items()},
        figures=[*((name.lower(), value) for name, value in figures.items()), *figures_of(reader, len(findings))],
        findings=findings,
        notes=[AXIS_NOTE] if reader.sound.pieces else ["This record has no audio."],
    )
    buttons = [{"label": each.label, "address": each.address, "post": each.posts} for each in actions]
    made = page_of(call, reader.sound, alerts=alerts, actions=buttons)
    return made.html, made.policy


def _moments(frames: Frames) -> Iterator[Moment]:
    for at_s, way, event in frames:
        yield Moment(at_s, "sent" if way == "sent" else "received", Text(json.dumps(event).encode()), event)
