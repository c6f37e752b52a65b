from __future__ import annotations

import asyncio
import json
import re
from base64 import b64encode
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.sync.client import connect as connect_in_thread

from mockserver.billing.ledger import Ledger
from mockserver.responders.base import Say
from mockserver.responders.scenario import Scenario
from mockserver.server import virtual_time as autojump
from mockserver.server.journal import Journal
from mockserver.testing.mock_server import MockServer
from mockserver.testing.sessions import TestedSession
from replay.billing.prices import PriceTable
from replay.cassette.frames import Binary, Text

PRICES = PriceTable("xai", date(2026, 7, 1), "made up", {"m": Decimal("0.06")}, Decimal("0.001"))
TENTH = bytes(4800)
"""100 ms of PCM at 24 kHz."""
CANCELLED, DONE = "cancelled", "completed"


class Call:
    """A call written by hand into a journal, in the order of its time."""

    def __init__(self) -> None:
        self.log = TestedSession(Journal(), "s1", "c1", 1000.0, Ledger(PRICES, "m"))

    def client(self, at: float, type: str, **fields: object) -> Call:
        self.log.inbound(at, json.dumps({"type": type, **fields}))
        return self

    def server(self, at: float, type: str, **fields: object) -> Call:
        self.log.outbound(at, Text(json.dumps({"type": type, **fields}).encode()))
        return self

    def delta(self, at: float, response: str = "r1", item: str = "i1") -> Call:
        sound = b64encode(TENTH).decode()
        return self.server(at, "response.output_audio.delta", response_id=response, item_id=item, delta=sound)

    def binary(self, at: float) -> Call:
        self.log.outbound(at, Binary(TENTH))
        return self

    def created(self, at: float, response: str = "r1", item: str = "i1") -> Call:
        self.server(at, "response.created", response={"id": response})
        return self.server(at, "response.output_item.added", response_id=response, item={"id": item, "type": "message"})

    def done(self, at: float, status: str = DONE, response: str = "r1") -> Call:
        return self.server(at, "response.done", response={"id": response, "status": status})

    def tool(self, at: float, name: str = "book", call_id: str = "k1") -> Call:
        return self.server(at, "response.function_call_arguments.done", name=name, call_id=call_id, arguments="{}")

    def result(self, at: float, call_id: str = "k1") -> Call:
        item = {"type": "function_call_output", "call_id": call_id, "output": "ok"}
        return self.client(at, "conversation.item.create", item=item)

    def truncate(self, at: float, audio_end_ms: object, item: str = "i1") -> Call:
        return self.client(at, "conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=audio_end_ms)


Demand = Callable[[TestedSession], None]


def refused(call: Call, demand: Demand) -> str:
    """What is said of a demand that is not met; below it stands the conversation."""
    with pytest.raises(AssertionError) as caught:
        demand(call.log)
    problem, heading, *_ = str(caught.value).split("\n")
    assert heading.startswith("session 1 (s1): still open")
    return problem


def silent(log: TestedSession) -> None:
    log.assert_nothing_sent_after_cancel()


def heard(log: TestedSession) -> None:
    log.assert_truncated_as_heard()


def asked() -> Call:
    return Call().client(0.1, "response.create").created(0.2).delta(0.3).done(0.4)


def test_events_are_in_order_whatever_stands_between_them():
    asked().log.assert_order("response.create", "response.created", "response.*.delta", "response.done")


def test_an_event_that_came_too_early_is_told_with_its_time():
    problem = refused(asked(), lambda log: log.assert_order("response.done", "response.create"))
    assert problem == "expected response.create after response.done; it came only before, at 0.100 s"


def test_an_event_that_never_came_is_told():
    problem = refused(asked(), lambda log: log.assert_order("response.create", "response.cancel"))
    assert problem == "expected response.cancel after response.create; it came not at all"


def test_one_event_does_not_stand_for_two():
    asked().log.assert_order("response.done")
    assert "after response.done" in refused(asked(), lambda log: log.assert_order("response.done", "response.done"))


def test_the_side_of_an_event_can_be_named():
    asked().log.assert_order("client response.create", "server response.created")
    assert "client response.created" in refused(asked(), lambda log: log.assert_order("client response.created"))
    with pytest.raises(ValueError, match=r"'sever response.created' begins with neither 'client ' nor 'server '"):
        asked().log.assert_order("sever response.created")


def test_the_line_of_the_conversation_that_breaks_a_demand_is_marked():
    with pytest.raises(AssertionError, match=r"\n→ +0\.100 s  client  response\.create\n"):
        asked().log.assert_order("response.done", "response.create")


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ({"times": 1}, None),
        ({"at_least": 1, "at_most": 1}, None),
        ({}, None),
        ({"times": 2}, "expected response.done 2 times; it came 1 times"),
        ({"times": 0}, "expected response.done 0 times; it came 1 times"),
        ({"at_least": 2}, "expected response.done at least 2 times; it came 1 times"),
        ({"at_most": 0}, "expected response.done 0 times; it came 1 times"),
    ],
)
def test_events_are_counted(wanted: dict[str, int], problem: str | None):
    if problem is None:
        asked().log.assert_count("response.done", **wanted)
    else:
        assert refused(asked(), lambda log: log.assert_count("response.done", **wanted)) == problem


