"""What the services charge: dated price tables, one list a service, and exact arithmetic.

The mock's ledger, `bill`, the spending limit of `record` and the tests on live services take their prices from here.
Nothing is counted here: see meter.py, bill.py and mockserver/billing/ledger.py.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, fields, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import ceil, lcm
from operator import add, attrgetter
from typing import TypeVar

from replay.billing.ratio import Ratio

_Price = TypeVar("_Price")


class UnknownPrice(ValueError):
    """The table has no price for this model or tool."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one model, each counted in one place only: what came from a cache is not in `text`, `audio` and
    `image`, what was only thought is not in `text_out`."""

    text: int = 0
    cached_text: int = 0
    audio: int = 0
    cached_audio: int = 0
    text_out: int = 0
    thought: int = 0
    audio_out: int = 0
    image: int = 0
    cached_image: int = 0

    def __add__(self, more: Tokens) -> Tokens:
        return Tokens(*map(add, _COUNTS(self), _COUNTS(more)))


_COUNTS = attrgetter(*(each.name for each in fields(Tokens)))


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """USD per million tokens of one model. Reasoning tokens cost as much as text output."""

    text: Decimal
    cached_text: Decimal
    audio: Decimal
    cached_audio: Decimal
    text_out: Decimal
    audio_out: Decimal
    image: Decimal = Decimal(0)
    cached_image: Decimal = Decimal(0)

    def times(self, factor: Decimal) -> TokenPrices:
        """Each price times a factor."""
        return TokenPrices(*(price * factor for price in astuple(self)))

    def of(self, tokens: Tokens) -> Fraction:
        """What they cost, exactly."""
        return Fraction(*self.ratio(tokens))

    def ratio(self, tokens: Tokens) -> Ratio:
        """The same as a ratio that is not shortened."""
        (text, cached_text, audio, cached_audio, text_out, audio_out, image, cached_image), over = _whole(self)
        usd = text * tokens.text + cached_text * tokens.cached_text
        usd += audio * tokens.audio + cached_audio * tokens.cached_audio
        usd += image * tokens.image + cached_image * tokens.cached_image
        usd += text_out * (tokens.text_out + tokens.thought) + audio_out * tokens.audio_out
        return usd, over * 1_000_000


@lru_cache(maxsize=256)
def _whole(prices: TokenPrices) -> tuple[tuple[int, ...], int]:
    """The prices as whole numbers over one denominator."""
    each = [Fraction(price) for price in astuple(prices)]
    over = lcm(*(price.denominator for price in each))
    return tuple(int(price * over) for price in each), over


@lru_cache(maxsize=256)
def exact(price: Decimal) -> Fraction:
    """A price as a fraction."""
    return Fraction(price)


@dataclass(frozen=True, slots=True)
class PriceTable:
    """One service's prices in USD from one day on, until the next table of the service begins."""

    service: str
    since: date
    source: str
    per_audio_minute: Mapping[str, Decimal] = field(default_factory=dict)
    """By model; audio in and audio out are both billed. Empty: audio costs only its tokens."""
    per_text_item: Decimal = Decimal(0)
    """Per client item that is neither a tool result nor audio."""
    per_telephony_minute: Decimal = Decimal(0)
    per_thousand_calls: Mapping[str, Decimal] = field(default_factory=dict)
    """Hosted tools, by name."""
    per_million_tokens: Mapping[str, TokenPrices] = field(default_factory=dict)
    """By model."""
    per_transcribed_minute: Mapping[str, Decimal] = field(default_factory=dict)
    """Transcription models that are billed by the length of the user's speech."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Names that stand for a model as long as this table holds."""
    regional_factor: Decimal = Decimal(1)
    """The factor on prices of tokens and transcription if the client has its data processed in one region."""
    regional: bool = False
    """Whether the prices include that factor."""

    @property
    def as_of(self) -> str:
        """The first day of these prices, as ISO 8601."""
        return self.since.isoformat()

    def resolved(self, model: str) -> str:
        """The name under which a model is listed: its own, the model of an alias, or the model of a dated snapshot."""
        name = self.aliases.get(model, model)
        return name if name in self.per_million_tokens else _undated(name)

    def in_region(self) -> PriceTable:
        """These prices for a client that has its data processed in one region."""
        factor = self.regional_factor
        return replace(
            self,
            per_million_tokens={name: prices.times(factor) for name, prices in self.per_million_tokens.items()},
            per_transcribed_minute={name: price * factor for name, price in self.per_transcribed_minute.items()},
            regional_factor=Decimal(1),
            regional=factor != 1,
        )

    def minute(self, model: str) -> Decimal:
        """USD per minute of audio. Raises UnknownPrice."""
        return self._of(self.per_audio_minute, model, "model")

    def highest_minute(self, model: str | None) -> Decimal:
        """USD per minute of audio. For an unknown model the highest price; 0 where audio costs only its tokens."""
        try:
            return self.minute(model or "")
        except UnknownPrice:
            return max(self.per_audio_minute.values(), default=Decimal(0))

    def thousand_calls(self, tool: str) -> Decimal:
        """USD per thousand calls of a hosted tool. Raises UnknownPrice."""
        return self._of(self.per_thousand_calls, tool, "hosted tool")

    def tokens(self, model: str) -> TokenPrices:
        """The prices of a model's tokens. Raises UnknownPrice."""
        return self._of(self.per_million_tokens, model, "tokens of model")

    def highest_tokens(self, model: str | None) -> TokenPrices:
        """The prices of a model's tokens. For an unknown model those of the most expensive one."""
        try:
            return self.tokens(model or "")
        except UnknownPrice:
            return max(self.per_million_tokens.values(), key=lambda prices: (prices.audio_out, prices.text_out))

    def transcribed_minute(self, model: str) -> Decimal:
        """USD per minute transcribed. Raises UnknownPrice."""
        return self._of(self.per_transcribed_minute, model, "transcription model")

    def highest_transcribed_minute(self, model: str) -> Decimal:
        """USD per minute transcribed. For an unknown model the highest price."""
        try:
            return self.transcribed_minute(model)
        except UnknownPrice:
            return max(self.per_transcribed_minute.values())

    def _of(self, table: Mapping[str, _Price], name: str, what: str) -> _Price:
        if (known := self.resolved(name)) not in table:
            raise UnknownPrice(
                f"no price for {what} {name!r} in the table of {self.as_of}; it has {', '.join(sorted(table))}"
            )
        return table[known]


