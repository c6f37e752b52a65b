"""The report of a call: its turns, tool calls and cost, as JSON or as text."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from clinic_agent.call.cost import Cost
from clinic_agent.call.pcm import SAMPLE_RATE_HZ, samples
from clinic_agent.call.turn import ToolRun, Turn

_WIDTH = 100


@dataclass(frozen=True, slots=True)
class CallReport:
    """A call, complete or broken off. `failure` says why it broke off and what to do; None if it is complete."""

    conversation_id: str | None
    model: str
    turns: tuple[Turn, ...]
    cost: Cost
    failure: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The report without the audio, for `json.dumps`: s and ms as numbers, USD as a string."""
        return {
            "conversation_id": self.conversation_id,
            "model": self.model,
            "turns": [_turn_json(turn) for turn in self.turns],
            "failure": self.failure,
            **_cost_json(self.cost),
        }

    def as_text(self) -> str:
        """The report as text: the words of each turn, then a table of seconds, tools and cost."""
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
