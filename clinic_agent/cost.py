"""What a call costs, counted by the client alone from what it sent and received.

It asks nobody: the service's `usage` numbers are informative, the price list is per minute of audio. It covers
push-to-talk calls, where audio sent and received is what is billed; a server-VAD call may be billed by its duration.

Prices: the vendor's model and pricing pages, July and August 2026.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import floor

from clinic_agent.speech import SAMPLE_RATE_HZ

USD_PER_MINUTE = {
    "grok-voice-think-fast-1.0": Fraction("0.05"),
    "grok-voice-think-fast-2.0": Fraction("0.08"),
}
# Per `conversation.item.create` the client sends, tool results and audio items excepted; `response.create` is free.
USD_PER_TEXT_ITEM = Fraction("0.004")

LATEST = "grok-voice-latest"
LATEST_MOVED = date(2026, 8, 5)


def resolved(model: str, on: date) -> str:
    """The model that a name meant on a day: `grok-voice-latest` moved from 1.0 to 2.0 on 2026-08-05."""
    if model != LATEST:
        return model
    return "grok-voice-think-fast-1.0" if on < LATEST_MOVED else "grok-voice-think-fast-2.0"


@dataclass(frozen=True, slots=True)
class Cost:
    """Samples and text items counted, and their price. All sums are exact; only what is shown is rounded."""

    model: str
    on: date
    input_samples: int = 0
    output_samples: int = 0
    text_items: int = 0

    @property
    def input_s(self) -> Fraction:
        """Seconds of audio sent."""
        return Fraction(self.input_samples, SAMPLE_RATE_HZ)

    @property
    def output_s(self) -> Fraction:
        """Seconds of audio received."""
        return Fraction(self.output_samples, SAMPLE_RATE_HZ)

    @property
    def exact_usd(self) -> Fraction | None:
        """The price without any rounding; None where the model has no known price, never a guess."""
        per_minute = USD_PER_MINUTE.get(resolved(self.model, self.on))
        if per_minute is None:
            return None
        return (self.input_s + self.output_s) / 60 * per_minute + self.text_items * USD_PER_TEXT_ITEM

    @property
    def usd(self) -> Decimal | None:
        """The price in USD to the 28 digits of a Decimal; None where the model has no known price."""
        exact = self.exact_usd
        return None if exact is None else Decimal(exact.numerator) / Decimal(exact.denominator)

    @property
    def rounded_usd(self) -> Decimal | None:
        """The price for display: rounded half up, once, to 1/10000 USD."""
        exact = self.exact_usd
        return None if exact is None else Decimal(floor(exact * 10_000 + Fraction(1, 2))).scaleb(-4)

    @property
    def shown(self) -> str:
        """The price as text, or the sentence that says why there is none."""
        usd = self.rounded_usd
        if usd is None:
            return f"no price known for {self.model!r}; priced are {', '.join(USD_PER_MINUTE)}"
        return f"${usd:f}"

    def plus(self, *, input_samples: int = 0, output_samples: int = 0, text_items: int = 0) -> Cost:
        """This cost and what was just sent or received."""
        return replace(
            self,
            input_samples=self.input_samples + input_samples,
            output_samples=self.output_samples + output_samples,
            text_items=self.text_items + text_items,
        )

    def since(self, earlier: Cost) -> Cost:
        """The part of this cost that came after `earlier`."""
        return self.plus(
            input_samples=-earlier.input_samples,
            output_samples=-earlier.output_samples,
            text_items=-earlier.text_items,
        )
