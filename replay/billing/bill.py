"""The cost of a recorded conversation, from its frames and dated price tables.

xAI bills audio and typed items (counted in meter.py), OpenAI bills the tokens that each response reports. The bill
holds for calls without server VAD. Since September 2026 a call under server VAD may be billed by its duration (vendor's
price pages); the bill then says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from replay.billing import meter as spending
from replay.cassette.frames import Binary, Text
from replay.cassette.recording import Line, Recording
from replay.cassette.records import service_of_model


class NoPrice(ValueError):
    """The price of something in the recording is not known. The message names it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a bill: `quantity` of `unit` at `usd_each` USD per unit."""

    what: str
    quantity: Fraction
    unit: str
    usd_each: Fraction

    @property
    def usd(self) -> Fraction:
        """USD, not rounded."""
        return self.quantity * self.usd_each


@dataclass(frozen=True, slots=True)
class Bill:
    """Rows over all connections.

    `on`: the day whose prices were used. `source`: where the prices come from. `lasted_s`: the length of all
    connections, in seconds. `server_vad`: a connection used server VAD.
    """

    service: str
    on: date
    source: str
    entries: tuple[Entry, ...]
    lasted_s: float
    server_vad: bool

    @property
    def usd(self) -> Decimal:
        """The total, rounded half up to a millionth of a USD."""
        micro = (sum((entry.usd for entry in self.entries), Fraction(0)) * 2_000_000 + 1) // 2
        return Decimal(micro).scaleb(-6)

    def quantity(self, what: str) -> Fraction:
        """The quantity of all rows whose name ends with `what`."""
        return sum((entry.quantity for entry in self.entries if entry.what.endswith(what)), Fraction(0))

    def as_json(self) -> dict[str, Any]:
        """Quantities as numbers; money as strings, so that no digit is lost."""
        rows = [
            {"what": each.what, "quantity": float(each.quantity), "unit": each.unit, "usd": str(_micro(each.usd))}
            for each in self.entries
        ]
        return {
            "service": self.service,
            "prices_on": self.on.isoformat(),
            "source": self.source,
            "entries": rows,
            "lasted_s": self.lasted_s,
            "server_vad": self.server_vad,
            "usd": str(self.usd),
        }

    def as_text(self) -> str:
        """A table."""
        cells = [(row.what, f"{float(row.quantity):,.3f} {row.unit}", f"{_micro(row.usd)} USD") for row in self.entries]
        cells.append(("total", f"prices of {self.on}", f"{self.usd} USD"))
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        rows = [f"{a:{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}" for a, b, c in cells]
        if self.server_vad:
            rows.append(f"Under server VAD the service may bill the duration instead: {self.lasted_s:.1f} s.")
        return "\n".join(rows)


def bill(recording: Recording, on: date) -> Bill:
    """The bill of a recording made on a day. Raises NoPrice."""
    service = recording.dialect.partition("@")[0]
    if service == "unknown":
        service = _service(recording)
    match service:
        case "xai":
            return _by_audio(recording, on)
        case "openai":
            return _by_tokens(recording, on)
        case _:
            raise NoPrice("no prices are known: the recording does not show which service it is of")


def _service(recording: Recording) -> str:
    """The service of the first model that a session names."""
    for event in recording.received():
        session = event.get("session")
        if isinstance(session, dict) and isinstance(session.get("model"), str):
            return service_of_model(session["model"])
    return "unknown"


def _by_audio(recording: Recording, on: date) -> Bill:
    table = spending.prices("xai", on)
    assert table is not None
    entries: list[Entry] = []
    server_vad = False
    for line in recording.lines:
        meter = _metered(line)
        server_vad = server_vad or meter.by_duration
        entries += _audio_entries(meter, table)
    return Bill("xai", on, table.source, _summed(entries), _lasted_s(recording), server_vad)


def _metered(line: Line) -> spending.Meter:
    meter = spending.Meter(None)
    for moment in line.moments:
        if isinstance(moment.frame, Text | Binary):
            meter.count(moment.way, moment.frame)
    return meter


def _audio_entries(meter: spending.Meter, table: spending.Prices) -> list[Entry]:
    entries: list[Entry] = []
    if any(meter.audio_s.values()):
        if meter.model is None or meter.model not in table.per_audio_minute:
            known = ", ".join(sorted(table.per_audio_minute))
            raise NoPrice(f"no price is known for audio of model {meter.model!r}; known are {known}")
        each = table.per_audio_minute[meter.model] / 60
        entries.append(Entry(f"{meter.model}, audio in", meter.audio_s["sent"], "s", each))
        entries.append(Entry(f"{meter.model}, audio out", meter.audio_s["received"], "s", each))
    if meter.text_items:
        entries.append(Entry("text items", Fraction(meter.text_items), "items", table.per_text_item))
    return entries


@dataclass(frozen=True, slots=True)
class _Tokens:
    """USD per million tokens: input, cached input, output."""

    text: tuple[str, str, str]
    audio: tuple[str, str, str]
    image: tuple[str, str] = ("5", "0.50")


_FULL_AUDIO, _MINI_AUDIO = ("32", "0.40", "64"), ("10", "0.30", "20")
_OPENAI_SOURCE = "developers.openai.com: pages of the models, mid-2026"
_OPENAI: Mapping[str, _Tokens] = {
    "gpt-realtime": _Tokens(("4", "0.40", "16"), _FULL_AUDIO),
    "gpt-realtime-1.5": _Tokens(("4", "0.40", "16"), _FULL_AUDIO),
    "gpt-realtime-2": _Tokens(("4", "0.40", "24"), _FULL_AUDIO),
    "gpt-realtime-mini": _Tokens(("0.60", "0.06", "2.40"), _MINI_AUDIO, ("0.80", "0.08")),
    "gpt-realtime-2.1-mini": _Tokens(("0.60", "0.06", "2.40"), _MINI_AUDIO, ("0.80", "0.08")),
}


def _by_tokens(recording: Recording, on: date) -> Bill:
    counted: Counter[tuple[str, str]] = Counter()
    for line in recording.lines:
        model = ""
        for moment in line.moments:
            event = moment.event or {}
            match moment.way, moment.type:
                case "received", "session.created" | "session.updated":
                    model = str(event.get("session", {}).get("model", model))
                case "received", "response.done":
                    counted.update({(model, kind): count for kind, count in token_counts(event).items()})
                case "received", "conversation.item.input_audio_transcription.completed" if event.get("usage"):
                    raise NoPrice("a separate model transcribed the user, and its price is not known")
                case _:
                    pass
    entries = tuple(_token_entry(model, kind, count) for (model, kind), count in counted.items() if count)
    return Bill("openai", on, _OPENAI_SOURCE, entries, _lasted_s(recording), False)


def token_counts(event: Mapping[str, Any]) -> dict[str, int]:
    """Tokens of one response by kind. Cached tokens are part of the input and cost less."""
    response = event.get("response")
    usage = response.get("usage") if isinstance(response, dict) else None
    if not isinstance(usage, dict):
        return {}
    given, made = usage.get("input_token_details", {}), usage.get("output_token_details", {})
    cached = given.get("cached_tokens_details") or {}
    counts: dict[str, int] = {}
    for kind in ("text", "audio", "image"):
        name = f"{kind}_tokens"
        hit = int(cached.get(name, 0))
        counts[f"{kind} in"] = int(given.get(name, 0)) - hit
        counts[f"{kind} from the cache"] = hit
        counts[f"{kind} out"] = int(made.get(name, 0))
    return counts


def _token_entry(model: str, kind: str, count: int) -> Entry:
    table = _OPENAI.get(model)
    if table is None:
        raise NoPrice(f"no price is known for model {model!r}; known are {', '.join(_OPENAI)}")
    medium, _, direction = kind.partition(" ")
    column = ("in", "from the cache", "out").index(direction)
    prices: tuple[str, ...] = getattr(table, medium)
    return Entry(f"{model}, {kind}", Fraction(count), "tokens", Fraction(prices[column]) / 1_000_000)


def _summed(entries: list[Entry]) -> tuple[Entry, ...]:
    """Rows of the same item at the same price become one."""
    totals: dict[tuple[str, str, Fraction], Fraction] = {}
    for each in entries:
        key = (each.what, each.unit, each.usd_each)
        totals[key] = totals.get(key, Fraction(0)) + each.quantity
    return tuple(Entry(what, quantity, unit, usd) for (what, unit, usd), quantity in totals.items())


def _lasted_s(recording: Recording) -> float:
    return sum(line.moments[-1].at_s - line.opened_s for line in recording.lines if line.moments)


def _micro(usd: Fraction) -> Decimal:
    return Decimal(round(usd * 1_000_000)).scaleb(-6)
