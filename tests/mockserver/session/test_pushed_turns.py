"""Turns that the client ends itself, as xAI reports them since September 2026 (recordings)."""

from __future__ import annotations

from typing import Any

import pytest

from mockserver.responders.base import Call, NotTranscribed, Say, Transcript
from tests.mockserver.talk import Event, Script, Talk, kinds, saying

MANUAL: dict[str, Any] = {
    "turn_detection": None,
    "audio": {"input": {"transcription": {"model": "grok-transcribe"}}},
}
HEARD = "conversation.item.input_audio_transcription"
STARTED = "input_audio_buffer.speech_started"
ENDED = ["input_audio_buffer.speech_stopped", "input_audio_buffer.committed"]
SHOWN = ["conversation.item.added", f"{HEARD}.updated", f"{HEARD}.completed"]
COMMIT, ADDED = "input_audio_buffer.commit", "conversation.item.added"


def talk_of(*heard: str | NotTranscribed | Transcript, **settings: Any) -> Talk:
    script = settings.pop("script", None) or Script([Say("Nice to meet you.")], heard=heard)
    # With this seed no transcript is overtaken by chance in the first turns.
    return Talk(script, dialect="xai@2026-09", update=MANUAL, **{"seed": "7/1", **settings})


def pushed(talk: Talk, text: str = "Hello, my name is Marcelo.") -> list[Event]:
    """Speak and commit at once; gives what comes until nothing is pending."""
    seen = len(talk.events)
    talk.speak(text)
    talk.send(COMMIT)
    talk.rest()
    return talk.events[seen:]


def user_items(events: list[Event]) -> list[Event]:
    return [event for event in events if event["type"] == ADDED and event["item"]["role"] == "user"]


@pytest.mark.parametrize("pacing", ["live", "burst"])
def test_a_turn_committed_at_once_stops_at_the_commit_and_is_answered_by_itself(pacing: str):
    events = pushed(talk_of("Hello, my name is Marcelo.", pacing=pacing))
    assert kinds(events)[:8] == [STARTED, *ENDED, *SHOWN, f"{HEARD}.completed", "response.created"]
    heard = [(event["transcript"], event.get("status")) for event in events if event["type"].startswith(HEARD)]
    assert heard == [
        ("Hello, my name is", None),
        ("Hello, my name is", "in_progress"),
        ("Hello, my name is Marcelo.", "completed"),
    ]
    (user,) = user_items(events)
    assert (user["item"]["status"], user["item"]["content"][0]["transcript"]) == ("in_progress", "")
    assert events[-1]["response"]["status"] == "completed"


def test_a_client_that_waits_gets_the_item_and_a_first_text_before_its_commit():
    talk = talk_of("Hello, my name is Marcelo.")
    talk.speak()
    assert kinds(talk.wait(1.0)) == [STARTED, *SHOWN]
    talk.send(COMMIT)
    assert kinds(talk.rest())[:4] == [*ENDED, f"{HEARD}.completed", "response.created"]
    assert len(user_items(talk.events)) == 1


def test_without_knowing_the_words_the_item_alone_comes_before_the_commit():
    talk = talk_of()
    talk.speak()
    assert kinds(talk.wait(1.0)) == [STARTED, ADDED]


def test_a_pause_while_the_key_is_held_ends_nothing():
    talk = talk_of("Hello. Goodbye.")
    talk.speak("Hello.")
    talk.hush(2900)
    talk.speak("Goodbye.")
    assert kinds(talk.wait(3.0)) == [STARTED, *SHOWN]
    talk.send(COMMIT)
    talk.rest()
    assert len(talk.of("input_audio_buffer.committed")) == len(talk.of("response.done")) == 1


def test_positions_are_milliseconds_since_the_connection_opened():
    talk = talk_of("Yes.")
    talk.wait(5.0)
    talk.speak("Yes.")
    talk.wait(0.06)
    assert talk.of(STARTED) == []
    (started, *_) = talk.wait(0.02)
    assert started["audio_start_ms"] == 5070
    talk.send(COMMIT)
    stopped = talk.until(ENDED[0])
    assert stopped["audio_end_ms"] == round(talk.now * 1000) == 5180


