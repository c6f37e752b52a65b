"""A recording with server VAD as the same conversation with manual turns. A transformation of its own, by rule.

The client switches turn detection off and commits after the last audio of each turn. No such session was recorded.
What is taken to hold, from what authors of clients tried live: the service answers a commit of speech by itself, and
still reports where speech began and ended. So all the server's events are expected to stay as they were.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from replay.cassette.conversation import Conversation, ConversationStep, Message
from tests.conformance.recordings import COMMITTED, is_audio

COMMIT = {"type": "input_audio_buffer.commit"}
OFF = {"type": None}


def with_manual_turns(recording: Conversation) -> Conversation:
    """The client with turn detection off and a commit of its own after each turn's audio; the echo follows suit."""
    steps: list[ConversationStep] = []
    for at, step in enumerate(recording.steps):
        if not isinstance(step, Message):
            steps.append(step)
            continue
        event = copy.deepcopy(dict(step.event))
        if event["type"] in ("session.update", "session.updated"):
            _switch_off(event["session"])
        steps.append(replace(step, event=event))
        if is_audio(step.event) and not _goes_on(recording.steps[at + 1 :]):
            steps.append(Message("sent", COMMIT))
    return replace(recording, steps=tuple(steps))


def _switch_off(session: dict[str, Any]) -> None:
    for holder in (session, session.get("audio", {}).get("input", {})):
        if "turn_detection" in holder:
            holder["turn_detection"] = OFF


def _goes_on(rest: Sequence[ConversationStep]) -> bool:
    """Whether more audio of this turn follows."""
    for step in rest:
        if not isinstance(step, Message) or step.event["type"] == COMMITTED:
            return False
        if is_audio(step.event):
            return True
    return False
