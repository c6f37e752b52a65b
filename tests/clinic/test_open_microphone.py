"""An open microphone: the caller interrupts, breathes, or says nothing at all."""

from __future__ import annotations

import re

import numpy as np
import pytest

from clinic_agent.call.scripted_caller import After, Cue, During
from mockserver.testing.mock_server import MockServer
from tests.clinic.phone import MARIA, Phone, clip, said, tools

pytestmark = [
    pytest.mark.realtime("../../cassettes/scenarios/clinic.yaml", time="virtual", voice="tone", unused="off"),
    pytest.mark.parametrize("pacing", ["live", "realtime"]),
]


@pytest.fixture(autouse=True)
def paced(pacing: str, request: pytest.FixtureRequest) -> None:
    """The mock of this test speaks at this pace."""
    request.node.add_marker(pytest.mark.realtime(pacing=pacing), append=False)


@pytest.mark.slow
async def test_a_caller_who_speaks_over_the_offer_is_heard_and_the_service_told_what_was_missed(
    phone: Phone, realtime_mock: MockServer
):
    report = await phone.talk(
        [
            Cue(After(0, 0.5), clip("booking-1")),
            Cue(During(2, 1.0), clip("booking-2")),
            Cue(After(4, 1.0)),
        ]
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


@pytest.mark.parametrize(
    ("response", "utterances"),
    [(1, (3, 5)), (2, (3, 5)), (4, (2, 5))],
    ids=["before the tool", "in the offer", "in the confirmation"],
)
@pytest.mark.slow
async def test_a_line_that_breaks_while_the_assistant_speaks_is_replaced_and_the_answer_given_again(
    phone: Phone, realtime_mock: MockServer, response: int, utterances: tuple[int, int]
):
    fault = {"at": "response.output_audio.delta", "nth": 2, "response": response, "do": "reset", "session": 1}
    realtime_mock.set_faults([fault | {"times": 1}])
    phone.line_breaks = True
    offered, confirmed = utterances
    ask, choose = clip("booking-1"), clip("booking-2")
    report = await phone.talk(
        [
            Cue(After(0, 0.5), ask),
            Cue(After(offered, 0.5), choose),
            Cue(After(confirmed, 1.0)),
        ]
    )
    assert report.failure is None
    assert [booking.reference for booking in phone.booked] == ["DC-0706-0930"]
    sentences = re.findall(r"[^.?!]+[.?!]", said(report))
    assert len(sentences) == len(set(sentences))  # nothing is repeated
    assert "Let me check that for you" in said(report) and "Your reference is" in said(report)  # and nothing lost
    named = [session.sent("conversation.created")[0]["conversation"]["id"] for session in realtime_mock.sessions]
    assert named == [report.conversation_id] * 2


async def test_a_line_that_breaks_while_nobody_speaks_costs_nothing_but_a_moment(
    phone: Phone, realtime_mock: MockServer
):
    realtime_mock.set_faults([{"at": "time: 0.3s", "do": "reset", "session": 1, "times": 1}])
    phone.line_breaks = True
    report = await phone.talk([Cue(After(0, 3.0), clip("booking-1")), Cue(After(2, 1.0))])
    assert report.failure is None
    assert tools(report) == ["check_availability"]
    assert report.cost.text_items == 0
