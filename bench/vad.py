"""How well and how fast turns are found: generated speech under white and pink noise, and sounds that are no speech.

    python bench/vad.py [energy|silero]

Needs the extra `speech`, and `silero` for that engine. A hit is a sentence with a turn that begins from 100 ms before
to 300 ms after its first audible frame (the padding saves 300). A false alarm is a turn that begins outside a sentence.
What is printed depends on nothing but the code, except the cost, which is processor time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import process_time
from timeit import repeat

import numpy as np
from numpy.typing import NDArray

from mockserver.audio.tts import synthesizer_named
from mockserver.audio.vad.detector import (
    FRAME_MS,
    OPENAI_TURNS,
    XAI_TURNS,
    Engine,
    TurnBegan,
    TurnDetector,
    TurnSettings,
)
from mockserver.audio.vad.energy import EnergyEngine
from mockserver.audio.vad.silero import SileroEngine

RATE = 24000
APPEND = RATE // 10
SENTENCES = (
    "Hello, my name is Marcelo.",
    "I would like to book an appointment for Tuesday afternoon.",
    "Could you please tell me when the doctor is available?",
    "No, that does not work for me.",
    "My mother needs a new prescription.",
    "She was born on the fourteenth of March, nineteen sixty-two.",
    "Yes, please.",
    "What should I bring with me?",
    "Thank you very much, goodbye.",
    "Five five five, oh one two three.",
)
VOICES = ("ara", "rex", "sal")

Sound = NDArray[np.float64]
Span = tuple[float, float]
Noise = Callable[[np.random.Generator, int], Sound]


def white(rng: np.random.Generator, length: int) -> Sound:
    return rng.normal(0.0, 1.0, length)


def pink(rng: np.random.Generator, length: int) -> Sound:
    lines = np.fft.rfft(rng.normal(0.0, 1.0, length))
    hertz = np.maximum(np.fft.rfftfreq(length, 1.0 / RATE), 20.0)
    sound = np.fft.irfft(lines / np.sqrt(hertz), length)
    return np.asarray(sound / sound.std())


def partials(hertz: float, count: int) -> Sound:
    """60 s of a tone with harmonics, each 1/n as strong."""
    seconds = np.arange(60 * RATE) / RATE
    return np.asarray(sum(np.sin(2 * np.pi * hertz * n * seconds) / n for n in range(1, count + 1)))


def pcm(sound: Sound) -> NDArray[np.int16]:
    return np.clip(np.rint(sound), -32768, 32767).astype(np.int16)


def audible_span(speech: Sound) -> tuple[int, int]:
    """First and last sample within 35 dB of the loudest frame."""
    size = RATE * FRAME_MS // 1000
    power = np.square(speech[: len(speech) // size * size]).reshape(-1, size).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 10**-3.5)
    return int(loud[0]) * size, int(loud[-1] + 1) * size


def scene(speeches: list[Sound]) -> tuple[Sound, list[Span]]:
    """Three seconds of pause, then each sentence and two more; and the sentences' spans in ms."""
    parts: list[Sound] = [np.zeros(3 * RATE)]
    spans, at = [], 3 * RATE
    for speech in speeches:
        first, last = audible_span(speech)
        spans.append(((at + first) * 1000 / RATE, (at + last) * 1000 / RATE))
        parts += [speech, np.zeros(2 * RATE)]
        at += len(speech) + 2 * RATE
    return np.concatenate(parts), spans


def turns_in(sound: Sound, engine: Engine, threshold: float = 0.5) -> list[TurnBegan]:
    vad = TurnDetector(RATE, TurnSettings(threshold, silence_duration_ms=500, prefix_padding_ms=300), engine)
    return [border for border in vad.feed(pcm(sound)) if isinstance(border, TurnBegan)]


