"""Rules on how a client comes in: model, credentials, and how often. They look when a connection is handshake for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from replay.findings.call import ACCEPTED, Attempt, CallState, CallStep
from replay.findings.finding import Found

SOON_S = 30.0
"""A client that comes back within this goes on with the same call."""
TOO_SOON_S = 0.5
"""Between a refusal without Retry-After and the next try."""
TIMES = 2
"""Reconnects in a row, each after one turn, that are no accident."""
_SLACK_S = 0.05


def latest_model(call: CallState, step: CallStep) -> Iterator[Found]:
    """An alias whose meaning changes from one day to the next."""
    model = call.handshake.query.get("model", "")
    if model.endswith("-latest"):
        yield Found(f"the model is {model!r}, an alias: it became another model, and another price, on 2026-08-05")


def key_in_query(call: CallState, step: CallStep) -> Iterator[Found]:
    """Addresses are logged everywhere."""
    if call.handshake.secrets:
        yield Found(f"the query carries a credential: {', '.join(call.handshake.secrets)}")


def key_in_browser(call: CallState, step: CallStep) -> Iterator[Found]:
    """A key that everybody who opens the page can read."""
    handshake = call.handshake
    if "key" in handshake.offered:
        where = f" by a page of {handshake.origin[:100]}" if handshake.origin else " as a browser does"
        yield Found(f"an API key, no client secret, was sent{where}: whoever opens the page has it")


def beta_header(call: CallState, step: CallStep) -> Iterator[Found]:
    """Of an API that is gone."""
    if call.handshake.beta is not None:
        yield Found(f"the header OpenAI-Beta: {call.handshake.beta[:40]} was sent")


def without_backoff(call: CallState, step: CallStep) -> Iterator[Found]:
    """Back at the door before it may open."""
    before = _latest(call)
    if before is None or not before.rate_limited:
        return
    waited = call.opened_at - (before.closed_at or before.at)
    least = TOO_SOON_S if before.retry_after_s is None else before.retry_after_s
    if waited < least - _SLACK_S:
        advice = "" if before.retry_after_s is None else f", Retry-After said {before.retry_after_s:g} s"
        yield Found(f"refused with 429, the client came back after {waited:.2f} s{advice}")


def reconnecting(call: CallState, step: CallStep) -> Iterator[Found]:
    """A connection for each turn: the client hung up, and came back. A line that was lost is not its doing."""
    mine = [
        attempt
        for attempt in call.earlier_attempts
        if attempt.handshake.who == call.handshake.who and attempt.status == ACCEPTED
    ]
    chain = 0
    opened_at = call.opened_at
    for attempt in reversed(mine):
        if attempt.closed_at is None or not attempt.hung_up or attempt.turns > 1:
            break
        if not 0 <= opened_at - attempt.closed_at <= SOON_S:
            break
        if call.handshake.query.get("conversation_id") != attempt.conversation or not attempt.conversation:
            break
        chain, opened_at = chain + 1, attempt.at
    if chain >= TIMES:
        yield Found(
            f"connected for the {_ordinal(chain + 1)} time with the same conversation_id, after one turn each time:"
            " what was said in the last moments of a connection may not be remembered yet (a stale snapshot)"
        )


def given_up(attempts: Sequence[Attempt]) -> Iterator[Found]:
    """Turned away once, and never seen again. Who tried and was turned away again did what can be done."""
    by_client: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        by_client.setdefault(attempt.handshake.who, []).append(attempt)
    for *before, attempt in by_client.values():
        if attempt.rate_limited and not (before and before[-1].rate_limited):
            advice = "" if attempt.retry_after_s is None else f" (Retry-After: {attempt.retry_after_s:g} s)"
            yield Found(f"refused with 429{advice}, the client never tried again", attempt.handshake.who, attempt.at)


def _latest(call: CallState) -> Attempt | None:
    return next(
        (attempt for attempt in reversed(call.earlier_attempts) if attempt.handshake.who == call.handshake.who), None
    )


def _ordinal(number: int) -> str:
    return {3: "third", 4: "fourth", 5: "fifth"}.get(number, f"{number}th")
