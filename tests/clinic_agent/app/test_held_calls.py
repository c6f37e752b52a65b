"""Calls that wait between two requests, on the mock in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from clinic_agent.app.held_calls import HOLD_S, MAX_HELD, HeldCalls, NotContinued
from clinic_agent.call.connection import CallFailed
from clinic_agent.call.report import CallReport
from clinic_agent.clinic.assistant import clinic_assistant
from clinic_agent.clinic.clinic import Clinic
from clinic_agent.config import Config
from mockserver.server import virtual_time as autojump
from realtape import MockServer
from tests.clinic_agent.app_server import ASK, CHOOSE, SCENARIO, TODAY

Say = Callable[..., Awaitable[CallReport]]


def on_mock(
    story: Callable[[Say, MockServer, HeldCalls], Awaitable[None]], hold_s: float = HOLD_S, **settings: Any
) -> None:
    """Run a story in virtual time, with something to say by."""

    async def main() -> None:
        async with MockServer(SCENARIO, voice="tone", pacing="burst", **settings) as mock:
            held_calls = HeldCalls(hold_s)
            assistant = clinic_assistant(Clinic(TODAY))
            config = Config(mock.ws_url, mock.http_url, mock.api_key)

            async def say(words: str, known: str | None = None, **more: Any) -> CallReport:
                return await held_calls.say(config, [words], assistant, known, priced_on=TODAY, **more)

            await story(say, mock, held_calls)
            await held_calls.close()
            assert not [session for session in mock.sessions if session.closed_s is None]

    autojump.run(main())


def test_a_conversation_that_goes_on_soon_stays_on_one_connection_and_each_report_tells_its_own_part():
    async def story(say: Say, mock: MockServer, held_calls: HeldCalls) -> None:
        first = await say(ASK)
        second = await say(CHOOSE, first.conversation_id)
        assert len(mock.sessions) == 1
        assert [turn.heard for report in (first, second) for turn in report.turns] == [ASK, CHOOSE]
        assert second.turns[0].tools[0].result["reference"] == "DC-0706-0930"
        costs = [report.cost.exact_usd or 0 for report in (first, second)]
        assert float(sum(costs)) == pytest.approx(float(mock.ledger.total_usd), abs=1e-6)

    on_mock(story)


def test_a_caller_who_thinks_for_half_an_hour_still_speaks_on_the_same_connection():
    async def story(say: Say, mock: MockServer, held_calls: HeldCalls) -> None:
        first = await say(ASK)
        for words in (CHOOSE, "Could you move it to eleven instead?"):
            await asyncio.sleep(HOLD_S - 1)
            assert (await say(words, first.conversation_id)).failure is None
        assert len(mock.sessions) == 1

    on_mock(story)


def test_a_held_call_that_the_service_ends_is_resumed_by_the_next_request():
    async def story(say: Say, mock: MockServer, held_calls: HeldCalls) -> None:
        first = await say(ASK)
        await asyncio.sleep(121 * 60)  # a session lasts 120 minutes
        assert mock.sessions[0].closed_s is not None
        second = await say(CHOOSE, first.conversation_id)
        assert (second.conversation_id, second.failure) == (first.conversation_id, None)
        assert len(mock.sessions) == 2

    on_mock(story, hold_s=3 * 3600)


def test_where_the_service_has_no_room_the_call_held_longest_makes_it():
    async def story(say: Say, mock: MockServer, held_calls: HeldCalls) -> None:
        for _ in range(4):
            assert (await say(ASK)).failure is None
        await asyncio.sleep(1)
        assert [session.closed_s is None for session in mock.sessions] == [False, False, True, True]

    on_mock(story, max_sessions=2)


def test_one_that_goes_on_later_is_taken_up_again_and_the_line_was_free_meanwhile():
    async def story(say: Say, mock: MockServer, held_calls: HeldCalls) -> None:
        first = await say(ASK)
        await asyncio.sleep(HOLD_S + 1)
        assert mock.sessions[0].closed_s is not None
        second = await say(CHOOSE, first.conversation_id)
        assert second.conversation_id == first.conversation_id
        assert len(mock.sessions) == 2

    on_mock(story)


def test_one_that_the_service_has_forgotten_is_not_gone_on_with_as_if_it_were_known():
    async def story(say: Say, mock: MockServer, held_calls: HeldCalls) -> None:
        first = await say(ASK)
        await asyncio.sleep(HOLD_S + 31 * 60)
        with pytest.raises(NotContinued, match="no longer knows this conversation; begin a new one"):
            await say(CHOOSE, first.conversation_id)
        assert mock.sessions[1].received("response.create") == []

    on_mock(story)


def test_two_do_not_speak_in_one_conversation_at_once():
    async def story(say: Say, mock: MockServer, held_calls: HeldCalls) -> None:
        known = (await say(ASK)).conversation_id
        outcomes = await asyncio.gather(say(CHOOSE, known), say(CHOOSE, known), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [CallReport, NotContinued]
        assert (await say("Thank you, bye.", known)).failure is None

    on_mock(story)


@pytest.mark.slow
def test_more_calls_than_may_wait_hang_up_the_one_that_waited_longest():
    async def story(say: Say, mock: MockServer, held_calls: HeldCalls) -> None:
        for _ in range(MAX_HELD + 1):
            await say("Hello?")
        await asyncio.sleep(1)
        assert [session.closed_s is None for session in mock.sessions] == [False] + [True] * MAX_HELD

    on_mock(story)


def test_whoever_asks_is_told_the_frames_of_that_request_and_no_others():
    async def story(say: Say, mock: MockServer, held_calls: HeldCalls) -> None:
        shown: list[str] = []
        known = (await say(ASK)).conversation_id
        await say(CHOOSE, known, watch=lambda way, event: shown.append(f"{way} {event['type']}"))
        assert shown[0] == "sent conversation.item.create"
        assert "received session.created" not in shown
        seen = len(shown)
        await say("Thank you, bye.", known)
        assert len(shown) == seen

    on_mock(story)


def test_a_call_that_fails_does_not_wait():
    async def story(say: Say, mock: MockServer, held_calls: HeldCalls) -> None:
        with pytest.raises(CallFailed, match="HTTP 403"):
            await say(ASK)
        assert mock.sessions == []

    on_mock(story, blocked_keys=["mock-api-key"])
