"""One conversation in writing: turns, tools, items, and what a client may ask for at the wrong moment."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from mockserver.responders.base import Call, Fail, Pause, Result, Say
from mockserver.responders.echo import EchoResponder
from tests.mockserver.talk import Script, Talk, kinds, saying

SPOKEN = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio.delta",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_audio.done",
    "response.output_item.done",
    "response.done",
]
CALLED = [
    "response.output_item.added",
    "conversation.item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.done",
]


def test_a_typed_message_is_answered_aloud_in_the_recorded_order():
    talk = Talk(Script([Say("Yes, we are.")]))
    talk.say("Are you open?")
    talk.rest()
    assert kinds(talk.events[3:]) == ["conversation.item.added", *SPOKEN]


def test_a_message_alone_is_not_answered():
    talk = Talk()
    talk.write("Are you open?")
    assert talk.rest() == []


def test_what_is_due_at_an_instant_happens_before_the_message_that_comes_then():
    talk = Talk(saying(seconds=5))
    talk.say("Go on.")
    talk.until("response.output_audio.delta")
    talk.now = talk.session.next_due() or 0.0
    kind = [event["type"] for event in talk.send("response.cancel")]
    assert kind[0] in ("response.output_audio.delta", "response.output_audio_transcript.delta")
    assert kind[-1] == "response.done"


def test_speech_and_a_call_share_one_response():
    talk = Talk(Script([Say("Let me look."), Call("look", {"city": "London"})]))
    talk.say("Weather?")
    done = talk.until("response.done")
    assert kinds(talk.events[4:]) == [*SPOKEN[:-1], *CALLED, "response.done"]
    assert [item["type"] for item in done["response"]["output"]] == ["message", "function_call"]
    assert done["response"]["output"][1]["arguments"] == '{"city":"London"}'


def test_a_silent_call_has_no_message():
    talk = Talk(Script([Call("look")]))
    talk.say("Weather?")
    done = talk.until("response.done")
    assert kinds(talk.events[4:]) == ["response.created", *CALLED, "response.done"]
    assert done["usage"]["output_audio_seconds"] == 0.0


def test_parallel_calls_are_numbered_within_their_response():
    talk = Talk(Script([Call("a"), Call("b"), Call("c")]))
    talk.say("All of it.")
    talk.rest()
    calls = talk.of("response.function_call_arguments.done")
    assert [(call["name"], call["call_id"][-2:]) for call in calls] == [("a", "-0"), ("b", "-1"), ("c", "-2")]
    assert len({call["item_id"] for call in calls}) == 3


def test_after_a_tool_result_the_service_waits_for_the_client_to_ask():
    talk = Talk(responder := Script([Call("look")], [Say("It is sunny.")]))
    talk.say("Weather?")
    call = talk.until("response.function_call_arguments.done")
    talk.rest()
    added = talk.create("function_call_output", call_id=call["call_id"], output="sunny")
    assert kinds(added) == ["conversation.item.added"]
    assert talk.rest() == []
    talk.send("response.create")
    assert talk.until("response.output_audio_transcript.done")["transcript"] == "It is sunny."
    assert responder.turns[1].results == (Result("look", "sunny"),)


def hashed(call_id: str) -> str:
    return hashlib.sha256(call_id.encode()).hexdigest()[:32]


@pytest.mark.parametrize("shorten", [str, hashed])
def test_a_result_is_recognised_by_its_call_id_or_by_livekits_hash_of_it(shorten: Any):
    talk = Talk(responder := Script([Call("look")]))
    talk.say("Weather?")
    call_id = shorten(talk.until("response.function_call_arguments.done")["call_id"])
    talk.until("response.done")
    added = talk.create("function_call_output", call_id=call_id, output="sunny")
    talk.send("response.create")
    assert responder.turns[1].results == (Result("look", "sunny"),)
    assert added[0]["item"]["call_id"] == call_id


def test_a_result_of_an_unknown_call_is_taken():
    talk = Talk(responder := Script())
    talk.create("function_call_output", call_id="nobody-asked", output="42")
    talk.send("response.create")
    assert responder.turns[0].results == (Result("", "42"),)


def test_a_result_may_come_before_the_response_is_done():
    talk = Talk(Script([Call("look"), Say("One moment, this takes a while.")]))
    talk.say("Weather?")
    call = talk.until("response.function_call_arguments.done")
    talk.create("function_call_output", call_id=call["call_id"], output="sunny")
    assert talk.until("response.done")["response"]["status"] == "completed"


def test_two_texts_in_a_row_are_one_message_whose_sentences_stand_apart():
    talk = Talk(Script([Say("Hello there."), Say("How are you?")]))
    talk.say("Hi.")
    assert talk.until("response.output_audio_transcript.done")["transcript"] == "Hello there. How are you?"


def test_the_echo_of_two_results_can_be_read():
    talk = Talk(EchoResponder())
    for number in "12":
        talk.create("function_call_output", call_id=number, output=f"{number}0 o'clock.")
    talk.send("response.create")
    assert "o'clock. The" in talk.until("response.output_audio_transcript.done")["transcript"]


def test_a_pause_before_the_first_word_delays_it():
    prompt, late = Talk(Script([Say("Yes.")])), Talk(Script([Pause(5000), Say("Yes.")]))
    for talk in (prompt, late):
        talk.say("Hm?")
        talk.until("response.output_audio.delta")
    assert prompt.now < 1 < 5 <= late.now


def test_a_failing_responder_fails_the_response_and_nothing_else():
    talk = Talk(Script([Say("I am"), Fail("overloaded", "try later")]))
    talk.say("Hello?")
    assert talk.until("response.done")["response"]["status"] == "failed"
    assert "try later" in talk.error["message"]
    talk.say("Again?")
    assert talk.until("response.done")["response"]["status"] == "completed"


def test_cancelling_stops_the_sound_at_once_and_closes_what_is_open():
    talk = Talk(saying(seconds=10))
    talk.say("Go on.")
    talk.until("response.output_audio.delta", times=3)
    closing = talk.send("response.cancel")
    assert kinds(closing) == SPOKEN[-5:]
    done = closing[-1]
    assert done["response"]["status"] == "cancelled"
    assert done["response"]["output"][0]["status"] == "incomplete"
    assert done["usage"]["output_audio_seconds"] == pytest.approx(talk.heard_seconds)
    assert talk.rest() == []


def test_cancelling_nothing_is_told_in_the_observed_words():
    talk = Talk()
    talk.send("response.cancel")
    assert talk.error["message"] == "Cancellation failed: no active response found"


def test_cancelling_another_response_leaves_the_running_one_alone():
    talk = Talk(saying(seconds=3))
    talk.say("Go on.")
    talk.send("response.cancel", response_id="not-this-one")
    assert talk.error["message"] == "Response ID 'not-this-one' does not match current response"
    assert talk.until("response.done")["response"]["status"] == "completed"


def test_a_second_request_is_refused_while_an_answer_is_given():
    talk = Talk(saying(seconds=3))
    talk.say("Go on.")
    talk.send("response.create")
    assert "already has an active response" in talk.error["message"]
    talk.rest()
    assert len(talk.of("response.done")) == 1


def test_metadata_comes_back_with_the_response_even_when_it_is_cancelled():
    talk = Talk(saying(seconds=3))
    created = talk.send("response.create", response={"metadata": {"client_event_id": "e1"}})[0]
    assert created["response"]["metadata"] == {"client_event_id": "e1"}
    done = talk.send("response.cancel")[-1]
    assert done["response"]["metadata"] == {"client_event_id": "e1"}


def test_metadata_is_absent_when_none_was_sent():
    talk = Talk()
    talk.say("Hi.")
    assert "metadata" not in talk.until("response.done")["response"]


def test_instructions_of_a_request_hold_for_that_response_only():
    talk = Talk(responder := Script(), update={"instructions": "Be kind."})
    talk.send("response.create", response={"instructions": "Be brief."})
    talk.rest()
    talk.send("response.create", response={"instructions": None})
    assert [turn.instructions for turn in responder.turns] == ["Be brief.", "Be kind."]


def test_history_is_seeded_without_an_answer_and_linked_in_order():
    talk = Talk()
    talk.write("My name is Alice.")
    talk.write("Nice to meet you.", "assistant")
    talk.write("What is my name and favorite color?")
    added = talk.of("conversation.item.added")
    assert [event["item"]["content"][0]["type"] for event in added] == ["input_text", "output_text", "input_text"]
    assert [event["previous_item_id"] for event in added] == [None, added[0]["item"]["id"], added[1]["item"]["id"]]
    assert talk.rest() == []


def test_a_seeded_call_and_its_result_stand_without_links():
    talk = Talk()
    talk.write("Weather?")
    call = talk.create("function_call", call_id="c1", name="look", arguments="{}")[0]
    result = talk.create("function_call_output", call_id="c1", output="sunny")[0]
    assert (call["previous_item_id"], result["previous_item_id"]) == (None, None)
    assert (call["item"]["role"], result["item"]["role"]) == ("tool", "tool")


@pytest.mark.parametrize("dialect", ["xai", "openai"])
def test_a_restored_conversation_is_answered_from_its_end(dialect: str):
    talk = Talk(responder := Script(), dialect=dialect)
    talk.write("Weather?")
    talk.create("function_call", call_id="c1", name="look", arguments="{}")
    talk.create("function_call_output", call_id="c1", output="sunny")
    talk.write("It is sunny.", "assistant")
    talk.say("Hello?")
    assert [(turn.says, turn.results) for turn in responder.turns] == [("Hello?", ())]


def test_an_answer_links_to_the_tool_result_before_it():
    talk = Talk()
    result = talk.create("function_call_output", call_id="c1", output="sunny")[0]
    talk.send("response.create")
    assert talk.until("conversation.item.added")["previous_item_id"] == result["item"]["id"]


def test_an_id_that_the_client_chose_is_kept_and_cannot_be_taken_twice():
    talk = Talk()
    message = {"type": "message", "role": "user", "id": "mine", "content": [{"type": "input_text", "text": "Hi"}]}
    assert talk.send("conversation.item.create", item=message)[0]["item"]["id"] == "mine"
    talk.send("conversation.item.create", item=message)
    assert "'mine'" in talk.error["message"]


def test_an_item_goes_where_the_client_puts_it():
    talk = Talk()
    first = talk.write("First.")[0]["item"]["id"]
    assert talk.write("Before all.", previous_item_id="root")[0]["previous_item_id"] is None
    between = talk.write("Second.", previous_item_id=first)[0]
    assert between["previous_item_id"] == first
    assert [item.text for item in talk.session.conversation] == ["Before all.", "First.", "Second."]


def test_deleting_an_item_answers_with_an_empty_id():
    talk = Talk()
    item_id = talk.write("Forget this.")[0]["item"]["id"]
    assert talk.send("conversation.item.delete", item_id=item_id)[0]["item_id"] == ""
    assert len(talk.session.conversation) == 0


def test_deleting_what_is_not_there_is_an_error():
    talk = Talk()
    talk.send("conversation.item.delete", item_id="nobody")
    assert talk.error["message"] == "Item not found: nobody"


def test_a_forced_message_may_not_take_an_id_that_is_taken():
    talk = Talk()
    said = {"type": "force_message", "id": "fm1", "content": [{"type": "output_text", "text": "Hello."}]}
    for _ in range(2):
        talk.send("conversation.item.create", item=said)
        talk.rest()
    assert "'fm1'" in talk.error["message"]
    assert len(talk.of("response.done")) == 1


def test_truncating_keeps_the_words_that_were_heard():
    talk = Talk(Script([Say("One two three four five six. Seven eight nine ten.")]))
    talk.say("Count.")
    item_id = talk.until("response.output_item.done")["item"]["id"]
    talk.rest()
    cut = talk.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=600)[0]
    assert "One two three four five six. Seven".startswith(cut["transcript"])
    assert 0 < len(cut["transcript"].split()) < 6
    again = talk.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=0)[0]
    assert again["transcript"] == ""


def test_only_the_assistants_messages_can_be_truncated():
    talk = Talk(Script([Call("look")]))
    talk.say("Hi.")
    talk.rest()
    for event in talk.of("conversation.item.added"):
        talk.send("conversation.item.truncate", item_id=event["item"]["id"], content_index=0, audio_end_ms=0)
        assert "truncat" in talk.error["message"]


def test_what_was_typed_comes_back_letter_by_letter():
    text = 'Grüße, 世界! \U0001f98e "quoted" \\ \u2028'
    assert Talk().write(text)[0]["item"]["content"] == [{"type": "input_text", "text": text}]
