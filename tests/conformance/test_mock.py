"""The mock held against recorded sessions: given the same client and the same words, the same server events.

Nothing in here knows a particular recording. What a spoken turn needs beyond the file, see recordings.with_sound; what
is expected of turns that the client ends itself, see manual.py.
"""

from __future__ import annotations

import asyncio
import json
import sys
from base64 import b64decode
from typing import Any

import pytest
import yaml

from realtape import MockServer, Scenario, virtual_time
from replay.cassette.conversation import Conversation, Message
from replay.diff.compare import compare, report
from tests.conformance.driver import Drive, drive
from tests.conformance.manual import COMMIT, with_manual_turns
from tests.conformance.play import dialect_of
from tests.conformance.recordings import is_spoken, playable, read, recordings
from tests.conformance.scenario import scenario_from

XAI = recordings("xai")
TYPED = [path for path in XAI if not is_spoken(read(path))]
SPOKEN = [path for path in XAI if is_spoken(read(path))]
DETECTED = [path for path in SPOKEN if COMMIT["type"] not in {event["type"] for event in read(path).sent()}]
"""Those whose turns the server has ended."""


async def on_mock(recording: Conversation, **settings: Any) -> Drive:
    scenario = Scenario.parse(yaml.safe_dump(scenario_from(recording), allow_unicode=True))
    defaults = {"pacing": "burst", "dialect": dialect_of(recording, "xai")}
    async with MockServer(scenario, **{**defaults, **settings}) as mock:
        return await drive(recording, mock.ws_url, mock.api_key)


def assert_same(recording: Conversation, driven: Drive) -> None:
    """The same events, in form and, since the words were given, in wording."""
    found = compare(recording.received(), driven.received)
    assert found == [], f"{report(found)}\nwaited in vain for: {', '.join(driven.overdue) or 'nothing'}"
    live = Conversation(recording.name, tuple(Message("received", event) for event in driven.received))
    assert scenario_from(live) == scenario_from(recording)


@pytest.mark.parametrize("path", TYPED, ids=lambda path: path.stem)
@virtual_time
async def test_a_typed_conversation_goes_as_recorded(path):
    recording = read(path)
    assert_same(recording, await on_mock(recording))


@pytest.mark.slow
@pytest.mark.parametrize("path", SPOKEN, ids=lambda path: path.stem)
@virtual_time
async def test_a_spoken_turn_goes_as_recorded(path):
    recording = playable(path)
    assert_same(recording, await on_mock(recording))


@pytest.mark.slow
@pytest.mark.parametrize("path", DETECTED, ids=lambda path: path.stem)
@virtual_time
async def test_a_spoken_turn_that_the_client_ends_itself_goes_as_recorded(path):
    recording = with_manual_turns(playable(path))
    assert_same(recording, await on_mock(recording))


@pytest.mark.slow
@pytest.mark.parametrize("path", XAI, ids=lambda path: path.stem)
@virtual_time
async def test_the_rhythm_of_the_live_service_changes_nothing(path):
    recording = playable(path)
    assert_same(recording, await on_mock(recording, pacing="live"))


@pytest.mark.slow
@pytest.mark.parametrize("path", XAI, ids=lambda path: path.stem)
@virtual_time
async def test_the_sound_of_an_answer_is_as_long_as_its_events_say(path):
    recording = playable(path)
    for events in (recording.received(), (driven := await on_mock(recording)).received):
        for done in (event for event in events if event["type"] == "response.done"):
            sent_ms = sum(delta["audio_duration_ms"] for delta in deltas(events, done["response_id"]))
            assert sent_ms == pytest.approx(done["usage"]["output_audio_seconds"] * 1000, abs=3)
    for delta in deltas(driven.received):  # recorders cut the sound itself
        assert len(b64decode(delta["delta"])) / 48 == pytest.approx(delta["audio_duration_ms"], abs=0.5)


@pytest.mark.slow
async def test_the_command_serves_what_the_library_serves(tmp_path):
    recording = min(map(read, TYPED), key=lambda each: len(each.steps))
    file = tmp_path / "scenario.yaml"
    file.write_text(yaml.safe_dump(scenario_from(recording), allow_unicode=True), encoding="utf-8")
    serve = "serve", "--port", "0", "--json", "--dialect", dialect_of(recording, "xai")
    command = "-m", "realtape", *serve, "--scenario", str(file)
    server = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    try:
        assert server.stdout is not None
        ready = json.loads(await asyncio.wait_for(server.stdout.readline(), 20))
        assert ready["pid"] == server.pid
        assert_same(recording, await drive(recording, ready["ws"], "any-key"))
    finally:
        server.terminate()
        await server.communicate()


def deltas(events: list[Any], response_id: str | None = None) -> list[Any]:
    return [
        event
        for event in events
        if event["type"] == "response.output_audio.delta" and response_id in (None, event["response_id"])
    ]
