"""Plays a recording's client at the core of the mock, in virtual time, without sockets.

A client's frame goes in at its recorded instant, where the recording has a clock, and never before the mock has said
what the client had seen by then. The voice speaks each answer for as long as the recorded one lasted, so that numbers
can be compared too.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import yaml

from mockserver.audio.tts.base import SpeechClip
from mockserver.calls.call import Call
from mockserver.dialects.base import Opening
from mockserver.dialects.names import DIALECT_NAMES, DialectName
from mockserver.dialects.registry import SERVICES
from mockserver.protocol.pacing import ends_sentence
from mockserver.protocol.peer import Peer
from mockserver.responders.base import Responder
from mockserver.responders.scenario import Scenario
from mockserver.session.output_audio import BREATH_S
from mockserver.session.session import Session
from replay.cassette.conversation import Closed, Conversation, ConversationStep, Message
from replay.cassette.frames import Text
from replay.cassette.json_text import Event
from replay.diff.milestones import milestones, without_later
from replay.diff.numbers import Basis
from tests.conformance.driver import query_of, with_live_ids
from tests.conformance.golden import date_of
from tests.conformance.recordings import is_spoken, is_whole
from tests.conformance.scenario import scenario_from
from tests.conformance.sidebands import caller, is_sideband

PATIENCE_S = 30.0
"""Virtual seconds to wait for what the recorded client had seen."""
RECONNECT_S = 1.0
SPEECH = "input_audio_buffer.speech_started"
OPENAI_FRAME_S = 0.05
"""One token of OpenAI's spoken output."""


@dataclass
class Played:
    """What the mock said, over all connections, and what was waited for in vain."""

    received: list[Event] = field(default_factory=list)
    overdue: list[str] = field(default_factory=list)


def dialect_of(recording: Conversation, service: str) -> DialectName:
    """The dialect of a service that was the newest on the day of the recording; else its oldest."""
    dated = [name for name in DIALECT_NAMES if name.startswith(f"{service}@")]
    begun = [name for name in dated if name.partition("@")[2] <= date_of(recording)[:7]]
    return max(begun) if begun else min(dated)


def shared(recording: Conversation) -> frozenset[Basis]:
    """What a played conversation has in common with its recording: see replay/diff/numbers.py."""
    found: set[Basis] = {"words", "speech"}
    heard = is_sideband(recording) and any(event["type"] == SPEECH for event in recording.received())
    if not heard and (not is_spoken(recording) or is_whole(recording)):
        found.add("input")
    if all(isinstance(step, Closed) or step.at_s is not None for step in recording.steps):
        found |= {"clock", "date"}
    return frozenset(found)


def play(recording: Conversation, dialect: DialectName) -> Played:
    """The recording's client, at a mock that was told the recording's words."""
    scenario = Scenario.parse(yaml.safe_dump(scenario_from(recording), allow_unicode=True))
    responder = scenario.responder(scenario.tally())
    voice = RecordedVoice(recording, SERVICES[dialect].open(Opening("", 0.0)).traits.responses.rhythm.unit)
    result, recorded = Played(), list[Event]()
    sessions: dict[str, Session] = {}
    epoch = _opened(recording)
    for number, steps in enumerate(recording.connections()):
        query = query_of(steps, recorded, result.received)
        line = _Line(dialect, responder, voice, query, sessions, f"conformance/{number}", epoch)
        line.follow(steps, recorded, result)
        sessions[line.session.conversation.id] = line.session
        epoch += line.now + RECONNECT_S
    return result


