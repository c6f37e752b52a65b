"""One conversation aloud: turns by hand and by the server's ear, interruptions, idle callers."""

from __future__ import annotations

import numpy as np
import pytest

from mockserver.responders.base import UNINTELLIGIBLE, NotTranscribed, Say
from tests.mockserver.talk import TONE, Script, Talk, kinds, saying

VAD = {"turn_detection": {"type": "server_vad"}}
NO_BARGE_IN = {"turn_detection": {"type": "server_vad", "interrupt_response": False}}
HEARING = {**VAD, "audio": {"input": {"transcription": {"model": "grok-transcribe"}}}}
COMPLETED = "conversation.item.input_audio_transcription.completed"
STARTED, STOPPED = "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"


# By hand: turn detection is off (section 14 of the wire sheet is the only witness).


def test_a_commit_of_speech_is_answered_by_itself():
    talk = Talk(responder := Script(heard=["A cleaning, please."]))
    talk.speak()
    committed = talk.send("input_audio_buffer.commit")
    assert kinds(committed)[0] == "input_audio_buffer.committed"
    talk.rest()
    assert len(talk.of("response.done")) == 1
    assert (responder.turns[0].says, responder.turns[0].spoken) == ("A cleaning, please.", True)


def test_a_commit_and_a_request_for_a_response_give_exactly_one():
    talk = Talk()
    talk.speak()
    talk.send("input_audio_buffer.commit")
    assert talk.send("response.create") == []
    talk.rest()
    assert talk.send("response.create") == []
    talk.rest()
    assert len(talk.of("response.done")) == 1


@pytest.mark.parametrize("new", ["text", "result", "clear"])
def test_something_new_makes_a_request_answer_again(new: str):
    talk = Talk()
    talk.speak()
    talk.send("input_audio_buffer.commit")
    talk.rest()
    match new:
        case "text":
            talk.write("And a text.")
        case "result":
            talk.create("function_call_output", call_id="c", output="42")
        case _:
            talk.send("input_audio_buffer.clear")
    talk.send("response.create")
    talk.rest()
    assert len(talk.of("response.done")) == 2


def test_a_commit_of_silence_makes_no_turn():
    talk = Talk()
    talk.hush(1000)
    assert talk.send("input_audio_buffer.commit") == []
    assert talk.rest() == []


def test_a_commit_of_nothing_is_refused():
    talk = Talk()
    talk.send("input_audio_buffer.commit")
    assert "buffer too small" in talk.error["message"]


def test_the_old_name_of_the_commit_is_understood():
    talk = Talk()
    talk.speak()
    assert kinds(talk.send("conversation.item.commit"))[0] == "input_audio_buffer.committed"


