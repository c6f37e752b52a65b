"""The command `degrade`: a WAV clip as a bad room, microphone or line would have it. `say` takes the same options."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mockserver.audio.degrade import NOISES, Degradation, degraded
from mockserver.audio.formats import Samples
from mockserver.audio.wav import read_wav, write_wav
from replay.cli.usage import Unusable

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--snr", "snr_db", type=float, metavar="DB", help="Add noise, DB below the speech: -20 to 60."),
    click.option("--noise", type=click.Choice(NOISES), default="pink", show_default=True, help="Noise of --snr."),
    click.option("--telephone", is_flag=True, help="Keep 300 to 3400 Hz, through µ-law at 8 kHz."),
    click.option("--clip", "clip_db", type=float, default=0.0, metavar="DB", help="Clip the loudest DB: 0 to 40."),
    click.option("--dropouts", type=float, default=0.0, metavar="SHARE", help="Silence a share of the time: 0 to 0.5."),
    click.option("--seed", type=int, default=0, show_default=True, help="Seed of noise and drop-outs."),
    click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
)


def degradation_options(command: Command) -> Command:
    """Adds the options that `say` and `degrade` share."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def write_clip(out: Path, samples: Samples, rate: int, as_json: bool) -> None:
    """Write the file and print its length. Raises Unusable."""
    try:
        write_wav(out, samples, rate)
    except OSError as problem:
        raise Unusable(f"{out}: {problem.strerror}; choose a folder that exists and can be written to") from problem
    seconds = round(len(samples) / rate, 3)
    click.echo(json.dumps({"out": str(out), "seconds": seconds}) if as_json else f"{out}: {seconds} s")


@click.command()
@click.argument("file", metavar="IN.wav", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="WAV file to write.")
@click.option("--speed", default=1.0, show_default=True, type=float, help="Times as fast, at the same pitch: 0.5 to 2.")
@click.option("--accent", hidden=True)  # answered with what to do instead
@degradation_options
def degrade(file: Path, out: Path, speed: float, accent: str | None, seed: int, as_json: bool, **sound: Any) -> None:
    """Make a WAV clip as bad as a real line. The sample rate stays; channels are averaged.

    Example:

    \b
      realtape degrade booking.wav --out noisy.wav --snr 5 --telephone
    """
    if accent is not None:
        raise Unusable("an accent is spoken, not added to a clip; use: realtape say TEXT --accent NAME --out OUT.wav")
    try:
        how = Degradation(speed=speed, **sound)
        if how == Degradation():
            raise Unusable("nothing to do; give --snr, --telephone, --clip, --dropouts or --speed")
        samples, rate = read_wav(file)
        samples = degraded(samples, rate, how, seed)
    except ValueError as problem:
        raise Unusable(str(problem)) from problem
    write_clip(out, samples, rate, as_json)
