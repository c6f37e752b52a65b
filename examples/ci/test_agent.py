"""The test of the agent. With `AGENT_BUG=repeated-write` the agent has this mistake; `AGENT_BUG=all` tests each one."""

from __future__ import annotations

import os
from contextlib import suppress

import pytest
from agent import Agent, Refused
from bugs import BUGS

CHOSEN = os.environ.get("AGENT_BUG", "")
BUSY = {"at": "handshake", "do": {"status": 429, "retry_after": 2}, "times": 1}
LOUD = {
    "all": "error",
    "ignored-field": "error",
    "latest-model": "error",
    "model-ends": "error",
    "nothing-asked": "error",
    "reply-over-preamble": "error",
    "scenario-error": "error",
    "session-cap": "error",
    "undeclared-call": "error",
    "unmatched-turn": "error",
    "unreachable-rule": "error",
    "unrecorded-turn": "error",
    "untold-interruption": "error",
}
"""Levels: these findings of level `advice` are errors here as well."""

AGENTS = [
    pytest.param(bug, marks=pytest.mark.realtime(scenario=agent.scenario or None, cassette=agent.cassette or None))
    for bug, agent in (BUGS.items() if CHOSEN == "all" else [(CHOSEN, BUGS.get(CHOSEN, Agent))])
]

pytestmark = pytest.mark.realtime(dialect="auto", voice="tone", time="virtual", findings=LOUD, unused="off")


@pytest.mark.parametrize("bug", AGENTS)
@pytest.mark.realtime(faults=[BUSY])
async def test_a_call_is_without_findings(realtime_mock, bug):
    agent = BUGS.get(bug, Agent)(realtime_mock.ws_url, realtime_mock.api_key)
    for _ in range(agent.months):
        await realtime_mock.advance(minutes=30 * 24 * 60)
    with suppress(Refused):  # the findings say why
        await agent.call()
    words = " ".join(agent.words.values())
    realtime_mock.claim(transcript=words, billable_audio_seconds=agent.billable_s)
    if not bug:
        assert list(agent.bookings) == ["Monday"]
        assert words == "An appointment on Monday, please."
