"""What holds for every session, whatever the client does and whenever: see wandering.py for what it does."""

from __future__ import annotations

import base64
import json
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.mockserver.wandering import STEPS, Event, Wander, again, new_session, wander

pytestmark = pytest.mark.slow
often = settings(max_examples=250, suppress_health_check=list(HealthCheck))

DELTA, WORDS = "response.output_audio.delta", "response.output_audio_transcript.delta"
CLOSING = {
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_audio.done",
    "response.output_item.done",
}


def rate_and_width(form: Event) -> tuple[int, int]:
    return (8000, 1) if form["type"] == "audio/pcmu" else (form["rate"], 2)


class Client:
    """Counts what a conversation used, from its frames alone."""

    def __init__(self, course: Wander) -> None:
        self.into, self.out, self.texts = Fraction(0), Fraction(0), 0
        self.seconds: dict[str, Fraction] = {}
        self._forms = {"input": (24000, 2), "output": (24000, 2)}
        self._answer, self._speaking = "", (24000, 2)
        self._bytes_in: Counter[tuple[int, int]] = Counter()
        self._asked: Event = {}
        for frame in course.dialogue():
            match frame:
                case str():
                    self._sent(json.loads(frame))
                case bytes():
                    self._heard(frame)
                case _:
                    self._came(frame)
        # Half a sample at the end of the input has not been counted yet.
        self.into = sum((Fraction(size // width, rate) for (rate, width), size in self._bytes_in.items()), Fraction(0))

    def _sent(self, frame: Event) -> None:
        self._asked = {}
        if frame["type"] == "input_audio_buffer.append":
            self._bytes_in[self._forms["input"]] += len(base64.b64decode(frame["audio"]))
        elif frame["type"] == "conversation.item.create":
            self._asked = frame["item"]

    def _came(self, event: Event) -> None:
        match event["type"]:
            case "session.updated":
                sides = event["session"]["audio"]
                self._forms = {side: rate_and_width(sides[side]["format"]) for side in sides}
            case "response.created":
                self._answer, self._speaking = event["response"]["id"], self._forms["output"]
                self.texts += self._asked.get("type") == "force_message"
                self._asked = {}
            case "conversation.item.added":
                self.texts += self._asked.get("type") in ("message", "function_call")
                self._asked = {}
            case "response.output_audio.delta":
                self._heard(base64.b64decode(event["delta"]))

    def _heard(self, sound: bytes) -> None:
        rate, width = self._speaking
        self.out += Fraction(len(sound) // width, rate)
        self.seconds[self._answer] = self.seconds.get(self._answer, Fraction(0)) + Fraction(len(sound) // width, rate)


@often
@given(STEPS)
def test_the_bill_is_what_a_client_counts_by_itself(steps: list[Any]):
    course = wander(steps)
    client, ledger = Client(course), course.session.ledger
    assert (ledger.audio_in_s, ledger.audio_out_s, ledger.text_items) == (client.into, client.out, client.texts)
    usd = (client.into + client.out) / 60 * Fraction("0.05") + client.texts * Fraction("0.004")
    assert abs(Fraction(ledger.total_usd) - usd) <= Fraction(1, 2_000_000)
    assert ledger.total_usd.quantize(Decimal("0.01")) == pytest.approx(Decimal(float(usd)), abs=Decimal("0.0051"))


def dropped(course: Wander) -> set[str]:
    """Responses that end without a word: not yet speaking when the caller's stop was taken back (wire sheet, 14)."""
    silent, gone, spoken_to = set[str](), set[str](), set[str]()
    for event in course.told:
        match event["type"]:
            case "response.created":
                silent.add(event["response"]["id"])
            case "response.output_audio.delta" | "response.done":
                silent.discard(event.get("response_id", ""))
            case "input_audio_buffer.speech_started":
                gone |= silent if event["item_id"] in spoken_to else set()
                spoken_to.add(event["item_id"])
    return gone


@often
@given(STEPS)
def test_every_response_is_closed_once_and_one_at_a_time(steps: list[Any]):
    course = wander(steps)
    forgiven, now_open = dropped(course), set[str]()
    for event in course.told:
        if event["type"] == "response.created":
            assert now_open <= forgiven
            now_open.add(event["response"]["id"])
        elif event["type"] == "response.done":
            now_open.remove(event["response"]["id"])
        elif "response_id" in event:
            assert event["response_id"] in now_open, event["type"]
    assert now_open <= forgiven


@often
@given(STEPS)
def test_every_item_is_announced_before_it_is_closed_and_closed_only_once(steps: list[Any]):
    announced, shown, closed = Counter[str](), set[str](), Counter[tuple[str, str]]()
    for event in wander(steps).told:
        kind = event["type"]
        if kind == "conversation.item.added":
            announced[event["item"]["id"]] += 1
        elif kind == "response.output_item.added":
            shown.add(event["item"]["id"])
        elif kind.startswith("response.output_item.") or kind.startswith("response.function_call"):
            item_id = event.get("item_id") or event["item"]["id"]
            assert item_id in shown and announced[item_id]
        elif kind in (DELTA, WORDS):
            assert not closed[kind, event["item_id"]] and announced[event["item_id"]]
        elif "item_id" in event and kind.startswith(("conversation.item.input", "input_audio_buffer.committed")):
            assert announced[event["item_id"]] or kind.endswith("committed")
        if kind in CLOSING:
            item_id = event.get("item_id") or event["item"]["id"]
            closed[kind, item_id] += 1
            closed[DELTA, item_id] = closed[WORDS, item_id] = 1
            assert closed[kind, item_id] == 1
    assert {id: times for id, times in announced.items() if times > 1 and not id.startswith("mine-")} == {}


@often
@given(STEPS)
def test_the_seconds_of_each_usage_are_those_of_its_deltas(steps: list[Any]):
    course = wander(steps)
    seconds = Client(course).seconds
    for event in course.told:
        if event["type"] == "response.done":
            used = event["usage"]["output_audio_seconds"]
            assert used == pytest.approx(float(seconds.get(event["response_id"], Fraction(0))), abs=1e-9)
            assert bool(used) == bool(event["usage"]["output_token_details"]["audio_tokens"])


@often
@given(STEPS)
def test_milliseconds_of_a_delta_are_those_of_its_sound(steps: list[Any]):
    rate, width = 24000, 2
    form = rate, width
    for event in wander(steps).told:
        if event["type"] == "session.updated":
            form = rate_and_width(event["session"]["audio"]["output"]["format"])
        elif event["type"] == "response.created":
            rate, width = form
        elif event["type"] == DELTA:
            ms = len(base64.b64decode(event["delta"])) / width / rate * 1000
            assert event["audio_duration_ms"] == pytest.approx(ms, abs=0.501)


@often
@given(STEPS)
def test_instants_never_go_back_and_ids_never_repeat(steps: list[Any]):
    course = wander(steps)
    instants = [out.at for out in course.came]
    assert instants == sorted(instants)
    ids = [event["event_id"] for event in course.told]
    assert len(ids) == len(set(ids))


@often
@given(STEPS, st.lists(st.floats(0, 60), max_size=12))
def test_when_output_is_taken_changes_no_byte_of_it(steps: list[Any], looks: list[float]):
    course = wander(steps)
    assert again(course, looks) == course.came
    assert again(course, []) == course.came


KNOWN = st.sampled_from(
    """
session.update input_audio_buffer.append input_audio_buffer.commit input_audio_buffer.clear response.create
response.cancel conversation.item.create conversation.item.delete conversation.item.truncate message function_call
function_call_output force_message server_vad audio/pcm audio/pcmu user assistant AAAA root function web_search
""".split()
)
NAMES = st.sampled_from(
    """
type session item item_id role content text audio input output format rate transport turn_detection threshold
idle_timeout_ms silence_duration_ms tools function name arguments call_id response metadata instructions replace
response_id voice content_index audio_end_ms previous_item_id event_id id message speed reasoning
""".split()
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | KNOWN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=5),
    max_leaves=12,
)
EVENTS = st.builds(lambda type, fields: {"type": type} | fields, KNOWN, st.dictionaries(NAMES, VALUES, max_size=4))
FRAMES = st.binary(max_size=40) | st.text(max_size=40) | VALUES.map(json.dumps) | EVENTS.map(json.dumps)


@often
@given(st.lists(FRAMES, max_size=12))
def test_no_frame_ends_a_session(frames: list[str | bytes]):
    session = new_session()
    for number, frame in enumerate(frames):
        session.receive(frame, float(number))
    item = {"id": "still there", "type": "message", "role": "user", "content": []}
    session.take_output(100.0)
    session.receive(json.dumps({"type": "conversation.item.create", "item": item}), 100.0)
    assert any(b'"still there"' in getattr(out.frame, "data", b"") for out in session.take_output(100.0))
