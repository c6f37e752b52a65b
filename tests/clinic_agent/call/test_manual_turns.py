"""The client on a wire scripted by hand."""

from __future__ import annotations

import asyncio
import json
import threading
from base64 import b64decode
from datetime import date
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import pytest

from clinic_agent.call.connection import MAX_FRAME_BYTES, CallFailed
from clinic_agent.call.manual_turns import connect
from clinic_agent.call.turn import MAX_TOOL_ROUNDS
from clinic_agent.config import Config


def no_tools(name: str, arguments: str) -> dict[str, Any]:
    raise AssertionError(f"nobody should call {name}({arguments})")


async def test_a_typed_turn_is_one_item_one_response_and_a_spoken_answer(serving, calling):
    received = []

    async def service(side):
        await side.greet()
        await side.until("response.create")
        await side.speaks("Hello,", " who is calling?")
        await side.done(total_tokens=91)
        await side.hung_up()
        received.extend(side.received)

    async with serving(service) as config, calling(config) as client:
        turn = await client.type("Hello", no_tools)
    assert [event["type"] for event in received] == ["session.update", "conversation.item.create", "response.create"]
    assert (turn.heard, turn.said, turn.status) == ("Hello", "Hello, who is calling?", "completed")
    assert turn.audio == b"\1\0" * 734 * 2
    assert turn.usage == ({"total_tokens": 91},)
    assert turn.first_audio_ms is not None and 0 <= turn.first_audio_ms <= turn.total_ms
    assert client.conversation_id == "conv-1"


async def test_a_spoken_turn_goes_out_in_pieces_of_100_ms_and_is_heard_as_its_final_transcription(serving, calling):
    speech = bytes(range(256)) * 50  # 12,800 bytes: two whole pieces and a rest
    received = []

    async def service(side):
        await side.greet()
        await side.until("input_audio_buffer.commit")
        await side.hears("I'd", "I would like", final="I would like a cleaning.")
        await side.speaks("Sure.")
        await side.done()
        await side.hung_up()
        received.extend(side.received[1:])

    async with serving(service) as config, calling(config) as client:
        turn = await client.speak(speech, no_tools)
    pieces = [b64decode(event["audio"]) for event in received if event["type"] == "input_audio_buffer.append"]
    assert [len(piece) for piece in pieces] == [4800, 4800, 3200]
    assert b"".join(pieces) == speech
    assert turn.heard == "I would like a cleaning."
    assert turn.cost.input_samples == 6400


async def test_all_calls_of_a_response_are_answered_before_one_response_is_asked_for(serving, calling):
    after_tools = []

    async def service(side):
        await side.greet()
        await side.until("response.create")
        await side.speaks("Let me look.")
        await side.calls("look", '{"day":1}', call_id="call-1-0")
        await side.calls("look", '{"day":2}', call_id="call-1-1")
        await side.done()
        del side.received[:]
        await side.until("response.create")
        await side.speaks("Two are free.", item="b")
        await side.done()
        await side.hung_up()
        after_tools.extend(side.received)

    requested = []

    def look(name, arguments):
        requested.append((name, arguments))
        return {"free": len(requested)}

    async with serving(service) as config, calling(config) as client:
        turn = await client.type("What is free?", look)
    assert requested == [("look", '{"day":1}'), ("look", '{"day":2}')]
    outputs = [event["item"] for event in after_tools if event["type"] == "conversation.item.create"]
    assert [(item["call_id"], json.loads(item["output"])) for item in outputs] == [
        ("call-1-0", {"free": 1}),
        ("call-1-1", {"free": 2}),
    ]
    assert [event["type"] for event in after_tools].count("response.create") == 1
    assert turn.said == "Let me look. Two are free."
    assert [(run.arguments, run.result) for run in turn.tools] == [({"day": 1}, {"free": 1}), ({"day": 2}, {"free": 2})]


async def test_tool_results_are_free_and_each_typed_message_costs(serving, calling):
    async def service(side):
        await side.greet()
        for _ in range(2):
            await side.until("response.create")
            await side.calls("look", "{}")
            await side.done()
            await side.until("response.create")
            await side.speaks("Yes.", samples=24_000 * 3)
            await side.done()
        await side.hung_up()

    async with serving(service) as config, calling(config) as client:
        first = await client.type("One?", lambda *_: {})
        second = await client.type("Two?", lambda *_: {})
    assert first.cost.usd == second.cost.usd == Decimal("0.0065")  # 3 s of 60 at $0.05, and $0.004
    assert client.cost.usd == Decimal("0.013")


