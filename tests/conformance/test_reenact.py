"""Recorded sessions given again: re-enacted, verbatim, and as a derived scenario, each without a difference."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from mockserver.dialects.names import ALIASES
from realtape import MockServer, virtual_time
from replay.cassette.conversation import Conversation, Message
from replay.cassette.file import Writer
from replay.cassette.frames import Close
from replay.cassette.recording import Recording
from replay.cassette.records import Record
from replay.diff.compare import compare, report
from replay.playback.verbatim import ALLOWED
from replay.report.as_scenario import scenario, written
from tests.conformance.driver import Drive, drive
from tests.conformance.play import dialect_of
from tests.conformance.recordings import playable, played_whole
from tests.conformance.sidebands import joined
from tests.replay.recordings import HEADER

ALL = [path for service in ALIASES for path in played_whole(service)]

pytestmark = pytest.mark.slow


def name(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


def cassette(recording: Conversation, service: str, path: Path) -> Path:
    """The recording as a cassette of that service, without times."""
    header = type(HEADER)("hand", "wss://example.com/v1/realtime", service, None, HEADER.recorded_at, HEADER.tool)
    writer = Writer(path, header)
    for number, line in enumerate(Recording.of(recording).lines):
        for moment in line.moments:
            # The recorded client closed what it had lost: see the recordings' own notes.
            way = "sent" if isinstance(moment.frame, Close) else moment.way
            writer.write(Record(0, number, way, moment.frame))
    writer.end(0)
    return path


async def on_mock(recording: Conversation, **settings: Any) -> Drive:
    async with MockServer(**{"pacing": "burst", **settings}) as mock, joined(recording, mock) as call:
        driven = await drive(recording, mock.ws_url, mock.api_key, call)
    assert mock.report == []
    return driven


def assert_same(recording: Conversation, driven: Drive) -> None:
    """No difference, but for what nobody waits for and came when the recorder had stopped listening."""
    came = list(driven.received)
    while came[-1]["type"] in ALLOWED and came[-1]["type"] != recording.received()[-1]["type"]:
        came.pop()
    found = compare(recording.received(), came)
    assert found == [], f"{report(found)}\nwaited in vain for: {', '.join(driven.overdue) or 'nothing'}"


@pytest.mark.parametrize("path", ALL, ids=name)
@virtual_time
async def test_a_recording_is_re_enacted_without_a_difference(path: Path, tmp_path: Path):
    recording = playable(path)
    tape = cassette(recording, path.parent.name, tmp_path / "a.tape")
    driven = await on_mock(recording, cassette=tape, dialect=dialect_of(recording, path.parent.name))
    assert_same(recording, driven)
    assert driven.received[0]["event_id"] != recording.received()[0]["event_id"]


@pytest.mark.parametrize("path", ALL, ids=name)
@virtual_time
async def test_a_recording_is_played_frame_by_frame(path: Path, tmp_path: Path):
    recording = playable(path)
    tape = cassette(recording, path.parent.name, tmp_path / "a.tape")
    driven = await on_mock(recording, cassette=tape, verbatim=True, speed=math.inf)
    assert driven.received == recording.received()


@pytest.mark.parametrize("path", ALL, ids=name)
@virtual_time
async def test_the_derived_scenario_gives_the_conversation_back(path: Path, tmp_path: Path):
    recording = playable(path)
    file = tmp_path / "scenario.yaml"
    file.write_text(written(Recording.of(recording)), encoding="utf-8")
    # The recording tells what the service heard, whatever other audio stands for the user's here.
    dialect = dialect_of(recording, path.parent.name)
    driven = await on_mock(recording, scenario=file, dialect=dialect, hearing="script")
    assert_same(recording, driven)
    live = Conversation(recording.name, tuple(Message("received", event) for event in driven.received))
    assert _answers(Recording.of(live)) == _answers(Recording.of(recording))


def _answers(recording: Recording) -> list[Any]:
    (entries,) = [part for key, part in scenario(recording).items() if key != "name"]
    return [(entry.get("heard"), entry["reply"]) for entry in entries]
