"""`demo`: the mock and the clinic agent in one process book an appointment by voice, and leave the call as files.

Without an option each turn is sent whole. With --vad the microphone is open, the call takes place in real time, and the
caller interrupts the assistant.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import click

from clinic_agent.call.connection import Watcher, unwatched
from clinic_agent.call.open_mic import ASSISTANT, CALLER, microphone
from clinic_agent.call.pcm import SAMPLE_RATE_HZ, read_wav, write_stereo_wav, write_wav
from clinic_agent.call.playback import Playback
from clinic_agent.call.recording import CallRecording
from clinic_agent.call.report import CallReport
from clinic_agent.call.scripted_caller import After, Cue, During, ScriptedCaller
from clinic_agent.call.turn import Event
from clinic_agent.clinic.assistant import clinic_assistant, run_call, run_open_call
from clinic_agent.clinic.clinic import Clinic
from clinic_agent.config import Config, from_environment
from mockserver.audio.names import SYNTHESIZERS
from mockserver.testing.mock_server import MockServer
from realtape.data import cassettes
from replay.cli.usage import Unusable
from replay.report.picture import Clip, Mark, NoPillow, Track, draw

CLIPS = ("booking-1.wav", "booking-2.wav")
DAY = date(2026, 7, 1)
"""The clinic's date in the demo; its scenario is about the week after."""

Runner = Callable[[Coroutine[Any, Any, Any]], Any]


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="demo",
    show_default=True,
    help="Folder for the audio files and the picture.",
)
@click.option(
    "--voice",
    type=click.Choice(SYNTHESIZERS),
    default="auto",
    help="Voice of the mock.",
    show_default=True,
)
@click.option("--vad", is_flag=True, help="Use an open microphone in real time; the caller interrupts.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_obj
def demo(runner: Runner | None, out: Path, voice: str, vad: bool, as_json: bool) -> None:
    """Book an appointment by voice, offline.

    The clinic agent calls a mock. On a terminal each line of the call shows while it goes on. At its end the demo
    prints transcript, tool calls, latency and cost, and keeps both sides of the call as WAV files.

    With --vad the demo takes half a minute. It adds the whole call as a stereo file, call.wav (left: the caller, right:
    the audio that the caller heard), and as a picture, call.png.

    Exit code 1: the call broke off, or the costs counted by the agent and by the mock differ.
    """
    try:
        said = [read_wav(cassettes() / "voices" / name) for name in CLIPS]
        out.mkdir(parents=True, exist_ok=True)
        mock = MockServer(cassettes() / "scenarios" / "clinic.yaml", voice=voice)
    except (OSError, ValueError, RuntimeError) as error:
        raise Unusable(str(error)) from error
    watch = _live if sys.stderr.isatty() and not as_json else unwatched
    run = runner or asyncio.run  # a program that embeds the command may bring another loop, such as one in virtual time
    if vad:
        if not as_json:
            click.echo("The call runs in real time and takes half a minute.\n", err=True)
        report, recording = run(_open_call(mock, said, watch))
        notes = _write_call(out, report, recording)
    else:
        report, notes = run(_call(mock, said, watch)), []
    for number, (spoken, turn) in enumerate(zip(said, report.turns, strict=False), start=1):
        write_wav(out / f"turn-{number}-caller.wav", spoken)
        write_wav(out / f"turn-{number}-assistant.wav", turn.audio)
    _print(report, mock.ledger.total_usd, out, notes, as_json)


def _print(report: CallReport, billed: Decimal, out: Path, notes: list[str], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(report.as_json() | {"mock_usd": str(billed), "out": str(out)}, indent=2))
    else:
        listen = f"The mock counted {billed} USD. Listen to {out}/*.wav"
        click.echo("\n".join([report.as_text(), "", listen, *notes]))
    counted = report.cost.usd
    if report.failure or counted is None or abs(counted - billed) >= Decimal("0.000001"):
        raise click.exceptions.Exit(1)


def _config(mock: MockServer) -> Config:
    return from_environment({"XAI_API_KEY": mock.api_key, "XAI_REALTIME_URL": mock.ws_url})


def live_line(way: str, event: Event) -> str | None:
    """What a person follows of a call while it goes on: the words of both sides, the tools and their results."""
    match event:
        case {"type": "conversation.item.input_audio_transcription.completed", "transcript": str(words)} if (
            event.get("status") != "in_progress"
        ):
            return f"caller     {words}"
        case {"type": "response.output_audio_transcript.done", "transcript": str(words)}:
            return f"assistant  {words}"
        case {"type": "response.function_call_arguments.done", "name": str(name), "arguments": str(arguments)}:
            return f"tool       {name} {arguments}"
        case {"type": "conversation.item.create", "item": {"type": "function_call_output", "output": str(output)}} if (
            way == "sent"
        ):
            return f"result     {output}"
        case _:
            return None


def _live(way: Literal["sent", "received"], event: Event) -> None:
    if (line := live_line(way, event)) is not None:
        click.echo(line if len(line) <= 120 else f"{line[:117]}...", err=True)


async def _call(mock: MockServer, said: list[bytes], watch: Watcher) -> CallReport:
    assistant = clinic_assistant(Clinic(DAY))
    async with mock:
        return await run_call(_config(mock), said, assistant, priced_on=DAY, plays=False, watch=watch)


async def _open_call(mock: MockServer, said: list[bytes], watch: Watcher) -> tuple[CallReport, CallRecording]:
    def caller(hearing: Playback) -> AsyncIterator[bytes]:
        ask, choose = said
        # The caller hears four utterances: a word while the agent looks up times, the offer, a word while it books, and
        # the confirmation.
        cues = [Cue(After(0, 0.5), ask), Cue(During(2, 1.0), choose), Cue(After(4, 1.0))]
        return microphone(ScriptedCaller(cues, hearing).speak)

    async with mock:
        return await run_open_call(_config(mock), caller, clinic_assistant(Clinic(DAY)), priced_on=DAY, watch=watch)


def _write_call(out: Path, report: CallReport, recording: CallRecording) -> list[str]:
    """Write the audio and the picture of the call; gives the lines to print about them."""
    write_stereo_wav(out / "call.wav", recording.caller, recording.heard_track())
    unheard = [Clip(sound.start_s, sound.pcm, "sent, not played") for sound in recording.dropped]
    tracks = [
        Track(CALLER, [Clip(0.0, recording.caller)]),
        Track(ASSISTANT, [*(Clip(sound.start_s, sound.pcm) for sound in recording.heard), *unheard]),
    ]
    marks = [Mark(each.at_s, each.lane, each.label, each.alarm) for each in recording.timeline]
    title = "A booking over an open microphone"
    subtitle = f"{report.model} · server VAD · the caller speaks over the offer · {report.cost.shown}"
    try:
        draw(out / "call.png", title, subtitle, tracks, marks, SAMPLE_RATE_HZ)
    except NoPillow as missing:
        return [str(missing)]
    return [f"Look at {out / 'call.png'}"]
