from __future__ import annotations

import numpy as np
import pytest

from mockserver.responders.base import Say
from replay.cassette.frames import Text
from replay.findings import Levels
from replay.findings.handshake import handshake
from replay.findings.watch import Watcher
from tests.live_messages import received, sent
from tests.mockserver.talk import TONE
from tests.replay.findings.watched_calls import DIALECTS, LONG, calling, watched_call

both = pytest.mark.parametrize("dialect", DIALECTS)
VAD = {"turn_detection": {"type": "server_vad", "silence_duration_ms": 600}}
VOICE = TONE.speak("I would like a dental cleaning, please.").samples


def silence(seconds: float) -> np.ndarray:
    return np.zeros(int(24_000 * seconds), np.int16)


@both
def test_a_message_that_nobody_wants_answered_is_found(dialect: str):
    with watched_call(dialect) as call:
        call.write("Hello?")
        call.wait(6.0)
        (found,) = call.findings
    assert (found.rule, found.at) == ("unanswered-item", 0.0)
    assert "no response.create followed" in found.message


@both
def test_a_history_before_speech_needs_no_answer(dialect: str):
    with watched_call(dialect, update=VAD) as call:
        call.write("Earlier words.")
        call.speak_in_time(np.concatenate([silence(1.0), VOICE, silence(1.5)]))
        call.rest()
    assert call.rules == []


@both
def test_a_client_that_asks_for_nothing_is_found_and_one_that_leaves_at_once_is_not(dialect: str):
    with watched_call(dialect, update={"instructions": "Be kind."}) as call:
        call.wait(29.0)
        assert call.rules == []
        call.wait(2.0)
        (found,) = call.findings
    assert found.rule == "nothing-asked"
    assert "a session.update, and then nothing" in found.message
    with watched_call(dialect) as call:
        call.wait(1.0)
    assert call.rules == []


@both
def test_an_item_under_a_taken_id_is_found(dialect: str):
    with watched_call(dialect) as call:
        for words in ("One.", "Two."):
            content = [{"type": "input_text", "text": words}]
            call.create("message", id="item_1", role="user", content=content)
            call.send("response.create")
            call.rest()
            call.wait(30.0)
        call.of("error")
    assert "repeated-item-id" in call.rules
    (found,) = [each for each in call.findings if each.rule == "repeated-item-id"]
    assert "'item_1'" in found.message


@both
def test_an_id_is_free_again_once_its_item_is_deleted(dialect: str):
    with watched_call(dialect) as call:
        for words in ("One.", "Two."):
            content = [{"type": "input_text", "text": words}]
            call.create("message", id="item_1", role="user", content=content)
            call.send("response.create")
            call.rest()
            call.wait(30.0)
            call.send("conversation.item.delete", item_id="item_1")
        call.of("error")
    assert call.rules == []


@both
def test_a_cancel_of_a_response_that_is_over_is_found(dialect: str):
    with watched_call(dialect, [Say("Hello.")], LONG) as call:
        call.say("Hello.")
        gone = call.until("response.done")["response"]["id"]
        call.wait(30.0)
        call.say("And now?")
        call.until("response.created")
        call.send("response.cancel", response_id=gone)
        call.of("error")
        call.rest()
    (found,) = call.findings
    assert (found.rule, found.level) == ("stale-response-id", "warn")
    assert "completed" in found.message


@both
def test_a_tool_in_the_form_of_the_chat_api_is_found(dialect: str):
    tool = {"type": "function", "function": {"name": "look", "parameters": {}}}
    with watched_call(dialect, update={"tools": [tool]}) as call:
        call.of("error")
        call.wait(1.0)
    (found,) = [each for each in call.findings if each.rule == "nested-tool"]
    assert found.level == "error"
    assert found.message.startswith("look is declared inside")


def test_a_model_that_the_service_replaces_in_silence_is_found():
    for model, rules in (("grok-3-fast-voice", ["unknown-model"]), ("grok-voice-think-fast-2.0", [])):
        watcher = Watcher(Levels({"latest-model": "off"}))
        watch = watcher.open("s", "xai@2026-09", handshake([("model", model)], ()))
        sent(watch, 0.0, '{"type":"input_audio_buffer.clear"}')
        created = '{"type":"session.created","session":{"model":"grok-voice-think-fast-2.0"}}'
        received(watch, 0.1, Text(created.encode()))
        watch.closed(1.0)
        assert [finding.rule for finding in watcher.findings] == rules
    watcher = Watcher(Levels("warn"))
    watch = watcher.open("s", "openai", handshake([("model", "gpt-4o-realtime")], ()))
    received(watch, 0.1, Text(b'{"type":"session.created","session":{"model":"gpt-realtime-2.1"}}'))
    assert [finding.rule for finding in watcher.findings] == ["unknown-model"]


@both
def test_a_refused_item_that_is_taken_for_granted_is_found(dialect: str):
    with watched_call(dialect) as call:
        call.send("conversation.item.create", item={"type": "message", "role": "user", "content": [{"type": "nope"}]})
        call.wait(0.5)
        call.send("response.create")
        call.of("error")
        call.rest()
    (found,) = [each for each in call.findings if each.rule == "ignored-error"]
    assert "an item was refused" in found.message


@both
def test_a_reply_over_the_words_before_a_call_is_advice(dialect: str):
    words = "Let me look that up in the calendar for you, one moment please, it takes a little while."
    with watched_call(dialect, [Say(words), *calling()], update=VAD) as call:
        call.speak_in_time(np.concatenate([silence(1.2), VOICE, silence(1.0)]))
        call.answer(call.called())
        call.send("response.create")
        call.rest()
    found = [each for each in call.findings if each.rule == "reply-over-preamble"]
    assert len(found) == 1
    assert "still to play" in found[0].message


@both
def test_an_interruption_of_which_the_service_hears_nothing_is_advice(dialect: str):
    def interrupted(truncates: bool) -> list[str]:
        with watched_call(dialect, LONG, LONG, update=VAD) as call:
            call.speak_in_time(np.concatenate([silence(1.0), VOICE, silence(3.0)]))
            for at in range(0, len(VOICE), 2400):
                call.append(VOICE[at : at + 2400])
                call.wait(0.1)
                started = call.of("input_audio_buffer.speech_started")
                if truncates and len(started) == 2:
                    item = call.of("response.output_item.added")[0]["item"]["id"]
                    call.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=500)
                    truncates = False
            call.speak_in_time(silence(3.0))
            call.of("error")
            call.rest()
        return call.rules

    assert "untold-interruption" in interrupted(False)
    assert "untold-interruption" not in interrupted(True)
