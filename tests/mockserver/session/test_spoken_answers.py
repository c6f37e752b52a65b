"""What a client hears of its settings: voices, speed, replacements, messages it forces. The voices' own tests are in
test_voices.py."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from mockserver.audio.formats import Samples
from mockserver.responders.base import Say
from tests.mockserver.talk import TONE, Script, Talk

WORDS = "Doctor Chen sees you at nine thirty."
DELTA = "response.output_audio.delta"


def answer(text: str = WORDS, **session: object) -> tuple[Samples, str]:
    """The sound of one answer, and its transcript."""
    talk = Talk(Script([Say(text)]), update=session)
    talk.say("When?")
    talk.rest()
    sound = b"".join(base64.b64decode(event["delta"]) for event in talk.of(DELTA))
    return np.frombuffer(sound, "<i2"), talk.of("response.output_audio_transcript.done")[0]["transcript"]


def pitch(sound: Samples) -> float:
    """The strongest line between 70 and 330 Hz, in Hz."""
    lines, hertz = np.abs(np.fft.rfft(sound.astype(np.float64))), np.fft.rfftfreq(len(sound), 1 / 24_000)
    voiced = (hertz > 70) & (hertz < 330)
    return float(hertz[voiced][np.argmax(lines[voiced])])


def test_the_five_named_voices_are_five_sounds():
    sounds = [answer(voice=name)[0] for name in ("ara", "eve", "leo", "rex", "sal")]
    assert len({round(pitch(sound) / 5) for sound in sounds}) == 5


def test_a_custom_voice_has_its_own_sound_in_every_call_and_no_case():
    mine, again, other = (answer(voice=name)[0] for name in ("my-voice-7f3", "MY-VOICE-7F3", "my-voice-7f4"))
    assert np.array_equal(mine, again)
    assert not np.array_equal(mine[: len(other)], other[: len(mine)])


@pytest.mark.parametrize("speed", [0.7, 1.0, 1.5])
def test_speed_is_heard_and_keeps_the_pitch(speed: float):
    usual, _ = answer()
    sound, transcript = answer(audio={"output": {"speed": speed}})
    assert len(usual) / len(sound) == pytest.approx(speed, rel=0.05)
    assert pitch(sound) == pytest.approx(pitch(usual), rel=0.15)
    assert transcript == WORDS


@pytest.mark.parametrize("speed", [0.69, 1.51, "fast"])
def test_a_speed_that_is_not_offered_is_refused_and_the_old_one_stays(speed: object):
    talk = Talk(Script([Say(WORDS)]))
    talk.send("session.update", session={"audio": {"output": {"speed": speed}}})
    assert "session.audio.output.speed" in talk.error["message"]
    talk.say("When?")
    talk.rest()
    assert talk.heard_seconds == len(answer()[0]) / 24_000


def test_a_replaced_word_sounds_like_its_replacement_and_reads_like_itself():
    replaced, transcript = answer(replace={"chen": "Wachendorfer"})
    assert transcript == WORDS
    assert len(replaced) > len(answer()[0])
    assert np.array_equal(replaced, answer(WORDS.replace("Chen", "Wachendorfer"))[0])


def test_replacements_are_taken_back_by_null():
    talk = Talk(Script([Say(WORDS)]), update={"replace": {"Chen": "Wachendorfer"}})
    talk.send("session.update", session={"replace": None})
    talk.say("When?")
    talk.rest()
    assert talk.heard_seconds == len(answer()[0]) / 24_000


@pytest.mark.parametrize("text", ["", "   ", "🎉", "北京 مرحبا ÄÖÜß", "999 999 € 12:30", "<speak>Hello</speak>"])
def test_any_text_ends_in_a_completed_response_with_its_transcript(text: str):
    talk = Talk()
    content = [{"type": "output_text", "text": text}]
    talk.create("force_message", role="assistant", content=content)
    done = talk.until("response.done")["response"]
    assert done["status"] == "completed"
    assert [item["content"][0]["transcript"] for item in done["output"]] == [text][: len(text.strip())]


@pytest.mark.parametrize(("interruptible", "status"), [(True, "cancelled"), (False, "completed")])
def test_speech_cuts_a_forced_message_only_where_it_may(interruptible: bool, status: str):
    talk = Talk(update={"turn_detection": {"type": "server_vad"}})
    content = [{"type": "output_text", "text": "This call is recorded for training and quality purposes. " * 4}]
    talk.create("force_message", role="assistant", content=content, interruptible=interruptible)
    talk.until(DELTA, times=3)
    talk.append(TONE.speak("Stop, please.").samples)
    talk.hush(900)
    talk.rest()
    done = talk.of("response.done")[0]
    sent = sum(event["audio_duration_ms"] for event in talk.of(DELTA) if event["response_id"] == done["response_id"])
    assert done["response"]["status"] == status
    assert done["usage"]["output_audio_seconds"] * 1000 == pytest.approx(sent, abs=len(talk.of(DELTA)))
    assert bool(talk.of("input_audio_buffer.speech_started")) is interruptible
