"""A session as a state machine: whatever a client does next, what must always hold does.

`test_properties.py` looks at whole conversations when they are over; this one looks after every step, loses connections
and takes conversations up again, and shrinks to the few steps that broke something. As long as one likes, with other
conversations each time: `python -m tests.fuzz.sessions --examples 5000`.
"""

from __future__ import annotations

import argparse
import json
import sys
from base64 import b64encode
from fractions import Fraction
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from mockserver.dialects.base import Opening
from mockserver.dialects.registry import SERVICES
from mockserver.session.session import Session
from replay.cassette.frames import Text
from tests.mockserver.wandering import QUIET, SPEECH, VOICE, Fickle

SOUNDS = {"speech": SPEECH, "quiet": QUIET, "odd": SPEECH[:1]}
DETECTION: tuple[Any, ...] = (
    None,
    {"type": "server_vad"},
    {"type": "server_vad", "interrupt_response": False},
    {"type": "server_vad", "idle_timeout_ms": 5000},
)
EPOCH = 1_785_214_080.0
Event = dict[str, Any]


class Conversation(RuleBasedStateMachine):
    """A client's conversation with one dialect, over as many connections as it takes."""

    service: ClassVar[str]
    items = Bundle("items")
    responses = Bundle("responses")
    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.opened = EPOCH
        """Unix second; `at` counts from there."""
        self.at = 0.0
        self.connections = 0
        self.done: set[str] = set()
        self.open: dict[str, Session] = {}
        self.known: set[str] = set()
        self.seen: set[str] = set()
        self.spent = [Fraction(0)] * 4
        self._connect(None)

    # What a client does.

    @rule(text=st.text(max_size=30), role=st.sampled_from(["user", "assistant", "system"]), target=items)
    def write(self, text: str, role: str) -> Any:
        kind = "output_text" if role == "assistant" else "input_text"
        item = {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
        return self._items(self._send("conversation.item.create", item=item))

    @rule(text=st.text(max_size=9), after=items | st.just("root"), id=items | st.just("mine"), target=items)
    def insert(self, text: str, after: str, id: str) -> Any:
        item = {"id": id, "type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        return self._items(self._send("conversation.item.create", item=item, previous_item_id=after))

    @rule(call=calls | st.just("nobody's"), target=items)
    def answer(self, call: str) -> Any:
        item = {"type": "function_call_output", "call_id": call, "output": '{"ok": true}'}
        return self._items(self._send("conversation.item.create", item=item))

    @rule(item=consumes(items))
    def delete(self, item: str) -> None:
        self._send("conversation.item.delete", item_id=item)

    @rule(item=items, ms=st.integers(0, 4000))
    def truncate(self, item: str, ms: int) -> None:
        self._send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=ms)

    @rule(target=responses)
    def respond(self) -> Any:
        return self._responses(self._send("response.create"))

    @rule()
    def cancel(self) -> None:
        self._send("response.cancel")

    @rule(response=responses)
    def cancel_that(self, response: str) -> None:
        self._send("response.cancel", response_id=response)

    @rule(sound=st.sampled_from(sorted(SOUNDS)), target=items)
    def sound(self, sound: str) -> Any:
        audio = b64encode(SOUNDS[sound]).decode()
        return self._items(self._send("input_audio_buffer.append", audio=audio))

    @rule(deed=st.sampled_from(["commit", "clear"]), target=items)
    def buffer(self, deed: str) -> Any:
        return self._items(self._send(f"input_audio_buffer.{deed}"))

    @rule(detection=st.sampled_from(DETECTION), resumes=st.booleans())
    def configure(self, detection: Any, resumes: bool) -> None:
        if self.service.partition("@")[0] == "xai":
            session = {"turn_detection": detection, "resumption": {"enabled": resumes}}
        else:
            session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
        self._send("session.update", session=session)

    @rule(s=st.sampled_from([0.0, 0.02, 0.3, 2.0, 10.0]), target=calls)
    def wait(self, s: float) -> Any:
        self.at += s
        events = self._take()
        return multiple(*(e["call_id"] for e in events if e["type"] == "response.function_call_arguments.done"))

    @rule()
    def reconnect(self) -> None:
        """Lose the connection; what was remembered of it may be taken up on the next."""
        self.session.lost(self.at)
        self._take()
        self._connect(self.session if self.session.settings.resumable else None)

    @rule(frame=st.binary(max_size=20) | st.text(max_size=20))
    def babble(self, frame: str | bytes) -> None:
        self.session.receive(frame, self.at)
        self._take()

    # What must always hold.

    @invariant()
    def the_next_beat_is_yet_to_come(self) -> None:
        due = self.session.next_due()
        assert due is None or due > self.at

    @invariant()
    def what_was_spent_stays_spent(self) -> None:
        ledger = self.session.ledger
        spent = [ledger.audio_in_s, ledger.audio_out_s, Fraction(ledger.text_items), ledger.exact_usd]
        assert all(new >= old for new, old in zip(spent, self.spent, strict=True))
        self.spent = spent

    @invariant()
    def a_conversation_knows_its_own_order(self) -> None:
        conversation = self.session.conversation
        ids = [item.id for item in conversation]
        assert len(ids) == len(set(ids)) == len(conversation)
        assert all(conversation.get(id) is not None for id in ids)
        assert conversation._last == (ids[-1] if ids else None)

    def teardown(self) -> None:
        """Everything ends by itself once nobody asks for more."""
        self.configure(None, False)
        self.cancel()
        for _ in range(10_000):
            due = self.session.next_due()
            if due is None:
                break
            self.at = max(self.at, due)
            self._take()
        assert self.session.next_due() is None

    # How.

    def _connect(self, lost: Session | None) -> None:
        seed = f"fuzz/{self.connections}"
        self.opened, self.at = self.opened + self.at, 0.0
        self.connections += 1
        self.spent = [Fraction(0)] * 4
        self.known = {item.id for item in lost.conversation} if lost else set()
        self.last = 0.0
        self.session = Session(
            SERVICES[self.service].open(Opening(seed, self.opened, resumed=lost is not None)),
            Fickle(),
            VOICE,
            seed=seed,
            resumed=lost.memory if lost else None,
            opened=self.opened,
            snapshot_s=0.025,
        )
        self._take()

    def _send(self, type: str, **fields: object) -> list[Event]:
        self.session.receive(json.dumps({"type": type, **fields}), self.at)
        return self._take()

    def _take(self) -> list[Event]:
        events = []
        for out in self.session.take_output(self.at):
            assert self.last <= out.at <= self.at
            self.last = out.at
            assert isinstance(out.frame, Text)
            events.append(json.loads(out.frame.data))
            self._look_at(events[-1])
        return events

    def _look_at(self, event: Event) -> None:
        assert event["event_id"] not in self.seen
        self.seen.add(event["event_id"])
        match event["type"]:
            case "conversation.item.added":
                link = event["previous_item_id"]
                assert link is None or link in self.known or link in self._unannounced(), f"{link} was never announced"
                self.known.add(event["item"]["id"])
            case "input_audio_buffer.speech_started":
                self.known.add(event["item_id"])
            case "response.created":
                assert event["response"]["id"] not in self.done
            case "response.done":
                assert event["response"]["id"] not in self.done, "a response ended twice"
                self.done.add(event["response"]["id"])

    def _unannounced(self) -> set[str]:
        """Items that are there but were not shown: xAI says nothing of an answer that it drops."""
        return {item.id for item in self.session.conversation}

    def _items(self, events: list[Event]) -> Any:
        return multiple(*(event["item"]["id"] for event in events if event["type"] == "conversation.item.added"))

    def _responses(self, events: list[Event]) -> Any:
        return multiple(*(event["response"]["id"] for event in events if event["type"] == "response.created"))


class XaiConversation(Conversation):
    service = "xai@2026-07"


class OpenAIConversation(Conversation):
    service = "openai@2026-08"


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--examples", type=int, default=1_000)
    options.add_argument("--steps", type=int, default=50)
    asked = options.parse_args()
    run = settings(
        max_examples=asked.examples,
        stateful_step_count=asked.steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    for machine in (XaiConversation, OpenAIConversation):
        run_state_machine_as_test(machine, settings=run)
        sys.stdout.write(f"{machine.service}: {asked.examples} conversations, nothing found\n")


if __name__ == "__main__":
    main()
