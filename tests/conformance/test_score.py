"""Every recording scores 1.000 with its numbers counted, and the score falls with each thing that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.cassette.conversation import Conversation, Message
from replay.diff.compare import compared
from tests.conformance.play import dialect_of, play, shared
from tests.conformance.recordings import golden, is_spoken, playable, played_whole, read
from tests.conformance.score import report, scored


def speed(path: Path) -> object:
    name = f"{path.parent.name}-{path.stem}"
    return pytest.param(path, marks=[pytest.mark.slow] * is_spoken(read(path)), id=name)


@pytest.mark.parametrize("path", [speed(path) for path in played_whole("*")])
def test_the_mock_scores_one_on_a_recording(path: Path):
    found, played = scored(path)
    assert found.shown_score == "1.000", report(path)
    assert played.overdue == []


TYPED = next(path for path in golden("xai") if not is_spoken(read(path)))


def test_a_recording_is_played_the_same_each_time():
    recording = playable(TYPED)
    dialect = dialect_of(recording, "xai")
    assert play(recording, dialect).received == play(recording, dialect).received


def test_a_frame_goes_in_at_its_recorded_instant():
    recording = read(TYPED)
    steps = tuple(
        Message(
            step.way, step.event, 0.0 if step.event["type"].startswith(("session", "conversation.c", "ping")) else 7.0
        )
        for step in recording.steps
        if isinstance(step, Message)
    )
    clocked = Conversation(recording.name, steps)
    assert shared(clocked) == shared(recording) | {"clock", "date"}
    played = play(clocked, dialect_of(recording, "xai"))
    ping = next(event["timestamp"] for event in played.received if event["type"] == "ping")
    first = next(event["ts"] for event in played.received if event["type"] == "response.output_audio.delta")
    assert first - ping > 7000
    assert shared(recording) == {"words", "speech", "input"}


def test_a_wrong_number_costs_as_much_as_a_wrong_word():
    recording = read(TYPED)
    events = [dict(event) for event in recording.received()]
    done = next(event for event in events if event["type"] == "response.done")
    done["usage"] = {**done["usage"], "output_audio_seconds": done["usage"]["output_audio_seconds"] + 1}
    assert compared(recording.received(), events).shown_score == "1.000"
    found = compared(recording.received(), events, shared(recording))
    assert [(each.kind, each.path) for each in found.differences] == [("number", "usage.output_audio_seconds")]
    assert found.shown_score < "1.000"
