"""Dated price tables, and exact arithmetic with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

_Price = TypeVar("_Price")


class UnknownPrice(ValueError):
    """The table has no price for this model or tool."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one model, each counted in one place only: what came from a cache is not in `text` and `audio`, what
    was only thought is not in `text_out`."""

    text: int = 0
    cached_text: int = 0
    audio: int = 0
    cached_audio: int = 0
    text_out: int = 0
    thought: int = 0
    audio_out: int = 0

    def __add__(self, more: Tokens) -> Tokens:
        return Tokens(*(ours + theirs for ours, theirs in zip(astuple(self), astuple(more), strict=True)))


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """USD per million tokens of one model. Reasoning tokens cost as much as text output."""

    text: Decimal
    cached_text: Decimal
    audio: Decimal
    cached_audio: Decimal
    text_out: Decimal
    audio_out: Decimal

    def of(self, tokens: Tokens) -> Fraction:
        """What they cost, exactly."""
        usd = Fraction(self.text) * tokens.text + Fraction(self.cached_text) * tokens.cached_text
        usd += Fraction(self.audio) * tokens.audio + Fraction(self.cached_audio) * tokens.cached_audio
        usd += Fraction(self.text_out) * (tokens.text_out + tokens.thought)
        return (usd + Fraction(self.audio_out) * tokens.audio_out) / 1_000_000


@dataclass(frozen=True, slots=True)
class PriceTable:
    """One service's prices in USD as of one date."""

    as_of: str
    source: str
    per_audio_minute: Mapping[str, Decimal]
    """By model; audio in and audio out are both billed. Empty: audio costs only its tokens."""
    per_text_item: Decimal
    """Per client item that is neither a tool result nor audio."""
    per_telephony_minute: Decimal
    per_thousand_calls: Mapping[str, Decimal]
    """Hosted tools, by name."""
    per_million_tokens: Mapping[str, TokenPrices] = field(default_factory=dict)
    """By model."""
    per_transcribed_minute: Mapping[str, Decimal] = field(default_factory=dict)
    """Transcription models that are billed by the length of the user's speech."""

    def minute(self, model: str) -> Decimal:
        """USD per minute of audio. Raises UnknownPrice."""
        return self._of(self.per_audio_minute, model, "model")

    def thousand_calls(self, tool: str) -> Decimal:
        """USD per thousand calls of a hosted tool. Raises UnknownPrice."""
        return self._of(self.per_thousand_calls, tool, "hosted tool")

    def tokens(self, model: str) -> TokenPrices:
        """The prices of a model's tokens. Raises UnknownPrice."""
        return self._of(self.per_million_tokens, model, "tokens of model")

    def transcribed_minute(self, model: str) -> Decimal:
        """USD per minute transcribed. Raises UnknownPrice."""
        return self._of(self.per_transcribed_minute, model, "transcription model")

    def _of(self, table: Mapping[str, _Price], name: str, what: str) -> _Price:
        if name not in table:
            raise UnknownPrice(
                f"no price for {what} {name!r} in the table of {self.as_of}; it has {', '.join(sorted(table))}"
            )
        return table[name]


def priced(name: str, known: Iterable[str]) -> str:
    """The name in a price table that a model goes by: its own, or that of which it is a dated or named variant."""
    fits = [each for each in known if name == each or name.startswith(f"{each}-")]
    return max(fits, key=len, default=name)


def dollars(amount: Fraction) -> Decimal:
    """An exact amount as Decimal, to a millionth of a USD, half away from zero."""
    micro = (abs(amount) * 2_000_000 + 1) // 2
    return Decimal(micro).scaleb(-6) * (-1 if amount < 0 else 1)
