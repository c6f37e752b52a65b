"""The command `say`: a text as a spoken WAV file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mockserver.audio.codecs import resample
from mockserver.audio.degrade import Degradation, degraded
from mockserver.audio.names import SYNTHESIZERS
from mockserver.audio.tts import synthesizer_named
from mockserver.audio.tts.base import Synthesizer
from mockserver.audio.tts.espeak import ACCENTS, Espeak
from mockserver.cli.degrade import degradation_options, write_clip
from replay.cli.plugin_choice import PluginChoice
from replay.cli.usage import Unusable
from replay.plugins import PluginError

RATE = 24_000
"""Hz of the file."""


@click.command()
@click.argument("text")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="WAV file to write.")
@click.option("--voice", default="ara", show_default=True, help="Voice id of the service.")
@click.option("--speed", default=1.0, show_default=True, type=float, help="Speaking rate: 0.25 to 1.5.")
@click.option(
    "--engine",
    type=PluginChoice(SYNTHESIZERS, "realtape.voices"),
    default="auto",
    show_default=True,
    help="Speech synthesizer. auto: the first of hibari, espeak and tone that is installed.",
)
@click.option("--accent", metavar="NAME", help=f"Accent, by espeak: {', '.join(ACCENTS)}, or its code.")
@degradation_options
def say(
    text: str,
    out: Path,
    voice: str,
    speed: float,
    engine: str,
    accent: str | None,
    seed: int,
    as_json: bool,
    **sound: Any,
) -> None:
    """Speak TEXT into a WAV file (24 kHz, mono, 16 bit) and print its length in seconds.

    Example:

    \b
      realtape say "I would like a dental cleaning." --out booking.wav
      realtape say "I would like a dental cleaning." --out noisy.wav --snr 5
    """
    if not text.strip():
        raise Unusable("TEXT is empty; give the words to speak")
    try:
        how = Degradation(**sound)
        clip = _voice(engine, accent).speak(text, voice=voice, speed=speed)
        samples = degraded(resample(clip.samples, clip.rate, RATE), RATE, how, seed)
    except (ValueError, RuntimeError, PluginError) as problem:
        raise Unusable(str(problem)) from problem
    write_clip(out, samples, RATE, as_json)


def _voice(engine: str, accent: str | None) -> Synthesizer:
    if accent is None:
        return synthesizer_named(engine)
    if engine not in ("auto", "espeak"):
        raise ValueError(f"accents are those of espeak, not of {engine}; leave out --engine")
    return Espeak(accent)
