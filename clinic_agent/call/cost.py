"""The cost of a call, counted by the client from the frames that it sent and received.

xAI's prices are per minute of audio; the `usage` numbers of the service are informative only. The count fits
push-to-talk calls, which are billed by the audio sent and received. A server-VAD call may be billed by its duration.
OpenAI's prices are per token of that `usage`.

Prices: the vendors' model and pricing pages, July to November 2026.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import floor
from types import MappingProxyType
from typing import Any

from clinic_agent.call.pcm import SAMPLE_RATE_HZ

LATEST = "grok-voice-latest"
_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")


@dataclass(frozen=True, slots=True)
class AudioPrices:
    """USD per minute of audio by model, from one day on, and the model behind `grok-voice-latest`."""

    since: date
    latest: str
    usd_per_minute: Mapping[str, Fraction]

    def resolved(self, model: str) -> str:
        """The name in the list: the model of the alias, and a dated snapshot without its date."""
        return _SNAPSHOT.sub("", self.latest if model == LATEST else model)

    def of(self, model: str) -> Fraction | None:
        """USD per minute of audio; None if no price is known."""
        return self.usd_per_minute.get(self.resolved(model))


# grok-voice-fast-1.0 is the name of spring 2026; that it cost what its successor does is a guess. The pages of October
# do not list the think-fast names; that their prices stayed is a guess.
_MODELS = {
    "grok-voice-fast-1.0": Fraction("0.05"),
    "grok-voice-think-fast-1.0": Fraction("0.05"),
    "grok-voice-think-fast-2.0": Fraction("0.08"),
    "grok-voice-2.0": Fraction("0.08"),
    "grok-voice-3.0": Fraction("0.08"),
}
AUDIO_PRICES = (
    AudioPrices(date(2026, 7, 1), "grok-voice-think-fast-1.0", _MODELS),
    AudioPrices(date(2026, 8, 5), "grok-voice-think-fast-2.0", _MODELS),
    AudioPrices(date(2026, 10, 14), "grok-voice-3.0", _MODELS),
)
"""Oldest first. The first one also holds before its day."""


def audio_prices(on: date) -> AudioPrices:
    """The prices of a day."""
    return next((prices for prices in reversed(AUDIO_PRICES) if prices.since <= on), AUDIO_PRICES[0])


# Per `conversation.item.create` of the client, except tool results and audio items; `response.create` is free.
USD_PER_TEXT_ITEM = Fraction("0.004")


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """USD per million tokens of a model that is billed by the `usage` of its responses."""

    text_in: Fraction
    text_cached: Fraction
    text_out: Fraction
    audio_in: Fraction
    audio_cached: Fraction
    audio_out: Fraction

    def of(self, tokens: Mapping[str, int]) -> Fraction:
        """The price in USD of tokens, by the name of their price here."""
        return sum((getattr(self, kind) * count for kind, count in tokens.items()), Fraction(0)) / 1_000_000


_LARGE = TokenPrices(*map(Fraction, ("4", "0.40", "24", "32", "0.40", "64")))
_FORMER = TokenPrices(*map(Fraction, ("4", "0.40", "16", "32", "0.40", "64")))
_MINI = TokenPrices(*map(Fraction, ("0.60", "0.06", "2.40", "10", "0.30", "20")))
TOKEN_PRICES = {
    "gpt-realtime-2.1": _LARGE,
    "gpt-realtime-2": _LARGE,
    "gpt-realtime-1.5": _FORMER,
    "gpt-realtime": _FORMER,
    "gpt-realtime-2.1-mini": _MINI,
    "gpt-realtime-mini": _MINI,
}
"""OpenAI's models, September to November 2026. Images in the input are not counted."""
USD_PER_TRANSCRIBED_MINUTE = Fraction("0.017")
"""For `gpt-realtime-whisper`, which transcribes the caller for OpenAI's models."""


def token_prices(model: str) -> TokenPrices | None:
    """The prices of a model, by its name or that of a dated snapshot; None: it is billed by the minute, or unknown."""
    return TOKEN_PRICES.get(_SNAPSHOT.sub("", model))


def _tokens(usage: Mapping[str, Any]) -> dict[str, int]:
    """The tokens of a response, by the name of their price. Those of a cache are part of the input's."""
    inputs, outputs = usage.get("input_token_details") or {}, usage.get("output_token_details") or {}
    cached = inputs.get("cached_tokens_details") or {}
    counts: dict[str, int] = {}
    for kind in ("text", "audio"):
        name = f"{kind}_tokens"
        counts[f"{kind}_cached"] = int(cached.get(name) or 0)
        counts[f"{kind}_in"] = int(inputs.get(name) or 0) - counts[f"{kind}_cached"]
        counts[f"{kind}_out"] = int(outputs.get(name) or 0)
    return counts


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

NOTHING: Mapping[str, int] = MappingProxyType({})


