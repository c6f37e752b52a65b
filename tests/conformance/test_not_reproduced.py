"""The recordings that the mock does not reproduce yet: each fails, and the day that it passes its row must go."""

from __future__ import annotations

import pytest
import yaml
from websockets.exceptions import ConnectionClosed

from realtape import MockServer, Scenario
from replay.cassette.conversation import UnreadableRecording
from replay.diff.compare import compare, report
from tests.conformance.driver import drive
from tests.conformance.recordings import FOLDER, NOT_REPRODUCED, playable
from tests.conformance.scenario import scenario_from

FAILURES = (AssertionError, ConnectionClosed, UnreadableRecording)
ROWS = [
    pytest.param(name, marks=pytest.mark.xfail(strict=True, raises=FAILURES, reason=reason))
    for name, reason in NOT_REPRODUCED.items()
    if (FOLDER / f"{name}.yaml").exists()
]


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
async def test_a_recording_of_what_is_not_served_yet(name: str):
    recording = playable(FOLDER / f"{name}.yaml")
    scenario = Scenario.parse(yaml.safe_dump(scenario_from(recording), allow_unicode=True))
    async with MockServer(scenario, dialect=name.split("/")[0], pacing="burst", voice="tone") as mock:
        driven = await drive(recording, mock.ws_url, mock.api_key)
    found = compare(recording.received(), driven.received[: len(recording.received())])
    assert found == [], report(found)