def test_speech_that_is_committed_at_once_stops_100_ms_after_it_started():
    talk = talk_of("Yes.")
    talk.wait(5.0)
    talk.speak("Yes.")
    talk.send(COMMIT)
    talk.rest()
    assert (talk.of(STARTED)[0]["audio_start_ms"], talk.of(ENDED[0])[0]["audio_end_ms"]) == (5070, 5170)


def test_spoken_turns_are_linked_to_each_other_whatever_lies_between():
    script = Script([Say("Hello."), Call("look", {})], [Say("Fog.")], heard=["One two.", "Three four."])
    talk = talk_of(script=script)
    talk.write("I type this.")
    first = pushed(talk)
    call_id = talk.of("response.function_call_arguments.done")[0]["call_id"]
    talk.create("function_call_output", call_id=call_id, output="fog")
    talk.send("response.create")
    talk.rest()
    second = pushed(talk)
    links = [
        (event["previous_item_id"], next(e for e in events if e["type"] == ENDED[1])["previous_item_id"])
        for events in (first, second)
        for event in user_items(events)
    ]
    item_id = user_items(first)[0]["item"]["id"]
    assert links == [(None, None), (item_id, item_id)]
    answers = [event for event in talk.of(ADDED) if event["item"]["role"] == "assistant"]
    assert answers[-1]["previous_item_id"] == user_items(second)[0]["item"]["id"]


@pytest.mark.parametrize("pacing", ["live", "burst"])
def test_the_final_text_may_overtake_and_the_item_comes_twice(pacing: str):
    events = pushed(talk_of(Transcript("Hello, my name is Marcelo.", overtakes=True), pacing=pacing))
    assert kinds(events)[:9] == [STARTED, *ENDED, ADDED, f"{HEARD}.completed", "response.created", *SHOWN]
    first, second = user_items(events)
    assert first["item"]["id"] == second["item"]["id"]
    assert (first["item"]["status"], first["item"]["content"][0]["transcript"]) == (
        "completed",
        "Hello, my name is Marcelo.",
    )
    assert (second["item"]["status"], second["item"]["content"][0]["transcript"]) == ("in_progress", "")


@pytest.mark.slow
def test_it_overtakes_where_the_sound_ends_in_silence_and_else_one_time_in_six():
    silent = talk_of("Hello there.", pacing="burst")
    silent.speak("Hello there.")
    silent.hush(1000)
    silent.send(COMMIT)
    silent.rest()
    assert len(user_items(silent.events)) == 2
    shown = [len(user_items(pushed(talk_of("Hello there.", seed=str(seed)), "Hello there."))) for seed in range(60)]
    assert 4 <= shown.count(2) <= 18 and set(shown) == {1, 2}
    again = [len(user_items(pushed(talk_of("Hello there.", seed=str(seed)), "Hello there."))) for seed in range(60)]
    assert again == shown


def test_silence_is_no_turn():
    talk = talk_of("Hello.")
    talk.hush(2000)
    talk.send(COMMIT)
    assert talk.rest() == []


def test_a_request_after_the_commit_is_dropped_and_new_input_is_answered_together_with_the_turn():
    talk = talk_of("Hello there.")
    talk.speak()
    talk.send(COMMIT)
    talk.send("response.create")
    talk.rest()
    talk.send("response.create")
    talk.rest()
    assert len(talk.of("response.created")) == 1
    script = Script([Say("Yes.")], heard=["Hello there."])
    talk = talk_of(script=script)
    talk.speak()
    talk.send(COMMIT)
    talk.say("And this.")
    talk.rest()
    assert kinds(talk.events)[4:].count("response.created") == 1
    assert script.turns[0].says == "And this. Hello there."