_REGION = re.compile(r"wss://[\w-]+\.api\.openai\.com[:/]")
_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")
"""The date at the end of the name of a model's snapshot, as in gpt-realtime-2025-08-28."""


@lru_cache(maxsize=256)
def _undated(name: str) -> str:
    return _SNAPSHOT.sub("", name)


def price_table(service: str, on: date, url: str = "") -> PriceTable:
    """The prices of a service on a day: the latest table that had begun by then, else the first one.

    `url`: the address of the service; `REGION.api.openai.com` has the prices of processing in one region.
    `service`: `xai` or `openai`, or the name of a dialect of one. Azure's prices are taken to be OpenAI's, which is a
    guess. Raises UnknownPrice for another service.
    """
    name = service.partition("@")[0]
    tables = PRICES.get("openai" if name == "azure" else name)
    if tables is None:
        raise UnknownPrice(f"no prices are known of {service!r}; they are known of {', '.join(PRICES)}")
    table = next((table for table in reversed(tables) if table.since <= on), tables[0])
    return table.in_region() if _REGION.match(url) else table


def dialect_prices(dialect: str) -> PriceTable:
    """The prices of a dated dialect such as `xai@2026-08`: those of the last day of its month."""
    service, _, month = dialect.partition("@")
    year, number = map(int, month.split("-"))
    return price_table(service, date(year, number, monthrange(year, number)[1]))


def doubt(table: PriceTable, on: date) -> str | None:
    """Why the prices of that day may be others than those of the table; None if the table was checked for the day."""
    if on < table.since:
        return f"prices before {table.since} are not known; these are of that day, not of {on}"
    if on > CHECKED:
        return f"prices were last checked on {CHECKED}; they may be others on {on}"
    return None


def begun_seconds(connected_s: float) -> Fraction:
    """The seconds of a call that began. Those of a clock are exact to a microsecond, so that no error adds one."""
    return Fraction(ceil(round(connected_s, 6)))


def dollars(amount: Fraction) -> Decimal:
    """An exact amount as Decimal, to a millionth of a USD, half away from zero."""
    return Decimal(dollars_in((amount.numerator, amount.denominator)))


