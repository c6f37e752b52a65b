"""OpenAI's identifiers: a prefix, the second of their making as five base62 digits, and sixteen random digits."""

from __future__ import annotations

from random import Random

from mockserver.protocol.ids import stream

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
EPOCH_S = 1_576_800_000
"""Unix time of second 0 in the ids: exact for 20 of 20 recorded sessions."""


class OpenAIIds:
    """The ids of one connection. Each kind has a random stream of its own."""

    def __init__(self, seed: str, epoch: float, call_id: str | None = None) -> None:
        """The session of a call has the call's id with another prefix: `rtc_u1_…` and `sess_u1_…` (recordings)."""
        self._epoch = epoch
        self._events = stream(seed, "event")
        self._items = stream(seed, "item")
        self._responses = stream(seed, "response")
        self._calls = stream(seed, "call")
        if call_id is None:
            self.session = self._made("sess", stream(seed, "session"), 0.0)
        else:
            self.session = f"sess_{call_id.partition('_')[2] or call_id}"
        self.conversation = self._made("conv", stream(seed, "conversation"), 0.0)

    def event(self, at: float) -> str:
        return self._made("event", self._events, at)

    def item(self, at: float) -> str:
        return self._made("item", self._items, at)

    def response(self, at: float) -> str:
        return self._made("resp", self._responses, at)

    def call(self, index: int) -> str:
        """A call's id has no time in it."""
        return f"call_{drawn(self._calls, 16)}"

    def _made(self, prefix: str, rng: Random, at: float) -> str:
        return f"{prefix}_{base62(int(self._epoch + at) - EPOCH_S)}{drawn(rng, 16)}"


def drawn(rng: Random, count: int) -> str:
    """`count` random base62 digits."""
    return "".join(rng.choices(BASE62, k=count))


def base62(second: int) -> str:
    """A second as five base62 digits; a second before the epoch counts as 0."""
    digits, left = "", max(0, second)
    for _ in range(5):
        left, digit = divmod(left, 62)
        digits = BASE62[digit] + digits
    return digits
