"""Rules on function calls and their results."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from replay.cassette.json_values import text_at
from replay.findings.call import CLOSED, CallState, CallStep
from replay.findings.finding import Found

GRACE_S = 1.0
"""Seconds that a client may take to request a response after a result and after the end of playback."""
HANGING_UP_S = 0.5
"""Seconds. A call that ends so soon after a result was meant to end."""
SLOW_TOOL_S = 30.0
RACE_S = 0.2
"""Seconds in which a result and the end of its response may cross on the way."""
_LEFT_S = 3.0
_WRITES = frozenset(
    "add append approve assign book buy cancel charge close commit confirm create delete deliver enrol enroll execute"
    " insert invite issue make move order pay place post publish purchase put record refund register remove reschedule"
    " reserve save schedule send set start stop store submit transfer update upload withdraw write".split()
)
_UNDOES = frozenset("cancel delete free refund release remove reset restore revert revoke stop undo withdraw".split())
"""Verbs of tools that take back what another one did, so that it may be done again."""
_READS = frozenset("get list find search check look lookup read fetch show query is has count".split())
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_FAILED = re.compile(
    r"\b(error|fail(ed|ure)?|exception|already|conflict|duplicate|not available|unavailable)\b", re.IGNORECASE
)


def result_unanswered(call: CallState, step: CallStep) -> Iterator[Found]:
    """A result alone starts no response; response.create does."""
    waiting = call.results
    if not waiting:
        return
    latest = waiting[-1]
    awaited = (each for each in call.calls.values() if each.awaited and each.response == latest.response)
    if step.type != CLOSED and (call.active is not None or any(each.output is None for each in awaited)):
        return
    since = max(latest.answered_at, call.done_at)
    after = step.at - since
    due = HANGING_UP_S if step.type == CLOSED else GRACE_S + max(0.0, call.plays_until - since)
    if call.timed and after < due:
        return
    names = ", ".join(dict.fromkeys(each.name or each.id for each in waiting))
    when = f"within {after:.1f} s" if call.timed else "until the call ended"
    message = f"the result of {names} was sent, and no response.create followed {when}: the model stays silent"
    yield Found(message, latest.id, latest.answered_at, latest.answered_number)


def call_unanswered(call: CallState, step: CallStep) -> Iterator[Found]:
    """The model waits for a result that does not come."""
    for each in call.calls.values():
        if each.output is not None or not each.awaited:
            continue
        waited = step.at - each.at
        moved_on = call.responses > each.response
        if step.type == CLOSED:
            if not moved_on and (not call.timed or waited < _LEFT_S):
                continue
        elif waited < SLOW_TOOL_S or not call.timed:
            continue
        what = "the call went on without it" if moved_on else f"{waited:.0f} s later there is none"
        message = f"{each.name or 'a tool'} was called ({each.id}) and no function_call_output came back: {what}"
        yield Found(message, each.id, each.at, each.number)


def result_repeated(call: CallState, step: CallStep) -> Iterator[Found]:
    """The client sent two results for one call."""
    if step.item.get("type") != "function_call_output":
        return
    known = call.call_of(text_at(step.item, "call_id"))
    if known is not None and known.output is not None:
        same = "the same" if known.output == step.item.get("output") else "another"
        yield Found(
            f"{known.name or 'the call'} ({known.id}) already has a result, and the client sent {same} one again",
            known.id,
        )


def result_unknown(call: CallState, step: CallStep) -> Iterator[Found]:
    """The client sent a result for a call that does not exist. After a resumption, calls before it are not known."""
    if step.item.get("type") != "function_call_output" or call.resumed:
        return
    call_id = text_at(step.item, "call_id")
    if call.call_of(call_id) is None:
        made = ", ".join(list(call.calls)[-3:]) or "none"
        yield Found(f"a result for call_id {call_id[:64]!r} was sent; the calls so far: {made}", call_id)


def hosted_answered(call: CallState, step: CallStep) -> Iterator[Found]:
    """The client answers a call that the service runs itself."""
    if step.item.get("type") != "function_call_output":
        return
    known = call.call_of(text_at(step.item, "call_id"))
    if known is not None and known.hosted:
        yield Found(f"a result of {known.name} was sent, a tool that the service runs itself", known.id)


def write_repeated(call: CallState, step: CallStep) -> Iterator[Found]:
    """The model requests a write twice, and the client executes it twice."""
    if step.item.get("type") != "function_call_output":
        return
    again = call.call_of(text_at(step.item, "call_id"))
    if again is None or not again.awaited or not _writes(call, again.name) or _failed(step.item.get("output")):
        return
    for first in call.calls.values():
        if first is again or first.name != again.name or first.output is None or _failed(first.output):
            continue
        if _same(first.arguments, again.arguments) and first.output != step.item.get("output"):
            if _taken_back(call, first.name, call.opened_at + first.answered_at):
                continue
            message = (
                f"{again.name}({again.arguments.strip()[:120]}) was carried out again, {again.at - first.at:.1f} s"
                " after the first time, and gave another result"
            )
            yield Found(message, again.name + first.id)
            return
    for done in call.carried_out_before:
        if done.name != again.name or _failed(done.output) or not _same(done.arguments, again.arguments):
            continue
        if done.output != step.item.get("output"):
            if _taken_back(call, done.name, done.at):
                continue
            since = call.opened_at + step.at - done.at
            yield Found(
                f"{again.name}({again.arguments.strip()[:120]}) was carried out again over a new connection,"
                f" {since:.1f} s after the first time, and gave another result",
                again.name + done.output[:64],
            )
            return


def cancelled_call_answered(call: CallState, step: CallStep) -> Iterator[Found]:
    """The response that made the call was cancelled: nobody waits for the result."""
    if step.item.get("type") != "function_call_output":
        return
    known = call.call_of(text_at(step.item, "call_id"))
    if known is not None and known.cut_at is not None and step.at - known.cut_at >= RACE_S:
        since = f" {step.at - known.cut_at:.1f} s ago" if call.timed else ""
        yield Found(f"a result of {known.name or known.id} was sent, whose response was cancelled{since}", known.id)


def _writes(call: CallState, name: str) -> bool:
    if call.write_tools is None:
        return writes(name)
    return any(fnmatchcase(name, pattern) for pattern in call.write_tools)


def writes(name: str) -> bool:
    """Whether a tool of this name has side effects, judged by its verb."""
    words = _verbs(name)
    return not _WRITES.isdisjoint(words) and words[0] not in _READS


def _taken_back(call: CallState, name: str, since: float) -> bool:
    """Whether another tool than `name` was carried out since then, in seconds of the clock that all connections share,
    that takes back what tools did. Of which of them, frames do not show."""
    return any(
        done.at >= since
        and done.name != name
        and not _UNDOES.isdisjoint(_verbs(done.name))
        and not _failed(done.output)
        for done in (*call.carried_out_before, *call.carried_out)
    )


def _verbs(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def _failed(output: object) -> bool:
    """Whether a result says that nothing was done."""
    try:
        result: Any = json.loads(text_at(output))
    except (ValueError, RecursionError):
        result = None
    if isinstance(result, dict):
        if result.get("ok") is False or result.get("success") is False or result.get("error"):
            return True
        return any(
            _FAILED.search(text_at(result, key)) is not None for key in ("status", "reason", "message", "result")
        )
    return _FAILED.search(text_at(output)) is not None


def _same(first: str, second: str) -> bool:
    try:
        return bool(json.loads(first) == json.loads(second))
    except (ValueError, RecursionError):
        return first == second
