"""The sideband of a call goes as the WebSocket does, but for its greeting and sound, with what is played."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.diff.compare import compare, report
from tests.conformance.play import dialect_of, play
from tests.conformance.recordings import golden, is_spoken, playable, read
from tests.conformance.sidebands import as_sideband, is_sideband

WEBSOCKETS = [path for path in golden("openai") if not is_sideband(read(path))]


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.slow] * is_spoken(read(path)), id=path.stem) for path in WEBSOCKETS],
)
def test_a_sideband_goes_as_the_conversation_did(path: Path) -> None:
    recording = as_sideband(playable(path))
    types = {event["type"] for event in recording.received()}
    spoken = any("output_audio" in type for type in types)
    assert spoken == ({"output_audio_buffer.started", "output_audio_buffer.stopped"} <= types)
    played = play(recording, dialect_of(recording, "openai"))
    assert played.overdue == []
    # Most recorders left before the report of the limits, and so before the end of what is played.
    received = [event for event in played.received if event["type"] in types]
    found = compare(recording.received(), received)
    assert found == [], report(found)
    assert "session.created" not in {event["type"] for event in played.received}
