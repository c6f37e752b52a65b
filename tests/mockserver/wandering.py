"""Whole sessions by chance: what a client may do in any order, done to a Session, and everything that came of it.

Frames are made while a session runs, for they name its ids; then they can be sent again, at the same instants, to
another session that is looked at in another rhythm.
"""

from __future__ import annotations

import json
from base64 import b64encode
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from mockserver.audio.tts import CachedSynthesizer, synthesizer_named
from mockserver.dialects.base import Opening
from mockserver.dialects.registry import SERVICES
from mockserver.responders.base import Call, Fail, Pause, Say, Source, Step, Turn
from mockserver.session.session import Session
from replay.cassette.frames import Outgoing, Text

VOICE = CachedSynthesizer(synthesizer_named("tone"))
SPEECH = VOICE.speak("Good morning.").samples.tobytes()
QUIET = np.zeros(24 * 700, np.int16).tobytes()
REPLIES: tuple[list[Step], ...] = (
    [Say("Good morning.")],
    [Say("Let me see what I can do. One moment."), Call("look", {"a": 1})],
    [Call("look"), Call("book")],
    [Pause(800), Say("Well. This is what I found for you today.")],
    [Fail("overloaded", "try later")],
    [],
)
VAD: dict[str, Any] = {"type": "server_vad"}
UPDATES: tuple[dict[str, Any], ...] = (
    {"turn_detection": VAD},
    {"turn_detection": None},
    {"turn_detection": {**VAD, "interrupt_response": False}},
    {"turn_detection": {**VAD, "idle_timeout_ms": 3000}},
    {"audio": {"input": {"transcription": {"model": "grok-transcribe"}}}},
    {"audio": {"output": {"format": {"type": "audio/pcm", "rate": 16000}}}},
    {"audio": {"output": {"format": {"type": "audio/pcmu"}}}},
    {"audio": {"output": {"transport": "binary"}}},
    {"audio": {"output": {"format": {"type": "audio/pcm", "rate": 24000}, "transport": "json"}}},
)
DEEDS = """
update update turn turn speech speech quiet odd commit clear create cancel truncate delete
write again result call seed force insist wait
""".split()
"""What a client does next; what stands here twice it does more often."""
STEPS = st.lists(
    st.tuples(st.sampled_from(DEEDS), st.integers(0, 8), st.sampled_from([0.0, 0.0, 0.1, 0.4, 1.5])),
    min_size=6,
    max_size=30,
)
Event = dict[str, Any]


class Fickle:
    """A responder that answers every response in another way."""

    source = Source()

    def hear(self, turn_number: int) -> str | None:
        return "Good morning." if turn_number % 2 else None

    def reply(self, turn: Turn) -> Iterable[Step]:
        return REPLIES[turn.number % len(REPLIES)]


@dataclass
class Wander:
    """One session's course: what was sent and when, and what came."""

    sent: list[tuple[float, str]] = field(default_factory=list)
    came: list[Outgoing] = field(default_factory=list)
    before: list[int] = field(default_factory=list)
    """For each frame sent, how many had come before it."""
    session: Session = field(default_factory=lambda: new_session())

    @property
    def events(self) -> list[tuple[float, Event | bytes]]:
        """All that came: JSON read, binary as it is."""
        return [(out.at, _read(out)) for out in self.came]

    @property
    def told(self) -> list[Event]:
        return [event for _, event in self.events if isinstance(event, dict)]

    def dialogue(self) -> Iterator[Event | bytes | str]:
        """Everything in order: what was sent as text, what came as JSON or bytes."""
        events = [event for _, event in self.events]
        at = 0
        for (_, frame), before in zip(self.sent, self.before, strict=True):
            yield from events[at:before]
            yield frame
            at = before
        yield from events[at:]

    def send(self, frame: str, now: float) -> None:
        self.came += self.session.take_output(now)
        self.sent.append((now, frame))
        self.before.append(len(self.came))
        self.session.receive(frame, now)
        self.came += self.session.take_output(now)

    def rest(self) -> None:
        while (due := self.session.next_due()) is not None:
            self.came += self.session.take_output(due)


