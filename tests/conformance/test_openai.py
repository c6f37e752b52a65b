"""The mock as OpenAI held against recorded sessions: given the same client and the same words, the same server events.

The sound of the recorded caller is cut; a spoken turn is spoken with another voice. The
recorders left with the last `response.done`: what the service says after that is not in their files.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from realtape import MockServer, Scenario
from replay.cassette.conversation import Conversation, Message
from replay.diff.compare import compare, report
from tests.conformance.driver import Drive, drive
from tests.conformance.recordings import NONE_HERE, playable, recorded, recordings, while_recorded
from tests.conformance.scenario import scenario_from
from tests.conformance.sidebands import joined

OPENAI = recordings("openai")
RUNS = 4
"""Text tokens: a text in one run more or less of transcript and audio counts two tokens more or less; 44 was recorded
once where the rule gives 40."""
SOUND = 100
"""Audio tokens: another voice speaks five seconds more or less in the longest recorded answer."""
REASONED = 5


async def on_mock(recording: Conversation, pacing: str) -> Drive:
    scenario = Scenario.parse(yaml.safe_dump(scenario_from(recording), allow_unicode=True))
    async with (
        MockServer(scenario, dialect="openai", pacing=pacing, voice="tone") as mock,
        joined(recording, mock) as call,
    ):
        return await drive(recording, mock.ws_url, mock.api_key, call)


@pytest.mark.slow
@pytest.mark.parametrize("pacing", ["burst", "live"])
@pytest.mark.parametrize("path", OPENAI, ids=lambda path: path.stem)
async def test_a_recorded_conversation_goes_as_recorded(path, pacing):
    recording = playable(path)
    driven = await on_mock(recording, pacing)
    received = while_recorded(recording, driven.received)
    found = compare(recording.received(), received)
    assert found == [], f"{report(found)}\nwaited in vain for: {', '.join(driven.overdue) or 'nothing'}"
    live = Conversation(recording.name, tuple(Message("received", event) for event in received))
    assert scenario_from(live) == scenario_from(recording)


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", recorded("openai") or [NONE_HERE], ids=lambda path: path.stem
)  # a skeleton has other words
async def test_the_tokens_are_those_recorded(path):
    """Exact: all that is read, what comes from the cache, which kinds there are. Within a tolerance: what the model
    made, whose voice, cuts and thoughts are its own."""
    recording = playable(path)
    received = while_recorded(recording, (await on_mock(recording, "burst")).received)
    for there, here in zip(_usages(recording.received()), _usages(received), strict=True):
        assert here["input_token_details"] == there["input_token_details"]
        made, wanted = here["output_token_details"], there["output_token_details"]
        assert made.keys() == wanted.keys()
        assert made["audio_tokens"] == pytest.approx(wanted["audio_tokens"], abs=SOUND)
        written, wished = (each["text_tokens"] - each.get("reasoning_tokens", 0) for each in (made, wanted))
        assert written == pytest.approx(wished, abs=RUNS)
        assert made.get("reasoning_tokens", 0) == pytest.approx(wanted.get("reasoning_tokens", 0), abs=REASONED)


def _usages(events: list[Any]) -> list[Any]:
    return [event["response"]["usage"] for event in events if event["type"] == "response.done"]
