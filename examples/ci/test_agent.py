"""The agent's test. `AGENT_BUG=repeated-write pytest` on an agent with that mistake, `AGENT_BUG=all` on each."""

from __future__ import annotations

import os
from contextlib import suppress

import pytest
from agent import Agent, Refused
from bugs import BUGS

ASKED = os.environ.get("AGENT_BUG", "")
AGENTS = list(BUGS) if ASKED == "all" else [ASKED]
BUSY = {"at": "handshake", "do": {"status": 429, "retry_after": 2}, "times": 1}
LOUD = {"all": "error", "ignored-field": "error", "latest-model": "error", "session-cap": "error"}
"""Advice too: what is on its way into production names its model."""

pytestmark = pytest.mark.realtime(scenario="clinic.yaml", voice="tone", time="virtual", findings=LOUD, unused="off")


@pytest.mark.parametrize("bug", AGENTS)
@pytest.mark.realtime(faults=[BUSY])
async def test_a_call_is_without_findings(realtime_mock, bug):
    agent = BUGS.get(bug, Agent)(realtime_mock.ws_url, realtime_mock.api_key)
    with suppress(Refused):  # why, the findings tell
        await agent.call()
    words = " ".join(agent.words.values())
    realtime_mock.claim(transcript=words, billable_audio_seconds=agent.billable_s)
    if not bug:
        assert list(agent.bookings) == ["Monday"]
        assert words == "An appointment on Monday, please."
