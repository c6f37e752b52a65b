"""What things cost: dated tables and exact arithmetic. Nothing is counted here: see ledger.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction


class UnknownPrice(ValueError):
    """The table has no price for this model or meter; nothing is guessed."""


@dataclass(frozen=True, slots=True)
class PriceTable:
    """One service's prices in USD as of one date."""

    as_of: str
    source: str
    per_audio_minute: Mapping[str, Decimal]
    """By model; audio in and audio out are both billed."""
    per_text_item: Decimal
    """Per client item that is neither a tool result nor audio."""
    per_telephony_minute: Decimal
    per_thousand_calls: Mapping[str, Decimal]
    """Hosted tools, by name."""

    def minute(self, model: str) -> Decimal:
        """USD per minute of audio. Raises UnknownPrice."""
        return self._of(self.per_audio_minute, model, "model")

    def thousand_calls(self, tool: str) -> Decimal:
        """USD per thousand calls of a hosted tool. Raises UnknownPrice."""
        return self._of(self.per_thousand_calls, tool, "hosted tool")

    def _of(self, table: Mapping[str, Decimal], name: str, what: str) -> Decimal:
        if name not in table:
            raise UnknownPrice(
                f"no price for {what} {name!r} in the table of {self.as_of}; it has {', '.join(sorted(table))}"
            )
        return table[name]


def dollars(amount: Fraction) -> Decimal:
    """An exact amount as Decimal, to a millionth of a USD, half away from zero."""
    micro = (abs(amount) * 2_000_000 + 1) // 2
    return Decimal(micro).scaleb(-6) * (-1 if amount < 0 else 1)