async def test_the_price_is_that_of_the_model_the_service_names_not_of_the_one_asked_for(serving, calling):
    async def service(side):
        await side.greet(model="grok-voice-think-fast-2.0")
        await side.until("response.create")
        await side.speaks("Hi.", samples=24_000 * 60)
        await side.done()
        await side.hung_up()

    async with serving(service) as config, calling(config) as client:
        turn = await client.type("Hi", no_tools)
    assert config.model == "grok-voice-think-fast-1.0"
    assert turn.cost.usd == Decimal("0.084")


async def test_settings_the_service_refuses_end_the_call_with_its_own_words(serving):
    async def service(side):
        await side.send("session.created", session={"model": "m"})
        await side.until("session.update")
        await side.send("error", error={"type": "invalid_request_error", "message": "speed must be 0.7 to 1.5"})
        await side.hung_up()

    async with serving(service) as config:
        with pytest.raises(CallFailed, match=r"speed must be 0\.7 to 1\.5"):
            async with connect(config, priced_on=date(2026, 7, 1)) as client:
                await client.configure({"audio": {"output": {"speed": 9}}})


async def test_hanging_up_in_mid_answer_keeps_what_was_said_so_far(serving, calling):
    async def service(side):
        await side.greet()
        await side.until("response.create")
        await side.speaks("I have")
        await side.socket.close(1011, "out of tea")

    async with serving(service) as config, calling(config) as client:
        with pytest.raises(CallFailed, match=r"closed the connection \(1011 out of tea\)") as failed:
            await client.type("Hello", no_tools)
    turn = failed.value.turn
    assert turn is not None
    assert (turn.said, turn.status, turn.cost.output_samples) == ("I have", "in_progress", 734)


async def test_an_error_in_mid_turn_ends_it_with_what_was_said_so_far(serving, calling):
    async def service(side):
        await side.greet()
        await side.until("response.create")
        await side.speaks("One")
        await side.send("error", error={"type": "internal_error", "message": "lost my thread"})
        await side.hung_up()

    async with serving(service) as config, calling(config) as client:
        with pytest.raises(CallFailed, match="lost my thread") as failed:
            await client.type("Count", no_tools)
    assert failed.value.turn is not None
    assert failed.value.turn.said == "One"


async def test_a_service_that_minds_the_second_ask_for_one_answer_still_gives_it(serving, calling):
    async def service(side):
        await side.greet()
        await side.until("response.create")
        await side.send("error", error={"message": "Conversation already has an active response in progress"})
        await side.speaks("Yes.")
        await side.done()
        await side.hung_up()

    async with serving(service) as config, calling(config) as client:
        assert (await client.speak(b"\0\0" * 100, no_tools)).said == "Yes."


async def test_silence_from_the_service_ends_the_turn_in_bounded_time(serving, calling):
    async def service(side):
        await side.greet()
        await side.hung_up()

    async with serving(service) as config, calling(config, turn_s=0.05) as client:
        with pytest.raises(CallFailed, match=r"within 0\.05 s"):
            await client.type("Anybody there?", no_tools)


async def test_a_service_that_falls_silent_in_mid_answer_is_not_waited_for_as_long_as_a_turn_may_take(serving, calling):
    async def service(side):
        await side.greet()
        await side.until("response.create")
        await side.speaks("One moment.")
        await side.hung_up()

    async with serving(service) as config, calling(config, silence_s=0.05) as client:
        with pytest.raises(CallFailed, match=r"sent nothing for 0\.05 s; call again") as failed:
            await client.type("Anybody there?", no_tools)
    assert failed.value.turn is not None
    assert failed.value.turn.said == "One moment."


async def test_a_model_that_calls_tools_for_ever_is_stopped(serving, calling):
    async def service(side):
        await side.greet()
        for _ in range(MAX_TOOL_ROUNDS + 1):
            await side.until("response.create")
            await side.calls("look", "{}")
            await side.done()
        await side.hung_up()

    async with serving(service) as config, calling(config) as client:
        with pytest.raises(CallFailed, match="in one turn") as failed:
            await client.type("Loop", lambda *_: {})
    assert failed.value.turn is not None
    assert len(failed.value.turn.tools) == MAX_TOOL_ROUNDS


