from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.audio.formats import Samples
from mockserver.audio.tts import CachedSynthesizer, espeak, synthesizer_named
from mockserver.audio.tts import base as voices
from mockserver.audio.tts.base import SpeechClip, Synthesizer
from mockserver.audio.tts.tone import Tone, sentences

NAMED = ("ara", "eve", "leo", "rex", "sal")
BOOKING = "I would like to book a dental cleaning on Monday. Is ten o'clock free?"
RATE = 24000

needs_espeak = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None, reason="espeakng-loader is not installed (the extra `speech`)"
)


@pytest.fixture(params=["tone", pytest.param("espeak", marks=needs_espeak)])
def voice(request: pytest.FixtureRequest) -> Synthesizer:
    return synthesizer_named(request.param)


@pytest.fixture
def without_espeak(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    espeak._library.cache_clear()
    yield
    espeak._library.cache_clear()


def loudness(samples: Samples, ms: int = 20) -> list[float]:
    """RMS of each whole frame of `ms`."""
    size = RATE * ms // 1000
    frames = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    return [float(x) for x in np.sqrt((frames**2).mean(axis=1))]


def pitch_hz(samples: Samples) -> float:
    """Median over the loud frames of the lag at which a frame is most like itself."""
    found = []
    for at in range(0, len(samples) - 2400, 1200):
        frame = samples[at : at + 2400].astype(np.float64)
        if np.abs(frame).max() > 4000:
            likeness = np.fft.irfft(np.abs(np.fft.rfft(frame, 8192)) ** 2)
            found.append(RATE / (60 + np.argmax(likeness[60:400])))
    return float(np.median(found))


def syllables(text: str) -> int:
    return sum(sound is not None for sentence in sentences(text) for sound in sentence.sounds)


def test_the_same_text_sounds_the_same_whatever_was_spoken_before(voice: Synthesizer) -> None:
    first = voice.speak(BOOKING, voice="eve").samples.tobytes()
    for other in ("Hush!", "Six thick thistle sticks, whoosh.", "9"):
        for name in (*NAMED, "alloy"):
            voice.speak(other, voice=name, speed=1.3)
        assert voice.speak(BOOKING, voice="eve").samples.tobytes() == first


def test_threads_that_speak_at_once_do_not_mix_their_words(voice: Synthesizer) -> None:
    texts = [f"Room {n} is free, and so is {n + 1}." for n in range(16)]
    alone = [voice.speak(text).samples.tobytes() for text in texts]
    with ThreadPoolExecutor(4) as threads:
        assert [clip.samples.tobytes() for clip in threads.map(voice.speak, texts)] == alone


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tone", pytest.param("espeak", marks=needs_espeak)])
def test_another_process_says_it_with_the_same_bytes(name: str) -> None:
    code = (
        "import sys, hashlib; from mockserver.audio.tts import synthesizer_named;"
        f"spoken = synthesizer_named({name!r}).speak({BOOKING!r}, voice='marin').samples.tobytes();"
        "print(hashlib.sha256(spoken).hexdigest())"
    )
    runs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60).stdout
        for _ in range(2)
    }
    assert len(runs) == 1


def test_a_clip_cannot_be_changed_by_a_session_that_shares_it(voice: Synthesizer) -> None:
    clip = voice.speak("Hello there")
    assert (clip.samples.dtype.str, clip.rate) == (np.dtype(np.int16).str, RATE)
    assert clip.ms == pytest.approx(1000 * clip.seconds)
    with pytest.raises(ValueError, match="read-only"):
        clip.samples[0] = 1


# Syllables counted by ear; 0.12 s around the speech, 0.2 s a syllable, 0.2 s a comma, 0.25 s a full stop.
@pytest.mark.parametrize(
    ("text", "by_ear", "pauses_s"),
    [
        ("Your appointment is confirmed for Thursday at two.", 12, 0),
        ("Sorry, could you repeat that?", 8, 0.2),
        ("We open at nine. We close at five. See you soon!", 11, 0.5),
        ("Call 555 0142 now", 2 + 3 + 6, 0),
    ],
)
def test_speech_lasts_as_long_as_its_syllables_and_pauses(text: str, by_ear: int, pauses_s: float) -> None:
    assert Tone().speak(text).seconds == pytest.approx(0.12 + 0.2 * by_ear + pauses_s, rel=0.12)


@needs_espeak
def test_both_voices_take_about_the_same_time() -> None:
    text = "Let me check the calendar for you. The next free cleaning is on Tuesday, at half past three."
    assert synthesizer_named("espeak").speak(text).seconds == pytest.approx(Tone().speak(text).seconds, rel=0.2)


