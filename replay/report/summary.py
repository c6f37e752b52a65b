"""Two recordings in words: tools that are called more or less often, the number of responses, what differs first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from replay.cassette.json_text import Event
from replay.cassette.json_values import object_at, text_at
from replay.diff.compare import Difference


def summary(expected: Sequence[Event], actual: Sequence[Event], differences: Sequence[Difference]) -> list[str]:
    """Sentences, the most telling first. Empty if the conversations do not differ."""
    if not differences:
        return []
    found = [*_calls(expected, actual)]
    answers, theirs = (sum(each.get("type") == "response.done" for each in events) for events in (expected, actual))
    if answers != theirs:
        found.append(f"there are {theirs} responses in place of {answers}")
    first = differences[0]
    events = expected if first.kind == "missing" and not first.path else actual
    turn = sum(each.get("type") == "response.created" for each in events[: first.at + 1])
    where = f"in response {turn}" if turn else "before the first response"
    return [*found, f"the first difference is {where}: {first.event}"]


def _calls(expected: Sequence[Event], actual: Sequence[Event]) -> Iterator[str]:
    before, now = _called(expected), _called(actual)
    for name in sorted({*before, *now}):
        if not now[name]:
            yield f"the tool {name} is no longer called"
        elif not before[name]:
            yield f"the tool {name} is called now"
        elif now[name] != before[name]:
            yield f"the tool {name} is called {_times(now[name])} in place of {_times(before[name])}"


def _called(events: Sequence[Event]) -> Counter[str]:
    items = (object_at(each, "item") for each in events if each.get("type") == "response.output_item.done")
    return Counter(text_at(item, "name") for item in items if item.get("type") == "function_call")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
