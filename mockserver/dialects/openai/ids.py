"""OpenAI's identifiers: a prefix, the second of their making as five base62 digits, and sixteen random digits."""

from __future__ import annotations

from functools import lru_cache
from random import Random

import numpy as np

from mockserver.protocol.ids import LateStream, stream

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
EPOCH_S = 1_576_800_000
"""Unix time of second 0 in the ids: exact for 20 of 20 recorded sessions."""
_CODES = np.frombuffer(BASE62.encode(), np.uint8)
_BLOCK = 256
"""Digits that are drawn at once."""


class Digits:
    """The random base62 digits of a stream, as `drawn` gives them: drawn in blocks, which is cheaper."""

    def __init__(self, late: LateStream) -> None:
        self._stream = late
        self._left = ""

    def draw(self, count: int) -> str:
        """The next `count` digits."""
        while len(self._left) < count:
            self._left += self._block()
        drawn, self._left = self._left[:count], self._left[count:]
        return drawn

    def _block(self) -> str:
        """As `Random.random` makes them: 53 bits of two words, the later word is the lower one."""
        words = np.frombuffer(self._stream.rng.randbytes(8 * _BLOCK), "<u4")
        shares = ((words[::2] >> 5) * 67108864.0 + (words[1::2] >> 6)) * 2.0**-53
        return _CODES[(shares * 62.0).astype(np.intp)].tobytes().decode()


class OpenAIIds:
    """The ids of one connection. Each kind has a random stream of its own."""

    def __init__(self, seed: str, epoch: float, call_id: str | None = None) -> None:
        """The session of a call has the call's id with another prefix: `rtc_u1_…` and `sess_u1_…` (recordings)."""
        self._epoch = epoch
        self._events = Digits(LateStream(seed, "event"))
        self._items = Digits(LateStream(seed, "item"))
        self._responses = Digits(LateStream(seed, "response"))
        self._calls = Digits(LateStream(seed, "call"))
        if call_id is None:
            self.session = self._made("sess", drawn(stream(seed, "session"), 16), 0.0)
        else:
            self.session = f"sess_{call_id.partition('_')[2] or call_id}"
        self.conversation = self._made("conv", drawn(stream(seed, "conversation"), 16), 0.0)

    def event(self, at: float) -> str:
        return self._made("event", self._events.draw(16), at)

    def events(self, count: int, at: float) -> list[str]:
        """The ids of so many events at one instant."""
        digits, before = self._events.draw(16 * count), self._made("event", "", at)
        return [before + digits[place : place + 16] for place in range(0, 16 * count, 16)]

    def item(self, at: float) -> str:
        return self._made("item", self._items.draw(16), at)

    def response(self, at: float) -> str:
        return self._made("resp", self._responses.draw(16), at)

    def call(self, index: int) -> str:
        """A call's id has no time in it."""
        return f"call_{self._calls.draw(16)}"

    def _made(self, prefix: str, digits: str, at: float) -> str:
        return f"{prefix}_{base62(int(self._epoch + at) - EPOCH_S)}{digits}"


def drawn(rng: Random, count: int) -> str:
    """`count` random base62 digits."""
    return "".join(rng.choices(BASE62, k=count))


@lru_cache(maxsize=256)
def base62(second: int) -> str:
    """A second as five base62 digits; a second before the epoch counts as 0."""
    digits, left = "", max(0, second)
    for _ in range(5):
        left, digit = divmod(left, 62)
        digits = BASE62[digit] + digits
    return digits