def report(name: str, begun: list[TurnBegan], spans: list[Span], pause_s: float) -> None:
    late = [[t.at_ms - first for t in begun if -100 <= t.at_ms - first <= 300] for first, _ in spans]
    hits = [times[0] for times in late if times]
    inside = sum(first - 100 <= t.at_ms <= last + FRAME_MS for t in begun for first, last in spans)
    false = (len(begun) - inside) * 60 / pause_s
    median = float(np.median(hits)) if hits else float("nan")
    print(
        f"{name:16} {len(hits) / len(spans):6.0%} hit  {median:5.0f} ms late (median)"
        f"  {inside / len(spans):4.2f} turns a sentence  {false:5.2f} false alarms a minute"
    )


def quality(engine_for: Callable[[int], Engine], threshold: float, speech: Sound, spans: list[Span]) -> None:
    rng = np.random.default_rng(20)
    talk = np.concatenate([speech[int(first * RATE / 1000) : int(last * RATE / 1000)] for first, last in spans])
    pause_s = (len(speech) - len(talk)) / RATE
    print(f"threshold {threshold}, {len(spans)} sentences")
    report("clean", turns_in(speech, engine_for(RATE), threshold), spans, pause_s)
    for snr_db in (20, 10, 5):
        for noise in (white, pink):
            noisy = speech + talk.std() * 10 ** (-snr_db / 20) * noise(rng, len(speech))
            report(f"{noise.__name__} {snr_db} dB", turns_in(noisy, engine_for(RATE), threshold), spans, pause_s)


def false_alarms(engine_for: Callable[[int], Engine]) -> None:
    rng = np.random.default_rng(21)
    for name, sound, dbfs in (
        ("white noise", white(rng, 60 * RATE), -40),
        ("loud white noise", white(rng, 60 * RATE), -20),
        ("pink noise", pink(rng, 60 * RATE), -40),
        ("hum 50 Hz", partials(50.0, 7), -20),
        ("hum 60 Hz", partials(60.0, 7), -20),
        ("buzz 100 Hz", partials(100.0, 7), -30),
        ("tone 440 Hz", partials(440.0, 1), -12),
    ):
        after_silence = np.concatenate((np.zeros(3 * RATE), sound / sound.std() * 32768.0 * 10 ** (dbfs / 20)))
        turns = len(turns_in(after_silence, engine_for(RATE)))
        print(f"{name:16} at {dbfs} dBFS after silence: {turns} turns in a minute")


def cost(name: str, sound: Sound, engine: Engine) -> None:
    samples = pcm(sound)
    appends = [samples[at : at + APPEND] for at in range(0, len(samples) - APPEND, APPEND)]
    vad = TurnDetector(RATE, OPENAI_TURNS, engine)

    def feed_all() -> None:
        for append in appends:
            vad.feed(append)

    seconds = min(repeat(feed_all, timer=process_time, number=1, repeat=9)) / len(appends)
    print(f"{name:16} {seconds * 1e6:8.1f} µs an append of 100 ms, {0.1 / seconds:9,.0f} times real time")


def main() -> None:
    engine_for = SileroEngine if sys.argv[1:] == ["silero"] else EnergyEngine
    voice = synthesizer_named("espeak")
    spoken = [voice.speak(text, voice=who).samples for who in VOICES for text in SENTENCES]
    speech, spans = scene([samples.astype(np.float64) for samples in spoken])
    for turns in (OPENAI_TURNS, XAI_TURNS):
        quality(engine_for, turns.threshold, speech, spans)
    false_alarms(engine_for)
    rng = np.random.default_rng(1)
    cost("digital silence", np.zeros(30 * RATE), engine_for(RATE))
    cost("quiet noise", 30.0 * white(rng, 30 * RATE), engine_for(RATE))
    cost("speech, pauses", speech, engine_for(RATE))
    cost("speech, nonstop", np.concatenate([speech[int(a * 24) : int(b * 24)] for a, b in spans]), engine_for(RATE))
    cost("speech in noise", speech + 300.0 * white(rng, len(speech)), engine_for(RATE))


if __name__ == "__main__":
    main()
