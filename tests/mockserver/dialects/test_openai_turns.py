"""OpenAI's turns: cut short, interrupted, by hand, beside the conversation; limits, tokens and what they cost."""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import Any

import pytest

from mockserver.responders.base import Call, Fail, NotTranscribed, Say
from tests.mockserver.talk import Script, Talk, kinds, saying

MANUAL = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}


def detecting(**flags: Any) -> dict[str, Any]:
    return {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad", **flags}}}}


HEARING: dict[str, Any] = {"type": "realtime", "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}}


def test_a_cancelled_answer_closes_incomplete_with_what_was_said():
    talk = Talk(saying(10), dialect="openai")
    talk.say("Tell me.")
    talk.until("response.output_audio.delta", times=3)
    events = talk.send("response.cancel")
    assert [event["type"] for event in events] == [
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    response = events[-1]["response"]
    assert (response["status"], response["status_details"]) == (
        "cancelled",
        {"type": "cancelled", "reason": "client_cancelled"},
    )
    assert response["output"][0]["status"] == "incomplete"
    assert response["usage"]["output_token_details"]["audio_tokens"] == 2 + 3 + 8


def test_an_answer_cancelled_before_its_first_word_has_no_output_and_costs_nothing():
    talk = Talk(saying(10), dialect="openai")
    talk.say("Tell me.")
    response = talk.send("response.cancel")[-1]["response"]
    assert response["output"] == []
    assert response["usage"]["total_tokens"] == 0
    assert response["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}


def test_speech_over_an_answer_is_reported_first_and_cuts_it_then():
    talk = Talk(saying(20), dialect="openai")
    talk.say("Tell me.")
    talk.until("response.output_audio.delta", times=3)
    talk.speak()
    talk.hush(400)
    cut = talk.types.index("input_audio_buffer.speech_started")
    assert kinds(talk.events[cut:])[1:7:5] == ["response.output_audio.done", "response.done"]
    assert talk.of("response.done")[0]["response"]["status_details"]["reason"] == "turn_detected"
    talk.rest()
    assert [event["response"]["status"] for event in talk.of("response.done")] == ["cancelled", "completed"]


def test_an_answer_that_may_not_be_interrupted_goes_on_and_the_turn_gets_none():
    talk = Talk(saying(20), dialect="openai", update=detecting(interrupt_response=False))
    talk.say("Tell me.")
    talk.until("response.output_audio.delta", times=3)
    talk.speak()
    talk.hush(400)
    assert talk.error["code"] == "conversation_already_has_active_response"
    talk.rest()
    assert [event["response"]["status"] for event in talk.of("response.done")] == ["completed"]


def test_without_create_response_a_turn_is_only_committed():
    talk = Talk(Script(), dialect="openai", update=detecting(create_response=False))
    talk.speak()
    talk.hush(400)
    talk.rest()
    assert kinds(talk.events)[2:] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]


def test_cleared_sound_is_gone():
    talk = Talk(dialect="openai", update=MANUAL)
    talk.speak()
    (cleared,) = talk.send("input_audio_buffer.clear")
    assert cleared["type"] == "input_audio_buffer.cleared"
    talk.send("input_audio_buffer.commit")
    assert talk.error["code"] == "input_audio_buffer_commit_empty"


def test_by_hand_a_commit_makes_an_item_and_only_a_request_an_answer():
    responder = Script(heard=["Hello."])
    talk = Talk(responder, dialect="openai", update=MANUAL)
    assert talk.speak() == []
    events = talk.send("input_audio_buffer.commit")
    assert [event["type"] for event in events] == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    talk.rest()
    talk.send("response.create")
    talk.rest()
    assert talk.types.count("response.done") == 1
    assert responder.turns[0].says == "Hello."


def test_a_commit_in_the_middle_of_speech_ends_it_without_a_stop():
    talk = Talk(Script(), dialect="openai")
    talk.speak()
    started = talk.of("input_audio_buffer.speech_started")[0]["item_id"]
    committed = talk.send("input_audio_buffer.commit")[0]
    assert committed["item_id"] == started
    assert "input_audio_buffer.speech_stopped" not in talk.types


def test_the_limits_come_after_the_answer_but_before_what_the_client_does_next():
    talk = Talk(Script([Say("One.")], [Say("Two.")]), dialect="openai")
    talk.say("First.")
    talk.until("response.done")
    at = talk.now
    assert talk.wait(0.04) == []
    limits = talk.until("rate_limits.updated")["rate_limits"]
    assert talk.now - at == pytest.approx(0.043)
    assert [list(entry) for entry in limits] == [["name", "limit", "remaining", "reset_seconds"]]
    talk.say("Second.")
    talk.until("response.done")
    assert talk.write("Third.")[0]["type"] == "rate_limits.updated"


def test_an_answer_beside_the_conversation_leaves_no_trace_in_it():
    talk = Talk(Script([Say("This goes on for a while.")], [Say("Aside.")]), dialect="openai")
    talk.say("Hello.")
    talk.until("response.output_audio.delta")
    asked = {"conversation": "none", "output_modalities": ["text"], "metadata": {"topic": "mood"}, "input": []}
    seen = len(talk.events)
    created = talk.send("response.create", response=asked)[0]["response"]
    assert (created["conversation_id"], created["metadata"]) == (None, {"topic": "mood"})
    talk.rest()
    done = {event["response"]["id"]: event["response"] for event in talk.of("response.done")}
    assert [response["status"] for response in done.values()] == ["completed", "completed"]
    item = done[created["id"]]["output"][0]
    assert item["content"] == [{"type": "output_text", "text": "Aside."}]
    shown = [event["item"]["id"] for event in talk.events[seen:] if event["type"].startswith("conversation.item.")]
    assert item["id"] not in shown
    assert talk.send("conversation.item.retrieve", item_id=item["id"])[0]["type"] == "error"
    assert talk.error["code"] == "item_retrieve_invalid_item_id"


def test_an_answer_beside_the_conversation_is_cancelled_by_its_id():
    talk = Talk(Script([Say("Main. " * 9)], [Say("Aside. " * 9)]), dialect="openai")
    talk.say("Hello.")
    aside = talk.send("response.create", response={"conversation": "none"})[0]["response"]["id"]
    ended = talk.send("response.cancel", response_id=aside)[-1]["response"]
    assert (ended["id"], ended["status"]) == (aside, "cancelled")
    talk.rest()
    assert talk.of("response.done")[-1]["response"]["status"] == "completed"


def test_a_response_may_be_asked_about_other_items_than_the_conversation_s():
    responder = Script()
    talk = Talk(responder, dialect="openai")
    talk.write("My secret is 7.")
    item = talk.write("What was it?")[0]["item"]["id"]
    asked = {"input": [{"type": "item_reference", "id": item}], "instructions": "Answer."}
    talk.send("response.create", response=asked)
    talk.rest()
    assert (responder.turns[0].says, responder.turns[0].instructions) == ("What was it?", "Answer.")


def test_an_item_is_shown_with_what_the_caller_said_and_goes_when_deleted():
    update = {"type": "realtime", "audio": {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}}}
    talk = Talk(Script(heard=["Hello there."]), dialect="openai", update=update)
    talk.speak()
    talk.hush(400)
    talk.rest()
    spoken = talk.of("conversation.item.done")[0]["item"]
    assert spoken["content"] == [{"type": "input_audio", "transcript": None}]
    shown = talk.send("conversation.item.retrieve", item_id=spoken["id"])[0]["item"]
    (part,) = shown["content"]
    assert (part["type"], part["transcript"]) == ("input_audio", "Hello there.")
    stopped, started = (talk.of(f"input_audio_buffer.speech_{end}")[0] for end in ("stopped", "started"))
    spoken_ms = stopped["audio_end_ms"] - started["audio_start_ms"]
    assert len(base64.b64decode(part["audio"])) == 48 * spoken_ms
    assert talk.send("conversation.item.delete", item_id=spoken["id"])[0]["item_id"] == spoken["id"]
    talk.send("conversation.item.delete", item_id=spoken["id"])
    assert talk.error["code"] == "item_delete_invalid_item_id"


def test_an_answer_stops_at_its_most_tokens():
    talk = Talk(Script([Say("One two three four five six seven.")]), dialect="openai")
    talk.write("Count.")
    talk.send("response.create", response={"max_output_tokens": 20})
    response = talk.until("response.done")["response"]
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert (response["max_output_tokens"], response["output"][0]["status"]) == (20, "incomplete")


@pytest.mark.parametrize("model", ["gpt-realtime", "gpt-realtime-2.1", "gpt-realtime-2.1-mini"])
@pytest.mark.parametrize("most", [1, 9, 20, 33, 64, 100, 1000])
@pytest.mark.parametrize("modality", ["audio", "text"])
def test_a_limit_of_tokens_is_one_on_what_usage_counts_sound_included(model: str, most: int, modality: str):
    said = "We are open from nine to six on every working day, except on public holidays."
    talk = Talk(Script([Say(said)]), dialect="openai", model=model)
    talk.write("When are you open?")
    talk.send("response.create", response={"max_output_tokens": most, "output_modalities": [modality]})
    response = talk.until("response.done")["response"]
    assert response["status"] in ("completed", "incomplete") and (response["status"] == "completed") >= (most == 1000)
    reasoned = response["usage"]["output_token_details"].get("reasoning_tokens", 0)
    assert response["usage"]["output_tokens"] <= max(most, reasoned)
    if response["status"] == "completed":
        assert said in response["output"][0]["content"][0].values()
    else:
        assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}


def test_audio_is_cut_at_the_very_token_of_the_limit():
    talk = Talk(Script([Say("One two three.")]), dialect="openai")
    talk.write("Count.")
    talk.send("response.create", response={"max_output_tokens": 20})
    usage = talk.until("response.done")["response"]["usage"]
    assert usage["output_tokens"] == 20
    sent = sum(len(base64.b64decode(delta["delta"])) for delta in talk.of("response.output_audio.delta"))
    assert sent == usage["output_token_details"]["audio_tokens"] * 50 * 48


@pytest.mark.parametrize(
    ("fail", "type"),
    [
        (Fail("rate_limit_exceeded", "Later."), "invalid_request_error"),
        (Fail("insufficient_quota", "Pay."), "insufficient_quota"),
        (Fail(None, "It broke."), "server_error"),
        (Fail("overloaded", "Later.", "overloaded_error"), "overloaded_error"),
    ],
)
def test_a_failure_has_a_message_and_the_type_of_its_code_unless_it_names_one(fail: Fail, type: str):
    talk = Talk(Script([fail]), dialect="openai")
    talk.say("Hello.")
    details = talk.until("response.done")["response"]["status_details"]
    assert details == {"type": "failed", "error": {"type": type, "code": fail.code, "message": fail.message}}


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (NotTranscribed("audio_unintelligible", "Too quiet."), ("transcription_error", "audio_unintelligible")),
        (NotTranscribed("server_error", "It broke."), ("server_error", "server_error")),
        (NotTranscribed(None, "It broke."), ("server_error", None)),
        (NotTranscribed("model_not_found", "No such model.", type="invalid_request_error"), None),
    ],
)
def test_a_failed_transcript_has_the_type_of_its_code_unless_it_names_one(
    failure: NotTranscribed, error: tuple[str, str | None] | None
):
    talk = Talk(Script(heard=[failure]), dialect="openai", update=HEARING)
    talk.speak()
    talk.hush(400)
    shown = talk.until("conversation.item.input_audio_transcription.failed")["error"]
    assert (shown["type"], shown["code"]) == (error or ("invalid_request_error", "model_not_found"))


