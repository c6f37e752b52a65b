"""Phoned: a call without sockets or clocks: a caller's side that speaks, listens and sends events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from mockserver.audio.formats import Samples
from mockserver.audio.tts import synthesizer_named
from mockserver.calls.call import Call
from mockserver.dialects.base import Opening
from mockserver.dialects.registry import SERVICES
from mockserver.faults.armed import FaultTarget
from mockserver.faults.fault_set import FaultSet
from mockserver.faults.files import parse
from mockserver.protocol.peer import Act, Peer
from mockserver.responders.base import Responder
from mockserver.session.session import Session
from replay.cassette.frames import Outgoing, Sound, Text
from replay.findings.watch import Watch
from tests.live_messages import received, sent

CALL_ID = "rtc_u1_ETYJSp3oMdsOb7HW9eMflgesrIs0XaTn"
EPOCH = 1_785_214_080.0
FRAME_S = 0.02
TONE = synthesizer_named("tone")
Event = dict[str, Any]


def voice(seconds: float = 1.0) -> Samples:
    """Somebody speaks."""
    clip = TONE.speak("hello there I would like to book " * 3, voice="", speed=1.0)
    return np.resize(clip.samples, round(seconds * 24_000)).astype(np.int16)


class Phoned:
    """A call. Its time moves by 20 ms, as its tracks do."""

    def __init__(
        self,
        responder: Responder,
        *,
        dialect: str = "openai@2026-10",
        pacing: str = "live",
        faults: str = "",
        peer: Peer | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.watch = watch
        """Sees the events both ways, as the log of a call shows them."""
        opening = Opening("7/0", EPOCH, "gpt-realtime" if "openai" in dialect else None, call_id=CALL_ID)
        self.dialect = SERVICES[dialect].open(opening)
        self.session = Session(self.dialect, responder, TONE, seed="7/0", pacing=pacing)
        inside: Peer = peer or self.session
        if faults:
            target = FaultTarget(1, "session", self.dialect, self.session)
            inside = FaultSet(parse(faults).faults, "7").fit(inside, 0.0, target)
        self.call = Call(inside, self.dialect.render if peer is None else None)
        self.frame = 0
        self.sent: list[tuple[float, Event]] = []
        """Events for the channels."""
        self.log: list[str] = []
        """A line for each event, as a Talk has."""
        self.sound: list[Sound] = []
        """What the service sends as sound."""
        self.heard: list[Samples | None] = []
        """What the caller's side gets, frame by frame."""
        self._take(self.call.take_output(0.0))

    @property
    def now(self) -> float:
        return self.frame / 50

    def send(self, type: str, **fields: object) -> None:
        """Send an event on a channel."""
        data = json.dumps({"type": type, **fields})
        self.log.append(f"{self.now:9.3f} >> {data[:150]!r}")
        if self.watch is not None:
            sent(self.watch, self.now, data)
        self.call.receive(data, self.now)
        self._take(self.call.take_output(self.now))

    def press(self, digit: str) -> None:
        """Press a key."""
        self.call.press(digit, self.now)
        self._take(self.call.take_output(self.now))

    def run(self, seconds: float, voice: Samples | None = None) -> None:
        """Let time pass, while the caller says that, else nothing."""
        for n in range(round(seconds * 50)):
            self.frame += 1
            while (due := self.call.next_due()) is not None and due <= self.now:
                self._take(self.call.take_output(due))
            piece = None if voice is None else voice[n * 480 : n * 480 + 480]
            said = piece if piece is not None and len(piece) else np.zeros(480, np.int16)
            self.call.hear(said, self.now)
            self._take(self.call.take_output(self.now))
            self.heard.append(self.call.play(self.now))

    @property
    def events(self) -> list[Event]:
        """The events for the channels."""
        return [event for _, event in self.sent]

    def types(self, since: float = 0.0) -> list[str]:
        """The types of the events from that second on, deltas of a text left out."""
        return [each["type"] for at, each in self.sent if at >= since and not each["type"].endswith(".delta")]

    def of(self, type: str) -> list[tuple[float, Event]]:
        """The events of a type."""
        return [(at, each) for at, each in self.sent if each["type"] == type]

    def _take(self, out: Sequence[Outgoing | Act]) -> None:
        for each in out:
            if isinstance(each.frame, Text):
                event = json.loads(each.frame.data)
                if self.watch is not None:
                    received(self.watch, each.at, each.frame)
                self.sent.append((each.at, event))
                self.log.append(f"{each.at:9.3f} << {event['type']}")
            elif isinstance(each.frame, Sound):
                self.sound.append(each.frame)
                if self.watch is not None:
                    self.watch.passed()