def test_cleared_speech_is_not_committed():
    talk = Talk()
    talk.speak()
    assert kinds(talk.send("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    talk.send("input_audio_buffer.commit")
    assert "buffer too small" in talk.error["message"]


def test_speech_over_an_answer_stops_it_without_ending_it():
    talk = Talk(saying(seconds=10))
    talk.say("Go on.")
    talk.until("response.output_audio.delta", times=2)
    assert kinds(talk.speak())[0] == STARTED
    assert talk.rest() == []
    assert talk.of("response.done") == []


def test_a_text_right_after_a_spoken_turn_is_not_refused_for_an_answer_that_never_was():
    talk = Talk()
    talk.speak()
    talk.send("input_audio_buffer.commit")
    talk.say("And this.")
    assert "in progress: ." not in "".join(event["error"]["message"] for event in talk.of("error"))


# By the server's ear.


def test_a_spoken_turn_comes_in_the_recorded_order():
    talk = Talk(Script(heard=["Hello, my name is Marcelo."]), update=HEARING)
    talk.speak("Hello, my name is Marcelo.")
    talk.hush(900)
    talk.rest()
    partly = ["conversation.item.input_audio_transcription.updated", COMPLETED]
    assert kinds(talk.events[4:])[:11] == [
        STARTED,
        "conversation.item.added",
        *partly,
        STOPPED,
        "input_audio_buffer.committed",
        *partly,
        COMPLETED,
        "response.created",
        "response.output_item.added",
    ]
    assert [event["status"] for event in talk.of(COMPLETED)] == ["in_progress", "in_progress", "completed"]
    assert talk.of(COMPLETED)[-1]["transcript"] == "Hello, my name is Marcelo."


def test_the_callers_item_is_announced_once_in_progress_and_the_answer_links_to_it():
    talk = Talk(update=VAD)
    talk.speak()
    talk.hush(900)
    talk.rest()
    user, assistant = talk.of("conversation.item.added")
    assert user["item"]["status"] == "in_progress"
    assert user["item"]["content"] == [{"type": "input_audio", "transcript": ""}]
    borders = talk.of(STARTED) + talk.of(STOPPED) + talk.of("input_audio_buffer.committed") + talk.of(COMPLETED)
    assert {event["item_id"] for event in borders} == {user["item"]["id"]}
    assert assistant["previous_item_id"] == user["item"]["id"]


def test_without_a_transcription_model_only_the_final_text_comes():
    talk = Talk(Script(heard=["Hello, my name is Marcelo."]), update=VAD)
    talk.speak()
    talk.hush(900)
    talk.rest()
    assert [event["status"] for event in talk.of(COMPLETED)] == ["completed"]
    assert talk.of("conversation.item.input_audio_transcription.updated") == []


def test_a_commit_under_server_vad_is_ignored():
    talk = Talk(update=VAD)
    talk.speak()
    assert talk.send("input_audio_buffer.commit") == []


def test_create_response_false_is_echoed_and_not_applied():
    talk = Talk(update={"turn_detection": {"type": "server_vad", "create_response": False}})
    talk.speak()
    talk.hush(900)
    talk.rest()
    assert len(talk.of("response.done")) == 1


def test_speaking_over_the_answer_cuts_it_and_bills_only_what_was_sent():
    talk = Talk(saying(seconds=10), update=VAD)
    talk.say("Go on.")
    talk.until("response.output_audio.delta", times=3)
    talk.speak()
    done = talk.of("response.done")[0]
    assert done["response"]["status"] == "cancelled"
    assert done["usage"]["output_audio_seconds"] == pytest.approx(talk.heard_seconds)
    assert talk.types.index(STARTED) < talk.types.index("response.done")


def test_what_was_said_over_the_answer_is_answered():
    talk = Talk(saying(seconds=10), update=VAD)
    talk.say("Go on.")
    talk.until("response.output_audio.delta", times=3)
    talk.speak()
    talk.hush(900)
    talk.rest()
    assert [done["response"]["status"] for done in talk.of("response.done")] == ["cancelled", "completed"]


def test_an_answer_that_may_not_be_interrupted_is_finished_first():
    talk = Talk(saying(seconds=8), update=NO_BARGE_IN)
    talk.say("Go on.")
    talk.until("response.output_audio.delta")
    talk.speak()
    talk.hush(900)
    talk.rest()
    assert [done["response"]["status"] for done in talk.of("response.done")] == ["completed", "completed"]
    assert len(talk.of("response.created")) == 2


def test_an_owed_answer_survives_the_change_to_manual_turns():
    talk = Talk(saying(seconds=20), update=NO_BARGE_IN)
    talk.say("Go on.")
    talk.until("response.output_audio.delta")
    talk.speak()
    talk.hush(900)
    talk.wait(1)
    talk.send("session.update", session={"turn_detection": None})
    talk.speak()
    talk.send("input_audio_buffer.commit")
    talk.rest()
    opened = {event["response"]["id"] for event in talk.of("response.created")}
    assert {event["response"]["id"] for event in talk.of("response.done")} == opened


def test_speech_soon_after_a_stop_goes_on_with_the_same_item():
    talk = Talk(update=VAD)
    talk.speak()
    talk.hush(600)
    talk.wait(0.1)
    talk.speak()
    talk.hush(900)
    talk.rest()
    assert len({event["item_id"] for event in talk.of(STARTED)}) == 1
    assert len(talk.of(STARTED)) == len(talk.of("input_audio_buffer.committed")) == 2
    assert len(talk.of("response.done")) == 1


def test_a_stop_taken_back_drops_an_answer_that_has_not_spoken_without_ending_it():
    talk = Talk(update=VAD)
    talk.speak()
    talk.hush(600)
    talk.until("response.created")
    talk.speak()
    assert len({event["item_id"] for event in talk.of(STARTED)}) == 1
    assert talk.of("response.done") == []


def test_deleting_the_item_of_a_turn_that_goes_on_does_not_announce_it_again():
    talk = Talk(update=VAD)
    talk.speak()
    talk.send("conversation.item.delete", item_id=talk.of(STARTED)[0]["item_id"])
    talk.hush(900)
    talk.rest()
    ids = [event["item"]["id"] for event in talk.of("conversation.item.added")]
    assert len(ids) == len(set(ids))


def test_an_answer_stopped_by_hand_does_not_keep_later_turns_waiting_forever():
    talk = Talk(saying(seconds=6))
    talk.say("Go on.")
    talk.until("response.output_audio.delta", times=2)
    talk.speak()
    talk.hush(900)
    talk.send("session.update", session=NO_BARGE_IN)
    talk.speak()
    talk.hush(900)
    talk.rest()
    assert "completed" in [done["response"]["status"] for done in talk.of("response.done")]


# A caller who says nothing.


def idle(ms: int) -> dict[str, object]:
    return {"turn_detection": {"type": "server_vad", "idle_timeout_ms": ms}}


def test_an_idle_caller_is_spoken_to():
    talk = Talk(responder := Script([Say("Welcome.")], [Say("Are you there?")]), update=idle(5000))
    talk.say("Hello.")
    talk.until("response.done")
    ended = talk.now
    triggered = talk.until("input_audio_buffer.timeout_triggered")
    assert talk.now - ended >= 5
    assert talk.until("response.output_audio_transcript.done")["transcript"] == "Are you there?"
    assert (responder.turns[1].silence, responder.turns[1].says) == (True, None)
    assert talk.of("input_audio_buffer.committed")[0]["item_id"] == triggered["item_id"]


def test_a_caller_who_interrupts_is_not_idle():
    talk = Talk(saying(seconds=4), update=idle(500))
    talk.say("Go on.")
    talk.until("response.output_audio.delta")
    sound = TONE.speak("I have quite a lot to say and I am not going to stop before I am through.").samples
    talk.speak_in_time(np.concatenate([sound, sound]))
    assert talk.of("response.done")[0]["response"]["status"] == "cancelled"
    assert talk.of("input_audio_buffer.timeout_triggered") == []


def test_turning_the_idle_timeout_off_disarms_it():
    talk = Talk(update=idle(2000))
    talk.say("Hello.")
    talk.until("response.done")
    talk.send("session.update", session={"turn_detection": None})
    talk.wait(10)
    assert talk.of("input_audio_buffer.timeout_triggered") == []


def test_nothing_is_guessed_of_what_nobody_understood():
    talk = Talk(Script(heard=[UNINTELLIGIBLE]), update=VAD)
    talk.speak()
    talk.hush(900)
    talk.rest()
    heard = [event for event in talk.events if event["type"].startswith("conversation.item.input_audio_transcription")]
    assert [(event["transcript"], event.get("status")) for event in heard] == [(UNINTELLIGIBLE, "completed")]


def test_xai_has_an_empty_transcript_of_what_it_cannot_transcribe_and_answers_it():
    talk = Talk(responder := Script(heard=[NotTranscribed("audio_unintelligible", says="Yes.")]), update=HEARING)
    talk.speak()
    talk.hush(900)
    talk.rest()
    assert [(event["status"], event["transcript"]) for event in talk.of(COMPLETED)] == [("completed", "")]
    assert (responder.turns[0].says, len(talk.of("response.done"))) == ("Yes.", 1)
