"""Golden skeletons: what recordings of the services show about the wire, as files of this repository.

`python -m tests.conformance.golden` writes golden/DIALECT/NAME.yaml from the recordings. A skeleton keeps the order of
events, their keys in order, constants and numbers. It is a recording itself, and is played like one.

- Words of client and model become `(words 1)`, numbered by first appearance; arguments become `{"words":1}`.
- Ids become numbers in the same shape. The same id stays the same.
- Sound is left out: one piece stands for all that the client sends in a turn.
- A run of deltas keeps the first, and what one later delta of each kind looks like. Durations are added up.

Frames that clients send are kept in the same way, in golden/clients/CLIENT.DIALECT.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from replay.cassette.conversation import Closed, Conversation, ConversationStep, Message
from replay.diff.audio_runs import Run, run_of
from replay.diff.placeholders import id_shape
from tests.conformance.recordings import FRAMES, GOLDEN, GOLDEN_FRAMES, is_audio, read, recorded

COMMAND = "python -m tests.conformance.golden"
SOURCE = "pydantic-ai (MIT), tests/realtime/cassettes"
_GUESSED = "conversation.item.input_audio_transcription.updated"
_AUDIO = "response.output_audio.delta"
_TEXTS = ("transcript", "text", "output")
_TIMES = {"timestamp": (1000, 0), "ts": (1000, 0), "expires_at": (1, 3600)}
"""Where the services write instants: how many units of them are a second, and how many seconds after now they are."""
_OBFUSCATED_LENGTH = 16

Event = dict[str, Any]


def skeleton(recording: Conversation) -> Conversation:
    """The conversation without words, ids and sound of its own, and with short runs of deltas."""
    kept = list(_short(recording.steps))
    words, ids = _Words(recording), _Ids()
    pieces = words.pieces([step.event for step in kept if isinstance(step, Message)])
    steps: list[ConversationStep] = []
    for step in kept:
        if isinstance(step, Closed):
            steps.append(step)
            continue
        event = ids.neutral(words.neutral(step.event))
        if id(step.event) in pieces:
            event["delta"] = pieces[id(step.event)]
        if "obfuscation" in event:
            event["obfuscation"] = "x" * max(1, _OBFUSCATED_LENGTH - len(event["delta"]))
        if step.event["type"] == _AUDIO:
            event["delta"] = "AAAA"
        if is_audio(step.event):
            event["audio"] = ""
        steps.append(Message(step.way, event, step.at_s))
    return Conversation(recording.name, tuple(steps))


def written(recording: Conversation, place: str) -> str:
    """The text of a golden file. `place` names the recording, such as `xai/text_turn.yaml`."""
    lines = [
        f"# Written by `{COMMAND}`.",
        "version: 1",
        f"source: {SOURCE}, as {place}",
        f"recorded: {date_of(recording)}",
        f"model: {_model(recording)}",
        "interactions:",
    ]
    for step in skeleton(recording).steps:
        if isinstance(step, Message):
            shown: dict[str, Any] = {"kind": "message", "direction": step.way, "data": step.event}
        else:
            shown = {"kind": "close", "code": step.code, "reason": step.reason}
        if step.at_s is not None:
            shown = {"kind": shown.pop("kind"), "at": step.at_s, **shown}
        lines.append(f"- {json.dumps(shown, ensure_ascii=False)}")
    return "\n".join([*lines, ""])


def written_frames(frames: Sequence[Mapping[str, Any]]) -> str:
    """The text of a golden file of frames that a client sent, a line each."""
    words, ids = _Words(Conversation("", tuple(Message("sent", frame) for frame in frames))), _Ids()
    lines = [json.dumps(ids.neutral(words.neutral(frame)), ensure_ascii=False) for frame in frames]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _short(steps: Sequence[ConversationStep]) -> Iterator[ConversationStep]:
    """The steps with one piece of audio a turn, and a few deltas a run."""
    runs: dict[Run, list[Event]] = {}
    for step in steps:
        if isinstance(step, Message) and step.way == "received" and (run := run_of(step.event)) is not None:
            runs.setdefault(run, []).append(dict(step.event))
    keep = {run: iter(_members(members)) for run, members in runs.items()}
    upcoming = {run: next(members) for run, members in keep.items()}
    speaking = False
    seen = dict.fromkeys(runs, -1)
    for step in steps:
        if not isinstance(step, Message):
            yield step
        elif is_audio(step.event):
            if not speaking:
                yield step
            speaking = True
        elif step.way == "received" and (run := run_of(step.event)) is not None:
            seen[run] += 1
            if seen[run] == upcoming[run][0]:
                yield Message("received", upcoming[run][1], step.at_s)
                upcoming[run] = next(keep[run], (-2, {}))
        else:
            speaking = speaking and step.event["type"] != "input_audio_buffer.committed"
            yield step


def _members(members: Sequence[Event]) -> list[tuple[int, Event]]:
    """The deltas of a run that stay, with their places in it."""
    kept: dict[int, Event] = {}
    texts = [at for at, event in enumerate(members) if event["type"] not in (_AUDIO, _GUESSED)]
    segments = {members[at].get("event_id") for at in texts[:2]}
    counts: dict[tuple[Any, ...], int] = {}
    for at, event in enumerate(members):
        segment = event.get("rid") if event["type"] == _AUDIO else None
        if (segment is not None and segment not in segments) or (at in texts and at not in texts[:2]):
            continue
        form = event["type"], tuple(event), segment
        counts[form] = counts.get(form, 0) + 1
        if counts[form] <= (2 if segment is None else 1):
            kept[at] = dict(event)
    for at in [at for at in texts[:2] if members[at].get("status") == "in_progress" and at > 0]:
        kept[at - 1], kept[at] = dict(members[at - 1]), dict(members[at])  # a guess, and its repetition
    durations = [at for at in kept if "audio_duration_ms" in kept[at]]
    if durations:
        total = sum(event.get("audio_duration_ms", 0) for event in members)
        others = sum(kept[at]["audio_duration_ms"] for at in durations[:-1])
        kept[durations[-1]]["audio_duration_ms"] = total - others
    return sorted(kept.items())


class _Words:
    """Words that stand for those of a conversation: the same for the same."""

    def __init__(self, recording: Conversation) -> None:
        self._numbers: dict[str, int] = {}
        self._own = {
            event["session"]["instructions"]
            for event in recording.sent()
            if event.get("session", {}).get("instructions")
        }
        self._closings: dict[tuple[str, str, str], str] = {}
        for event in recording.received():
            for field in ("transcript", "text", "arguments"):
                if isinstance(event.get(field), str) and event["type"].endswith((".done", ".completed")):
                    self._closings[_stream(event, field)] = event[field]

    def words(self, text: str) -> str:
        number = self._numbers.setdefault(text, len(self._numbers) + 1)
        return f"(words {number})"

    def arguments(self, text: str) -> str:
        self.words(text)
        return json.dumps({"words": self._numbers[text]}, separators=(",", ":"))

    def neutral(self, value: Any, key: str = "") -> Any:
        """The value with words in place of the conversation's own."""
        match value:
            case Mapping():
                return {name: self.neutral(part, name) for name, part in value.items()}
            case list():
                return [self.neutral(part, key) for part in value]
            case str() if value and (key in _TEXTS or key == "description" or value in self._own):
                return self.words(value)
            case str() if value and key == "arguments":
                return self.arguments(value)
            case _:
                return value

    def pieces(self, events: Sequence[Mapping[str, Any]]) -> dict[int, str]:
        """The text of each delta of words, by `id()` of its event: joined, they are the words that close the run."""
        streams: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
        for event in events:
            if event["type"].endswith(".delta") and event["type"] != _AUDIO:
                kinds = ("arguments", "transcript", "transcription", "text")
                kind = next(kind for kind in kinds if kind in event["type"].replace("output_text", "text"))
                streams.setdefault(_stream(event, kind.replace("transcription", "transcript")), []).append(event)
        found: dict[int, str] = {}
        for stream, deltas in streams.items():
            whole = self._closings.get(stream, "".join(delta["delta"] for delta in deltas))
            text = self.arguments(whole) if stream[2] == "arguments" else self.words(whole)
            cut = len(text) - 2 if len(deltas) > 1 else len(text)
            parts = [text[:cut], text[cut:], *[""] * len(deltas)]
            found |= {id(delta): part for delta, part in zip(deltas, parts, strict=False)}
        return found


