"""Milestones: what a client can wait for whatever the audio. They tell where a recorder left the conversation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from replay.cassette.json_text import Event
from replay.diff.audio_runs import Run, event_type, run_of

FIRST_DELTA = "the first delta of an answer"


def milestones(events: Sequence[Event]) -> Iterator[str]:
    """The type of each event outside a run of deltas, and each answer's first delta."""
    begun: set[Run] = set()
    for event in events:
        run = run_of(event)
        if run is None:
            yield event_type(event)
        elif run.kind == "answer" and run not in begun:
            begun.add(run)
            yield FIRST_DELTA


def without_later(events: Sequence[Event], recorded: Sequence[Event]) -> list[Event]:
    """The events up to the counterpart of the recorder's last milestone: recorders leave while the service goes on."""
    passed = list(milestones(recorded))
    if not passed:
        return list(events)
    left = passed.count(passed[-1])
    begun: set[Run] = set()
    for at, event in enumerate(events):
        run = run_of(event)
        first = run is not None and run.kind == "answer" and run not in begun
        if run is not None:
            begun.add(run)
        left -= passed[-1] == (FIRST_DELTA if first else event_type(event) if run is None else "")
        if not left:
            return list(events[: at + 1])
    return list(events)
