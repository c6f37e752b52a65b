"""Whatever crosses the wire, the rules do not break: a call goes on, and the ones after it are watched."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replay.cassette.frames import Binary, Text
from replay.findings import Levels
from replay.findings.call import READ, Handshake
from replay.findings.watch import PER_SESSION, Watcher
from tests.live_messages import received, sent

SENT = sorted({*Levels().sent, "session.update", "input_audio_buffer.append", "response.cancel"})
TOP = ("item", "session", "response", "error", "audio", "delta", "item_id", "audio_end_ms", "audio_start_ms", "usage")
BELOW = (
    "content text transcript output call_id id type role name arguments status message code event_id turn_detection"
    " format input silence_duration_ms modalities billable_audio_seconds conversation conversation_id rate instructions"
).split()
LEAVES = st.none() | st.booleans() | st.integers(-9, 9999) | st.floats(allow_nan=False) | st.text(max_size=9)
VALUES = st.recursive(
    LEAVES,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(BELOW), below, max_size=4),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(BELOW), VALUES, min_size=3, max_size=9)
FIELDS = st.dictionaries(st.sampled_from(TOP), OBJECTS | VALUES, min_size=3, max_size=8)
KINDS = st.sampled_from(["sent", "sent", "received", "received", "raw", "bytes"])
FRAMES = st.lists(st.tuples(KINDS, st.integers(0, 99), FIELDS), max_size=12)


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FRAMES, st.sampled_from(["xai", "openai", None]))
def test_no_rule_breaks_on_what_it_did_not_expect(
    caplog: pytest.LogCaptureFixture, frames: list[tuple[str, int, dict[str, object]]], service: str | None
):
    caplog.clear()
    watch = Watcher(Levels()).open("s", service, Handshake())
    watch.call.transcripts["i"] = ["Hello", "Hello there"]
    types = sorted(READ | {"response.output_audio.delta"})
    with caplog.at_level(logging.ERROR):
        for at, (kind, number, fields) in enumerate(frames):
            match kind:
                case "sent":
                    sent(watch, float(at), json.dumps({**fields, "type": SENT[number % len(SENT)]}))
                case "received":
                    event = {"type": types[number % len(types)], **fields}
                    received(watch, float(at), Text(json.dumps(event, separators=(",", ":")).encode()))
                case "raw":
                    sent(watch, float(at), json.dumps(fields)[:number])
                case _:
                    sent(watch, float(at), bytes(number))
                    received(watch, float(at), Binary(bytes(number)))
        watch.closed(60.0)
    assert [record.getMessage() for record in caplog.records] == []


def test_findings_are_bounded():
    watcher = Watcher(Levels())
    watch = watcher.open("s", "xai", Handshake())
    for number in range(2 * PER_SESSION):
        item = {"type": "function_call_output", "call_id": f"c{number}", "output": ""}
        sent(watch, 0.0, json.dumps({"type": "conversation.item.create", "item": item}))
    assert (len(watch.findings), watch.more) == (PER_SESSION, PER_SESSION)


def test_numbers_and_lists_that_are_none_are_survived(caplog: pytest.LogCaptureFixture):
    watch = Watcher(Levels()).open("s", "xai", Handshake())
    watch.call.transcripts["i"] = ["Hello", "Hello there"]
    sent(watch, 0.0, '{"type": "conversation.item.create", "item": {"content": 7}}')
    received(
        watch, 0.0, Text(b'{"type":"response.done","response":{"output":7},"usage":{"billable_audio_seconds":1e400}}')
    )
    sent(watch, 0.0, '{"type": "conversation.item.truncate", "item_id": 7, "audio_end_ms": 1e308}')
    assert caplog.records == []