class _Line:
    """One connection to the mock."""

    def __init__(
        self,
        dialect: DialectName,
        responder: Responder,
        voice: RecordedVoice,
        query: Mapping[str, str],
        sessions: Mapping[str, Session],
        seed: str,
        epoch: float,
    ) -> None:
        known = sessions.get(query.get("conversation_id", ""))
        model, call = query.get("model"), query.get("call_id")
        opened = SERVICES[dialect].open(Opening(seed, epoch, model=model, resumed=known is not None, call_id=call))
        self.session = Session(
            opened,
            responder,
            voice,
            seed=seed,
            opened=epoch,
            resumed=known.memory if known else None,
        )
        self.peer: Peer = self.session if call is None else Call(self.session, opened.render)
        if call is not None:
            self.peer.take_output(0.0)  # what the sideband of a call does not see
        self.now = 0.0
        self._late_s = 0.0
        """How much later than recorded the client is, because the mock let it wait."""

    def follow(self, steps: Sequence[ConversationStep], recorded: list[Event], result: Played) -> None:
        begun, known = len(result.received), len(recorded)
        self._take(result)
        for step in steps:
            match step:
                case Message(way="received", event=event):
                    if event["type"] == SPEECH and isinstance(self.peer, Call):
                        self._catch_up(recorded[known:], begun, result)
                        self._speak(result)
                    recorded.append(event)
                case Message(way="sent", event=event, at_s=at_s):
                    if at_s is not None:
                        self._until(at_s + self._late_s, result)
                    self._catch_up(recorded[known:], begun, result)
                    if at_s is not None:
                        self._late_s = max(self._late_s, self.now - at_s)
                    live = with_live_ids(event, recorded, result.received)
                    self.peer.receive(json.dumps(live), self.now)
                    self._take(result)
                case Closed():
                    pass
        self._catch_up(recorded[known:], begun, result)
        last = [step.at_s for step in steps if step.at_s is not None]
        self._until(max(self.now, max(last, default=0.0) + self._late_s), result)
        result.received[begun:] = without_later(result.received[begun:], recorded[known:])

    def _speak(self, result: Played) -> None:
        """The caller speaks on the track, with another voice: the recorded one is nowhere."""
        for samples in caller():
            self._until(self.now + len(samples) / RecordedVoice.RATE, result)
            self.peer.hear(samples, self.now)
            self._take(result)

    def _catch_up(self, seen: Sequence[Mapping[str, Any]], begun: int, result: Played) -> None:
        """Until as many of the last milestone's kind have come as the recorded client had seen."""
        passed = list(milestones(seen))
        if not passed:
            return
        kind, times = passed[-1], passed.count(passed[-1])
        patience = self.now + PATIENCE_S
        while Counter(milestones(result.received[begun:]))[kind] < times:
            due = self.peer.next_due()
            if due is None or due > patience:
                result.overdue.append(f"{kind} ({times}.)")
                return
            self._until(due, result)

    def _until(self, instant: float, result: Played) -> None:
        """Let time pass."""
        while (due := self.peer.next_due()) is not None and due <= instant:
            self.now = max(self.now, due)
            self._take(result)
        self.now = max(self.now, instant)

    def _take(self, result: Played) -> None:
        for out in self.peer.take_output(self.now):
            if isinstance(out.frame, Text):
                result.received.append(json.loads(out.frame.data))


def _opened(recording: Conversation) -> float:
    """The Unix second at which the first connection opened, as its first events tell."""
    for event in recording.received():
        match event:
            case {"type": "session.created" | "session.updated", "session": {"expires_at": int() as expires_at}}:
                return float(expires_at - 3600)
            case {"type": "ping", "timestamp": int() as timestamp}:
                return timestamp / 1000
            case _:
                pass
    return 1_785_214_080.0


class RecordedVoice:
    """A synthesizer without a sound of its own: each recorded text lasts as long as it did, its parts by letters."""

    name = "recorded"
    RATE = 24_000

    def __init__(self, recording: Conversation, unit: int) -> None:
        """`unit`: samples of which the length of each segment but the last is a multiple."""
        self._samples = {text: round(seconds * self.RATE) for text, seconds in _lengths(recording)}
        self._unit = unit

    def prepare(self, text: str, *, voice: str = "ara", speed: float = 1.0) -> None:
        """Nothing to prepare."""

    def speak(self, text: str, *, voice: str = "ara", speed: float = 1.0) -> SpeechClip:
        """The part of the recorded answer that these words took, without the breath that the mock takes before them."""
        for whole in self._samples:
            if (at := whole.find(text)) >= 0:
                before = whole[:at].rstrip()
                begin, end = (self._place(whole, place) for place in (len(before), at + len(text)))
                breath = int(BREATH_S * self.RATE) if before and ends_sentence(before) else 0
                return SpeechClip(_tone(max(1, end - begin - breath)), self.RATE)
        raise AssertionError(f"{text!r} is not part of what was recorded")

    def _place(self, whole: str, letters: int) -> int:
        """The sample at which so many letters of a text have been spoken."""
        samples = self._samples[whole]
        return samples if letters == len(whole) else samples * letters // len(whole) // self._unit * self._unit


def _lengths(recording: Conversation) -> Iterator[tuple[str, float]]:
    """Each response's spoken words, and how long they last in seconds."""
    said: dict[str, str] = {}
    for event in recording.received():
        match event:
            case {"type": "response.output_audio_transcript.done", "response_id": str(id), "transcript": str(text)}:
                said[id] = f"{said.get(id, '')} {text}".strip()
            case {"type": "response.done", "usage": {"output_audio_seconds": float() | int() as seconds}}:
                if whole := said.get(event.get("response_id", "")):
                    yield whole, seconds
            case {"type": "response.done", "response": {"id": str(id), "usage": {"output_token_details": made}}}:
                if whole := said.get(id):
                    yield whole, made["audio_tokens"] * OPENAI_FRAME_S
            case _:
                pass


def _tone(samples: int) -> np.ndarray[Any, np.dtype[np.int16]]:
    return (8000 * np.sin(2 * math.pi * 220 * np.arange(samples) / RecordedVoice.RATE)).astype(np.int16)
