from __future__ import annotations

import json

import numpy as np
import pytest

from mockserver.responders.base import Say
from replay.cassette.frames import Text
from replay.findings.handshake import handshake
from tests.live_messages import received
from tests.mockserver.talk import TONE
from tests.replay.findings.watched_calls import DIALECTS, LONG, calling, watched_call

both = pytest.mark.parametrize("dialect", DIALECTS)
VAD = {"turn_detection": {"type": "server_vad", "silence_duration_ms": 600}}
MANUAL: dict[str, object] = {"turn_detection": None}
VOICE = TONE.speak("I would like a dental cleaning, please.").samples


def silence(seconds: float) -> np.ndarray:
    return np.zeros(int(24_000 * seconds), np.int16)


@both
def test_a_second_reply_while_one_is_given_is_found(dialect: str):
    with watched_call(dialect, LONG) as call:
        call.say("Hello.")
        call.wait(0.2)
        call.send("response.create")
        call.of("error")
        call.rest()
    (found,) = call.findings
    assert (found.rule, found.level) == ("overlapping-replies", "error")
    assert found.at == pytest.approx(0.2)
    assert "0.2 s ago" in found.message
    assert ("refuses it" if dialect == "openai" else "cancelled") in found.message


def test_what_a_second_reply_meets_is_told_as_of_the_date():
    with watched_call("xai@2026-07", LONG) as call:
        call.say("Hello.")
        call.wait(0.2)
        call.send("response.create")
        call.of("error")
        call.rest()
    (found,) = call.findings
    assert "refuses it" in found.message


def test_turn_detection_is_as_the_client_left_it_where_the_answer_omits_it():
    with watched_call("xai", update=VAD) as call:
        watched = call.watch
        assert watched is not None and watched.call.vad
        call.configure(instructions="Be brief.")
        assert watched.call.vad
        call.configure(turn_detection=None)
        assert "turn_detection" not in call.of("session.updated")[-1]["session"]
        assert not watched.call.vad
        call.configure(instructions="Be kind.")
        assert not watched.call.vad


@both
def test_a_second_reply_while_the_first_still_plays_overlaps_it(dialect: str):
    with watched_call(dialect, LONG) as call:
        call.say("Hello.")
        call.until("response.done")
        call.send("response.create")
        call.rest()
    (found,) = call.findings
    assert found.rule == "overlapping-replies"
    assert "nothing new to answer" in found.message and "of the last reply to play" in found.message


@both
def test_a_second_reply_after_the_first_has_been_played_is_fine(dialect: str):
    with watched_call(dialect, LONG) as call:
        call.say("Hello.")
        call.until("response.done")
        call.wait(60.0)
        call.send("response.create")
        call.rest()
    assert call.rules == []


@both
def test_the_answer_to_a_tool_may_follow_what_was_said_before_the_call(dialect: str):
    with watched_call(dialect, [Say("Let me look that up in the calendar for you."), *calling()]) as call:
        call.say("Monday?")
        call.answer(call.called())
        call.send("response.create")
        call.rest()
    assert call.rules == []


def test_a_typed_call_without_a_player_may_go_as_fast_as_it_likes():
    with watched_call("openai", LONG) as call:
        for _ in range(3):
            call.say("Hello.")
            call.until("response.done")
    assert call.rules == []


def test_a_reply_over_a_reply_in_a_call_with_a_microphone_is_found():
    with watched_call("xai", LONG, update=VAD) as call:
        call.speak_in_time(silence(2.5))
        call.say("Hello.")
        call.until("response.done")
        call.say("And now?")
        call.wait(0.1)
    assert "overlapping-replies" in call.rules


def test_speech_silences_what_played():
    with watched_call("openai", LONG, LONG, update=VAD, levels={"untold-interruption": "off"}) as call:
        call.speak_in_time(np.concatenate([VOICE, silence(3.0), VOICE, silence(1.0)]))
        call.rest()
    assert call.rules == []


@both
def test_a_commit_under_turn_detection_is_found(dialect: str):
    with watched_call(dialect, update=VAD) as call:
        call.speak_in_time(silence(0.3))
        call.send("input_audio_buffer.commit")
    (found,) = [each for each in call.findings if each.rule == "commit-under-vad"]
    assert found.level == "warn"
    assert found.at == pytest.approx(0.3)
    assert "'server_vad'" in found.message


@both
def test_a_commit_of_a_turn_that_the_client_ends_is_fine(dialect: str):
    with watched_call(dialect, update=MANUAL) as call:
        call.append(VOICE)
        call.send("input_audio_buffer.commit")
        call.send("response.create")
        call.rest()
    assert call.rules == []


@both
def test_a_commit_of_nothing_is_found(dialect: str):
    with watched_call(dialect, update=MANUAL) as call:
        call.append(VOICE)
        call.send("input_audio_buffer.commit")
        call.rest()
        call.send("input_audio_buffer.commit")
        call.of("error")
    assert call.rules == ["empty-commit"]


@both
def test_a_turn_of_silence_is_found(dialect: str):
    with watched_call(dialect, update=MANUAL) as call:
        call.append(silence(1.0))
        call.send("input_audio_buffer.commit")
        call.of("error")
        call.rest()
    (found,) = call.findings
    assert found.rule == "silent-audio" and "10 messages" in found.message


def test_a_microphone_that_gives_only_silence_is_found_in_the_end():
    with watched_call("xai", update=VAD) as call:
        call.speak_in_time(silence(5.0))
        assert call.rules == []
    assert call.rules == ["silent-audio"]


