"""Runs: events whose number and boundaries depend on audio or speech recognition, in one comparable form.

A response's audio and transcript deltas interleave by the speed of the audio. Speech recognition revises its result any
number of times. OpenAI transcribes the user in parallel with the response. None of that belongs to the protocol. What
belongs to it: which delta comes first, one shape per type, deltas that join to the text of `.done`, and segment ids
(`rid`) that name a transcript delta and never an earlier segment. A placeholder replaces a value that follows these
rules; any other value stays and shows as a difference. Single fields are the business of normal_form.py.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from typing_extensions import assert_never

from replay.diff.placeholders import Placeholder, id_shape

Part = Literal["", "first", "rest"]


@dataclass(frozen=True, slots=True)
class Run:
    """Names one run: a response's deltas (`answer`), OpenAI's transcript deltas (`heard`), xAI's interim transcripts
    (`guess`).
    """

    kind: Literal["answer", "heard", "guess"]
    response_id: str
    item_id: str


@dataclass(frozen=True, slots=True)
class Member:
    """An event, its index, and its run. Values that depend on other events are placeholders already."""

    at: int
    event: object
    run: Run | None


@dataclass(frozen=True, slots=True)
class Normal:
    """An event in normal form and its index. For a run: its most frequent shape, and the shapes that differ from it."""

    at: int
    event: Any
    run: Run | None = None
    part: Part = ""
    strays: tuple[Normal, ...] = ()

    @property
    def place(self) -> tuple[str, Part]:
        """What two events must share to be compared."""
        return event_type(self.event), self.part


_JOINS: Mapping[str, tuple[str, str]] = {
    "response.output_audio_transcript.delta": ("response.output_audio_transcript.done", "transcript"),
    "response.output_text.delta": ("response.output_text.done", "text"),
    "response.function_call_arguments.delta": ("response.function_call_arguments.done", "arguments"),
    "conversation.item.input_audio_transcription.delta": (
        "conversation.item.input_audio_transcription.completed",
        "transcript",
    ),
}
"""The event that ends a stream of deltas, and the field in which it repeats their joined text."""

_ANSWER = frozenset(
    {
        "response.output_audio.delta",
        "response.output_audio_transcript.delta",
        "response.output_text.delta",
    }
)
_ARGUMENTS = "response.function_call_arguments.delta"
_HEARD = "conversation.item.input_audio_transcription."
_BESIDE_THE_ANSWER = frozenset(_HEARD + end for end in ("delta", "completed", "failed", "segment"))
_FRAME_S = 0.02


def event_type(event: object) -> str:
    """The event's `type`, or `(no event)`."""
    kind = event.get("type") if isinstance(event, Mapping) else None
    return kind if isinstance(kind, str) else "(no event)"


def run_of(event: object) -> Run | None:
    """The run that an event belongs to, if any.

    Arguments are a run if they come token by token, which `obfuscation` shows. xAI sends them in one delta
    (recordings).
    """
    if not isinstance(event, Mapping):
        return None
    kind = event_type(event)
    response_id, item_id = str(event.get("response_id", "")), str(event.get("item_id", ""))
    if kind in _ANSWER or (kind == _ARGUMENTS and "obfuscation" in event):
        return Run("answer", response_id, item_id)
    if kind == _HEARD + "delta":
        return Run("heard", "", item_id)
    if kind == _HEARD + "updated" or (kind == _HEARD + "completed" and event.get("status") == "in_progress"):
        return Run("guess", "", item_id)
    return None


