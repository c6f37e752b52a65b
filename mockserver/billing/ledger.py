"""The ledger of one session: seconds of audio, text items, hosted tool calls, tokens, and their cost in USD.

How the counts become the wire's `usage` is up to the dialect. Prices come from a dated table.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from replay.billing.prices import PriceTable, Tokens, begun_seconds, dollars, exact
from replay.billing.ratio import Ratio, product, total


class Ledger:
    """Counts of one session. Seconds are exact fractions: samples over their rate."""

    def __init__(self, prices: PriceTable, model: str) -> None:
        self.prices = prices
        self.model = model
        self.text_items = 0
        self.hosted_calls: Counter[str] = Counter()
        self.telephone = False
        """Whether the session is a call over a telephone number of the service, which has a surcharge."""
        self.connected_s: float | None = None
        """Seconds for which a call has been connected; None if the session is no call itself, but behind a bridge."""
        self.tokens: dict[str, Tokens] = {}
        """By model."""
        self.transcribed_s: dict[str, Fraction] = {}
        """By transcription model, where seconds are billed."""
        self._samples_in: Counter[int] = Counter()
        self.samples_out: Counter[int] = Counter()
        """Samples of audio that went out, by their rate in Hz."""

    def heard(self, samples: int, rate: int) -> None:
        """Audio came in: `samples` at `rate` Hz."""
        self._samples_in[rate] += samples

    def spoke(self, samples: int, rate: int) -> None:
        """Audio went out: `samples` at `rate` Hz."""
        self.samples_out[rate] += samples

    def used(self, model: str, tokens: Tokens) -> None:
        """A model read and wrote `tokens`."""
        self.tokens[model] = self.tokens.get(model, Tokens()) + tokens

    def hosted(self, tool: str, calls: int) -> None:
        """The service ran a tool of its own. Raises UnknownPrice, and counts nothing, if it has no price."""
        self.prices.thousand_calls(tool)
        self.hosted_calls[tool] += calls

    def transcribed(self, model: str, seconds: Fraction) -> None:
        """A transcription model that is billed by time transcribed that many seconds."""
        self.transcribed_s[model] = self.transcribed_s.get(model, Fraction(0)) + seconds

    @property
    def audio_in_s(self) -> Fraction:
        """Seconds of input audio received."""
        return Fraction(*total(_seconds(self._samples_in)))

    @property
    def audio_out_s(self) -> Fraction:
        """Seconds of output audio sent."""
        return Fraction(*self.spoken_s)

    @property
    def spoken_s(self) -> Ratio:
        """The same as a ratio."""
        return total(_seconds(self.samples_out))

    @property
    def telephony_s(self) -> Fraction:
        """Seconds with the surcharge of telephony. A telephone call pays for each second that it began to be connected;
        that it does not pay for its audio instead is a guess. Behind a bridge, both directions of the audio pay."""
        if not self.telephone:
            return Fraction(0)
        return self.audio_in_s + self.audio_out_s if self.connected_s is None else begun_seconds(self.connected_s)

    @property
    def exact_usd(self) -> Fraction:
        """The whole amount, unrounded. Raises UnknownPrice."""
        return Fraction(*self.usd)

    @property
    def usd(self) -> Ratio:
        """The same as a ratio. Raises UnknownPrice."""
        parts: list[Ratio] = []
        if self.prices.per_audio_minute:
            seconds = total(_seconds(self._samples_in) + _seconds(self.samples_out))
            if seconds[0]:
                parts.append(product(seconds, _each_minute(self.prices.minute(self.model))))
        if self.text_items and self.prices.per_text_item:
            parts.append(product((self.text_items, 1), exact(self.prices.per_text_item).as_integer_ratio()))
        if self.telephone:
            parts.append((self.telephony_s / 60 * exact(self.prices.per_telephony_minute)).as_integer_ratio())
        for tool, calls in self.hosted_calls.items():
            parts.append((exact(self.prices.thousand_calls(tool)) * calls / 1000).as_integer_ratio())
        for model, tokens in self.tokens.items():
            parts.append(self.prices.tokens(model).ratio(tokens))
        for model, transcribed in self.transcribed_s.items():
            parts.append((exact(self.prices.transcribed_minute(model)) * transcribed / 60).as_integer_ratio())
        return total(parts)

    @property
    def total_usd(self) -> Decimal:
        """The amount to a millionth of a USD. Raises UnknownPrice."""
        return dollars(self.exact_usd)

    def as_json(self) -> dict[str, object]:
        """Counts and amount as the control plane shows them. The amount is a string, so that no digit is lost."""
        shown: dict[str, object] = {
            "model": self.model,
            "audio_in_s": float(self.audio_in_s),
            "audio_out_s": float(self.audio_out_s),
            "text_items": self.text_items,
            "hosted_calls": dict(self.hosted_calls),
            "telephony_s": float(self.telephony_s),
            "usd": str(self.total_usd),
            "prices_as_of": self.prices.as_of,
        }
        if self.tokens:
            shown["tokens"] = {model: asdict(tokens) for model, tokens in self.tokens.items()}
        if self.transcribed_s:
            shown["transcribed_s"] = {model: float(seconds) for model, seconds in self.transcribed_s.items()}
        return shown


def _seconds(samples: Counter[int]) -> list[Ratio]:
    return [(count, rate) for rate, count in samples.items()]


@lru_cache(maxsize=64)
def _each_minute(price: Decimal) -> Ratio:
    return (Fraction(price) / 60).as_integer_ratio()
