"""The golden skeletons are what the recordings show, hold nothing else of them, and the mock says the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from realtape import MockServer, Scenario, virtual_time
from replay.cassette.conversation import Conversation, Message
from replay.diff.compare import compare, report
from tests.conformance.driver import drive
from tests.conformance.golden import COMMAND, written, written_frames
from tests.conformance.play import dialect_of
from tests.conformance.recordings import (
    FRAMES,
    GOLDEN_FRAMES,
    NONE_HERE,
    golden,
    is_audio,
    is_spoken,
    playable,
    read,
    recorded,
    while_recorded,
)
from tests.conformance.scenario import scenario_from
from tests.conformance.sidebands import joined

GOLDEN = golden("*")
OWN_WORDS = re.compile(r".*(instructions|description|text|arguments|output|delta)")
"""Where a skeleton has other words than its recording."""
SAID = ("transcript", "text", "arguments", "output", "description", "delta")
NEUTRAL = re.compile(r'\(?(words )?\d*\)?|\{?("words":)?\d*\}?|AAAA')
"""Words of a skeleton, pieces of them, and the sound of an answer."""


def name(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


def speed(path: Path) -> Any:
    return pytest.param(path, marks=[pytest.mark.slow] * is_spoken(read(path)), id=name(path))


def strings(value: Any, key: str = "") -> list[tuple[str, str]]:
    """Every string in a value, with its key."""
    match value:
        case str():
            return [(key, value)]
        case dict():
            return [found for name, part in value.items() for found in strings(part, name)]
        case list():
            return [found for part in value for found in strings(part, key)]
        case _:
            return []


def test_every_recording_has_its_skeleton():
    assert GOLDEN
    here = recorded("*")
    assert {name(path) for path in here} <= {name(path) for path in GOLDEN}


@pytest.mark.slow
@pytest.mark.parametrize("path", recorded("*") or [NONE_HERE], ids=name)
def test_a_skeleton_is_what_its_recording_shows(path: Path):
    recording = read(path)
    (kept,) = [each for each in GOLDEN if name(each) == name(path)]
    text = written(recording, f"{path.parent.name}/{path.name}")
    assert kept.read_text(encoding="utf-8") == text, f"run {COMMAND}"
    found = compare(recording.received(), read(kept).received())
    others = [each for each in found if each.kind != "value" or not OWN_WORDS.fullmatch(each.path)]
    assert others == [], report(others)


def test_the_frames_of_clients_are_kept():
    kept = {path.name: path.read_text(encoding="utf-8") for path in GOLDEN_FRAMES.glob("*.json")}
    here = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in FRAMES.glob("*.json")}
    assert kept
    assert not here or kept == {name: written_frames(frames) for name, frames in here.items()}, f"run {COMMAND}"


@pytest.mark.parametrize("path", GOLDEN, ids=name)
def test_a_skeleton_names_its_source_and_has_no_sound_and_no_words(path: Path):
    text = path.read_text(encoding="utf-8")
    head = yaml.safe_load(text.split("interactions:")[0])
    assert head["source"] and re.fullmatch(r"20\d\d-\d\d-\d\d", str(head["recorded"])) and head["model"]
    recording = read(path)
    assert {event["audio"] for event in recording.sent() if is_audio(event)} <= {""}
    events = [*recording.sent(), *recording.received()]
    said = {value for event in events for key, value in strings(event) if key in SAID}
    assert [text for text in said if not NEUTRAL.fullmatch(text)] == []


@pytest.mark.parametrize("path", [speed(path) for path in GOLDEN])
@virtual_time
async def test_the_mock_says_what_a_skeleton_says(path: Path):
    recording = playable(path)
    scenario = Scenario.parse(yaml.safe_dump(scenario_from(recording), allow_unicode=True))
    dialect = dialect_of(recording, path.parent.name)
    async with (
        MockServer(scenario, dialect=dialect, pacing="burst", voice="tone") as mock,
        joined(recording, mock) as call,
    ):
        driven = await drive(recording, mock.ws_url, mock.api_key, call)
    received = while_recorded(recording, driven.received) if path.parent.name == "openai" else driven.received
    found = compare(recording.received(), received)
    assert found == [], f"{report(found)}\nwaited in vain for: {', '.join(driven.overdue) or 'nothing'}"
    live = Conversation(recording.name, tuple(Message("received", event) for event in received))
    assert scenario_from(live) == scenario_from(recording)
