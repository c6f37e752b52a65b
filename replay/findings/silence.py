"""When a call in which nothing happens any more has to be looked at again: most mistakes are answered with silence."""

from __future__ import annotations

from replay.findings.call import Call
from replay.findings.rules.tools import GRACE_S
from replay.findings.rules.turns import STILL_S

_AFTER_S = 0.01


def overdue(call: Call, now: float) -> float | None:
    """The next instant later than `now` at which a rule may find something without a frame; None if there is none."""
    if not call.results and call.speech_at is None:  # most of the time
        return None
    instants = []
    if call.results and call.active is None:
        since = max(call.results[-1].answered_at, call.done_at, call.plays_until)
        instants.append(since + GRACE_S + _AFTER_S)
    if call.speech_at is not None and call.sound.last_at is not None:
        instants.append(max(call.speech_at, call.sound.last_at) + STILL_S + _AFTER_S)
    return min((each for each in instants if each > now), default=None)
