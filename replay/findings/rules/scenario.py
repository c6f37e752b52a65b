"""Rules on what answers the client: the scenario of a mock, a recording, or a proxy does what no live service would do.

The mistake is the author's, not the client's. Whether a rule of a scenario can be reached, whether one answered, and
whether a recording fits are not on the wire: who plays the content says so.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from replay.cassette.json_values import object_in, text_in
from replay.findings.call import HOSTED_FUNCTIONS, CallState, CallStep
from replay.findings.finding import Found

SCENARIO_ERROR = "scenario_error"
"""The code with which the mock fails a response whose step cannot be made."""


def undeclared_call(call: CallState, step: CallStep) -> Iterator[Found]:
    """The model calls a function that the client did not declare. A live model cannot."""
    name = text_in(step.event, "name")
    known = call.declared is None or name in call.declared or (call.service == "xai" and name in HOSTED_FUNCTIONS)
    if not name or known or call.declared is None or call.resumed:
        return
    near = difflib.get_close_matches(name, call.declared, 1)
    declared = f"declared are {', '.join(sorted(call.declared)[:10])}" if call.declared else "it declared none"
    hint = f"; did you mean {near[0]!r}?" if near else ""
    yield Found(f"{name} was called, which the client never declared: {declared}{hint}", name)


def scenario_error(call: CallState, step: CallStep) -> Iterator[Found]:
    """A step of the scenario cannot be made."""
    details = object_in(object_in(step.event, "response"), "status_details")
    error = object_in(step.event, "error") or object_in(details, "error")
    if not error:
        return
    message = text_in(error, "message")
    if text_in(error, "code") == SCENARIO_ERROR or message.startswith(SCENARIO_ERROR):
        yield Found(f"a response failed: {message.removeprefix(f'{SCENARIO_ERROR}: ')[:300]}", message[:300])


def unmatched_turn(call: CallState, step: CallStep) -> Iterator[Found]:
    """No rule answers the turn, so the mock gave its fallback."""
    if why := call.unmatched():
        yield Found(why[:300], why[:300])


def unrecorded_turn(call: CallState, step: CallStep) -> Iterator[Found]:
    """The client says something else than was recorded, and gets the recorded response."""
    if why := call.unrecorded():
        yield Found(why[:300], why[:300])
