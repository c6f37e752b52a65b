"""The cost of a call, counted by the client from the frames that it sent and received.

Prices are per minute of audio; the `usage` numbers of the service are informative only. The count fits push-to-talk
calls, which are billed by the audio sent and received. A server-VAD call may be billed by its duration.

Prices: the vendor's model and pricing pages, July and August 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import floor
from types import MappingProxyType

from clinic_agent.call.pcm import SAMPLE_RATE_HZ

USD_PER_MINUTE = {
    "grok-voice-think-fast-1.0": Fraction("0.05"),
    "grok-voice-think-fast-2.0": Fraction("0.08"),
}
# Per `conversation.item.create` of the client, except tool results and audio items; `response.create` is free.
USD_PER_TEXT_ITEM = Fraction("0.004")

USD_PER_THOUSAND_CALLS = {
    "web_search": Fraction(5),
    "x_search": Fraction(5),
    "code_interpreter": Fraction(5),
    "file_search": Fraction("2.50"),
    "collections_search": Fraction("2.50"),
    "mcp": Fraction(0),
}
"""Prices of the tools that the service runs; the agent's own functions are free."""
USD_PER_TELEPHONY_MINUTE = Fraction("0.01")
"""Extra price of a minute of audio if the call came over a telephone number of the service."""

LATEST = "grok-voice-latest"
LATEST_MOVED = date(2026, 8, 5)
NOTHING: Mapping[str, int] = MappingProxyType({})


def resolved(model: str, on: date) -> str:
    """The model behind a name on a day: `grok-voice-latest` moved from 1.0 to 2.0 on 2026-08-05."""
    if model != LATEST:
        return model
    return "grok-voice-think-fast-1.0" if on < LATEST_MOVED else "grok-voice-think-fast-2.0"


@dataclass(frozen=True, slots=True)
class Cost:
    """Counted amounts and their price. All sums are exact; only the displayed price is rounded."""

    model: str
    on: date
    input_samples: int = 0
    output_samples: int = 0
    text_items: int = 0
    hosted_calls: Mapping[str, int] = field(default_factory=dict)
    """Calls of hosted tools, by name."""
    telephony: bool = False
    """Whether the call came over a telephone number of the service. Frames do not show it."""

    @property
    def input_s(self) -> Fraction:
        """Seconds of audio sent."""
        return Fraction(self.input_samples, SAMPLE_RATE_HZ)

    @property
    def output_s(self) -> Fraction:
        """Seconds of audio received."""
        return Fraction(self.output_samples, SAMPLE_RATE_HZ)

    @property
    def telephony_s(self) -> Fraction:
        """Seconds of audio with the price of telephony: all of a telephone call."""
        return self.input_s + self.output_s if self.telephony else Fraction(0)

    @property
    def exact_usd(self) -> Fraction | None:
        """The price in USD, not rounded; None if a price is not known."""
        per_minute = USD_PER_MINUTE.get(resolved(self.model, self.on))
        if per_minute is None or not self.hosted_calls.keys() <= USD_PER_THOUSAND_CALLS.keys():
            return None
        audio = (self.input_s + self.output_s) / 60 * per_minute
        hosted = sum((USD_PER_THOUSAND_CALLS[tool] * calls for tool, calls in self.hosted_calls.items()), Fraction(0))
        telephony = self.telephony_s / 60 * USD_PER_TELEPHONY_MINUTE
        return audio + self.text_items * USD_PER_TEXT_ITEM + hosted / 1000 + telephony

    @property
    def usd(self) -> Decimal | None:
        """The price in USD with the 28 digits of a Decimal; None if a price is not known."""
        exact = self.exact_usd
        return None if exact is None else Decimal(exact.numerator) / Decimal(exact.denominator)

    @property
    def rounded_usd(self) -> Decimal | None:
        """The price for display: rounded half up, once, to 1/10000 USD."""
        exact = self.exact_usd
        return None if exact is None else Decimal(floor(exact * 10_000 + Fraction(1, 2))).scaleb(-4)

    @property
    def shown(self) -> str:
        """The price as text, or the reason why there is none."""
        usd = self.rounded_usd
        if usd is not None:
            return f"${usd:f}"
        if resolved(self.model, self.on) not in USD_PER_MINUTE:
            return f"no price known for {self.model!r}; prices are known for {', '.join(USD_PER_MINUTE)}"
        unknown = min(self.hosted_calls.keys() - USD_PER_THOUSAND_CALLS.keys())
        return f"no price known for the tool {unknown!r}; prices are known for {', '.join(USD_PER_THOUSAND_CALLS)}"

    def plus(
        self,
        *,
        input_samples: int = 0,
        output_samples: int = 0,
        text_items: int = 0,
        hosted_calls: Mapping[str, int] = NOTHING,
    ) -> Cost:
        """This cost with further amounts added."""
        calls = {tool: self.hosted_calls.get(tool, 0) + count for tool, count in hosted_calls.items()}
        return replace(
            self,
            input_samples=self.input_samples + input_samples,
            output_samples=self.output_samples + output_samples,
            text_items=self.text_items + text_items,
            hosted_calls={**self.hosted_calls, **calls},
        )

    def since(self, earlier: Cost) -> Cost:
        """The difference between this cost and an earlier one of the same call."""
        return self.plus(
            input_samples=-earlier.input_samples,
            output_samples=-earlier.output_samples,
            text_items=-earlier.text_items,
            hosted_calls={tool: -count for tool, count in earlier.hosted_calls.items()},
        )
