"""Spoken turns whose words a transcriber brings later: what the session asks, and what it makes of the answer."""

from __future__ import annotations

import itertools

import pytest

from mockserver.protocol.requests import Failed, Transcribe, Transcribed, Withdraw
from mockserver.responders.base import UNINTELLIGIBLE, Say
from mockserver.session.transcription import Hearing
from tests.mockserver.talk import TONE, Script, Talk

XAI_COMPLETED = "conversation.item.input_audio_transcription.completed"
XAI_UPDATED = "conversation.item.input_audio_transcription.updated"
VAD = {"type": "server_vad", "threshold": 0.5}
OPENAI_VAD = {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad"}}}}
HEARS = {"model": "grok-transcribe", "language_hint": "en-US", "keyterms": ["Chen"]}
BOOKING = "I would like a dental cleaning, please."


def listening(dialect: str = "xai", *, heard: str | None = None) -> tuple[Talk, Script]:
    script = Script([Say("Yes?")], heard=[heard] if heard else [])
    xai = {"turn_detection": VAD, "audio": {"input": {"transcription": HEARS}}}
    talk = Talk(
        script,
        dialect=dialect,
        update=xai if dialect.startswith("xai") else OPENAI_VAD,
        hearing=Hearing(transcribes=True),
    )
    return talk, script


def asked(talk: Talk) -> Transcribe:
    """The last request about a whole turn."""
    return [each for each in talk.asked if isinstance(each, Transcribe) and not each.so_far][-1]


def spoken(dialect: str = "xai", **how: str) -> tuple[Talk, Script]:
    """One spoken turn, after which the session waits for its words."""
    talk, script = listening(dialect, **how)
    talk.speak(BOOKING)
    talk.hush(1500)
    talk.rest()
    return talk, script


def by(talk: Talk) -> list[tuple[str, str]]:
    return [(turn.words, turn.heard_by) for turn in talk.session.heard]


def test_the_turn_is_asked_about_with_what_the_client_told():
    talk, _ = spoken()
    request = asked(talk)
    assert (request.form.rate, request.language, request.keyterms) == (24_000, "en-US", ("Chen",))
    assert len(request.samples) / 24_000 == pytest.approx(len(TONE.speak(BOOKING).samples) / 24_000, abs=1.6)


def test_openais_language_prompt_and_keywords_are_passed_on():
    talk, _ = listening("openai")
    told = {"model": "gpt-transcribe", "language": "de", "prompt": "A clinic.", "keywords": ["Rosenweg", "Chen"]}
    talk.send("session.update", session={"type": "realtime", "audio": {"input": {"transcription": told}}})
    talk.speak(f"{BOOKING} {BOOKING}")
    talk.hush(1500)
    talk.rest()
    request = asked(talk)
    assert (request.language, request.prompt, request.keyterms) == ("de", "A clinic.", ("Rosenweg", "Chen"))


def test_a_transcript_grows_with_the_sound_and_starts_from_its_beginning():
    talk, _ = listening()
    heard = []
    for number in range(1, 4):
        talk.speak(BOOKING)
        request = [each for each in talk.asked if isinstance(each, Transcribe)][-1]
        assert request.so_far
        heard.append(request.samples)
        talk.deliver(Transcribed(request.id, " ".join(["I would"] * number)))
    for shorter, longer in itertools.pairwise(heard):
        assert len(longer) > len(shorter)
        assert (longer[: len(shorter)] == shorter).all()
    shown = [event["transcript"] for event in talk.of(XAI_UPDATED)]
    assert shown == ["I would", "I would I would", "I would I would I would"]
    talk.hush(1500)
    talk.rest()
    assert len(asked(talk).samples) > len(heard[-1])


def test_the_answer_waits_for_the_words_and_is_about_them():
    talk, script = spoken("xai@2026-07")
    assert talk.of("response.created") == []
    talk.wait(1.3)
    talk.deliver(Transcribed(asked(talk).id, "Is the doctor in?"))
    talk.until("response.output_audio_transcript.done")
    assert [(turn.says, turn.spoken, turn.heard_by) for turn in script.turns] == [
        ("Is the doctor in?", True, "transcriber")
    ]
    assert talk.of(XAI_COMPLETED)[-1]["transcript"] == "Is the doctor in?"
    assert by(talk) == [("Is the doctor in?", "transcriber")]
    talk.rest()


@pytest.mark.parametrize("dialect", ["xai", "openai"])
def test_the_response_starts_at_once_and_is_filled_when_the_words_come(dialect: str):
    talk, script = spoken(dialect)
    created = talk.of("response.created")
    assert len(created) == 1
    assert talk.of("response.output_item.added") == []
    assert script.turns == []
    talk.wait(0.7)
    talk.deliver(Transcribed(asked(talk).id, "Is the doctor in?"))
    done = talk.until("response.done")
    assert done["response"]["id"] == created[0]["response"]["id"]
    assert script.turns[0].says == "Is the doctor in?"
    talk.rest()


def test_the_same_results_at_the_same_instants_make_the_same_session():
    def said() -> list[str]:
        talk, _ = spoken()
        talk.wait(0.4)
        talk.deliver(Transcribed(asked(talk).id, "Is the doctor in?"))
        talk.rest()
        return talk.log

    assert said() == said()


@pytest.mark.parametrize("dialect", ["xai", "openai"])
@pytest.mark.parametrize(
    ("heard", "words"), [(BOOKING, (BOOKING, "script")), (None, (UNINTELLIGIBLE, "nobody"))], ids=["script", "nobody"]
)
def test_a_transcriber_that_fails_leaves_it_to_the_script(dialect: str, heard: str | None, words: tuple[str, str]):
    talk, script = spoken(dialect, **({"heard": heard} if heard else {}))
    talk.deliver(Failed(asked(talk).id, "out of memory"))
    talk.rest()
    assert by(talk) == [words]
    assert script.turns[0].says == words[0]


def test_a_result_that_nobody_waits_for_changes_nothing():
    talk, _ = spoken()
    request = asked(talk)
    talk.deliver(Transcribed(request.id, "Is the doctor in?"))
    talk.rest()
    seen = len(talk.events)
    for result in (Transcribed(request.id, "Again"), Transcribed("request_99", "Nobody asked"), Failed("", "")):
        assert talk.deliver(result) == []
    assert len(talk.events) == seen


def test_a_response_that_waits_for_words_can_be_cancelled():
    talk, script = spoken("openai")
    talk.send("response.cancel")
    assert talk.until("response.done")["response"]["status"] == "cancelled"
    talk.deliver(Transcribed(asked(talk).id, "Is the doctor in?"))
    talk.rest()
    assert script.turns == []


def test_a_turn_that_goes_on_withdraws_its_question_and_asks_about_all_of_it():
    talk, _ = spoken()
    first = asked(talk)
    talk.speak("And an appointment on Monday.")
    talk.hush(1500)
    talk.rest()
    assert Withdraw(first.id) in talk.asked
    whole = asked(talk)
    assert len(whole.samples) > len(first.samples) + 24_000
    assert (whole.samples[: len(first.samples)] == first.samples).all()
    talk.deliver(Transcribed(whole.id, "Both."))
    talk.rest()
    assert by(talk) == [("Both.", "transcriber")]


def test_a_turn_that_goes_on_shows_what_it_says_so_far():
    talk, _ = listening()
    talk.speak(f"{BOOKING} {BOOKING}")
    partial = next(each for each in talk.asked if isinstance(each, Transcribe))
    assert partial.so_far
    assert len(partial.samples) >= 24_000
    shown = talk.deliver(Transcribed(partial.id, "I would"))
    assert (shown[0]["type"].rpartition(".")[2], shown[0]["transcript"]) == ("updated", "I would")
    talk.hush(1500)
    talk.deliver(Transcribed(asked(talk).id, "I would like"))
    talk.rest()
    assert talk.of(XAI_COMPLETED)[-1]["transcript"] == "I would like"


def test_manual_turns_wait_for_words_inside_their_response():
    talk, script = listening()
    talk.send("session.update", session={"turn_detection": None})
    talk.speak(BOOKING)
    talk.send("input_audio_buffer.commit")
    talk.rest()
    assert script.turns == []
    talk.deliver(Transcribed(asked(talk).id, "Is the doctor in?"))
    talk.until("response.done")
    assert script.turns[0].says == "Is the doctor in?"
    talk.rest()


def test_a_client_that_leaves_withdraws_what_it_asked():
    talk, _ = spoken()
    talk.session.lost(talk.now)
    assert Withdraw(asked(talk).id) in talk.session.take_requests()