def settle(events: Sequence[object]) -> list[Member]:
    """The events in an order that is independent of audio, recognition and network, with placeholders for what depends
    on them.
    """
    belongs = _memberships(events)
    runs: dict[Run, list[int]] = {}
    for at, run in enumerate(belongs):
        if run is not None:
            runs.setdefault(run, []).append(at)
    marked: dict[int, object] = {}
    once, closings = _unique_event_ids(events), _closings(events)
    for run, places in runs.items():
        members = [dict(_fields(events[at])) for at in places]
        _mark(run, members, closings.get((run.response_id, run.item_id), {}))
        for at, event in zip(places, members, strict=True):
            event_id = event.get("event_id")
            if isinstance(event_id, str) and event_id in once:
                event["event_id"] = Placeholder("fresh id", shape=id_shape(event_id) or event_id)
            marked[at] = event
    return [Member(at, marked.get(at, events[at]), belongs[at]) for at in _order(events, belongs)]


def _memberships(events: Sequence[object]) -> list[Run | None]:
    """The run of each event. After the event that ends a run, a late delta is a fault and stays alone."""
    begun: dict[tuple[str, str], set[Run]] = {}
    ended: set[Run] = set()
    belongs: list[Run | None] = []
    for event in events:
        run = run_of(event)
        if run is None and event_type(event).endswith((".done", ".completed", ".failed")):
            fields = _fields(event)
            ended |= begun.get((str(fields.get("response_id", "")), str(fields.get("item_id", ""))), set())
        elif run is not None:
            begun.setdefault((run.response_id, run.item_id), set()).add(run)
        belongs.append(run if run not in ended else None)
    return belongs


def collapse(normals: Iterable[Normal]) -> list[Normal]:
    """One event for each part of a run, at the place of its first event. Other events stay as they are."""
    normals = list(normals)
    runs: dict[Run, list[Normal]] = {}
    for normal in normals:
        if normal.run is not None:
            runs.setdefault(normal.run, []).append(normal)
    collapsed: list[Normal] = []
    for normal in normals:
        if normal.run is None:
            collapsed.append(normal)
        elif normal.run in runs:
            collapsed += _forms(runs.pop(normal.run))
    return collapsed


def _forms(members: list[Normal]) -> Iterator[Normal]:
    """The first delta, then one shape for each type, whatever the number of deltas."""
    first, rest = members[0], members[1:]
    yield replace(first, part="first")
    shapes: dict[str, list[Normal]] = {event_type(first.event): []}
    for member in rest:
        shapes.setdefault(event_type(member.event), []).append(member)
    for _, like in sorted(shapes.items()):
        yield _usual(like) if like else _as_later(first)


def _usual(members: list[Normal]) -> Normal:
    counted = Counter(repr(member.event) for member in members)
    distinct = {repr(member.event): member for member in reversed(members)}
    ((usual, _),) = counted.most_common(1)
    strays = tuple(replace(other, part="rest") for shape, other in distinct.items() if shape != usual)
    return replace(distinct[usual], part="rest", strays=strays)


def _as_later(first: Normal) -> Normal:
    """The shape of a second delta. Only the first one carries `latency` (recordings)."""
    later = {key: value for key, value in _fields(first.event).items() if key != "latency"}
    return replace(first, event=later, part="rest")


def _order(events: Sequence[object], belongs: Sequence[Run | None]) -> list[int]:
    """A run stands together at its first event. Transcripts stand behind the first event of their item.

    Recognition runs in parallel with everything else, so the time of its results is chance. xAI sends interim
    transcripts once the item is added, and the final one before the response. OpenAI sends all of them anywhere after
    the item's first event (recordings).
    """
    home = list(range(len(events)))
    begun: dict[Run, int] = {}
    named: dict[str, int] = {}
    added: dict[str, int] = {}
    for at, (event, run) in enumerate(zip(events, belongs, strict=True)):
        item_id = _item_id(event)
        if run is not None:
            first = begun.setdefault(run, at)
            home[at] = home[added.get(item_id, first) if run.kind == "guess" else first]
        if event_type(event) in _BESIDE_THE_ANSWER and "status" not in _fields(event):
            home[at] = home[named.get(item_id, at)]
        if event_type(event) == "conversation.item.added":
            added.setdefault(item_id, at)
        named.setdefault(item_id, at)
    return sorted(range(len(events)), key=lambda at: (home[at], at))