def test_a_failed_transcript_without_words_names_its_item():
    talk = Talk(Script(heard=[NotTranscribed(None)]), dialect="openai", update=HEARING)
    talk.speak()
    talk.hush(400)
    failed = talk.until("conversation.item.input_audio_transcription.failed")
    assert failed["item_id"] in failed["error"]["message"]


def test_idle_time_brings_an_empty_turn_and_an_answer():
    talk = Talk(Script(), dialect="openai", update=detecting(idle_timeout_ms=6000))
    talk.say("Hello.")
    timeout = talk.until("input_audio_buffer.timeout_triggered")
    assert talk.until("input_audio_buffer.committed")["item_id"] == timeout["item_id"]
    talk.until("response.created")


# What it counts and costs.


def test_every_answer_counts_the_whole_conversation_and_caches_its_beginning():
    talk = Talk(Script(*[[Say("Very well, as you like.")]] * 3), dialect="openai")
    usages = []
    for text in ("One.", "Two.", "Three."):
        talk.say(text)
        usages.append(talk.until("response.done")["response"]["usage"])
    inputs = [usage["input_tokens"] for usage in usages]
    assert inputs == sorted(inputs) and len(set(inputs)) == 3
    cached = [usage["input_token_details"]["cached_tokens"] for usage in usages]
    assert cached[0] == 0 and cached[1] > 0 and all(count % 64 == 0 for count in cached)
    for usage in usages:
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_recorded_numbers_of_a_spoken_turn_come_out_exactly():
    update = {
        "type": "realtime",
        "instructions": "Reply in a few words.",
        "audio": {"input": {"transcription": {"model": "gpt-realtime-whisper"}}},
    }
    answer = "Hello, Marcelo! Great to meet you. How can I help you today?"
    talk = Talk(Script([Say(answer)], heard=["Hello, my name is Marcelo."]), dialect="openai", update=update)
    talk.speak("Hello, my name is Marcelo.")
    talk.hush(400)
    talk.rest()
    response = talk.of("response.done")[0]["response"]
    started = talk.of("input_audio_buffer.speech_started")[0]["audio_start_ms"]
    stopped = talk.of("input_audio_buffer.speech_stopped")[0]["audio_end_ms"]
    assert response["usage"]["input_token_details"]["audio_tokens"] == (stopped - started) // 100
    assert len(talk.of("response.output_audio_transcript.delta")) == 16
    heard = talk.of("conversation.item.input_audio_transcription.completed")[0]
    assert heard["usage"] == {"type": "duration", "seconds": -(-(stopped - started) // 1000)}
    words = [event["delta"] for event in talk.of("conversation.item.input_audio_transcription.delta")]
    assert words == [" Hello", ",", " my", " name", " is", " Marcelo", "."]


def test_tokens_cost_what_the_table_says():
    talk = Talk(Script([Say("Hi there!")], [Say("Bye.")]), dialect="openai", model="gpt-realtime-mini")
    for text in ("Hello.", "Bye."):
        talk.say(text)
        talk.rest()
    usd = Decimal(0)
    for event in talk.of("response.done"):
        given, made = (event["response"]["usage"][f"{side}_token_details"] for side in ("input", "output"))
        cached = given["cached_tokens_details"]
        usd += (given["text_tokens"] - cached["text_tokens"]) * Decimal("0.60")
        usd += (given["audio_tokens"] - cached["audio_tokens"]) * 10
        usd += cached["text_tokens"] * Decimal("0.06") + cached["audio_tokens"] * Decimal("0.30")
        usd += made["text_tokens"] * Decimal("2.40") + made["audio_tokens"] * 20
    assert talk.session.ledger.total_usd == pytest.approx(usd / 1_000_000, abs=Decimal("0.000001"))


def test_a_call_s_output_is_answered_in_the_next_response():
    responder = Script([Call("look", {"city": "London"})], [Say("Foggy.")])
    talk = Talk(responder, dialect="openai")
    talk.say("How is it?")
    call_id = talk.until("response.function_call_arguments.done")["call_id"]
    talk.create("function_call_output", call_id=call_id, output="fog")
    talk.send("response.create")
    talk.rest()
    assert [(result.name, result.output) for result in responder.turns[1].results] == [("look", "fog")]
    assert talk.types.count("rate_limits.updated") == 1


HEARING = {"type": "realtime", "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}}


@pytest.mark.parametrize("pacing", ["burst", "live"])
def test_a_turn_that_cannot_be_transcribed_is_answered_all_the_same(pacing: str):
    heard = NotTranscribed("audio_unintelligible", "The sound is too quiet.", says="A cleaning, please.")
    talk = Talk(responder := Script(heard=[heard]), dialect="openai", update=HEARING, pacing=pacing)
    talk.speak()
    talk.hush(400)
    talk.rest()
    [failed] = talk.of("conversation.item.input_audio_transcription.failed")
    assert list(failed) == ["type", "event_id", "item_id", "content_index", "error"]
    assert list(failed["error"].items()) == [
        ("type", "transcription_error"),
        ("code", "audio_unintelligible"),
        ("message", "The sound is too quiet."),
        ("param", None),
    ]
    assert talk.types.index("response.created") < talk.events.index(failed)
    assert responder.turns[0].says == "A cleaning, please."
    assert not [type for type in talk.types if type.endswith((".completed", "transcription.delta"))]
    assert talk.of("response.done")[0]["response"]["status"] == "completed"


def test_the_answer_is_begun_before_the_turn_is_transcribed_however_fast_that_goes():
    talk = Talk(Script(heard=["A cleaning, please."]), dialect="openai", update=HEARING, pacing="burst")
    talk.speak()
    talk.hush(400)
    talk.rest()
    begun = talk.types.index("response.created")
    assert talk.types[begun - 1] == "conversation.item.done"
    assert talk.types[begun + 1] == "conversation.item.input_audio_transcription.delta"
    assert "conversation.item.input_audio_transcription.completed" in talk.types