def test_seconds_of_sound_are_within_bounds():
    call = Call()
    call.log.ledger.heard(48_000, 24_000)
    call.log.ledger.spoke(12_000, 24_000)
    call.log.assert_audio_in(at_least=2, at_most=2)
    call.log.assert_audio_out(at_most=0.5)
    problem = refused(call, lambda log: log.assert_audio_in(at_most=1.5))
    assert problem == "expected at most 1.5 seconds of audio; the client sent 2.000 s"
    problem = refused(call, lambda log: log.assert_audio_out(at_least=1, at_most=3))
    assert problem == "expected 1 to 3 seconds of audio; the server sent 0.500 s"


def test_a_call_costs_no_more_than_it_may():
    call = Call()
    call.log.ledger.heard(24_000 * 60, 24_000)
    call.log.assert_cost_at_most("0.06")
    problem = refused(call, lambda log: log.assert_cost_at_most(0.05))
    assert problem == "expected at most 0.05 USD; 60.00 s in and 0.00 s out came to 0.060000 USD"


def test_an_error_event_or_a_failed_response_is_told_with_its_words():
    asked().log.assert_no_errors()
    error = asked().server(0.5, "error", error={"message": "No such item."})
    assert refused(error, lambda log: log.assert_no_errors()) == "an error event came: No such item."
    details = {"error": {"message": "Overloaded."}}
    failed = Call().server(0.5, "response.done", response={"id": "r1", "status": "failed", "status_details": details})
    assert refused(failed, lambda log: log.assert_no_errors()) == "response r1 failed: Overloaded."


def test_tools_are_answered_in_time():
    Call().tool(1.0).result(1.3).log.assert_tool_result_within(300)
    late = Call().tool(1.0).result(1.2).tool(2.0, "move", "k2").result(2.9, "k2")
    assert refused(late, lambda log: log.assert_tool_result_within(300)) == (
        "the result of move took 900 ms; expected at most 300 ms"
    )
    late.log.assert_tool_result_within(300, "book")


def test_a_tool_that_is_never_answered_and_one_that_is_never_called_are_told():
    answered = Call().tool(1.0).result(1.1, "another call")
    assert refused(answered, lambda log: log.assert_tool_result_within(300)) == (
        "book (k1) got no result; expected one within 300 ms"
    )
    assert refused(asked(), lambda log: log.assert_tool_result_within(300, "book")) == "no call of book was made"


def test_nothing_follows_a_response_that_was_cut_off():
    cut = asked().created(1.0, "r2").delta(1.1, "r2").done(1.2, CANCELLED, "r2").created(1.3, "r3").delta(1.4, "r3")
    cut.log.assert_nothing_sent_after_cancel()
    problem = refused(cut.delta(1.5, "r2"), silent)
    assert problem == "response.output_audio.delta came 300 ms after response r2 was cancelled"


def test_nor_does_sound_in_binary_messages_until_the_next_response():
    fine = Call().created(0.1).binary(0.2).done(0.3, CANCELLED).created(0.4, "r2").binary(0.5)
    fine.log.assert_nothing_sent_after_cancel()
    problem = refused(Call().created(0.1).done(0.3, CANCELLED).binary(0.4), silent)
    assert problem == "(binary) came 100 ms after response r1 was cancelled"


def test_without_any_cut_nothing_is_proved():
    assert refused(asked(), silent) == "no response was cancelled"


