"""xAI since September 2026, beside pushed turns: what was recorded of typed turns, and what others measured."""

from __future__ import annotations

from typing import Any

import pytest

from mockserver.responders.base import Call, Say
from tests.mockserver.talk import Script, Talk, kinds, saying

DATES = ("xai@2026-09", "xai@2026-10")
VAD: dict[str, Any] = {
    "turn_detection": {"type": "server_vad"},
    "audio": {"input": {"transcription": {"model": "grok-transcribe"}}},
}
ADDED, DONE = "conversation.item.added", "response.done"


def items_of(talk: Talk) -> list[dict[str, Any]]:
    shown = [event["item"] for event in talk.events if "item" in event]
    return shown + [item for event in talk.of(DONE) for item in event["response"]["output"]]


@pytest.mark.parametrize("dialect", DATES)
def test_every_item_ends_with_replayed(dialect: str):
    talk = Talk(Script([Say("One moment."), Call("look", {})]), dialect=dialect)
    talk.say("Look.")
    call_id = talk.until("response.function_call_arguments.done")["call_id"]
    talk.create("function_call_output", call_id=call_id, output="fog")
    talk.rest()
    assert {tuple(item)[-1] for item in items_of(talk)} == {"replayed"}
    assert {item["replayed"] for item in items_of(talk)} == {False}
    july = Talk(dialect="xai@2026-07")
    july.say("Look.")
    july.rest()
    assert not any("replayed" in item for item in items_of(july))


def test_an_item_of_a_resumed_conversation_is_replayed_and_what_the_client_sends_again_is_not():
    first = Talk(dialect="xai@2026-09", update={"resumption": {"enabled": True}})
    first.say("Hello.")
    first.rest()
    again = Talk(dialect="xai@2026-09", resumed=first.session.memory, update={"resumption": {"enabled": True}})
    again.write("Hello.")
    assert [event["item"]["replayed"] for event in again.of(ADDED)] == [True, False]


def test_metadata_stands_between_status_and_details_where_it_was_sent():
    talk = Talk(dialect="xai@2026-09")
    talk.write("Hello.")
    talk.send("response.create", response={"metadata": {"number": "1"}})
    talk.rest()
    for event in (*talk.of("response.created"), *talk.of(DONE)):
        keys = list(event["response"])
        assert keys[keys.index("status") :][:3] == ["status", "metadata", "status_details"]
    talk.say("And now?")
    talk.rest()
    assert "metadata" not in talk.of(DONE)[1]["response"]


def test_a_call_from_before_the_session_is_shown_without_its_arguments():
    talk = Talk(dialect="xai@2026-09")
    (added,) = talk.create("function_call", call_id="c" * 32, name="look", arguments='{"city":"Paris"}')
    assert added["item"]["arguments"] == ""
    assert (added["item"]["status"], added["item"]["role"], added["previous_item_id"]) == ("completed", "tool", None)
    (added,) = talk.create("function_call_output", call_id="c" * 32, output="fog")
    assert talk.write("Thanks.")[0]["previous_item_id"] == added["item"]["id"]


def test_turn_detection_that_is_switched_off_is_not_shown():
    talk = Talk(dialect="xai@2026-09")
    (updated,) = talk.send("session.update", session={"turn_detection": None})
    assert "turn_detection" not in updated["session"]
    (updated,) = talk.send("session.update", session=VAD)
    assert updated["session"]["turn_detection"] == {"type": "server_vad"}


def test_another_request_cancels_the_running_response_and_is_answered():
    script = saying(10)
    talk = Talk(script, dialect="xai@2026-09")
    talk.say("Tell me a story.")
    talk.until("response.output_audio.delta", times=2)
    talk.send("response.create")
    talk.rest()
    assert [done["response"]["status"] for done in talk.of(DONE)] == ["cancelled", "completed"]
    assert [turn.says for turn in script.turns] == ["Tell me a story."] * 2
    assert [turn.number for turn in script.turns] == [0, 0]


def test_another_request_with_something_new_is_about_that():
    script = saying(10)
    talk = Talk(script, dialect="xai@2026-09")
    talk.say("Tell me a story.")
    talk.until("response.output_audio.delta", times=2)
    talk.say("No, the weather.")
    talk.rest()
    assert [turn.says for turn in script.turns] == ["Tell me a story.", "No, the weather."]


