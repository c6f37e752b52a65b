"""The command `say`: a text as a spoken WAV file."""

from __future__ import annotations

import json
from pathlib import Path

import click

from mockserver.audio.codecs import resample
from mockserver.audio.names import SYNTHESIZERS
from mockserver.audio.tts import synthesizer_named
from mockserver.audio.wav import write_wav
from replay.cli.usage import Unusable

RATE = 24_000
"""Hz of the file."""


@click.command()
@click.argument("text")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="WAV file to write.")
@click.option("--voice", default="ara", show_default=True, help="Voice id of the service.")
@click.option("--speed", default=1.0, show_default=True, type=float, help="Speaking rate; 1.0 is normal.")
@click.option(
    "--engine",
    type=click.Choice(SYNTHESIZERS),
    default="auto",
    show_default=True,
    help="Speech synthesizer. auto: espeak if it is installed, else tone.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def say(text: str, out: Path, voice: str, speed: float, engine: str, as_json: bool) -> None:
    """Speak TEXT into a WAV file (24 kHz, mono, 16 bit) and print its length in seconds.

    Example:

    \b
      realtape say "I would like a dental cleaning." --out booking.wav
    """
    if not text.strip():
        raise Unusable("TEXT is empty; give the words to speak")
    try:
        clip = synthesizer_named(engine).speak(text, voice=voice, speed=speed)
        write_wav(out, resample(clip.samples, clip.rate, RATE), RATE)
    except (ValueError, RuntimeError) as problem:
        raise Unusable(str(problem)) from problem
    except OSError as problem:
        raise Unusable(f"{out}: {problem.strerror}; choose a folder that exists and can be written to") from problem
    seconds = round(clip.seconds, 3)
    click.echo(json.dumps({"out": str(out), "seconds": seconds}) if as_json else f"{out}: {seconds} s")
