"""What lines do: break in mid-answer, refuse, are busy; and how the agent keeps to the protocol meanwhile."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from typing import Any

import pytest

from clinic_agent.call.connection import CallFailed
from tests.clinic.phone import ASK, CHOOSE, MARIA, behaviour, clip, tools, wholly

SPEAKING = "response.output_audio.delta"


def lost(at: str, *, response: int = 1, nth: int = 1, **how: Any) -> dict[str, Any]:
    """The first connection goes away at this event."""
    return {"at": at, "nth": nth, "response": response, "do": how or "reset", "session": 1, "times": 1}


@pytest.mark.parametrize(
    "fault",
    [
        lost(SPEAKING),
        lost(SPEAKING, response=2, nth=3),
        lost("response.function_call_arguments.done", response=3),
        lost(SPEAKING, response=4, close=1011),
        lost("response.created", response=4, close=1012),
    ],
    ids=["first word", "mid-offer", "asking for the booking", "confirming", "about to confirm"],
)
@behaviour("clinic", tape=False)
async def test_a_line_that_breaks_in_mid_answer_is_replaced_and_nothing_is_booked_twice(phone, fault):
    phone.mock.set_faults([fault])
    phone.line_breaks = True
    report = await phone.call(ASK, CHOOSE)
    assert report.failure is None
    assert phone.mock.faults[0].fired == 1
    assert [turn.status for turn in report.turns] == ["completed", "completed"]
    assert [booking.reference for booking in phone.booked] == ["DC-0706-0930"]
    assert report.turns[1].tools[-1].result == MARIA
    named = [session.sent("conversation.created")[0]["conversation"]["id"] for session in phone.mock.sessions]
    assert named == [report.conversation_id] * 2


@pytest.mark.parametrize("at", ["session.created", "ping", "session.updated"])
@pytest.mark.parametrize("how", [{}, {"close": 1011}], ids=["reset", "1011"])
@behaviour("clinic", tape=False)
async def test_a_line_that_breaks_before_anything_was_said_is_dialled_again(phone, at, how):
    fault = {"at": at, "nth": 1, "do": how or "reset", "session": 1, "times": 1}
    phone.mock.set_faults([fault])
    phone.line_breaks = True
    report = await phone.call(ASK)
    wholly(report, 1)
    assert len(phone.mock.sessions) == 2


@behaviour("clinic", tape=False)
async def test_a_line_that_never_holds_until_it_is_configured_ends_the_call(phone):
    phone.mock.set_faults([{"at": "session.updated", "do": "reset"}])
    with pytest.raises(CallFailed, match="connection was lost"):
        await phone.call(ASK)
    assert len(phone.mock.sessions) == 1 + phone.retry.resumptions


@behaviour("clinic", tape=False)
async def test_a_spoken_turn_whose_answer_broke_off_is_not_said_again_but_written(phone):
    phone.mock.set_faults([lost(SPEAKING)])
    phone.line_breaks = True
    report = await phone.call(clip("booking-1"))
    assert tools(report) == ["check_availability"]
    assert (report.cost.text_items, report.turns[0].heard) == (1, ASK)


@behaviour("clinic", tape=False)
async def test_a_line_that_breaks_again_and_again_ends_the_call_with_a_reason(phone):
    phone.mock.set_faults([{"at": SPEAKING, "do": {"close": 1011}}])
    with pytest.raises(CallFailed, match=r"closed the connection \(1011\) in mid-call; call again"):
        await phone.call(ASK)
    assert len(phone.mock.sessions) == 1 + phone.retry.resumptions


@behaviour("clinic", tape=False)
async def test_a_service_that_hangs_up_properly_is_not_called_again(phone):
    phone.mock.set_faults([{"at": SPEAKING, "do": {"close": 1000}}])
    with pytest.raises(CallFailed, match=r"\(1000\)"):
        await phone.call(ASK)
    assert len(phone.mock.sessions) == 1


@behaviour("clinic", tape=False)
async def test_a_busy_service_is_dialled_again_when_it_asked_for(phone):
    phone.mock.set_faults([{"at": "handshake", "do": {"status": 429, "retry_after": 7}, "times": 2}])
    began_s = asyncio.get_running_loop().time()
    report = await phone.call(ASK)
    wholly(report, 1)
    assert asyncio.get_running_loop().time() - began_s >= 14


@pytest.mark.parametrize(
    ("do", "attempts", "says"),
    [
        ({"status": 400}, 1, "HTTP 400: the key is wrong or the request malformed; check XAI_API_KEY and CLINIC_MODEL"),
        ({"status": 401}, 1, "HTTP 401: the key is missing or wrong; check XAI_API_KEY"),
        ({"status": 403}, 1, "HTTP 403: the team of the key has no credit or no permission"),
        ({"status": 404}, 1, "HTTP 404: there is no realtime endpoint at this address"),
        ({"status": 429}, 3, "HTTP 429: too many sessions or requests"),
        ({"status": 429, "retry_after": 900}, 1, "call again in 900 s"),
        ({"status": 503}, 3, "HTTP 503: the service has an error"),
        ("hang", 3, "did not answer within 10 s"),
        ("reset", 3, "after 3 attempts"),
    ],
    ids=lambda value: str(value) if not isinstance(value, str) else "",
)
@pytest.mark.realtime("../../cassettes/scenarios/clinic.yaml", time="virtual", voice="tone", unused="off")
async def test_a_refusal_is_tried_again_only_where_that_can_help_and_says_what_to_do(phone, do, attempts, says):
    phone.mock.set_faults([{"at": "handshake", "do": do}])
    with pytest.raises(CallFailed) as failed:
        await phone.call(ASK)
    assert says in str(failed.value)
    assert phone.mock.faults[0].fired == attempts
    assert phone.mock.sessions == []


@behaviour("booking", tape=False)
async def test_every_answer_is_asked_for_and_that_to_a_tool_s_result_once_the_preamble_was_heard(phone):
    await phone.call(clip("booking-1"), clip("booking-2"))
    (session,) = phone.mock.sessions
    assert len(session.received("response.create")) == len(session.sent("response.done")) == 4
    heard_s, asked_after = 0.0, ""
    for entry in session.entries:
        match entry.event:
            case {"type": "response.output_audio.delta", "delta": delta}:
                heard_s = max(heard_s, entry.at) + len(b64decode(delta)) / 48_000
            case {"type": "response.create"} if asked_after == "conversation.item.create":
                assert entry.at >= heard_s - 0.001
            case {"type": "input_audio_buffer.commit"}:
                heard_s = 0.0  # the last answer was heard to its end
            case {"type": kind} if entry.way == "in":
                asked_after = kind


@behaviour("clinic", tape=False)
async def test_an_answer_that_nobody_asked_for_is_noticed_in_bounded_time(phone):
    """A response.create that the service loses leaves both sides waiting."""
    phone.mock.set_faults([{"at": "<response.create", "do": "drop"}])
    with pytest.raises(CallFailed, match="the service sent nothing for 20 s"):
        await phone.call(ASK)