def _mark(run: Run, members: list[dict[str, Any]], closings: Mapping[str, str]) -> None:
    match run.kind:
        case "answer":
            _mark_answer(members, closings)
        case "heard":
            _mark_joined(members, {kind: text.strip() for kind, text in closings.items()})
        case "guess":
            _mark_guess(members)
        case _:
            assert_never(run.kind)


def _mark_answer(members: list[dict[str, Any]], closings: Mapping[str, str]) -> None:
    """Audio carries the `rid` of its segment: the event id of that segment's transcript delta (recordings, 41 of 41).

    Only the very first audio comes before its transcript delta. No audio of an earlier segment follows audio of a later
    one.
    """
    _mark_joined(members, closings)
    ids = [member.get("event_id") for member in members if "start_time" in member]
    segments = {event_id: number for number, event_id in enumerate(ids) if isinstance(event_id, str)}
    announced, reached, started = 0, 0, 0.0
    for member in members:
        rid = member.get("rid")
        segment = segments.get(rid) if isinstance(rid, str) else None
        if "start_time" in member:
            started = _mark_start(member, started, first=not announced)
            announced += 1
            if segment is not None and rid == member.get("event_id"):
                member["rid"] = Placeholder("own event id")
        elif segment is not None and reached <= segment < max(1, announced):
            reached = segment
            member["rid"] = Placeholder("event id of its segment")


def _mark_start(member: dict[str, Any], after: float, *, first: bool) -> float:
    """The first segment starts at 0.0, the others at increasing multiples of 20 ms (recordings)."""
    start = member["start_time"]
    if not isinstance(start, float) or not math.isfinite(start):
        return after
    on_frame = math.isclose(start / _FRAME_S, round(start / _FRAME_S), abs_tol=1e-6)
    if start == 0.0 if first else on_frame and start > after:
        member["start_time"] = Placeholder("start of its segment", json="float")
    return start


def _mark_guess(members: list[dict[str, Any]]) -> None:
    """An interim transcript is cumulative. `completed` with status `in_progress` repeats the one before it
    (recordings).
    """
    guess: object = None
    for member in members:
        text = member.get("transcript")
        if not isinstance(text, str):
            continue
        if event_type(member) == _HEARD + "updated":
            guess = text
        if text == guess:
            member["transcript"] = Placeholder("heard so far")


def _mark_joined(members: list[dict[str, Any]], closings: Mapping[str, str]) -> None:
    for kind in _JOINS:
        deltas = [member for member in members if event_type(member) == kind]
        texts = [member.get("delta") for member in deltas]
        if not deltas or not all(isinstance(text, str) for text in texts):
            continue
        joined = "".join(map(str, texts))
        if kind == _HEARD + "delta":
            joined = joined.strip()
        what = "part of the text" if closings.get(kind, joined) == joined else "text that does not join"
        for delta in deltas:
            delta["delta"] = Placeholder(what)


def _closings(events: Iterable[object]) -> dict[tuple[str, str], dict[str, str]]:
    """For each response and item: the joined text in its closing event, by type of delta."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for event in events:
        fields = _fields(event)
        for delta, (done, field) in _JOINS.items():
            if event_type(event) == done and isinstance(fields.get(field), str):
                place = str(fields.get("response_id", "")), str(fields.get("item_id", ""))
                found.setdefault(place, {})[delta] = fields[field]
    return found


def _unique_event_ids(events: Iterable[object]) -> set[str]:
    ids = [event_id for event in events if isinstance(event_id := _fields(event).get("event_id"), str)]
    return {event_id for event_id, times in Counter(ids).items() if times == 1}


def _item_id(event: object) -> str:
    fields = _fields(event)
    item = fields.get("item")
    return str(fields.get("item_id") or (item.get("id") if isinstance(item, Mapping) else "") or "")


def _fields(event: object) -> Mapping[str, Any]:
    return event if isinstance(event, Mapping) else {}
