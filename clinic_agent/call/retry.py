"""How long the agent waits for what, and how often it tries again. Data and arithmetic: it never waits itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from random import Random

_LONGEST_S = 10**6
"""Nobody asks for more and means it."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Times in seconds. The defaults suit a person on the telephone."""

    open_s: float = 10.0
    """For a handshake, and for the settings of a session to be in force."""
    turn_s: float = 60.0
    """For a turn that is sent whole, tools and waiting included."""
    silence_s: float = 20.0
    """For the next frame of an answer that was asked for."""
    call_s: float = 600.0
    """For a call over an open microphone."""
    attempts: int = 3
    """How often to dial before giving up, when nobody answers or the service is busy."""
    backoff_s: float = 0.5
    """The wait after the first dial that failed; it doubles with each."""
    max_wait_s: float = 30.0
    """The longest wait between two dials: a service that asks for a longer one is not waited for."""
    resumptions: int = 3
    """How often in a call a lost connection may be replaced."""
    settle_s: float = 1.5
    """How long a conversation is left alone before it is resumed: sooner, the service may know an older state of it
    (clients in the field; how much older is not known)."""
    seed: int | None = None
    """Of the jitter, for tests; None draws one, so that many callers do not come back at the same instant."""

    def wait_s(self, attempt: int, asked_s: float | None, random: Random) -> float | None:
        """The wait before the next dial after `attempt` failed ones, of which the service asked for `asked_s`.

        None: give up. Jitter adds up to a half.
        """
        if attempt >= self.attempts or (asked_s or 0.0) > self.max_wait_s:
            return None
        own_s = min(self.backoff_s * 2.0 ** (attempt - 1), self.max_wait_s)
        return max(asked_s or 0.0, own_s) * random.uniform(1.0, 1.5)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """What `Retry-After` asks for: a number of seconds, or a date, which is held against the answer's own `Date`.

    None where it is absent or makes no sense.
    """
    asked = headers.get("Retry-After", "").strip()
    try:
        return float(min(max(int(asked), 0), _LONGEST_S))
    except ValueError:
        pass
    try:
        until, now = (parsedate_to_datetime(text) for text in (asked, headers["Date"]))
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError, KeyError):
        return None