def test_a_cancelled_message_is_gone_and_billed():
    talk = Talk(saying(10), dialect="xai@2026-09")
    talk.say("Tell me a story.")
    item_id = talk.until("response.output_audio.delta", times=3)["item_id"]
    spoken_s = talk.session.ledger.audio_out_s
    assert talk.send("response.cancel")[-1]["response"]["status"] == "cancelled"
    talk.send("conversation.item.delete", item_id=item_id)
    assert talk.error["message"] == f"Item not found: {item_id}"
    assert talk.session.ledger.audio_out_s == spoken_s > 0


@pytest.mark.parametrize("pacing", ["live", "burst"])
def test_under_turn_detection_the_response_is_created_before_the_commit(pacing: str):
    talk = Talk(Script([Say("Yes.")], heard=["Hello there, you."]), dialect="xai@2026-09", update=VAD, pacing=pacing)
    talk.speak("Hello there, you.")
    talk.hush(900)
    talk.rest()
    types = kinds(talk.events)
    order = ("input_audio_buffer.speech_stopped", "response.created", "input_audio_buffer.committed")
    assert [types.index(type) for type in order] == sorted(types.index(type) for type in order)
    heard = [event for event in talk.events if event["type"].endswith("transcription.completed")]
    assert (heard[-1]["status"], heard[-1]["transcript"]) == ("completed", "Hello there, you.")
    assert talk.of(DONE)[0]["usage"]["input_token_details"]["text_tokens"] == 8


def test_the_response_comes_200_ms_after_the_end_of_speech_unless_speech_goes_on():
    script = Script([Say("Yes.")], heard=["Hello there, you."])
    talk = Talk(script, dialect="xai@2026-09", update=VAD)
    talk.speak("Hello there,")
    talk.hush(900)
    talk.wait(0.1)
    talk.speak("you.")
    talk.wait(1.0)
    assert talk.of("response.created") == talk.of("input_audio_buffer.committed") == []
    assert len({event["item_id"] for event in talk.of("input_audio_buffer.speech_started")}) == 1
    talk.hush(900)
    talk.wait(0.19)
    assert talk.of("response.created") == []
    talk.wait(0.02)
    assert len(talk.of("response.created")) == 1
    talk.rest()
    assert script.turns[0].says == "Hello there, you."


def test_a_request_right_after_the_end_of_speech_is_answered_once():
    talk = Talk(Script([Say("Yes.")], heard=["Hello there."]), dialect="xai@2026-09", update=VAD)
    talk.speak("Hello there.")
    talk.hush(900)
    talk.until("input_audio_buffer.speech_stopped")
    talk.send("response.create")
    talk.rest()
    assert len(talk.of("response.created")) == len(talk.of("input_audio_buffer.committed")) == 1
    assert [done["response"]["status"] for done in talk.of(DONE)] == ["completed"]


def test_a_turn_is_answered_though_the_client_asked_for_none():
    talk = Talk(dialect="xai@2026-09", update={"turn_detection": {"type": "server_vad", "create_response": False}})
    talk.speak()
    talk.hush(900)
    assert talk.until(DONE)["response"]["status"] == "completed"


def test_sound_comes_in_the_sizes_of_the_second_model_and_ends_short_of_80_ms():
    text = "Hello, this is the dental clinic. We are open from nine to five, every day but Sunday."
    talk = Talk(Script([Say(text)]), dialect="xai@2026-09")
    talk.say("Hello.")
    talk.rest()
    deltas = [event["audio_duration_ms"] for event in talk.of("response.output_audio.delta")]
    assert (deltas[0], deltas[1], deltas[-2]) == (245, 642, 336)
    assert 67 <= deltas[-1] <= 124
    seconds = talk.of(DONE)[0]["usage"]["output_audio_seconds"]
    assert (seconds + 0.01) / 0.08 == pytest.approx(round((seconds + 0.01) / 0.08))
    assert talk.of(DONE)[0]["usage"]["output_token_details"]["audio_tokens"] % 4 == 0
