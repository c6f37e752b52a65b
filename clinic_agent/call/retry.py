"""Timeouts and retries of a call, as data and arithmetic. Nothing in this module waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from random import Random

_LONGEST_S = 10**6
"""Upper bound of `Retry-After`; larger values are read as this one."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Timeouts and retries. Times are in seconds; the defaults suit a person on the telephone."""

    open_s: float = 10.0
    """Timeout of a handshake, and of `session.update`."""
    turn_s: float = 60.0
    """Timeout of a turn that is sent whole, with its tool calls and pauses."""
    silence_s: float = 20.0
    """Timeout for the next frame of an answer."""
    call_s: float = 600.0
    """Longest duration of a call over an open microphone."""
    attempts: int = 3
    """Number of handshakes before the client gives up, if the endpoint does not answer or is busy."""
    backoff_s: float = 0.5
    """Pause after the first failed attempt; it doubles with each further one."""
    max_wait_s: float = 30.0
    """Longest pause between two attempts. If `Retry-After` is longer, the client gives up at once."""
    resumptions: int = 3
    """How often a lost connection may be replaced in one call."""
    settle_s: float = 1.5
    """Pause before a conversation is resumed. Earlier, the service may have an older state of it (reported by other
    clients; how much older is not known)."""
    seed: int | None = None
    """Seed of the jitter, for tests; None: a random one, so that many clients do not retry at the same instant."""

    def wait_s(self, attempt: int, after_s: float | None, random: Random) -> float | None:
        """The pause after `attempt` failed attempts; None: give up. `after_s` is the service's `Retry-After`.

        Jitter adds up to a half.
        """
        if attempt >= self.attempts or (after_s or 0.0) > self.max_wait_s:
            return None
        own_s = min(self.backoff_s * 2.0 ** (attempt - 1), self.max_wait_s)
        return max(after_s or 0.0, own_s) * random.uniform(1.0, 1.5)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The value of `Retry-After` in seconds; a date counts from the answer's own `Date`.

    None if the header is absent or unreadable.
    """
    value = headers.get("Retry-After", "").strip()
    try:
        return float(min(max(int(value), 0), _LONGEST_S))
    except ValueError:
        pass
    try:
        until, now = (parsedate_to_datetime(text) for text in (value, headers["Date"]))
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError, KeyError):
        return None
