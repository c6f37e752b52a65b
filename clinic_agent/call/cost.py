"""What a call costs, counted by the client alone from what it sent and received.

It asks nobody: the service's `usage` numbers are informative, the price list is per minute of audio. It covers
push-to-talk calls, where audio sent and received is what is billed; a server-VAD call may be billed by its duration.
Tools that the service runs itself leave no trace on the wire, and neither does a telephone line: both are counted as
far as somebody tells.

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
# Per `conversation.item.create` the client sends, tool results and audio items excepted; `response.create` is free.
USD_PER_TEXT_ITEM = Fraction("0.004")

USD_PER_THOUSAND_CALLS = {
    "web_search": Fraction(5),
    "x_search": Fraction(5),
    "code_interpreter": Fraction(5),
    "file_search": Fraction("2.50"),
    "collections_search": Fraction("2.50"),
    "mcp": Fraction(0),
}
"""Of the tools that the service runs; the agent's own functions are free."""
USD_PER_TELEPHONY_MINUTE = Fraction("0.01")
"""On top, for a call that comes over the service's telephone line, by its duration."""

LATEST = "grok-voice-latest"
LATEST_MOVED = date(2026, 8, 5)
NOTHING: Mapping[str, int] = MappingProxyType({})


def resolved(model: str, on: date) -> str:
    """The model that a name meant on a day: `grok-voice-latest` moved from 1.0 to 2.0 on 2026-08-05."""
    if model != LATEST:
        return model
    return "grok-voice-think-fast-1.0" if on < LATEST_MOVED else "grok-voice-think-fast-2.0"


@dataclass(frozen=True, slots=True)
class Cost:
    """What was counted, and its price. All sums are exact; only what is shown is rounded."""

    model: str
    on: date
    input_samples: int = 0
    output_samples: int = 0
    text_items: int = 0
    hosted_calls: Mapping[str, int] = field(default_factory=dict)
    """Runs of the service's own tools, by name."""
    telephony_s: Fraction = Fraction(0)
    """Seconds on the service's telephone line."""

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
        if per_minute is None or not self.hosted_calls.keys() <= USD_PER_THOUSAND_CALLS.keys():
            return None
        audio = (self.input_s + self.output_s) / 60 * per_minute
        hosted = sum((USD_PER_THOUSAND_CALLS[tool] * calls for tool, calls in self.hosted_calls.items()), Fraction(0))
        telephony = self.telephony_s / 60 * USD_PER_TELEPHONY_MINUTE
        return audio + self.text_items * USD_PER_TEXT_ITEM + hosted / 1000 + telephony

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
        if usd is not None:
            return f"${usd:f}"
        if resolved(self.model, self.on) not in USD_PER_MINUTE:
            return f"no price known for {self.model!r}; priced are {', '.join(USD_PER_MINUTE)}"
        unknown = min(self.hosted_calls.keys() - USD_PER_THOUSAND_CALLS.keys())
        return f"no price known for the tool {unknown!r}; priced are {', '.join(USD_PER_THOUSAND_CALLS)}"

    def plus(
        self,
        *,
        input_samples: int = 0,
        output_samples: int = 0,
        text_items: int = 0,
        hosted_calls: Mapping[str, int] = NOTHING,
        telephony_s: Fraction = Fraction(0),
    ) -> Cost:
        """This cost and what was just sent, received, run or talked."""
        calls = {tool: self.hosted_calls.get(tool, 0) + count for tool, count in hosted_calls.items()}
        return replace(
            self,
            input_samples=self.input_samples + input_samples,
            output_samples=self.output_samples + output_samples,
            text_items=self.text_items + text_items,
            hosted_calls={**self.hosted_calls, **calls},
            telephony_s=self.telephony_s + telephony_s,
        )

    def since(self, earlier: Cost) -> Cost:
        """The part of this cost that came after `earlier`."""
        return self.plus(
            input_samples=-earlier.input_samples,
            output_samples=-earlier.output_samples,
            text_items=-earlier.text_items,
            hosted_calls={tool: -count for tool, count in earlier.hosted_calls.items()},
            telephony_s=-earlier.telephony_s,
        )
