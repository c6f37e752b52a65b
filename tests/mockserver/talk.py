"""Talk: drives a Session without sockets or clocks, and tells the whole conversation when something is amiss.

Not a client: it keeps no state of the protocol and repairs nothing. An error event that a test never looked at fails
the test at its end: see conftest.py.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
import pybase64

from mockserver.audio.tts import synthesizer_named
from mockserver.dialects.base import Opening
from mockserver.dialects.names import dialect_name
from mockserver.dialects.registry import SERVICES
from mockserver.protocol.requests import Request, Result
from mockserver.responders.base import HeardText, Responder, Say, Source, Step, Turn
from mockserver.session.resumption import Memory
from mockserver.session.session import Session
from mockserver.session.transcription import NOTHING, Hearing
from replay.cassette.frames import Binary, Text
from replay.findings.watch import Watch
from tests.live_messages import received, sent

Event = dict[str, Any]
TONE = synthesizer_named("tone")


class Script:
    """A responder with prepared replies, one per response, and prepared ears."""

    source = Source()

    def __init__(self, *replies: Iterable[Step], heard: Iterable[HeardText] = ()) -> None:
        self.replies = list(replies)
        self.heard = list(heard)
        self.turns: list[Turn] = []

    def hear(self, turn_number: int) -> HeardText | None:
        return self.heard[turn_number] if turn_number < len(self.heard) else None

    def reply(self, turn: Turn) -> Iterable[Step]:
        self.turns.append(turn)
        return self.replies[turn.number] if turn.number < len(self.replies) else [Say("Yes.")]


def saying(seconds: float) -> Script:
    """A responder whose first answer lasts at least that long."""
    return Script([Say("This goes on for quite a while, word after word. " * (int(seconds / 2.5) + 1))])


class Talk:
    """One conversation. Time moves only by `wait`, `until` and `rest`."""

    going: ClassVar[list[Talk]] = []
    """Those that have not hung up."""

    def __init__(
        self,
        responder: Responder | None = None,
        *,
        dialect: str = "xai@2026-07",
        pacing: str = "live",
        resumed: Memory | None = None,
        seed: str = "7/0",
        model: str | None = None,
        update: Mapping[str, object] | None = None,
        watch: Watch | None = None,
        hearing: Hearing = NOTHING,
        asks_servers: bool = False,
    ) -> None:
        self.watch = watch
        """Sees all that is sent both ways."""
        if model is None and not dialect.startswith("xai"):
            model = "gpt-realtime"  # of which most recordings are
        opening = Opening(seed, 1_785_214_080.0, model=model)
        self.session = Session(
            SERVICES[dialect_name(dialect)].open(opening),
            responder or Script(),
            TONE,
            seed=seed,
            pacing=pacing,
            resumed=resumed,
            hearing=hearing,
            asks_servers=asks_servers,
        )
        self.asked: list[Request] = []
        """What the session has asked of the world around it."""
        self.now = 0.0
        self.events: list[Event] = []
        self.binary: list[bytes] = []
        self.log: list[str] = []
        self._cursor = 0
        self._errors_seen = 0
        Talk.going.append(self)
        self._take()
        if update is not None:
            self.send("session.update", session=dict(update))

    def send(self, type: str, **fields: object) -> list[Event]:
        """Send a client event; gives what comes at this very instant."""
        return self.send_raw(json.dumps({"type": type, **fields}))

    def send_raw(self, data: str | bytes) -> list[Event]:
        """Send any frame."""
        self._cursor = len(self.events)
        self.log.append(f"{self.now:9.3f} >> {data[:150]!r}")
        if self.watch is not None:
            sent(self.watch, self.now, data)
        self.session.receive(data, self.now)
        return self._take()

    def deliver(self, result: Result) -> list[Event]:
        """Bring a result of a request; gives what comes at this very instant."""
        self._cursor = len(self.events)
        self.log.append(f"{self.now:9.3f} ++ {str(result)[:150]}")
        self.session.deliver(result, self.now)
        return self._take()

    def say(self, text: str) -> None:
        """Type a message and ask for a response."""
        seen = len(self.events)
        self.write(text)
        self.send("response.create")
        self._cursor = seen

    def write(self, text: str, role: str = "user", **fields: object) -> list[Event]:
        """Put a message into the conversation; `fields` belong to the event, such as `previous_item_id`."""
        content = [{"type": "output_text" if role == "assistant" else "input_text", "text": text}]
        item = {"type": "message", "role": role, "content": content}
        return self.send("conversation.item.create", item=item, **fields)

    def create(self, type: str, **fields: object) -> list[Event]:
        """Put any other item into the conversation."""
        return self.send("conversation.item.create", item={"type": type, **fields})

    def append(self, samples: np.ndarray[Any, Any]) -> list[Event]:
        """Send PCM at 24 kHz in 100 ms chunks, all at this instant."""
        data = samples.astype("<i2").tobytes()
        seen = len(self.events)
        for at in range(0, len(data), 4800):
            self.send("input_audio_buffer.append", audio=pybase64.b64encode_as_string(data[at : at + 4800]))
        self._cursor = seen
        return self.events[seen:]

    def speak(self, text: str = "I would like a dental cleaning, please.") -> list[Event]:
        """Send a spoken text."""
        return self.append(TONE.speak(text).samples)

    def hush(self, ms: int) -> list[Event]:
        """Send silence."""
        return self.append(np.zeros(24 * ms, np.int16))

    def speak_in_time(self, samples: np.ndarray[Any, Any]) -> list[Event]:
        """Send PCM at 24 kHz as a microphone does: 100 ms every 100 ms."""
        seen = len(self.events)
        for at in range(0, len(samples), 2400):
            self.append(samples[at : at + 2400])
            self.wait(0.1)
        self._cursor = seen
        return self.events[seen:]

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
        """The next event of that type, or the one so many further; time passes until it comes.

        It looks from the latest `send` on, or from behind what the `until` before has found.
        """
        while times:
            while self._cursor == len(self.events):
                due = self.session.next_due()
                assert due is not None and due < 3600, f"no {type} to come\n{self}"
                self.now = max(self.now, due)
                self._take()
            times -= self.events[self._cursor]["type"] == type
            self._cursor += 1
        if type == "error":
            self._errors_seen = max(self._errors_seen, self._cursor)
        return self.events[self._cursor - 1]

    def rest(self) -> list[Event]:
        """Let all that is pending happen but keep-alive events; gives what came. Endless with an idle timeout."""
        seen = len(self.events)
        while (due := self.session.next_due(keep_alive=False)) is not None:
            self.now = max(self.now, due)
            self._take()
        return self.events[seen:]

    def of(self, type: str) -> list[Event]:
        """All events of a type so far."""
        if type == "error":
            self._errors_seen = len(self.events)
        return [event for event in self.events if event["type"] == type]

    @property
    def error(self) -> Event:
        """The one error so far that no test has looked at."""
        seen, self._errors_seen = self._errors_seen, len(self.events)
        errors: list[Event] = [event["error"] for event in self.events[seen:] if event["type"] == "error"]
        assert len(errors) == 1, f"{len(errors)} new errors\n{self}"
        return errors[0]

    def hang_up(self) -> None:
        """End it. An error that nobody looked at is a surprise that nobody noticed."""
        Talk.going.remove(self)
        missed = [event["error"]["message"] for event in self.events[self._errors_seen :] if event["type"] == "error"]
        assert not missed, f"the test never looked at {missed}\n{self}"

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
            if self.watch is not None and isinstance(out.frame, Text | Binary):
                received(self.watch, out.at, out.frame)
            if isinstance(out.frame, Text):
                event = json.loads(out.frame.data)
                assert out.frame.event in (None, event)
                self.events.append(event)
                self.log.append(f"{out.at:9.3f} << {event['type']} {out.frame.data[:150]!r}")
            elif isinstance(out.frame, Binary):
                self.binary.append(out.frame.data)
                self.log.append(f"{out.at:9.3f} << {len(out.frame.data)} bytes")
        self.asked += self.session.take_requests()
        return self.events[seen:]

    def __str__(self) -> str:
        return "\n".join(self.log)


def kinds(events: Iterable[Event]) -> list[str]:
    """The types of events, runs of deltas as one."""
    types = [event["type"] for event in events]
    return [type for at, type in enumerate(types) if not (at and type == types[at - 1] and type.endswith(".delta"))]
