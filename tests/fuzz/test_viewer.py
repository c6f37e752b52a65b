"""The call document of anything: it is always JSON that a page can hold, and nothing on it lies outside the call."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from replay.cassette.frames import Binary, Close, Frame, Reset, Text
from replay.cassette.json_text import event_in
from replay.cassette.recording import Line, Moment, Recording
from replay.cassette.records import Way
from replay.viewer.assets import page
from replay.viewer.of_recording import reader_of

TYPES = """session.created session.updated input_audio_buffer.append input_audio_buffer.commit
input_audio_buffer.clear input_audio_buffer.speech_started input_audio_buffer.speech_stopped
input_audio_buffer.committed conversation.item.create conversation.item.truncate
conversation.item.input_audio_transcription.completed response.create response.cancel
response.created response.output_audio.delta response.output_audio_transcript.delta
response.output_audio_transcript.done response.function_call_arguments.done
response.mcp_call_arguments.done response.output_item.done response.done error nonsense""".split()
KEYS = """item_id call_id response_id audio delta item response session error id type name arguments output text content
transcript audio_start_ms audio_end_ms status message turn_detection""".split()
TEXTS = st.sampled_from(
    ["a", "b", "", "message", "function_call_output", "mcp_call", "completed", "\ud800", "</script>"]
)
SOUND = st.integers(0, 4000).map(lambda count: b64encode(b"\x10\x20" * count).decode())
SCALARS = st.one_of(TEXTS, SOUND, st.none(), st.booleans(), st.integers(), st.floats())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)),
    max_leaves=8,
)
EVENTS = st.builds(
    lambda kind, fields: {**fields, "type": kind},
    st.sampled_from(TYPES),
    st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=7),
)


def moment(at_s: float, way: Way, what: Any) -> Moment:
    frame: Frame = Text(json.dumps(what).encode()) if isinstance(what, dict) else what
    return Moment(at_s, way, frame, event_in(frame.data) if isinstance(frame, Text) else None)


MOMENTS = st.builds(
    moment,
    st.floats(0, 1e7),
    st.sampled_from(["sent", "received"]),
    st.one_of(EVENTS, EVENTS, EVENTS, st.just(Binary(b"abc")), st.just(Close(1000, "")), st.just(Reset())),
)
LINES = st.lists(MOMENTS, max_size=14).map(
    lambda moments: Line(0.0, None, None, tuple(sorted(moments, key=lambda each: each.at_s)))
)


@given(st.lists(LINES, max_size=2))
def test_whatever_crossed_the_wire_becomes_a_page(lines: list[Line]):
    reader = reader_of(Recording("call", "unknown", "hand", tuple(lines)))
    document = reader.document(title="call", facts={}, figures=[])
    assert len(document["frames"]) == sum(len(line.moments) for line in lines)
    for each in [*document["spans"], *document["brackets"]]:
        assert 0 <= each["start_s"] <= each["end_s"] < document["seconds"] + 0.001
    for item in document["items"]:
        assert item["frame"] is None or 0 <= item["frame"] < len(document["frames"])
        assert item.get("start_s", 0) <= item.get("end_s", 1e9)
    page("call", "", "", {"call": document}).html.encode()
