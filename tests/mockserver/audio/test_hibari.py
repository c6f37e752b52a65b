"""The natural voice: what it makes of texts without its package, and with it how ids differ and what it costs."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.audio.formats import Samples
from mockserver.audio.tts import CachedSynthesizer, hibari, synthesizer_named
from mockserver.audio.tts.base import Ahead, SpeechClip, Synthesizer
from mockserver.audio.tts.hibari import LONGEST_PIECE, LONGEST_WORD, SPEAKERS, pieces, speaker_of
from mockserver.audio.tts.tone import Tone
from mockserver.dialects.openai.session_object import VOICES

RATE = 24_000
BOOKING = "I would like to book a dental cleaning on Monday. Is ten o'clock free?"
XAI = ("ara", "eve", "leo", "rex", "sal")

needs_hibari = pytest.mark.skipif(
    importlib.util.find_spec("hibari") is None, reason="hibari-tts is not installed (the extra `speech`)"
)


def pitch_hz(samples: Samples) -> float:
    """Median over the loud frames of 40 ms of the shortest period at which a frame is nearly most like itself."""
    size, window = 960, np.hanning(962)[1:-1]
    own = np.fft.irfft(np.abs(np.fft.rfft(window, 4096)) ** 2)[:343]
    found = []
    for at in range(0, len(samples) - size, size // 2):
        frame = samples[at : at + size].astype(np.float64)
        if np.abs(frame).max() < 4000:
            continue
        likeness = np.fft.irfft(np.abs(np.fft.rfft((frame - frame.mean()) * window, 4096)) ** 2)[:343]
        likeness = (likeness / likeness[0]) / (own / own[0])
        periods = likeness[68:]  # from 350 down to 70 Hz
        if periods.max() > 0.5:
            found.append(RATE / (68 + int(np.argmax(periods > 0.97 * periods.max()))))
    return float(np.median(found))


def tract(samples: Samples, beside: Samples) -> float:
    """By how much the long-term spectrum of a voice has to be stretched to be most like that of another."""
    places = 250 * 2 ** np.arange(0, 4.4, 0.01)

    def envelope(of: Samples) -> np.ndarray:
        energy = np.abs(np.fft.rfft(of.astype(np.float64), 1 << 18)) ** 2
        bins = places * (1 << 18) / RATE
        return np.array([np.log(energy[int(at * 0.89) : int(at * 1.12)].mean()) for at in bins])

    def likeness(shift: int) -> float:
        return float(np.corrcoef(mine[50 + shift : 390 + shift], other[50:390])[0, 1])

    mine, other = envelope(samples), envelope(beside)
    return float(2 ** (max(range(-50, 51), key=likeness) / 100))


# --- Without the package ---


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Dr. Chen sees you. J. K. Rowling too.", ["Dr. Chen sees you.", "J. K. Rowling too."]),
        ('He said "No." Then he left.', ['He said "No."', "Then he left."]),
        ("At 9.30 on a.b.com", ["At 9.30 on a.b.com"]),
        ("one line\nand another", ["one line", "and another"]),
        ("[hello](/wˈɜɹld/)", ["[hello] (/wˈɜɹld/)"]),  # the package would take the phonemes
        ("A\x00B \ud800", ["A B ?"]),
        ("Call 5550142777133", ["Call 5 5 5 0 1 4 2 7 7 7 1 3 3"]),
        (" \n ", []),
        ("I am Maria.", ["I am Mareea."]),
        ("Doe, J.", ["Doe, J."]),
    ],
)
def test_a_text_is_spoken_sentence_by_sentence(text: str, spoken: list[str]) -> None:
    assert list(pieces(text)) == spoken


def test_a_long_sentence_is_cut_at_a_clause_where_there_is_one() -> None:
    clause = "the first of the rooms is free from nine until noon"
    cut = list(pieces(f"{clause}, {clause}, {clause}, {clause}."))
    assert cut == [f"{clause}, {clause},", f"{clause}, {clause}."]


@settings(max_examples=200)
@given(st.text(max_size=300))
def test_no_piece_is_long_and_no_letter_is_lost(text: str) -> None:
    found = list(pieces(text))
    assert all(len(piece.split()) <= max(LONGEST_PIECE, 10) and piece.strip() for piece in found)
    kept = [letter for letter in "".join(found) if letter.isalpha()]
    words = (word[:LONGEST_WORD] for word in text.split())
    if "\x85" not in text and not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in text):
        assert kept == [letter for word in words for letter in word if letter.isalpha()]


def test_an_endless_word_is_cut_short() -> None:
    assert [len(piece) for piece in pieces("x" * 50_000 + " y")] == [LONGEST_WORD + 2]


def test_every_voice_of_the_services_is_named_and_no_two_are_near() -> None:
    assert {*XAI, *VOICES} <= set(SPEAKERS)
    for one, other in combinations(SPEAKERS.values(), 2):
        apart = np.hypot(np.log(one.pitch_hz / other.pitch_hz) / 0.05, np.log(one.tract / other.tract) / 0.05)
        assert apart > 1  # 5 % in pitch or formants: the difference a listener notices is about half of that


def test_a_custom_voice_depends_on_its_name_alone_in_any_case() -> None:
    assert speaker_of("Nova-2") == speaker_of("nova-2") != speaker_of("nova-3")
    for number in range(300):
        speaker = speaker_of(f"voice {number}")
        assert 90 <= speaker.pitch_hz <= 245
        assert 0.8 <= speaker.tract <= 1.11


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.setitem(sys.modules, "hibari", None)
    hibari._loaded.cache_clear()
    yield monkeypatch
    hibari._loaded.cache_clear()


def test_without_the_package_it_says_what_to_install(without: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match=r"the voice hibari is not installed; run pip install .*\[speech\]"):
        synthesizer_named("hibari")


class Later(Executor):
    """Runs what it is given when it is told to."""

    def __init__(self) -> None:
        self.given: list[Any] = []

    def submit(self, fn, /, *args, **kwargs):
        future: Future[Any] = Future()
        self.given.append((future, fn, args))
        return future

    def run(self) -> None:
        future, fn, args = self.given.pop(0)
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(fn(*args))
            except ValueError as problem:
                future.set_exception(problem)


class Counting:
    name = "counting"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def speak(self, text: str, *, voice: str = "ara", speed: float = 1.0) -> SpeechClip:
        self.asked.append(text)
        if text == "too long":
            raise ValueError(text)
        return SpeechClip(np.full(10, len(self.asked), np.int16))


def test_a_prepared_clip_is_the_one_that_is_spoken() -> None:
    cached = CachedSynthesizer(counting := Counting(), ahead=(later := Later()))
    assert isinstance(cached, Ahead)
    cached.prepare("one", voice="Ara")
    cached.prepare("one")
    assert counting.asked == []
    later.run()
    assert later.given == []
    assert cached.speak("one").samples[0] == 1
    cached.prepare("one")
    assert (counting.asked, later.given) == (["one"], [])


def test_a_clip_whose_turn_has_not_come_is_made_at_once_and_not_again() -> None:
    cached = CachedSynthesizer(counting := Counting(), ahead=(later := Later()))
    cached.prepare("one")
    assert cached.speak("one").samples[0] == 1
    later.run()
    assert counting.asked == ["one"]


def test_a_clip_that_cannot_be_made_fails_when_it_is_spoken() -> None:
    cached = CachedSynthesizer(Counting(), ahead=(later := Later()))
    cached.prepare("too long")
    later.run()
    with pytest.raises(ValueError, match="too long"):
        cached.speak("too long")


def test_only_so_many_clips_are_prepared_at_a_time() -> None:
    cached = CachedSynthesizer(Counting(), ahead=(later := Later()))
    for number in range(100):
        cached.prepare(str(number))
    assert len(later.given) == CachedSynthesizer.MOST_COMING
    CachedSynthesizer(counting := Counting()).prepare("one")
    assert counting.asked == []


# --- With it ---


@pytest.fixture(scope="module")
def voice() -> Synthesizer:
    return synthesizer_named("hibari")


@needs_hibari
@pytest.mark.slow
class TestSpoken:
    def test_auto_takes_it(self) -> None:
        assert synthesizer_named("auto").name == "hibari"

    def test_the_same_text_sounds_the_same_whatever_was_spoken_before(self, voice: Synthesizer) -> None:
        first = voice.speak(BOOKING, voice="eve").samples.tobytes()
        for name in ("ara", "rex", "alloy"):
            voice.speak("Six thick thistle sticks, whoosh.", voice=name, speed=1.3)
        assert voice.speak(BOOKING, voice="EVE").samples.tobytes() == first

    def test_the_services_voices_differ_in_pitch_as_they_say(self, voice: Synthesizer) -> None:
        for name in XAI:
            heard = pitch_hz(voice.speak(BOOKING, voice=name).samples)
            assert heard == pytest.approx(SPEAKERS[name].pitch_hz, rel=0.15), name

    def test_the_services_voices_differ_in_formants_as_they_say(self, voice: Synthesizer) -> None:
        ara = voice.speak(BOOKING, voice="ara").samples
        for name in ("eve", "leo", "rex", "sal"):
            heard = tract(voice.speak(BOOKING, voice=name).samples, ara)
            assert heard == pytest.approx(SPEAKERS[name].tract, abs=0.07), name

    def test_no_two_of_the_services_voices_sound_alike(self, voice: Synthesizer) -> None:
        clips = {name: voice.speak(BOOKING, voice=name).samples for name in (*XAI, *VOICES)}
        pitches = {name: pitch_hz(samples) for name, samples in clips.items()}
        tracts = {name: tract(samples, clips["ara"]) for name, samples in clips.items()}
        for names in (XAI, VOICES):
            for one, other in combinations(names, 2):
                higher, larger = abs(np.log(pitches[one] / pitches[other])), abs(np.log(tracts[one] / tracts[other]))
                assert max(higher, larger) > 0.03, (one, other)

    def test_it_is_levelled_and_leaves_only_a_breath_of_silence_around_the_words(self, voice: Synthesizer) -> None:
        samples = voice.speak("Hello there").samples.astype(int)
        loud = np.flatnonzero(np.abs(samples) > 300)
        assert np.abs(samples).max() in range(16_380, 16_385)
        assert loud[0] < 0.05 * RATE
        assert len(samples) - loud[-1] < 0.15 * RATE

    @pytest.mark.parametrize("name", XAI)
    def test_it_takes_about_as_long_as_the_tone_and_speed_divides_it(self, voice: Synthesizer, name: str) -> None:
        text = "Let me check the calendar for you. The next free cleaning is on Tuesday, at half past three."
        normal, slow, fast = (voice.speak(text, voice=name, speed=speed).seconds for speed in (1.0, 0.7, 1.5))
        assert normal == pytest.approx(Tone().speak(text, voice=name).seconds, rel=0.2)
        assert slow == pytest.approx(normal / 0.7, rel=0.2)  # the network rounds each sound to steps of 25 ms
        assert fast == pytest.approx(normal / 1.5, rel=0.2)

    @pytest.mark.parametrize("text", ["", "   \n", "😀", "\x00\x07"])
    def test_a_text_with_nothing_to_say_is_a_short_silence(self, voice: Synthesizer, text: str) -> None:
        clip = voice.speak(text)
        assert clip.ms == 120
        assert not clip.samples.any()

    @settings(max_examples=60)
    @given(text=st.text(max_size=60))
    def test_no_text_makes_it_fail(self, voice: Synthesizer, text: str) -> None:
        assert voice.speak(text).ms >= 120

    def test_text_that_the_package_stumbles_over_is_spoken_by_its_letters(
        self, voice: Synthesizer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        package = hibari._package()
        real = package._hibari.phonemize

        def stumbling(text: str) -> list[str]:
            if "#" in text:
                raise IndexError("list index out of range")
            return list(real(text))

        monkeypatch.setattr(package._hibari, "phonemize", stumbling)
        assert voice.speak("room #1").samples.tobytes() == voice.speak("room  ").samples.tobytes()

    def test_a_text_too_long_to_be_an_answer_is_refused(
        self, voice: Synthesizer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hibari, "LONGEST_CLIP_S", 2)
        with pytest.raises(ValueError, match="split it"):
            voice.speak(BOOKING)
