"""Rules on connecting: model, credentials, and how often. They check each handshake."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from replay.billing.prices import PRICES
from replay.findings.call import ACCEPTED, Attempt, CallState, CallStep
from replay.findings.finding import Found

SOON_S = 30.0
"""Seconds. A client that reconnects within this time continues the same call."""
TOO_SOON_S = 0.5
"""Seconds between a refusal without Retry-After and the next attempt."""
TIMES = 2
"""Reconnects in a row, each after one turn, that are no accident."""
_SLACK_S = 0.05


def latest_model(call: CallState, step: CallStep) -> Iterator[Found]:
    """The model is an alias, whose meaning may change from one day to the next."""
    model = call.handshake.query.get("model", "")
    if model.endswith("-latest"):
        table = next((table for table in reversed(PRICES["xai"]) if model in table.aliases), None)
        named = f": it names {table.aliases[model]} since {table.as_of}" if table is not None else ""
        yield Found(f"the model is {model!r}, an alias{named}; model and price change when the alias moves")


def key_in_query(call: CallState, step: CallStep) -> Iterator[Found]:
    """Addresses are logged in many places."""
    if call.handshake.secrets:
        yield Found(f"the query carries a credential: {', '.join(call.handshake.secrets)}")


def key_in_browser(call: CallState, step: CallStep) -> Iterator[Found]:
    """Everybody who opens the page can read the key."""
    handshake = call.handshake
    if "key" in handshake.offered:
        where = f" by a page of {handshake.origin[:100]}" if handshake.origin else " as a browser does"
        yield Found(f"an API key instead of a client secret was sent{where}: everybody who opens the page can read it")


def beta_header(call: CallState, step: CallStep) -> Iterator[Found]:
    """The header belongs to an API that no longer exists."""
    if call.handshake.beta is not None:
        yield Found(f"the header OpenAI-Beta: {call.handshake.beta[:40]} was sent")


def without_backoff(call: CallState, step: CallStep) -> Iterator[Found]:
    """The client retries before it may."""
    earlier = (each for each in reversed(call.earlier_attempts) if each.handshake.who == call.handshake.who)
    before = next(earlier, None)
    if before is None or not before.rate_limited:
        return
    waited = call.opened_at - (before.closed_at or before.at)
    least = TOO_SOON_S if before.retry_after_s is None else before.retry_after_s
    if waited < least - _SLACK_S:
        advice = "" if before.retry_after_s is None else f", Retry-After said {before.retry_after_s:g} s"
        yield Found(f"refused with 429, the client retried after {waited:.2f} s{advice}")


def reconnecting(call: CallState, step: CallStep) -> Iterator[Found]:
    """One connection per turn: the client hung up and reconnected. A lost connection is not its fault."""
    chain = 0
    opened_at = call.opened_at
    for attempt in reversed(call.earlier_attempts):
        if attempt.handshake.who != call.handshake.who or attempt.status != ACCEPTED:
            continue
        if attempt.closed_at is None or not attempt.hung_up or attempt.turns > 1:
            break
        if not 0 <= opened_at - attempt.closed_at <= SOON_S:
            break
        if call.handshake.query.get("conversation_id") != attempt.conversation or not attempt.conversation:
            break
        chain, opened_at = chain + 1, attempt.at
    if chain >= TIMES:
        ordinal = {3: "third", 4: "fourth", 5: "fifth"}.get(chain + 1, f"{chain + 1}th")
        yield Found(
            f"connected for the {ordinal} time with the same conversation_id, after one turn each time:"
            " what was said just before a reconnect may be missing (a stale snapshot)"
        )


def given_up(attempts: Sequence[Attempt]) -> Iterator[Found]:
    """The client was refused once and never tried again. A second refusal in a row is no mistake of the client."""
    by_client: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        by_client.setdefault(attempt.handshake.who, []).append(attempt)
    for *before, attempt in by_client.values():
        if attempt.rate_limited and not (before and before[-1].rate_limited):
            advice = "" if attempt.retry_after_s is None else f" (Retry-After: {attempt.retry_after_s:g} s)"
            yield Found(f"refused with 429{advice}, the client never tried again", attempt.handshake.who, attempt.at)