_HOSTED_FUNCTIONS = {
    "web_search": "web_search",
    "browse_page": "web_search",
    "x_search": "x_search",
    "x_keyword_search": "x_search",
    "x_semantic_search": "x_search",
    "x_user_search": "x_search",
    "x_thread_fetch": "x_search",
    "collections_search": "collections_search",
    "file_search": "file_search",
    "code_interpreter": "code_interpreter",
}


def hosted_call(event: Mapping[str, Any]) -> str | None:
    """The hosted tool whose call a server event reports, by the name of its price; None: the event reports none.

    The service documents no events for its searches. Clients in the field saw them as function calls with reserved
    names; OpenAI's form has items of their own. That each such event is one billed call is a guess.
    """
    match event:
        case {"type": "response.function_call_arguments.done", "name": str(name)}:
            return _HOSTED_FUNCTIONS.get(name)
        case {"type": "response.output_item.done", "item": {"type": str(kind)}} if kind.endswith("_call"):
            return {f"{tool}_call": tool for tool in (*_HOSTED_FUNCTIONS, "mcp")}.get(kind)
        case {"type": "response.mcp_call.completed" | "response.mcp_call.failed"}:
            return "mcp"
        case _:
            return None


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
    tokens: Mapping[str, int] = field(default_factory=dict)
    """Tokens by the name of their price in `TokenPrices`; counted for models that are billed by tokens."""
    connected_s: int | None = None
    """Seconds that a telephone call has begun to be connected; None: the call came by no telephone of the service, or
    through a bridge."""
    transcribed_s: Fraction = Fraction(0)
    """Seconds of the caller's speech that such a service billed for its transcription."""

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
        """Seconds with the price of telephony. A telephone call pays for each second that it began to be connected;
        that it does not pay for its audio instead is a guess. Behind a bridge, both directions of the audio pay."""
        if not self.telephony:
            return Fraction(0)
        return self.input_s + self.output_s if self.connected_s is None else Fraction(self.connected_s)

    @property
    def exact_usd(self) -> Fraction | None:
        """The price in USD, not rounded; None if a price is not known."""
        if (prices := token_prices(self.model)) is not None:
            return prices.of(self.tokens) + self.transcribed_s / 60 * USD_PER_TRANSCRIBED_MINUTE
        per_minute = audio_prices(self.on).of(self.model)
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
        prices = audio_prices(self.on)
        if prices.of(self.model) is None:
            return f"no price known for {self.model!r}; prices are known for {', '.join(prices.usd_per_minute)}"
        unknown = min(self.hosted_calls.keys() - USD_PER_THOUSAND_CALLS.keys())
        return f"no price known for the tool {unknown!r}; prices are known for {', '.join(USD_PER_THOUSAND_CALLS)}"

    def billed(self, event: Mapping[str, Any]) -> Cost:
        """This cost with the tokens and the transcription of a server event, of a model that is billed by tokens."""
        if token_prices(self.model) is None:
            return self
        match event:
            case {"type": "response.done", "response": {"usage": dict(usage)}}:
                counted = {kind: self.tokens.get(kind, 0) + count for kind, count in _tokens(usage).items()}
                return replace(self, tokens=counted)
            case {
                "type": "conversation.item.input_audio_transcription.completed",
                "usage": {"type": "duration", "seconds": int() | float() as seconds},
            }:
                return replace(self, transcribed_s=self.transcribed_s + Fraction(seconds))
            case _:
                return self

    def plus(
        self,
        *,
        input_samples: int = 0,
        output_samples: int = 0,
        text_items: int = 0,
        hosted_calls: Mapping[str, int] = NOTHING,
        tokens: Mapping[str, int] = NOTHING,
        transcribed_s: Fraction = Fraction(0),
        connected_s: int = 0,
    ) -> Cost:
        """This cost with further amounts added."""
        calls = {tool: self.hosted_calls.get(tool, 0) + count for tool, count in hosted_calls.items()}
        return replace(
            self,
            input_samples=self.input_samples + input_samples,
            output_samples=self.output_samples + output_samples,
            text_items=self.text_items + text_items,
            hosted_calls={**self.hosted_calls, **calls},
            tokens={**self.tokens, **{kind: self.tokens.get(kind, 0) + count for kind, count in tokens.items()}},
            transcribed_s=self.transcribed_s + transcribed_s,
            connected_s=None if self.connected_s is None else self.connected_s + connected_s,
        )

    def since(self, earlier: Cost) -> Cost:
        """The difference between this cost and an earlier one of the same call."""
        return self.plus(
            input_samples=-earlier.input_samples,
            output_samples=-earlier.output_samples,
            text_items=-earlier.text_items,
            hosted_calls={tool: -count for tool, count in earlier.hosted_calls.items()},
            tokens={kind: -count for kind, count in earlier.tokens.items()},
            transcribed_s=-earlier.transcribed_s,
            connected_s=-(earlier.connected_s or 0),
        )
