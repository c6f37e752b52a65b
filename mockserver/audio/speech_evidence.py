"""Whether a sound could be speech in the format that it is declared to have. It recognizes no words.

Three questions, the cheapest first: does turn detection hear a voice in it at all; do its bytes look like another
encoding (replay/findings/encodings.py); does it play at another speed than people speak (replay/findings/speed.py). For
error rates see docs/audio.md, made by bench/speech_evidence.py.
"""

from __future__ import annotations

import numpy as np

from mockserver.audio.codecs import encode
from mockserver.audio.formats import AudioFormat, Samples
from mockserver.audio.vad.detector import OPENAI_TURNS, TurnBegan, TurnDetector
from mockserver.audio.vad.energy import EnergyEngine
from replay.findings.encodings import likely_encoding
from replay.findings.speed import speed_of
from replay.kept import KeptByHash

LONGEST_S = 10
"""Seconds of a sound that are looked at, around its loudest place."""
MOST_JUDGED = 1000
"""Sounds whose hash and result are kept."""
CERTAIN = 0.995
"""How certain it must be that a sound does not play as it was spoken."""
MOST_APART = 0.2
"""Distance of the distributions of even and odd bytes above which they are no G.711."""


_judged: KeptByHash[bool] = KeptByHash(MOST_JUDGED)
"""Whether the last sounds could be speech."""


def could_be_speech(samples: Samples, form: AudioFormat) -> bool:
    """Whether the samples, decoded from `form`, could be speech.

    Takes about 20 ms for 5 s, and 0.5 ms for one of the last `MOST_JUDGED` sounds: load tests repeat theirs.
    """
    return _judged.get(np.ascontiguousarray(samples).tobytes(), form, lambda: _judge(samples, form))


def _judge(samples: Samples, form: AudioFormat) -> bool:
    samples = _loudest(samples, LONGEST_S * form.rate)
    if not _has_voice(samples, form.rate):
        return False
    if form.kind in ("pcm", "pcmu", "pcma") and _is_other_encoding(encode(_loudest(samples, form.rate), form), form):
        return False
    return speed_of(samples, form.rate).certainty < CERTAIN


def _is_other_encoding(data: bytes, form: AudioFormat) -> bool:
    if likely_encoding(data, f"audio/{form.kind}"):
        return True
    if form.kind == "pcm":
        return False
    # Bytes of PCM16 take turns: a high one, a low one. Codes of G.711 are of one kind.
    nibbles = np.frombuffer(data[: len(data) // 2 * 2], np.uint8) >> 4
    even, odd = (np.bincount(nibbles[side::2], minlength=16) * 2 / max(1, len(nibbles)) for side in (0, 1))
    return bool(np.abs(even - odd).sum() / 2 > MOST_APART)


def _loudest(samples: Samples, length: int) -> Samples:
    """At most `length` samples, those with the most energy, to a tenth of a length."""
    if len(samples) <= length:
        return samples
    steps = range(0, len(samples) - length + 1, max(1, length // 10))
    energy = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    start = max(steps, key=lambda at: float(energy[at + length] - energy[at]))
    return samples[start : start + length]


def _has_voice(samples: Samples, rate: int) -> bool:
    detector = TurnDetector(rate, OPENAI_TURNS, EnergyEngine(rate))
    quiet = np.zeros(rate // 4, np.int16)
    return any(isinstance(border, TurnBegan) for border in detector.feed(np.concatenate([quiet, samples, quiet])))