def new_session() -> Session:
    return Session(SERVICES["xai@2026-07"].open(Opening("7/0", 1_785_214_080.0)), Fickle(), VOICE, seed="7/0")


def _read(out: Outgoing) -> Event | bytes:
    if isinstance(out.frame, Text):
        event: Event = json.loads(out.frame.data)
        return event
    return out.frame.data  # type: ignore[union-attr]


def wander(steps: list[tuple[str, int, float]]) -> Wander:
    """Do all the steps, then go manual, cancel what is left and let it end."""
    course, now = Wander(), 0.0
    for deed, choice, pause in steps:
        now += pause + (choice if deed == "wait" else 0)
        course.came += course.session.take_output(now)
        for frame in frames(deed, choice, course):
            course.send(json.dumps(frame), now)
    for frame in ({"type": "session.update", "session": {"turn_detection": None}}, {"type": "response.cancel"}):
        course.send(json.dumps(frame), now + 1)
    course.rest()
    return course


def again(course: Wander, looks: list[float]) -> list[Outgoing]:
    """The same frames at the same instants to a new session, with output taken at `looks` only, and at the end."""
    session, came = new_session(), list[Outgoing]()
    looks = sorted(looks)
    at = 0
    for now, frame in course.sent:
        while at < bisect_right(looks, now):
            came += session.take_output(looks[at])
            at += 1
        session.receive(frame, now)
    while (due := session.next_due()) is not None:
        came += session.take_output(due)
    return came + session.take_output(course.sent[-1][0] if course.sent else 0.0)


def frames(deed: str, choice: int, course: Wander) -> Iterator[Event]:
    """The frames of one deed. Ids are those that came before, the newest first."""
    items = [event["item"]["id"] for event in reversed(course.told) if event["type"] == "conversation.item.added"]
    some_id = items[choice % len(items)] if items else "nobody"
    text = [{"type": "input_text", "text": f"Number {choice}."}]
    match deed:
        case "update":
            yield {"type": "session.update", "session": UPDATES[choice % len(UPDATES)]}
        case "speech" | "quiet" | "odd":
            sound = {"speech": SPEECH, "quiet": QUIET, "odd": SPEECH[: choice + 1]}[deed]
            yield {"type": "input_audio_buffer.append", "audio": b64encode(sound).decode()}
        case "turn":
            for sound in (SPEECH, QUIET):
                yield {"type": "input_audio_buffer.append", "audio": b64encode(sound).decode()}
        case "commit" | "clear":
            yield {"type": f"input_audio_buffer.{deed}"}
        case "create":
            yield {"type": "response.create", "response": {"metadata": {"n": str(choice)}} if choice % 2 else {}}
        case "cancel":
            yield {"type": "response.cancel"}
        case "truncate":
            cut = {"item_id": some_id, "content_index": 0, "audio_end_ms": choice * 300}
            yield {"type": "conversation.item.truncate", **cut}
        case "delete":
            yield {"type": "conversation.item.delete", "item_id": some_id}
        case "write" | "again" | "seed":
            item = {"type": "message", "role": "assistant" if deed == "seed" else "user", "content": text}
            yield create(item if deed != "again" else {**item, "id": f"mine-{choice}"}, some_id if choice > 6 else None)
        case "result":
            yield create({"type": "function_call_output", "call_id": some_id, "output": "{}"})
        case "call":
            yield create({"type": "function_call", "name": "look", "arguments": "{}"})
        case "force" | "insist":
            content = [{"type": "output_text", "text": "Please hold the line."}]
            if not open_responses(course.told):
                yield create({"type": "force_message", "content": content, "interruptible": deed == "force"})


def create(item: Event, after: str | None = None) -> Event:
    return {"type": "conversation.item.create", "item": item, **({} if after is None else {"previous_item_id": after})}


def open_responses(told: list[Event]) -> set[str]:
    opened = {event["response"]["id"] for event in told if event["type"] == "response.created"}
    return opened - {event["response"]["id"] for event in told if event["type"] == "response.done"}