def dollars_in(amount: Ratio) -> str:
    """The same as text, such as `0.004933`."""
    usd, over = amount
    whole, millionths = divmod((abs(usd) * 2_000_000 + over) // (2 * over), 1_000_000)
    return f"{'-' if usd < 0 else ''}{whole}.{millionths:06d}"


CHECKED = date(2026, 11, 30)
"""The day on which every price below was last compared with the vendors' pages or with a catalogue of them."""

_FAST_1, _FAST_2 = Decimal("0.05"), Decimal("0.08")


def _xai(since: date, latest: str) -> PriceTable:
    return PriceTable(
        service="xai",
        since=since,
        source="docs.x.ai/developers/models, one page a model, and /developers/pricing",
        per_audio_minute=_GROK,
        per_text_item=Decimal("0.004"),
        per_telephony_minute=Decimal("0.01"),
        per_thousand_calls={
            "web_search": Decimal(5),
            "x_search": Decimal(5),
            "code_interpreter": Decimal(5),
            "file_search": Decimal("2.50"),
            "collections_search": Decimal("2.50"),
            "mcp": Decimal(0),  # the page lists none
        },
        aliases={"grok-voice-latest": latest},
    )


# grok-voice-fast-1.0 is the name that sessions of spring 2026 had; that it cost what its successor does is a guess.
# The pages call the second model grok-voice-2.0, the wire grok-voice-think-fast-2.0. The pages of October list neither
# think-fast name any more: that their prices stayed is a guess. Each table lists each model: a session in virtual time
# may lie before the first day of its model.
_GROK = {
    "grok-voice-fast-1.0": _FAST_1,
    "grok-voice-think-fast-1.0": _FAST_1,
    "grok-voice-think-fast-2.0": _FAST_2,
    "grok-voice-2.0": _FAST_2,
    "grok-voice-3.0": _FAST_2,
}


def _per_million(text: str, cached: str, out: str, audio: str, cached_audio: str, audio_out: str) -> TokenPrices:
    return TokenPrices(*map(Decimal, (text, cached, audio, cached_audio, out, audio_out, "5", "0.50")))


_LARGE = _per_million("4", "0.40", "16", "32", "0.40", "64")
_REASONING = _per_million("4", "0.40", "24", "32", "0.40", "64")
_MINI = TokenPrices(*map(Decimal, ("0.60", "0.06", "10", "0.30", "2.40", "20", "0.80", "0.08")))

PRICES: Mapping[str, tuple[PriceTable, ...]] = {
    "xai": (
        _xai(date(2026, 7, 1), "grok-voice-think-fast-1.0"),
        _xai(date(2026, 8, 5), "grok-voice-think-fast-2.0"),
        _xai(date(2026, 10, 14), "grok-voice-3.0"),
    ),
    "openai": (
        PriceTable(
            service="openai",
            since=date(2026, 7, 1),
            source="developers.openai.com/api/docs/models, one page a model, and /api/docs/pricing",
            per_thousand_calls={
                "web_search": Decimal(10),
                "file_search": Decimal("2.50"),
                "mcp": Decimal(0),  # the page lists none: a call costs its tokens
            },
            per_million_tokens={
                "gpt-realtime": _LARGE,
                "gpt-realtime-1.5": _LARGE,
                "gpt-realtime-2": _REASONING,
                "gpt-realtime-2.1": _REASONING,
                "gpt-realtime-mini": _MINI,
                "gpt-realtime-2.1-mini": _MINI,
                "gpt-4o-transcribe": _per_million("2.50", "2.50", "10", "6", "6", "0"),
                "gpt-4o-transcribe-diarize": _per_million("2.50", "2.50", "10", "6", "6", "0"),
                "gpt-4o-mini-transcribe": _per_million("1.25", "1.25", "5", "3", "3", "0"),
            },
            # The first three report tokens as a rule; the pages give a price per minute beside it.
            per_transcribed_minute={
                "gpt-4o-transcribe": Decimal("0.006"),
                "gpt-4o-transcribe-diarize": Decimal("0.006"),
                "gpt-4o-mini-transcribe": Decimal("0.003"),
                "whisper-1": Decimal("0.006"),
                "gpt-transcribe": Decimal("0.0045"),
                "gpt-live-transcribe": Decimal("0.017"),
                "gpt-realtime-whisper": Decimal("0.017"),
                "gpt-realtime-translate": Decimal("0.034"),
            },
            regional_factor=Decimal("1.1"),
        ),
    ),
}
"""By service, oldest first."""
