"""How well and how fast known clips are recognised: 200 generated clips, distorted, and as many sounds that are none.

    python bench/fingerprint.py

Needs the extra `speech`. Clips are 20 sentences in five voices of each engine, all known at once, which is harder than
a scenario's handful. A hit gives the clip's text, a confusion another's, a miss none. A false alarm is any text for
a sound that is no clip. The thresholds were chosen on sentences of another seed. What is printed depends on nothing but
the code, except the cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from timeit import repeat

import numpy as np
from numpy.typing import NDArray

from mockserver.audio.clip_matching import ClipMatcher, KnownClip
from mockserver.audio.codecs import decode, encode, resample
from mockserver.audio.formats import AudioFormat, Samples
from mockserver.audio.tts import synthesizer_named
from mockserver.audio.tts.base import Synthesizer

RATE = 24000
RATES = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000)
SNR_DB = 10.0
LONGEST_CUT_MS = 400
SPEAKERS = ("ara", "eve", "leo", "rex", "sal")
STRANGERS = ("nova", "june")
ANSWERS = (
    "Yes, please.",
    "No, thank you.",
    "That is fine.",
    "Tuesday.",
    "At ten thirty.",
    "Goodbye.",
    "My name is Maria Lopez.",
    "What does it cost?",
    "Which day?",
    "One moment.",
    "I am not sure.",
    "Could you say that again?",
)
GRAMMAR = (
    ("I would like", "I need", "Could I have", "My daughter wants", "Please book"),
    ("a dental cleaning", "a vaccination", "a consultation", "an appointment with Doctor Chen"),
    ("on July sixth", "on the seventh of August", "next Tuesday afternoon", "as early as you can", "at nine thirty"),
)

Sound = NDArray[np.float64]
Heard = tuple[Samples, int]
Distortion = Callable[[Samples, Random], Heard]


# --- What callers say ---


def sentences(rng: Random, count: int) -> list[str]:
    """Different ones: a quarter short answers, the rest of the grammar, most with two parts in common."""
    every = [f"{who} {what} {when}." for who in GRAMMAR[0] for what in GRAMMAR[1] for when in GRAMMAR[2]]
    return rng.sample(every, count - count // 4) + rng.sample(ANSWERS, count // 4)


def clips(voice: Synthesizer, speakers: Sequence[str], texts: Sequence[str]) -> Iterator[KnownClip]:
    """Each text by each speaker. A text tells who speaks: the same words of another voice are another clip."""
    for name in speakers:
        for text in texts:
            yield voice.speak(text, voice=name).samples, RATE, f"{voice.name} {name}: {text}"


# --- What happens to sound on its way ---


def as_samples(sound: Sound) -> Samples:
    return np.clip(np.rint(sound), -32768, 32767).astype(np.int16)


def untouched(samples: Samples, rng: Random) -> Heard:
    return samples, RATE


def gain(samples: Samples, rng: Random) -> Heard:
    """A tenth to four times as loud, less where that would clip."""
    factor = min(0.1 * 40 ** rng.random(), 32767 / max(1, np.abs(samples.astype(np.int32)).max()))
    return as_samples(samples * factor), RATE


def other_rate(samples: Samples, rng: Random) -> Heard:
    rate = rng.choice(RATES)
    return resample(samples, RATE, rate), rate


def telephone(samples: Samples, rng: Random) -> Heard:
    """µ-law or A-law, both at 8 kHz."""
    form = AudioFormat(rng.choice(("pcmu", "pcma")), 8000)
    return decode(encode(resample(samples, RATE, 8000), form), form), 8000


def white(length: int, rng: Random) -> Sound:
    return np.random.default_rng(rng.getrandbits(32)).normal(0.0, 1.0, length)


def pink(length: int, rng: Random) -> Sound:
    lines = np.fft.rfft(white(length, rng))
    hertz = np.maximum(np.fft.rfftfreq(length, 1.0 / RATE), 20.0)
    sound = np.fft.irfft(lines / np.sqrt(hertz), length)
    return np.asarray(sound / sound.std())


def in_white_noise(samples: Samples, rng: Random) -> Heard:
    return as_samples(samples + samples.std() * 10 ** (-SNR_DB / 20) * white(len(samples), rng)), RATE


def in_pink_noise(samples: Samples, rng: Random) -> Heard:
    return as_samples(samples + samples.std() * 10 ** (-SNR_DB / 20) * pink(len(samples), rng)), RATE


def amid_silence(samples: Samples, rng: Random) -> Heard:
    """Up to a second and a half of nothing on either side, which also moves the clip between the frames."""
    before, after = (np.zeros(rng.randrange(RATE * 3 // 2), np.int16) for _ in range(2))
    return np.concatenate([before, samples, after]), RATE


def trimmed(samples: Samples, rng: Random) -> Heard:
    """Up to 400 ms lost at either end, and of a short clip no more than a fifth each."""
    most = min(RATE * LONGEST_CUT_MS // 1000, len(samples) // 5)
    before, after = (rng.randrange(most) for _ in range(2))
    return samples[before : len(samples) - after], RATE


def combined(samples: Samples, rng: Random) -> Heard:
    """Some of all that, each as likely as not, in the order in which a call brings it."""
    ends = rng.choice((untouched, amid_silence, trimmed))
    noise = rng.choice((untouched, in_white_noise, in_pink_noise))
    level = rng.choice((untouched, gain))
    wire = rng.choice((untouched, other_rate, telephone))
    for step in (noise, ends, level):
        samples, _ = step(samples, rng)
    return wire(samples, rng)


DISTORTIONS: tuple[Distortion, ...] = (
    untouched,
    gain,
    other_rate,
    telephone,
    in_white_noise,
    in_pink_noise,
    amid_silence,
    trimmed,
    combined,
)


# --- Sounds that are no speech ---


def scaled(sound: Sound, rng: Random) -> Samples:
    """At a level between -40 and -6 dBFS."""
    return as_samples(sound / sound.std() * 32768 * 10 ** (-rng.uniform(6, 40) / 20))


def melody(length: int, rng: Random) -> Sound:
    """Notes of 100 to 400 ms with four partials and a decay, some of them rests."""
    notes: list[Sound] = []
    while sum(len(note) for note in notes) < length:
        at = np.arange(int(RATE * rng.uniform(0.1, 0.4))) / RATE
        hertz = 220 * 2 ** (rng.randrange(24) / 12)
        note = sum(np.sin(2 * np.pi * hertz * n * at) / n for n in range(1, 5)) * np.exp(-4 * at)
        notes.append(note if rng.random() < 0.85 else 0 * at)
    return np.concatenate(notes)[:length]


def hum(length: int, rng: Random) -> Sound:
    at = np.arange(length) / RATE
    return np.asarray(sum(np.sin(2 * np.pi * rng.choice((50, 60, 440)) * n * at) / n for n in range(1, 8)))


def clicks(length: int, rng: Random) -> Sound:
    sound = np.zeros(length)
    sound[[rng.randrange(length) for _ in range(12)]] = 1.0
    return sound


def no_speech(rng: Random, count: int) -> Iterator[Samples]:
    """Noise, hum, music and clicks of one to five seconds; now and then nothing at all."""
    for n in range(count):
        make = (white, pink, melody, hum, clicks, None)[n % 6]
        length = rng.randrange(RATE, 5 * RATE)
        yield np.zeros(length, np.int16) if make is None else scaled(make(length, rng), rng)


# --- The report ---


@dataclass(frozen=True, slots=True)
class Tally:
    hits: int
    misses: int
    confusions: int


def recognised(fingerprints: ClipMatcher, known: Sequence[KnownClip], distort: Distortion) -> Tally:
    """Each known clip once, distorted by a stream of its own."""
    hits = misses = 0
    for n, (samples, _, text) in enumerate(known):
        match = fingerprints.match(*distort(samples, Random(f"{distort.__name__} {n}")))
        hits += match is not None and match.text == text
        misses += match is None
    return Tally(hits, misses, len(known) - hits - misses)


def false_alarms(fingerprints: ClipMatcher, sounds: Iterable[Samples], distort: Distortion) -> int:
    """How many of sounds that are no known clip are taken for one."""
    heard = (distort(samples, Random(f"other {n}")) for n, samples in enumerate(sounds))
    return sum(fingerprints.match(*sound) is not None for sound in heard)


def print_cost(known: Sequence[KnownClip]) -> None:
    fingerprints = ClipMatcher(known[:20])
    turn = np.resize(np.concatenate([samples for samples, _, _ in known[:3]]), 5 * RATE)
    for rate in (8000, 24000, 48000):
        there = resample(turn, RATE, rate)
        seconds = min(repeat(lambda there=there, rate=rate: fingerprints.match(there, rate), number=1, repeat=9))  # type: ignore[misc]
        print(f"5 s at {rate} Hz against {len(known[:20])} clips: {seconds * 1e3:.1f} ms")
    seconds = min(repeat(lambda: ClipMatcher(known[:20]), number=1, repeat=5))
    print(f"{len(known[:20])} clips made ready: {seconds * 1e3:.0f} ms")


def main() -> None:
    texts = sentences(Random(31), 40)
    here, elsewhere = texts[::2], texts[1::2]
    voices = [synthesizer_named("espeak"), synthesizer_named("tone")]
    known = [clip for voice in voices for clip in clips(voice, SPEAKERS, here)]
    fingerprints = ClipMatcher(known)
    print(f"{len(known)} clips, {sum(len(samples) for samples, _, _ in known) / RATE / len(known):.1f} s on average")
    for distort in DISTORTIONS:
        tally = recognised(fingerprints, known, distort)
        rates = (part / len(known) for part in (tally.hits, tally.misses, tally.confusions))
        print("{:16} hit {:6.1%}  miss {:6.1%}  confusion {:6.1%}".format(distort.__name__, *rates))
    others = {
        "other sentences, same voices": [c[0] for voice in voices for c in clips(voice, SPEAKERS, elsewhere)],
        "same sentences, other voices": [c[0] for voice in voices for c in clips(voice, STRANGERS, here)],
        "noise, hum, music, clicks": list(no_speech(Random(32), 120)),
    }
    for name, sounds in others.items():
        for distort in (untouched, combined):
            alarms = false_alarms(fingerprints, sounds, distort)
            print(f"{name}, {distort.__name__}: {alarms} of {len(sounds)} taken for a clip")
    print_cost(known)


if __name__ == "__main__":
    main()
