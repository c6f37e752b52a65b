"""An open microphone: the caller interrupts, breathes, or says nothing at all."""

from __future__ import annotations

import numpy as np
import pytest

from clinic_agent.caller import After, Cue, Into
from mockserver.mock import MockServer
from tests.clinic.phone import MARIA, Phone, clip, said, tools

pytestmark = [
    pytest.mark.realtime("../../cassettes/scenarios/clinic.yaml", time="virtual", voice="tone", unused="off"),
    pytest.mark.parametrize("pacing", ["live", "realtime"]),
]


@pytest.fixture(autouse=True)
def paced(pacing: str, request: pytest.FixtureRequest) -> None:
    """The mock of this test speaks at this pace."""
    request.node.add_marker(pytest.mark.realtime(pacing=pacing), append=False)


async def test_a_caller_who_speaks_over_the_offer_is_heard_and_the_service_told_what_was_missed(
    phone: Phone, realtime_mock: MockServer
):
    report = await phone.talk(
        [Cue(After(0, 0.5), clip("booking-1")), Cue(Into(2, 1.0), clip("booking-2")), Cue(After(4, 1.0))]
    )
    assert report.failure is None
    assert report.turns[0].heard_ms is not None
    assert report.turns[1].tools[0].result == MARIA
    realtime_mock.assert_truncated_as_heard()


async def test_noise_on_the_line_starts_no_turn(phone: Phone):
    hiss = np.random.default_rng(7).normal(0, 60, 4 * 24_000).astype("<i2").tobytes()
    report = await phone.talk([Cue(After(0, 0.5), hiss), Cue(After(0, 6.0))])
    assert (tools(report), said(report)) == ([], "")


@pytest.mark.realtime("../../cassettes/scenarios/medical-escalation.yaml")
async def test_an_emergency_is_answered_over_an_open_line_as_well(phone: Phone):
    report = await phone.talk([Cue(After(0, 0.5), clip("emergency")), Cue(After(2, 1.0))])
    assert tools(report) == ["transfer_to_human"]
    assert phone.booked == []
