"""The cost of a recorded conversation, from its frames and dated price tables.

xAI bills audio and text items, OpenAI bills the tokens that each response reports (all counted in meter.py). The bill
holds for calls without server VAD. Since September 2026 a call under server VAD may be billed by its duration (vendor's
price pages); the bill then says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from replay.billing.meter import Meter
from replay.billing.prices import PriceTable, TokenPrices, Tokens, UnknownPrice, begun_seconds, doubt, price_table
from replay.cassette.frames import Binary, Text
from replay.cassette.recording import Line, Recording
from replay.cassette.records import service_of_model


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

    `table`: the prices that were used. `on`: the day of the recording. `lasted_s`: the length of all connections, in
    seconds. `server_vad`: a connection used server VAD on a service that bills audio by its length. `silent`: a call is
    recorded without its sound, as on a sideband, so the bill lacks its audio.
    """

    table: PriceTable
    on: date
    entries: tuple[Entry, ...]
    lasted_s: float
    server_vad: bool
    silent: bool = False

    @property
    def usd(self) -> Decimal:
        """The total, rounded half up to a millionth of a USD."""
        micro = (sum((entry.usd for entry in self.entries), Fraction(0)) * 2_000_000 + 1) // 2
        return Decimal(micro).scaleb(-6)

    def quantity(self, what: str) -> Fraction:
        """The quantity of all rows whose name ends with `what`."""
        return sum((entry.quantity for entry in self.entries if entry.what.endswith(what)), Fraction(0))

    @property
    def doubt(self) -> str | None:
        """Why the prices of the day of the recording may be others; None if the table was checked for that day."""
        return doubt(self.table, self.on)

    def as_json(self) -> dict[str, Any]:
        """Quantities as numbers; money as strings, so that no digit is lost."""
        rows = [
            {"what": each.what, "quantity": float(each.quantity), "unit": each.unit, "usd": str(_micro(each.usd))}
            for each in self.entries
        ]
        return {
            "service": self.table.service,
            "prices_on": self.on.isoformat(),
            "prices_as_of": self.table.as_of,
            "source": self.table.source,
            "entries": rows,
            "lasted_s": self.lasted_s,
            "server_vad": self.server_vad,
            "silent": self.silent,
            "usd": str(self.usd),
            "doubt": self.doubt,
        }

    def as_text(self) -> str:
        """A table."""
        cells = [(row.what, f"{float(row.quantity):,.3f} {row.unit}", f"{_micro(row.usd)} USD") for row in self.entries]
        cells.append(("total", f"prices as of {self.table.as_of}", f"{self.usd} USD"))
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        rows = [f"{a:{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}" for a, b, c in cells]
        if self.table.regional:
            rows.append("The prices include the surcharge for processing in one region.")
        if self.server_vad:
            rows.append(f"Under server VAD the service may bill the duration instead: {self.lasted_s:.1f} s.")
        if self.silent:
            rows.append("The sound of a call is not in its recording: its audio is not in this bill.")
        return "\n".join(rows)


def bill(recording: Recording, on: date, url: str = "") -> Bill:
    """The bill of a recording made on a day, with the service at `url`. Raises UnknownPrice, which names what has no
    price."""
    service = recording.dialect.partition("@")[0]
    if service == "unknown":
        service = _service(recording)
    if service == "unknown":
        raise UnknownPrice("no prices are known: the recording does not show which service it is of")
    table = price_table(service, on, url)
    entries: list[Entry] = []
    server_vad = silent = False
    for line in recording.lines:
        meter = _metered(line)
        server_vad = server_vad or (meter.by_duration and bool(table.per_audio_minute))
        entries += _entries(meter, table)
        if line.call_id is not None and table.per_telephony_minute and line.moments:
            # Where there is a surcharge (xAI), every call is one over the telephone.
            connected_s = begun_seconds(line.moments[-1].at_s - line.opened_s)
            entries.append(Entry("telephone", connected_s, "s", Fraction(table.per_telephony_minute) / 60))
            silent = silent or not any(meter.audio_s.values())
    return Bill(table, on, _summed(entries), _lasted_s(recording), server_vad, silent)


def _service(recording: Recording) -> str:
    """The service of the first model that a session names."""
    for event in recording.server_events():
        session = event.get("session")
        if isinstance(session, dict) and isinstance(session.get("model"), str):
            return service_of_model(session["model"])
    return "unknown"


def _metered(line: Line) -> Meter:
    meter = Meter(None)
    for moment in line.moments:
        if isinstance(moment.frame, Text | Binary):
            meter.count(moment.way, moment.frame)
    return meter


def _entries(meter: Meter, table: PriceTable) -> Iterator[Entry]:
    if table.per_audio_minute and any(meter.audio_s.values()):
        each = Fraction(table.minute(meter.model or "")) / 60
        yield Entry(f"{meter.model}, audio in", meter.audio_s["sent"], "s", each)
        yield Entry(f"{meter.model}, audio out", meter.audio_s["received"], "s", each)
    if table.per_text_item and meter.text_items:
        yield Entry("text items", Fraction(meter.text_items), "items", Fraction(table.per_text_item))
    if table.per_million_tokens:
        for model, tokens in meter.tokens.items():
            yield from _token_entries(model, tokens, table.tokens(model))
        for model, seconds in meter.transcribed_s.items():
            yield Entry(f"{model}, transcribed", seconds, "s", Fraction(table.transcribed_minute(model)) / 60)


def _token_entries(model: str, tokens: Tokens, prices: TokenPrices) -> Iterator[Entry]:
    rows = (
        ("text in", tokens.text, prices.text),
        ("text from the cache", tokens.cached_text, prices.cached_text),
        ("text out", tokens.text_out, prices.text_out),
        ("audio in", tokens.audio, prices.audio),
        ("audio from the cache", tokens.cached_audio, prices.cached_audio),
        ("audio out", tokens.audio_out, prices.audio_out),
        ("image in", tokens.image, prices.image),
        ("image from the cache", tokens.cached_image, prices.cached_image),
    )
    for kind, count, each in rows:
        if count:
            yield Entry(f"{model}, {kind}", Fraction(count), "tokens", Fraction(each) / 1_000_000)


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
