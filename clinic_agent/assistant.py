"""The clinic's assistant: its prompt, its session, and a call from the first word to the report.

It decides what is offered to the model and what is kept of a call; how frames travel is line.py's matter.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from clinic_agent.clinic import NAME, Clinic
from clinic_agent.config import Config
from clinic_agent.cost import Cost
from clinic_agent.line import CallFailed, dialled
from clinic_agent.open_mic import TURN_DETECTION, OpenCall
from clinic_agent.playback import Playback
from clinic_agent.recording import Recording
from clinic_agent.speech import MAX_SPEECH_S, SAMPLE_RATE_HZ, samples
from clinic_agent.tools import Tools, clinic_tools
from clinic_agent.turn import ToolRun, Turn
from clinic_agent.voice_client import VoiceClient, connect

_PCM = {"type": "audio/pcm", "rate": SAMPLE_RATE_HZ}
_WIDTH = 100


def instructions(today: date) -> str:
    """The prompt. Today's date is in it, because the model cannot know what "July sixth" means without."""
    return textwrap.dedent(f"""\
        You answer the telephone of {NAME}. Today is {today:%A}, {today.isoformat()}.
        You book appointments, and nothing else. Speak in short sentences, one question at a time.
        Look up free times with check_availability before you offer any; never invent one.
        Book with book_appointment once the caller has chosen a time and given a full name, then read out the reference.
        If a tool answers with an error, say in plain words what is wrong and offer another way.
        Give no medical advice. If anything sounds like an emergency, such as chest pain, trouble breathing or heavy
        bleeding, tell the caller to dial the emergency number and call transfer_to_human at once.
        If you did not understand, ask the caller to repeat it. If asked about other things, lead back to appointments.
        """)


def session_config(config: Config, tools: Tools, today: date) -> dict[str, Any]:
    """The body of `session.update`: manual turns, PCM16 24 kHz both ways, the caller's words transcribed."""
    return {
        "instructions": instructions(today),
        "voice": config.voice,
        "turn_detection": None,
        "tools": tools.schemas(),
        "audio": {
            "input": {"format": _PCM, "transcription": {"model": "grok-transcribe"}},
            "output": {"format": _PCM},
        },
    }


def open_mic_config(config: Config, tools: Tools, today: date) -> dict[str, Any]:
    """The same with an open microphone: the service finds the turns, answers them, and lets the caller interrupt."""
    return session_config(config, tools, today) | {"turn_detection": TURN_DETECTION}


