"""The ledger of one session: seconds of audio, text items, hosted tool calls, tokens, and their cost in USD.

How the counts become the wire's `usage` is up to the dialect. Prices come from a dated table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from decimal import Decimal
from fractions import Fraction

from replay.billing.prices import PriceTable, Tokens, begun_seconds, dollars, exact


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
        self._samples_out: Counter[int] = Counter()

    def heard(self, samples: int, rate: int) -> None:
        """Audio came in: `samples` at `rate` Hz."""
        self._samples_in[rate] += samples

    def spoke(self, samples: int, rate: int) -> None:
        """Audio went out: `samples` at `rate` Hz."""
        self._samples_out[rate] += samples

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
        return _seconds(self._samples_in)

    @property
    def audio_out_s(self) -> Fraction:
        """Seconds of output audio sent."""
        return _seconds(self._samples_out)

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
        usd, over = 0, 1  # of which one fraction is made: to shorten each sum would take longer than all else
        if self.prices.per_audio_minute:
            samples, rates = _sum((*self._samples_in.items(), *self._samples_out.items()))
            if samples:
                minute = exact(self.prices.minute(self.model))
                usd, over = samples * minute.numerator, rates * 60 * minute.denominator
        if self.text_items and self.prices.per_text_item:
            item = exact(self.prices.per_text_item)
            usd, over = usd * item.denominator + self.text_items * item.numerator * over, over * item.denominator
        more = self._further_usd() if self.telephone or self.hosted_calls or self.tokens or self.transcribed_s else 0
        return Fraction(usd, over) + more if more else Fraction(usd, over)

    def _further_usd(self) -> Fraction:
        """What costs more than seconds of audio and text items."""
        usd = Fraction(0)
        if self.telephone:
            usd += self.telephony_s / 60 * exact(self.prices.per_telephony_minute)
        for tool, calls in self.hosted_calls.items():
            usd += exact(self.prices.thousand_calls(tool)) * calls / 1000
        for model, tokens in self.tokens.items():
            usd += self.prices.tokens(model).of(tokens)
        for model, seconds in self.transcribed_s.items():
            usd += exact(self.prices.transcribed_minute(model)) * seconds / 60
        return usd

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


def _seconds(samples: Counter[int]) -> Fraction:
    return Fraction(*_sum(samples.items()))


def _sum(samples: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """The seconds of audio by rate and number of samples, as a fraction that is not shortened."""
    total, over = 0, 1
    for rate, count in samples:
        if rate == over:
            total += count
        else:
            total, over = total * rate + count * over, over * rate
    return total, over