def test_clearing_after_the_commit_takes_the_answer_back():
    talk = talk_of("Hello there.")
    talk.speak()
    talk.send(COMMIT)
    assert kinds(talk.send("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    assert talk.events[-1]["previous_item_id"] is None
    talk.rest()
    assert talk.of("response.created") == talk.of("input_audio_buffer.committed") == []
    assert kinds(pushed(talk))[:3] == [STARTED, *ENDED]


def test_what_is_typed_while_sound_waits_is_not_answered_and_not_counted():
    talk = talk_of("Hello, my name is Marcelo.")
    talk.speak()
    talk.write("This is typed.")
    talk.send(COMMIT)
    talk.rest()
    typed, spoken = user_items(talk.events)
    assert (typed["previous_item_id"], spoken["previous_item_id"]) == (None, None)
    (done,) = talk.of("response.done")
    assert done["usage"]["input_token_details"]["text_tokens"] == 10


def test_audio_is_billed_in_both_directions_and_counted_from_the_first_sound_to_the_last():
    talk = talk_of("Hello there.", "Hello there.")
    talk.hush(2000)
    first, sound_s = pushed(talk), len(talk.session.conversation)
    assert sound_s
    heard_s = float(talk.session.ledger.audio_in_s)
    usage = first[-1]["usage"]
    assert usage["billable_audio_seconds"] == round(heard_s + usage["output_audio_seconds"])
    tokens = usage["input_token_details"]["audio_tokens"]
    # The silence before the first sound is not counted, but for the padding of 320 ms.
    assert tokens % 4 == 0 and (heard_s - 2.0) * 50 <= tokens <= (heard_s - 2.0 + 0.32) * 50 + 8
    second = pushed(talk)[-1]["usage"]
    everything_s = float(talk.session.ledger.audio_in_s + talk.session.ledger.audio_out_s)
    assert second["billable_audio_seconds"] == round(everything_s) > usage["billable_audio_seconds"]
    assert second["output_token_details"]["audio_tokens"] % 4 == 0


def test_the_latency_counts_from_the_end_of_the_turn():
    talk = talk_of("Hello there.")
    talk.speak()
    talk.send(COMMIT)
    talk.until(ENDED[0])
    stopped_s = talk.now
    first = talk.until("response.output_audio.delta")
    assert first["latency"] == f"{talk.now - stopped_s:.2f}"
    assert first["audio_duration_ms"] == 245


def test_speech_stops_an_answer_without_an_end():
    talk = talk_of("Tell me.", "Stop.", script=Script([Say("A long story. " * 30)], heard=["Tell me.", "Stop."]))
    talk.speak()
    talk.send(COMMIT)
    talk.until("response.output_audio.delta", times=2)
    assert kinds(pushed(talk, "Stop."))[-1] == "response.done"
    assert len(talk.of("response.created")) == 2
    assert [done["response"]["id"] for done in talk.of("response.done")] == [
        talk.of("response.created")[1]["response"]["id"]
    ]


def test_a_turn_that_cannot_be_transcribed_is_answered_all_the_same():
    events = pushed(talk_of(NotTranscribed("audio_unintelligible", "Too quiet.")))
    assert f"{HEARD}.updated" not in kinds(events)
    assert events[-1]["type"] == "response.done"


def test_a_session_that_says_nothing_of_turn_detection_hears_that_speech_starts_and_nothing_else():
    talk = Talk(dialect="xai@2026-09", update={"instructions": "Be brief."})
    talk.speak()
    talk.hush(2000)
    assert kinds(talk.wait(5.0)) == [STARTED]


def test_the_service_shows_that_it_is_up_every_ten_seconds():
    talk = Talk(saying(30), dialect="xai@2026-09", pacing="realtime")
    talk.say("Tell me.")
    talk.wait(30.0)
    first, *others = [event["timestamp"] for event in talk.of("ping")]
    assert others == [first + 10_000, first + 20_000, first + 30_000]
    assert len(Talk(dialect="xai@2026-07").wait(60.0)) == 0
