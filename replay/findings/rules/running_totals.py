"""Rules on running totals: values that the service repeats from the start each time, and that clients add up.

The wire shows the mistake only if the client sends its sum back. What it shows to its user or puts on a bill comes from
a test (`mock.claim`) or from `realtape lint --claimed-seconds`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from replay.cassette.json_values import text_at
from replay.findings.call import CallState, CallStep, said_in
from replay.findings.finding import Found

_SPACE = re.compile(r"\s+")
_LEAST = 4
"""Characters. A shorter transcript may occur twice by chance."""
_SLACK_S = 0.01


def appended_transcripts(call: CallState, step: CallStep) -> Iterator[Found]:
    """Cumulative transcripts, appended to each other."""
    if not call.transcripts:
        return
    words = said_in(step.item) if step.type == "conversation.item.create" else ""
    words = words or text_at(step.event, "session", "instructions")
    words = words or text_at(step.event, "response", "instructions")
    yield from doubled(call, words, "sent back")


def doubled(call: CallState, words: str, how: str) -> Iterator[Found]:
    """Whether `words` hold two successive transcripts of one turn. `how` says where the words come from."""
    flat = _SPACE.sub("", words)
    for item, readings in call.transcripts.items() if flat else ():
        for first, second in itertools.pairwise(readings):
            one, both = _SPACE.sub("", first), _SPACE.sub("", first + second)
            if len(one) >= _LEAST and second.startswith(first) and both in flat:
                yield Found(f"{how}: {first!r} followed by {second!r}, which already contains it", f"words {item}")
                return


def summed(totals: Sequence[Sequence[float]], seconds: float) -> Iterator[Found]:
    """Whether `seconds` exceed what the service counted. `totals`: the running totals of each connection."""
    right = sum(each[-1] for each in totals if each)
    if seconds <= right + _SLACK_S:
        return
    added, count = sum(map(sum, totals)), sum(map(len, totals))
    how = (
        f"all {count} billable_audio_seconds added up" if abs(seconds - added) <= _SLACK_S else "more than they come to"
    )
    yield Found(
        f"{seconds:g} s were counted as billable, {how}; they are running totals, and the last ones add up to"
        f" {right:g} s"
    )