def _stream(event: Mapping[str, Any], kind: str) -> tuple[str, str, str]:
    """What a delta and the event that closes its run have in common."""
    return str(event.get("response_id", "")), str(event.get("item_id", "")), kind


class _Ids:
    """Numbers in the shape of ids: the same for the same."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def neutral(self, event: Event) -> Event:
        """The event with numbers in place of ids."""
        return {key: self._value(part, key) for key, part in event.items()}

    def _value(self, value: Any, key: str) -> Any:
        match value:
            case Mapping():
                return {name: self._value(part, name) for name, part in value.items()}
            case list():
                return [self._value(part, key) for part in value]
            case str() if key.endswith("id") and (shape := id_shape(value)) is not None:
                return self._shaped(shape, value)
            case _:
                return value

    def _shaped(self, shape: str, value: str) -> str:
        number = self._numbers.setdefault(value, len(self._numbers) + 1)
        uuid4 = f"{number:08d}-0000-4000-8000-000000000000"
        if shape == "uuid4":
            return uuid4
        if shape == "uuid4 hex":
            return uuid4.replace("-", "")
        if shape.startswith("call-uuid4"):
            return f"call-{uuid4}{shape.removeprefix('call-uuid4')}"
        if shape == "event_16hex":
            return f"event_{number:016d}"
        prefix, _, length = shape.rpartition("_")
        if length == "call":  # of a call and its session
            return f"{prefix}_u1_{number:032d}"
        return f"{prefix}_{number:0{int(length)}d}"


def date_of(recording: Conversation) -> str:
    """The day of the first instant that the service wrote."""

    def instants(value: Any) -> Iterator[float]:
        for key, part in value.items() if isinstance(value, Mapping) else ():
            if key in _TIMES and isinstance(part, int):
                units, later_s = _TIMES[key]
                yield part / units - later_s
            yield from instants(part)

    first = min(instant for event in recording.received() for instant in instants(event))
    return datetime.fromtimestamp(first, timezone.utc).date().isoformat()


def _model(recording: Conversation) -> str:
    """The model that the service says it is."""
    return str(next(event["session"]["model"] for event in recording.received() if "model" in event.get("session", {})))


if __name__ == "__main__":
    for path in recorded("*"):
        there = GOLDEN / path.parent.name / path.name
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(written(read(path), f"{path.parent.name}/{path.name}"), encoding="utf-8")
    for path in sorted(FRAMES.glob("*.json")):
        there = GOLDEN_FRAMES / path.name
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(written_frames(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")