def test_speed_divides_the_duration(voice: Synthesizer) -> None:
    normal, slow, fast = (voice.speak(BOOKING, speed=speed).seconds for speed in (1.0, 0.7, 1.5))
    assert slow == pytest.approx(normal / 0.7, rel=0.06)
    assert fast == pytest.approx(normal / 1.5, rel=0.06)


@pytest.mark.parametrize("speed", [0, -1, 0.2, 9, float("nan"), float("inf")])
def test_a_speed_that_no_service_offers_is_refused(voice: Synthesizer, speed: float) -> None:
    with pytest.raises(ValueError, match=r"outside 0\.25 to 1\.5"):
        voice.speak("Hello", speed=speed)


def test_the_named_voices_differ_and_their_names_have_no_case(voice: Synthesizer) -> None:
    clips = [voice.speak(BOOKING, voice=name).samples.tobytes() for name in NAMED]
    assert len(set(clips)) == len(NAMED)
    assert voice.speak(BOOKING, voice="LEO").samples.tobytes() == clips[NAMED.index("leo")]


def test_the_named_voices_differ_in_pitch(voice: Synthesizer) -> None:
    eve, ara, sal, leo, rex = (
        pitch_hz(voice.speak(BOOKING, voice=name).samples) for name in ("eve", "ara", "sal", "leo", "rex")
    )
    assert eve > 1.1 * ara
    assert ara > 1.1 * sal
    assert sal > 1.1 * leo
    assert leo > 1.05 * rex


def test_an_unknown_voice_has_a_sound_of_its_own_that_stays(voice: Synthesizer) -> None:
    marin, cedar, again = (voice.speak(BOOKING, voice=name).samples.tobytes() for name in ("marin", "cedar", "Marin"))
    assert marin == again != cedar


@pytest.mark.parametrize("text", ["", "   \n", "...", "\x00\x07"])
def test_a_text_with_nothing_to_say_is_a_short_silence(voice: Synthesizer, text: str) -> None:
    clip = voice.speak(text)
    assert clip.ms == 120
    assert not clip.samples.any()


def test_emoji_are_passed_over_by_the_tone() -> None:
    assert Tone().speak("Fine 😀👍🏽!").samples.tobytes() == Tone().speak("Fine!").samples.tobytes()


@pytest.mark.parametrize(
    "text",
    [
        "Grüße, naïve café",
        "Привет, мир",
        "你好！世界。",
        "안녕하세요",
        "こんにちは",
        "مرحبا بكم",
        "नमस्ते",
        "\ud800 a",
        "٣ ½ ², Ⅷ",
    ],
)
def test_every_script_is_spoken(voice: Synthesizer, text: str) -> None:
    clip = voice.speak(text)
    assert clip.ms > 120
    assert clip.samples.any()


@settings(max_examples=60)
@given(st.text(max_size=60))
def test_no_text_makes_the_tone_fail(text: str) -> None:
    assert Tone().speak(text).ms >= 120


@pytest.mark.parametrize(
    ("text", "count"),
    [("code", 1), ("asked", 1), ("table", 2), ("remember", 3), ("hmm", 1), ("o'clock", 2), ("42", 2), ("東京", 2)],
)
def test_syllables_are_counted_as_they_are_heard(text: str, count: int) -> None:
    assert syllables(text) == count


def test_a_point_in_a_number_or_an_address_is_no_pause() -> None:
    assert len(list(sentences("It is 3.5 at example.com, 10:30."))) == 1
    assert len(list(sentences("It is. So. What?! Yes"))) == 4
    assert [sentence.question for sentence in sentences("Free? Good.")] == [True, False]