def test_silence_on_a_line_that_goes_on_with_a_call_is_a_caller_who_listens():
    with watched_call("xai", update=VAD) as call:
        assert call.watch is not None
        call.watch.call.handshake = handshake([("conversation_id", "c")], [])
        call.speak_in_time(silence(25.0))
    assert call.rules == []


def test_silence_before_and_after_words_is_fine():
    with watched_call("xai", update=VAD) as call:
        call.speak_in_time(np.concatenate([silence(10.0), VOICE, silence(2.0)]))
        call.rest()
    assert call.rules == []


@both
@pytest.mark.parametrize(("ms", "found"), [(200, ["short-silence"]), (700, [])])
def test_a_caller_who_takes_a_breath_is_interrupted(dialect: str, ms: int, found: list[str]):
    detection = {"type": "server_vad", "silence_duration_ms": ms}
    with watched_call(dialect, update={"turn_detection": detection}) as call:
        call.speak_in_time(np.concatenate([VOICE, silence(0.5), VOICE, silence(1.5)]))
        call.rest()
    assert call.rules == found


def test_the_breath_is_told_in_milliseconds():
    with watched_call("openai", update={"turn_detection": {"type": "server_vad", "silence_duration_ms": 200}}) as call:
        call.speak_in_time(np.concatenate([VOICE, silence(0.5), VOICE, silence(1.5)]))
    assert "after 200 ms of silence" in call.findings[0].message
    assert "silence_duration_ms to 500" in call.findings[0].fix


@both
def test_a_microphone_that_stops_in_mid_speech_is_never_answered(dialect: str):
    with watched_call(dialect, update=VAD) as call:
        call.speak_in_time(VOICE)
        stopped = call.now
        call.wait(4.0)
        (found,) = call.findings
    assert found.rule == "microphone-stops"
    assert found.at == pytest.approx(stopped - 0.1)
    assert "silence is what ends a turn" in found.fix


@both
def test_a_microphone_that_goes_on_is_answered(dialect: str):
    with watched_call(dialect, update=VAD) as call:
        call.speak_in_time(np.concatenate([VOICE, silence(1.0)]))
        call.wait(10.0)
    assert call.rules == []


@both
def test_a_truncation_beyond_what_was_sent_is_found(dialect: str):
    with watched_call(dialect, LONG) as call:
        call.say("Hello.")
        item = call.until("response.output_audio.delta")["item_id"]
        call.rest()
        call.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=99_000)
        call.of("error")
    (found,) = call.findings
    assert found.rule == "truncate-beyond" and "99000 ms" in found.message


@both
def test_a_truncation_beyond_what_can_have_been_heard_is_found(dialect: str):
    with watched_call(dialect, LONG, update=VAD) as call:
        call.speak_in_time(np.concatenate([VOICE, silence(1.5)]))
        item = call.until("response.output_audio.delta")["item_id"]
        call.until("response.done")
        sent_ms = call.watch.call.spoken[item].seconds * 1000  # type: ignore[union-attr]
        call.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=int(sent_ms))
    (found,) = [each for each in call.findings if each.rule == "truncate-beyond"]
    assert "nobody has heard so much" in found.message


@both
def test_a_truncation_to_what_was_heard_is_fine(dialect: str):
    with watched_call(dialect, LONG, update=VAD) as call:
        call.speak_in_time(np.concatenate([VOICE, silence(1.5)]))
        item = call.until("response.output_audio.delta")["item_id"]
        first = call.now
        call.speak_in_time(silence(0.3))
        heard_ms = int((call.now - first) * 1000)
        call.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=heard_ms)
    assert call.rules == []


def test_speech_without_turn_detection_is_found_while_it_waits_for_an_answer():
    with watched_call("xai", update={"instructions": "Be brief."}) as call:
        call.speak_in_time(np.concatenate([VOICE, silence(4.0)]))
        (found,) = call.findings
    assert (found.rule, found.level) == ("speech-uncommitted", "warn")
    assert "turn_detection was not set" in found.message


def test_a_client_that_ends_turns_itself_may_take_its_time_until_the_call_ends():
    with watched_call("xai", update=MANUAL) as call:
        call.speak_in_time(np.concatenate([VOICE, silence(8.0)]))
        assert call.rules == []
    (found,) = call.findings
    assert found.rule == "speech-uncommitted" and "turn_detection is null" in found.message


def test_committed_speech_and_silence_are_fine_without_turn_detection():
    with watched_call("xai", update=MANUAL) as call:
        call.speak_in_time(VOICE)
        call.send("input_audio_buffer.commit")
        call.rest()
        call.speak_in_time(VOICE)  # and hangs up amid the next turn
    assert call.rules == []
    with watched_call("xai", update={"instructions": "Be brief."}) as call:
        call.say("Hello.")
        call.rest()
        call.wait(60.0)
    assert call.rules == []


@pytest.mark.parametrize("seconds", [50.0, 80.0])
def test_a_microphone_that_stays_silent_while_the_session_stays_open_is_found(seconds: float):
    with watched_call("xai", update=VAD) as call:
        call.speak_in_time(np.concatenate([VOICE, silence(3.0)]))
        call.wait(seconds)
    assert call.rules == (["left-open"] if seconds > 60 else [])


def test_a_session_that_the_service_ends_for_inactivity_was_left_open():
    with watched_call("xai", update=VAD) as call:
        call.send("input_audio_buffer.clear")
        watch = call.watch
        assert watch is not None
        error = {"type": "error", "event_id": "e", "error": {"type": "timeout", "message": "inactivity"}}
        received(watch, 900.0, Text(json.dumps(error).encode()))
    (found,) = call.findings
    assert found.rule == "left-open" and "900 s" in found.message