def test_a_truncation_claims_what_could_have_been_played_by_then():
    """Three pieces of 100 ms leave at once; after 150 ms, half of them can have been heard."""
    call = Call().delta(1.0).delta(1.0).delta(1.0)
    call.truncate(1.15, 150).log.assert_truncated_as_heard()
    problem = refused(call.truncate(1.15, 200), heard)
    assert problem == "truncated at 200 ms; 300 ms of it had been sent, of which 150 ms could have been played"


def test_a_truncation_claims_no_more_than_was_sent():
    problem = refused(Call().delta(1.0).truncate(5.0, 130), heard)
    assert problem == "truncated at 130 ms; 100 ms of it had been sent, of which 100 ms could have been played"


def test_a_piece_is_played_after_the_one_before_it_and_late_ones_when_they_come():
    call = Call().delta(1.0, item="i1").delta(1.0, item="i2").delta(2.0, item="i2")
    call.truncate(1.15, 50, "i2").log.assert_truncated_as_heard()
    late = Call().delta(1.0).delta(2.0)
    assert "200 ms of it had been sent, of which 150 ms" in refused(late.truncate(2.05, 160), heard)


def test_sound_in_binary_messages_belongs_to_the_item_that_was_announced():
    Call().created(1.0).binary(1.0).truncate(1.1, 100).log.assert_truncated_as_heard()
    assert "100 ms of it" in refused(Call().created(1.0).binary(1.0).truncate(1.3, 120), heard)


@pytest.mark.parametrize("claim", [None, "100", -0.5])
def test_a_claim_that_is_no_number_of_milliseconds_is_refused(claim: object):
    assert f"truncated at {claim} ms" in refused(Call().delta(1.0).truncate(1.2, claim), heard)


def test_without_any_truncation_nothing_is_proved():
    assert refused(asked(), heard) == "no conversation.item.truncate was sent"


def test_a_mock_speaks_of_all_its_sessions_in_the_order_of_time():
    async def one(mock: MockServer, *events: dict[str, Any]) -> None:
        key = {"Authorization": f"Bearer {mock.api_key}"}
        async with connect(mock.ws_url, additional_headers=key, ping_interval=None) as service:
            for event in events:
                await service.send(json.dumps(event))
            await asyncio.sleep(10)

    async def main() -> None:
        async with MockServer(Scenario([]), voice="tone") as mock:
            await one(mock, {"type": "response.create"})
            await one(mock, {"type": "input_audio_buffer.clear"})
            mock.assert_order("response.create", "server response.done", "input_audio_buffer.clear")
            mock.assert_count("session.created", 2)
            mock.sessions[1].assert_count("response.create", 0)
            with pytest.raises(AssertionError, match=r"(?s)session 1 .*session 2 "):
                mock.assert_order("input_audio_buffer.clear", "response.create")

    autojump.run(main())


def test_a_call_that_is_cut_by_a_client_keeps_all_promises():
    async def main() -> None:
        scenario = Scenario(sequence=[Say("One, two, three, four, five. " * 3)])
        async with MockServer(scenario, dialect="xai@2026-07", voice="tone") as mock:
            key = {"Authorization": f"Bearer {mock.api_key}"}
            async with connect(mock.ws_url, additional_headers=key, ping_interval=None) as service:
                await service.send('{"type": "response.create"}')
                while (event := json.loads(await service.recv()))["type"] != "response.output_audio.delta":
                    pass
                await asyncio.sleep(0.8)
                await service.send('{"type": "response.cancel"}')
                cut = {"item_id": event["item_id"], "content_index": 0, "audio_end_ms": 800}
                await service.send(json.dumps({"type": "conversation.item.truncate", **cut}))
                await asyncio.sleep(5)
            mock.assert_nothing_sent_after_cancel()
            mock.assert_truncated_as_heard()
            mock.assert_no_errors()
            mock.assert_cost_at_most("0.01")

    autojump.run(main())


def test_in_a_thread_what_a_client_has_sent_is_there_at_once():
    key = {"Authorization": "Bearer k"}
    with MockServer(voice="tone") as mock, connect_in_thread(mock.ws_url, additional_headers=key, max_queue=None) as ws:
        for number in range(1, 20):
            ws.send('{"type": "input_audio_buffer.clear"}')
            mock.assert_count("input_audio_buffer.clear", number)


def test_a_demand_on_no_session_says_so():
    with pytest.raises(AssertionError, match=re.escape("it came 0 times\nno client has connected")):
        MockServer().assert_count("response.done")