def test_a_question_rises_and_a_statement_falls() -> None:
    rising, falling = (Tone().speak(f"You are free today{mark}").samples[-RATE // 3 : -RATE // 10] for mark in "?.")
    assert pitch_hz(rising) > 1.08 * pitch_hz(falling)


def test_a_text_of_ten_thousand_characters_is_spoken_to_its_end(voice: Synthesizer) -> None:
    once = voice.speak(BOOKING).seconds
    long = (BOOKING + " ") * (10_000 // len(BOOKING))
    if voice.name == "espeak":  # a third of a second
        long = long[: len(long) // 4]
    times = len(long) / (len(BOOKING) + 1)
    assert voice.speak(long).seconds == pytest.approx(times * once, rel=0.1)


def test_a_text_too_long_to_be_an_answer_is_refused(voice: Synthesizer, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="split it"):
        voice.speak("a" * (voices.LONGEST_TEXT + 1))
    monkeypatch.setattr(f"mockserver.audio.tts.{voice.name}.LONGEST_CLIP_S", 2)
    with pytest.raises(ValueError, match="split it"):
        voice.speak(BOOKING)


def test_one_endless_word_costs_no_more_than_many() -> None:
    assert 3 < Tone().speak("x" * 600).seconds < 60


def test_the_tone_has_the_level_and_the_pulse_of_speech_and_real_pauses() -> None:
    text = "Your cleaning is on Monday, at ten. Please arrive early."
    samples = Tone().speak(text).samples
    assert 20 * np.log10(np.abs(samples.astype(int)).max() / 32768) == pytest.approx(-6, abs=0.3)
    frames = loudness(samples)
    assert frames[0] == 0
    assert frames[-4:] == [0] * 4
    silences = "".join("." if frame == 0 else "x" for frame in frames).strip(".").split("x")
    assert sorted(len(run) * 20 for run in silences if len(run) > 4) == pytest.approx([200, 250], abs=40)
    pulse = np.abs(np.fft.rfft(np.array(frames) - np.mean(frames)))
    hz = np.fft.rfftfreq(len(frames), 0.02)
    audible = hz > 2  # below lie the pauses
    assert 3 <= hz[audible][np.argmax(pulse[audible])] <= 8


@needs_espeak
def test_markup_phonemes_and_commands_are_only_text() -> None:
    speak = synthesizer_named("espeak").speak
    assert speak("\x0199P Hello\x00 there").samples.tobytes() == speak(" 99P Hello  there").samples.tobytes()
    assert speak("<break time='9s'/> Hello").seconds > 1.5 * speak("Hello").seconds
    assert speak("<break time='9s'/> Hello").seconds < 9
    assert speak("[[h@l'oU]]").seconds != pytest.approx(speak("Hello").seconds, rel=0.05)


@needs_espeak
def test_espeak_is_levelled_and_leaves_only_a_breath_of_silence_around_the_words() -> None:
    loud = np.flatnonzero(
        np.abs((samples := synthesizer_named("espeak").speak("Hello there").samples).astype(int)) > 300
    )
    assert np.abs(samples.astype(int)).max() in range(16380, 16385)
    assert loud[0] < 0.03 * RATE
    assert len(samples) - loud[-1] < 0.02 * RATE


@pytest.mark.usefixtures("without_espeak")
def test_a_missing_espeak_says_what_to_install() -> None:
    with pytest.raises(RuntimeError, match=r"pip install .*\[espeak\]"):
        synthesizer_named("espeak")


@needs_espeak
def test_auto_takes_espeak_where_the_natural_voice_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockserver.audio.tts.Hibari", Missing)
    assert synthesizer_named("auto").name == "espeak"


def test_auto_takes_the_tone_where_there_is_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockserver.audio.tts.Hibari", Missing)
    monkeypatch.setattr("mockserver.audio.tts.Espeak", Missing)
    assert synthesizer_named().name == "tone"


class Missing:
    def __init__(self) -> None:
        raise RuntimeError("not installed")


@needs_espeak
def test_accents_are_heard_and_unknown_ones_refused() -> None:
    said = {espeak.Espeak(accent).speak(BOOKING).samples.tobytes() for accent in espeak.ACCENTS}
    assert len(said) == len(espeak.ACCENTS)
    assert espeak.Espeak("Scottish").speak("Hello").samples.tobytes() == (
        espeak.Espeak("en-gb-scotland").speak("Hello").samples.tobytes()
    )
    for unknown in ("klingon", "zz", "en-us+whisper", ""):
        with pytest.raises(ValueError, match="use one of american, british"):
            espeak.Espeak(unknown)


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ValueError, match="use auto, hibari, espeak or tone"):
        synthesizer_named("parrot")


class Counting:
    """Ten thousand samples for any text, and how often it was asked."""

    name = "counting"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def speak(self, text: str, *, voice: str = "ara", speed: float = 1.0) -> SpeechClip:
        self.asked.append(text)
        return SpeechClip(np.zeros(10_000, np.int16))


def test_a_cached_voice_says_a_text_once_and_shares_the_array() -> None:
    cached = CachedSynthesizer(counting := Counting())
    assert cached.speak("hi", voice="Ara").samples is cached.speak("hi").samples
    cached.speak("hi", speed=1.2)
    assert counting.asked == ["hi", "hi"]
    assert cached.name == "counting"


def test_a_cached_voice_forgets_what_was_used_longest_ago() -> None:
    cached = CachedSynthesizer(counting := Counting(), max_bytes=45_000)
    for text in ("a", "b", "a", "c", "a", "b"):
        cached.speak(text)
    assert counting.asked == ["a", "b", "c", "b"]
    assert cached.held_bytes <= 45_000


def test_a_clip_larger_than_the_cache_is_spoken_and_not_kept() -> None:
    cached = CachedSynthesizer(Counting(), max_bytes=100)
    assert cached.speak("a").seconds > 0
    assert cached.held_bytes == 0
