"""Talk: drives a Session without sockets or clocks, and tells the whole conversation when something is amiss."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pybase64

from mockserver.brains import Brain, Say, Step, Turn
from mockserver.conversation import Conversation
from mockserver.dialects import DIALECTS, Opening, dialect_name
from mockserver.session import Session
from mockserver.voices import voice_named
from replay.frames import Binary, Text

Event = dict[str, Any]
TONE = voice_named("tone")


class Script:
    """A brain with prepared replies, one per response, and prepared ears."""

    def __init__(self, *replies: Iterable[Step], heard: Iterable[str] = ()) -> None:
        self.replies = list(replies)
        self.heard = list(heard)
        self.turns: list[Turn] = []

    def hear(self, turn_number: int) -> str | None:
        return self.heard[turn_number] if turn_number < len(self.heard) else None

    def reply(self, turn: Turn) -> Iterable[Step]:
        self.turns.append(turn)
        return self.replies[turn.number] if turn.number < len(self.replies) else [Say("Yes.")]


def saying(seconds: float) -> Script:
    """A brain whose first answer lasts at least that long."""
    return Script([Say("This goes on for quite a while, word after word. " * (int(seconds / 2.5) + 1))])


class Talk:
    """One conversation. Time moves only by `wait`, `until` and `rest`."""

    def __init__(
        self,
        brain: Brain | None = None,
        *,
        dialect: str = "xai",
        pacing: str = "live",
        resumed: Conversation | None = None,
        seed: str = "7/0",
        model: str | None = None,
        update: Mapping[str, object] | None = None,
    ) -> None:
        opening = Opening(seed, 1_785_214_080.0, model=model)
        self.session = Session(
            DIALECTS[dialect_name(dialect)](opening),
            brain or Script(),
            TONE,
            seed=seed,
            pacing=pacing,
            resumed=resumed,
        )
        self.now = 0.0
        self.events: list[Event] = []
        self.binary: list[bytes] = []
        self.log: list[str] = []
        self._take()
        if update is not None:
            self.send("session.update", session=dict(update))

    def send(self, type: str, **fields: object) -> list[Event]:
        """Send a client event; gives what comes at this very instant."""
        return self.send_raw(json.dumps({"type": type, **fields}))

    def send_raw(self, data: str | bytes) -> list[Event]:
        """Send any frame."""
        self.log.append(f"{self.now:9.3f} >> {data[:150]!r}")
        self.session.receive(data, self.now)
        return self._take()

    def say(self, text: str) -> None:
        """Type a message and ask for a response."""
        content = [{"type": "input_text", "text": text}]
        self.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        self.send("response.create")

    def append(self, samples: np.ndarray[Any, Any]) -> list[Event]:
        """Send PCM at 24 kHz in 100 ms chunks, all at this instant."""
        data = samples.astype("<i2").tobytes()
        seen = len(self.events)
        for at in range(0, len(data), 4800):
            self.send("input_audio_buffer.append", audio=pybase64.b64encode_as_string(data[at : at + 4800]))
        return self.events[seen:]

    def speak(self, text: str = "I would like a dental cleaning, please.") -> list[Event]:
        """Send a spoken text."""
        return self.append(TONE.speak(text).samples)

    def hush(self, ms: int) -> list[Event]:
        """Send silence."""
        return self.append(np.zeros(24 * ms, np.int16))

    def wait(self, seconds: float) -> list[Event]:
        """Let time pass; gives what came."""
        seen, end = len(self.events), self.now + seconds
        while (due := self.session.next_due()) is not None and due <= end:
            self.now = max(self.now, due)
            self._take()
        self.now = end
        self._take()
        return self.events[seen:]

    def until(self, type: str, times: int = 1) -> Event:
        """Let time pass until the type came that many times from here on."""
        return [self._next(type) for _ in range(times)][-1]

    def _next(self, type: str) -> Event:
        seen = len(self.events)
        while True:
            for event in self.events[seen:]:
                seen += 1
                if event["type"] == type:
                    return event
            due = self.session.next_due()
            assert due is not None, f"no {type} to come\n{self}"
            self.now = max(self.now, due)
            self._take()

    def rest(self) -> list[Event]:
        """Let all that is pending happen; gives what came."""
        seen = len(self.events)
        while (due := self.session.next_due()) is not None:
            self.now = max(self.now, due)
            self._take()
        return self.events[seen:]

    def of(self, type: str) -> list[Event]:
        """All events of a type so far."""
        return [event for event in self.events if event["type"] == type]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    @property
    def heard_seconds(self) -> float:
        """Sound received so far, at 24 kHz PCM."""
        return sum(len(base64.b64decode(event["delta"])) for event in self.of("response.output_audio.delta")) / 48_000

    def _take(self) -> list[Event]:
        seen = len(self.events)
        for out in self.session.take_output(self.now):
            assert out.at <= self.now, self
            if isinstance(out.frame, Text):
                event = json.loads(out.frame.data)
                self.events.append(event)
                self.log.append(f"{out.at:9.3f} << {event['type']} {out.frame.data[:150]!r}")
            elif isinstance(out.frame, Binary):
                self.binary.append(out.frame.data)
                self.log.append(f"{out.at:9.3f} << {len(out.frame.data)} bytes")
        return self.events[seen:]

    def __str__(self) -> str:
        return "\n".join(self.log)


def kinds(events: Iterable[Event]) -> list[str]:
    """The types of events, runs of deltas as one."""
    types = [event["type"] for event in events]
    return [type for at, type in enumerate(types) if not (at and type == types[at - 1] and type.endswith(".delta"))]