async def test_calls_of_a_cancelled_answer_are_not_carried_out(serving, calling):
    async def service(side):
        await side.greet()
        await side.until("response.create")
        await side.calls("book", "{}")
        await side.done(status="cancelled")
        await side.hung_up()

    async with serving(service) as config, calling(config) as client:
        turn = await client.type("Book it. No, wait", no_tools)
    assert turn.status == "cancelled"


async def test_unknown_events_and_binary_frames_are_passed_over(serving, calling):
    async def service(side):
        await side.greet()
        await side.until("response.create")
        await side.send("response.thought.delta", delta="hm")
        await side.socket.send(b"\0\1\2")
        await side.speaks("Done.")
        await side.done()
        await side.hung_up()

    async with serving(service) as config, calling(config) as client:
        assert (await client.type("Hello", no_tools)).said == "Done."


@pytest.mark.parametrize("frame", ["not json", "[]", '{"kind": "x"}', '{"type": "response.output_audio.delta"}'])
async def test_a_frame_that_makes_no_sense_is_named_as_the_service_s_fault(serving, calling, frame):
    async def service(side):
        await side.greet()
        await side.until("response.create")
        await side.socket.send(frame)
        await side.hung_up()

    async with serving(service) as config, calling(config) as client:
        with pytest.raises(CallFailed, match="the service sent"):
            await client.type("Hello", no_tools)


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (400, "check XAI_API_KEY"),
        (401, "check XAI_API_KEY"),
        (403, "credit"),
        (404, "/v1/realtime"),
        (429, "call again in 7 s"),
        (503, "has an error"),
        (418, "check XAI_REALTIME_URL"),
    ],
)
async def test_a_refused_handshake_says_what_to_do_and_never_shows_the_key(serving, calling, status, advice):
    async def service(side):
        raise AssertionError("nobody gets through")

    async with serving(service, refuse=(HTTPStatus(status), {"Retry-After": "7"})) as config:
        with pytest.raises(CallFailed, match=advice) as failed:
            async with calling(config):
                pass
    assert f"HTTP {status}" in str(failed.value)
    assert config.key not in str(failed.value)


async def test_nobody_at_the_address_is_said_with_the_address(calling):
    config = Config("ws://127.0.0.1:1/v1/realtime?secret=s", "http://127.0.0.1:1", key="hand-made-key")
    with pytest.raises(CallFailed, match=r"cannot reach ws://127\.0\.0\.1:1/v1/realtime \(") as failed:
        async with calling(config):
            pass
    assert "secret" not in str(failed.value)


async def test_the_key_and_the_model_go_where_the_service_looks_for_them(serving, calling):
    requested: dict[str, str] = {}

    async def service(side):
        requested.update(path=side.socket.request.path, auth=side.socket.request.headers["Authorization"])
        await side.greet()
        await side.hung_up()

    async with serving(service) as config, calling(config):
        pass
    assert requested == {"path": "/v1/realtime?model=grok-voice-think-fast-1.0", "auth": "Bearer hand-made-key"}


async def test_a_frame_beyond_all_bounds_is_not_taken_in(serving, calling):
    async def service(side):
        await side.greet()
        await side.until("response.create")
        await side.socket.send("x" * (MAX_FRAME_BYTES + 1))
        await side.hung_up()

    async with serving(service) as config, calling(config) as client:
        with pytest.raises(CallFailed, match=r"had to close the connection \(1009"):
            await client.type("Hello", no_tools)


async def test_a_connection_cut_without_a_word_is_said_to_be_lost(serving, calling):
    async def service(side):
        await side.greet()
        await side.until("response.create")
        side.socket.transport.abort()

    async with serving(service) as config, calling(config) as client:
        with pytest.raises(CallFailed, match="the connection was lost"):
            await client.type("Hello", no_tools)


async def test_a_slow_tool_keeps_nobody_else_waiting(serving, calling):
    went_on = threading.Event()

    async def service(side):
        await side.greet()
        await side.until("response.create")
        await side.calls("look", "{}")
        await side.done()
        await side.until("response.create")
        await side.speaks("Found.")
        await side.done()
        await side.hung_up()

    def look(name: str, arguments: str) -> dict[str, Any]:
        loop.call_soon_threadsafe(went_on.set)
        assert went_on.wait(timeout=5)  # by the loop, which would stand still if this ran in it
        return {}

    loop = asyncio.get_running_loop()
    async with serving(service) as config, calling(config) as client:
        assert (await client.type("Look", look)).said == "Found."