@dataclass(frozen=True, slots=True)
class CallReport:
    """A call, whole or broken off; `failure` says why it broke off and what to do, None if it did not."""

    conversation_id: str | None
    model: str
    turns: tuple[Turn, ...]
    cost: Cost
    failure: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The report without the sound, ready for `json.dumps`: s and ms as numbers, USD as a string."""
        return {
            "conversation_id": self.conversation_id,
            "model": self.model,
            "turns": [_turn_json(turn) for turn in self.turns],
            "failure": self.failure,
            **_cost_json(self.cost),
        }

    def as_text(self) -> str:
        """The report for a person: what was said in each turn, then a table of seconds, tools and cost."""
        blocks = [_block(f"turn {number}", _turn_rows(turn)) for number, turn in enumerate(self.turns, start=1)]
        blocks.append(
            _table([_HEAD, *(_figures(str(n), turn) for n, turn in enumerate(self.turns, start=1)), self._sum])
        )
        rows = [("conversation", self.conversation_id or "not named by the service"), ("model", self.model)]
        if self.failure is not None:
            rows.append(("failed", self.failure))
        return "\n\n".join([*blocks, _block("call", rows)])

    @property
    def _sum(self) -> tuple[str, ...]:
        cost = self.cost
        return ("call", f"{float(cost.input_s):.2f} s", f"{float(cost.output_s):.2f} s", "", cost.shown, "")


async def run_call(
    config: Config,
    words: Sequence[str | bytes],
    clinic: Clinic,
    *,
    priced_on: date,
    open_timeout_s: float = 10.0,
    turn_timeout_s: float = 60.0,
) -> CallReport:
    """Make one call: each of `words` is a turn, text as typed or PCM16 mono 24 kHz as spoken.

    A call that breaks off is reported with `failure` and the turns so far. Raises CallFailed when no call came about.
    """
    tools = clinic_tools(clinic)
    async with connect(
        config, priced_on=priced_on, open_timeout_s=open_timeout_s, turn_timeout_s=turn_timeout_s
    ) as client:
        await client.configure(session_config(config, tools, clinic.today))
        turns, failure = await _talk(client, words, tools)
        return CallReport(client.conversation_id, client.model, tuple(turns), client.cost, failure)


async def run_open_call(
    config: Config,
    caller: Callable[[Playback], AsyncIterator[bytes]],
    clinic: Clinic,
    *,
    priced_on: date,
    open_timeout_s: float = 10.0,
    call_timeout_s: float = MAX_SPEECH_S,
) -> tuple[CallReport, Recording]:
    """Make one call over an open microphone. `caller` is told what it hears, and gives PCM16 mono 24 kHz as it is
    spoken, silence included; where it ends, the caller has hung up.

    A call that breaks off is reported with `failure` and the turns so far. Raises CallFailed when no call came about.
    """
    tools = clinic_tools(clinic)
    async with dialled(config, priced_on=priced_on, open_timeout_s=open_timeout_s) as line:
        await line.configure(open_mic_config(config, tools, clinic.today), open_timeout_s)
        call, failure = OpenCall(line, tools.call), None
        try:
            await call.talk(caller(call.playback), call_timeout_s)
        except CallFailed as failed:
            failure = str(failed)
        return CallReport(line.conversation_id, line.model, call.turns(), line.cost, failure), call.recording()


async def _talk(client: VoiceClient, words: Sequence[str | bytes], tools: Tools) -> tuple[list[Turn], str | None]:
    turns: list[Turn] = []
    for said in words:
        try:
            if isinstance(said, str):
                turns.append(await client.type(said, tools.call))
            else:
                turns.append(await client.speak(said, tools.call))
        except CallFailed as failed:
            return [*turns, *([failed.turn] if failed.turn else [])], str(failed)
    return turns, None


def _turn_json(turn: Turn) -> dict[str, Any]:
    return {
        "heard": turn.heard,
        "said": turn.said,
        "status": turn.status,
        "tools": [asdict(run) | {"ms": round(run.ms, 3)} for run in turn.tools],
        "first_audio_ms": None if turn.first_audio_ms is None else round(turn.first_audio_ms, 1),
        "total_ms": round(turn.total_ms, 1),
        "heard_ms": turn.heard_ms,
        "usage": list(turn.usage),
        **_cost_json(turn.cost),
    }


def _cost_json(cost: Cost) -> dict[str, Any]:
    usd: Decimal | None = cost.rounded_usd
    return {
        "audio_in_s": float(cost.input_s),
        "audio_out_s": float(cost.output_s),
        "text_items": cost.text_items,
        "usd": None if usd is None else str(usd),
    }


_HEAD = ("turn", "audio in", "audio out", "first audio", "cost", "tools")


def _figures(label: str, turn: Turn) -> tuple[str, ...]:
    cost = turn.cost
    first = "none" if turn.first_audio_ms is None else f"{turn.first_audio_ms:.0f} ms"
    tools = ", ".join(run.name for run in turn.tools)
    return (label, f"{float(cost.input_s):.2f} s", f"{float(cost.output_s):.2f} s", first, cost.shown, tools)


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def _turn_rows(turn: Turn) -> list[tuple[str, str]]:
    rows = [("heard", turn.heard or "(nothing)"), ("said", turn.said or "(nothing)")]
    rows += [("tool", _tool_text(run)) for run in turn.tools]
    if turn.heard_ms is not None:
        sent_s = samples(turn.audio) / SAMPLE_RATE_HZ
        rows.append(("interrupted", f"the caller heard {turn.heard_ms / 1000:.2f} s of the {sent_s:.2f} s sent"))
    return rows if turn.status == "completed" else [*rows, ("ended", turn.status)]


def _tool_text(run: ToolRun) -> str:
    arguments = run.arguments if isinstance(run.arguments, str) else json.dumps(run.arguments)
    return f"{run.name}({arguments}) -> {json.dumps(run.result)} in {run.ms:.1f} ms"


def _block(title: str, rows: list[tuple[str, str]]) -> str:
    lines = [
        textwrap.fill(text, _WIDTH, initial_indent=f"  {label:<12}  ", subsequent_indent=" " * 16)
        for label, text in rows
    ]
    return "\n".join([title, *lines])
