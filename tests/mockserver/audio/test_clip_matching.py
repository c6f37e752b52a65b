from __future__ import annotations

import importlib.util
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.fingerprint import (
    DISTORTIONS,
    RATE,
    SPEAKERS,
    Distortion,
    Tally,
    clips,
    combined,
    false_alarms,
    no_speech,
    recognised,
    sentences,
    untouched,
)
from mockserver.audio.clip_matching import LONGEST_S, ClipMatcher
from mockserver.audio.codecs import decode, encode, resample
from mockserver.audio.formats import AudioFormat, Samples
from mockserver.audio.tts import synthesizer_named
from mockserver.audio.tts.tone import Tone

BOOKING = "I would like a dental cleaning on July sixth."
GREETING = "Good morning, who is speaking?"


def say(text: str, voice: str = "ara") -> Samples:
    return Tone().speak(text, voice=voice).samples


def quiet(ms: int) -> Samples:
    return np.zeros(ms * RATE // 1000, np.int16)


KNOWN = ClipMatcher((say(text), RATE, text) for text in (BOOKING, GREETING))


def text_of(samples: Samples, rate: int = RATE, known: ClipMatcher = KNOWN) -> str | None:
    match = known.match(samples, rate)
    return None if match is None else match.text


# A known clip


def test_a_clip_is_itself():
    match = KNOWN.match(say(BOOKING), RATE)
    assert match is not None
    assert (match.text, round(match.score, 3)) == (BOOKING, 1.0)


@settings(max_examples=15)
@given(
    before_ms=st.integers(0, 1500),
    after_ms=st.integers(0, 1500),
    gain=st.floats(0.1, 1.9),
    rate=st.sampled_from([8000, 11025, 16000, 24000, 48000]),
)
def test_a_clip_is_known_wherever_however_loud_and_at_any_rate(before_ms: int, after_ms: int, gain: float, rate: int):
    louder = (say(GREETING) * gain).astype(np.int16)
    stretch = np.concatenate([quiet(before_ms), louder, quiet(after_ms)])
    assert text_of(resample(stretch, RATE, rate), rate) == GREETING


@pytest.mark.parametrize("kind", ["pcmu", "pcma"])
def test_a_clip_is_known_over_the_telephone(kind: str):
    line = AudioFormat("pcmu" if kind == "pcmu" else "pcma", 8000)
    assert text_of(decode(encode(resample(say(BOOKING), RATE, 8000), line), line), 8000) == BOOKING


def test_a_clip_that_lost_400_ms_at_both_ends_is_known():
    cut = 400 * RATE // 1000
    assert text_of(say(BOOKING)[cut:-cut]) == BOOKING


def test_quiet_around_the_known_clip_does_not_count():
    known = ClipMatcher([(np.concatenate([quiet(2000), say(BOOKING), quiet(2000)]), RATE, BOOKING)])
    assert text_of(say(BOOKING), known=known) == BOOKING


def test_several_recordings_may_say_the_same():
    twice = ClipMatcher([(say(BOOKING, "ara"), RATE, BOOKING), (say(BOOKING, "rex"), RATE, BOOKING)] * 2)
    assert text_of(say(BOOKING, "rex"), known=twice) == BOOKING


# What is none


def test_a_sentence_that_differs_in_one_word_is_another():
    assert text_of(say("I would like a dental cleaning on July twentieth.")) is None


def test_a_sentence_that_contains_the_clip_is_another():
    assert text_of(np.concatenate([say(GREETING), say("I am calling about my bill.")])) is None


def test_half_of_a_clip_is_not_the_clip():
    assert text_of(say(BOOKING)[: len(say(BOOKING)) // 2]) is None


def test_two_clips_that_sound_the_same_are_not_guessed_between():
    either = ClipMatcher([(say(BOOKING), RATE, "July sixth"), (say(BOOKING), RATE, "July seventh")])
    assert text_of(say(BOOKING), known=either) is None


def test_two_clips_whose_difference_was_cut_away_are_not_guessed_between():
    ending = "a dental cleaning next Tuesday, please."
    starts = [np.concatenate([say("Yes."), say(ending)]), np.concatenate([say("No."), say(ending)])]
    either = ClipMatcher([(starts[0], RATE, "yes"), (starts[1], RATE, "no")])
    assert text_of(starts[0], known=either) == "yes"
    assert text_of(say(ending), known=either) is None


@pytest.mark.parametrize("samples", [quiet(0), quiet(100), quiet(3000)], ids=["empty", "short", "silent"])
def test_nothing_is_no_clip(samples: Samples):
    assert text_of(samples) is None


def test_without_clips_nothing_is_known():
    assert text_of(say(BOOKING), known=ClipMatcher([])) is None


def test_a_stretch_longer_than_a_minute_is_not_even_looked_at():
    assert text_of(np.resize(say(BOOKING), int(LONGEST_S + 1) * 8000), 8000) is None


# What cannot be used


@pytest.mark.parametrize("samples", [quiet(0), quiet(3000), say(BOOKING)[:4000]], ids=["empty", "silent", "short"])
def test_a_clip_without_sound_is_refused_by_what_it_says(samples: Samples):
    with pytest.raises(ValueError, match=r"'Hello' holds less than 0.2 s of sound; record a longer one"):
        ClipMatcher([(samples, RATE, "Hello")])


def test_a_clip_longer_than_a_minute_is_refused():
    with pytest.raises(ValueError, match="more than 60 s; give one turn"):
        ClipMatcher([(np.ones(61 * 8000, np.int16), 8000, "Hello")])


def test_a_rate_that_is_none_is_refused():
    with pytest.raises(ValueError, match="0 Hz is no sample rate"):
        KNOWN.match(say(BOOKING), 0)


# Rates, as bench/fingerprint.py takes them of ten times as many clips

needs_espeak = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None, reason="espeakng-loader is not installed (the extra `speech`)"
)
engines = pytest.mark.parametrize("engine", ["tone", pytest.param("espeak", marks=needs_espeak)])


@pytest.mark.slow
@engines
@pytest.mark.parametrize("distort", DISTORTIONS, ids=lambda distort: distort.__name__)
def test_twenty_clips_are_all_known_again(engine: str, distort: Distortion):
    known = list(clips(synthesizer_named(engine), SPEAKERS, sentences(Random(5), 4)))
    assert recognised(ClipMatcher(known), known, distort) == Tally(hits=20, misses=0, confusions=0)


@pytest.mark.slow
@engines
@pytest.mark.parametrize("distort", [untouched, combined], ids=["untouched", "combined"])
def test_none_of_thirty_other_sounds_is_taken_for_one_of_twenty_clips(engine: str, distort: Distortion):
    texts = sentences(Random(6), 8)
    voice = synthesizer_named(engine)
    known = ClipMatcher(clips(voice, SPEAKERS, texts[::2]))
    others = [samples for samples, _, _ in clips(voice, SPEAKERS, texts[1::2])]
    assert false_alarms(known, [*others, *no_speech(Random(7), 10)], distort) == 0
