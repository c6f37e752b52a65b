"""What is wrong with a frame, said so that a developer can act on it. A bad frame never ends a session."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest

from mockserver.dialects.openai import parse as openai_parse
from mockserver.dialects.xai import parse as xai_parse
from mockserver.dialects.xai.parse import check_session
from mockserver.protocol.peer import LONG_MESSAGE
from replay.cassette.json_text import MOST_CHARACTERS, MOST_VALUES
from tests.mockserver.talk import Event, Talk


def refused(data: str | bytes) -> Event:
    talk = Talk()
    talk.send_raw(data)
    error = talk.error
    assert talk.write("Still there?")
    return error


def update(**session: Any) -> str:
    return json.dumps({"type": "session.update", "session": session})


def item(**fields: Any) -> str:
    return json.dumps({"type": "conversation.item.create", "item": fields})


@pytest.mark.parametrize(
    ("frame", "path", "nearest"),
    [
        (update(instuctions="x"), "session.instuctions", "session.instructions"),
        (update(turn_detection={"type": "server_vad", "silence_duration": 500}),
         "session.turn_detection.silence_duration", "session.turn_detection.silence_duration_ms"),
        (update(audio={"input": {"transcripton": {}}}), "session.audio.input.transcripton",
         "session.audio.input.transcription"),
        (update(audio={"inputs": {}}), "session.audio.inputs", "session.audio.input"),
        (update(audio={"output": {"format": {"type": "audio/pcm", "sample_rate": 8000}}}),
         "session.audio.output.format.sample_rate", None),
        (update(tools=[{"type": "function", "name": "a"}, {"type": "function", "name": "b", "parametres": {}}]),
         "session.tools.1.parametres", "session.tools.1.parameters"),
        (update(tools=[{"type": "function", "function": {"name": "b", "descripton": ""}}]),
         "session.tools.0.function.descripton", "session.tools.0.function.description"),
        (update(message="x"), "session.message", None),
        (update(flat=True), "session.flat", None),
    ],
)  # fmt: skip
def test_a_misspelt_field_is_named_by_its_path_with_the_nearest_real_one(frame: str, path: str, nearest: str | None):
    error = refused(frame)
    assert error["param"] == path
    assert f"'{path}'" in error["message"]
    if nearest:
        assert f"did you mean '{nearest}'" in error["message"]


@pytest.mark.parametrize(
    ("frame", "path"),
    [
        (update(turn_detection={"type": "semantic_vad"}), "session.turn_detection.type"),
        (update(tools=[{"type": "mcp", "server_label": "billing"}]), "session.tools.0.server_url"),
        (update(tools=[{"type": "mcp", "server_url": "https://a.example", "server_label": "a.b"}]),
         "session.tools.0.server_label"),
        (update(turn_detection={"type": "server_vad", "threshold": 0.95}), "session.turn_detection.threshold"),
        (update(turn_detection={"type": "server_vad", "silence_duration_ms": 10_001}),
         "session.turn_detection.silence_duration_ms"),
        (update(turn_detection={"type": "server_vad", "prefix_padding_ms": -1}),
         "session.turn_detection.prefix_padding_ms"),
        (update(turn_detection={"type": "server_vad", "create_response": "yes"}),
         "session.turn_detection.create_response"),
        (update(audio={"output": {"speed": 1.51}}), "session.audio.output.speed"),
        (update(audio={"input": {"transport": "udp"}}), "session.audio.input.transport"),
        (update(audio={"input": {"format": {"type": "audio/pcm", "rate": "24000"}}}),
         "session.audio.input.format.rate"),
        (update(audio={"input": {"transcription": {"keyterms": ["ok", "x" * 51]}}}),
         "session.audio.input.transcription.keyterms.1"),
        (update(audio={"input": {"transcription": {"keyterms": ["x"] * 101}}}),
         "session.audio.input.transcription.keyterms"),
        (update(reasoning={"effort": "medium"}), "session.reasoning.effort"),
        (update(replace={"a": 1}), "session.replace.a"),
        (update(tools=[{"type": "function"}]), "session.tools.0.name"),
        (update(tools={"type": "function"}), "session.tools"),
        (update(instructions=7), "session.instructions"),
        ('{"type": "session.update"}', "session"),
        ('{"type": "session.update", "session": []}', "session"),
        ('{"type": "input_audio_buffer.append"}', "audio"),
        ('{"type": "input_audio_buffer.append", "audio": "not base64!"}', "audio"),
        ('{"type": "input_audio_buffer.append", "audio": "AAA"}', "audio"),
        ('{"type": "input_audio_buffer.append", "audio": null}', "audio"),
        (item(type="message", role="user"), "item.content"),
        (item(type="message", role="robot", content=[]), "item.role"),
        (item(type="message", role="user", content=[{"type": "input_text"}]), "item.content.0.text"),
        (item(type="message", role="user", content=[{"type": "image"}]), "item.content.0.type"),
        (item(type="function_call_output", output="x"), "item.call_id"),
        (item(type="function_call_output", call_id="x", output={"a": 1}), "item.output"),
        (item(type="function_call", name="x"), "item.arguments"),
        (item(type="telegram"), "item.type"),
        ('{"type": "conversation.item.create"}', "item"),
        ('{"type": "conversation.item.delete"}', "item_id"),
        ('{"type": "conversation.item.truncate", "item_id": "x", "content_index": 0}', "audio_end_ms"),
        ('{"type": "response.create", "response": {"metadata": {"a": 1}}}', "response.metadata.a"),
        ('{"type": "response.cancel", "response_id": 5}', "response_id"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_named_by_its_path(frame: str, path: str):
    error = refused(frame)
    assert error["param"] == path
    assert f"'{path}'" in error["message"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_request_error")


@pytest.mark.parametrize(
    "metadata",
    [{str(n): "x" for n in range(17)}, {"k" * 65: "x"}, {"k": "x" * 513}],
    ids=["pairs", "long key", "long value"],
)
def test_metadata_is_bounded(metadata: dict[str, str]):
    error = refused(json.dumps({"type": "response.create", "response": {"metadata": metadata}}))
    assert error["param"].startswith("response.metadata")


@pytest.mark.parametrize("frame", ["", "hello", "{", '{"type": "response.create"', '{"type": "\\ud800"}', "\ufeff{}"])
def test_what_is_not_json_is_called_so(frame: str):
    assert "not valid JSON" in refused(frame)["message"]


@pytest.mark.parametrize("frame", ["[]", "null", "7", '"response.create"', "[" * 150 + "]" * 150])
def test_what_is_no_object_is_called_so(frame: str):
    assert "not a JSON object" in refused(frame)["message"]


@pytest.mark.parametrize("frame", ["{}", '{"typ": "response.create"}'])
def test_a_frame_without_a_type_is_called_so(frame: str):
    assert refused(frame)["param"] == "type"


def test_an_unknown_event_gets_the_nearest_real_name():
    error = refused('{"type": "input_audio_buffer.apend", "audio": ""}')
    assert error["type"] == "invalid_event"
    assert "did you mean 'input_audio_buffer.append'" in error["message"]


@pytest.mark.parametrize("type", ["conversation.item.retrieve", "output_audio_buffer.clear", "no.such.event"])
def test_events_of_other_services_are_unknown_here(type: str):
    assert refused(json.dumps({"type": type}))["type"] == "invalid_event"


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "1" * 400])
@pytest.mark.parametrize("field", ["silence_duration_ms", "idle_timeout_ms", "threshold"])
def test_numbers_that_are_none_never_reach_the_session(field: str, value: str):
    talk = Talk()
    detection = f'{{"type":"server_vad","{field}":{value}}}'
    talk.send_raw(f'{{"type":"session.update","session":{{"turn_detection":{detection}}}}}')
    talk.say("Still there?")
    assert talk.until("response.done")
    talk.of("error")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "9" * 400, "[" * 180 + "]" * 180])
def test_a_foreign_field_may_hold_anything_that_reads_as_json(value: str):
    talk = Talk()
    talk.send_raw(f'{{"type":"session.update","session":{{"temperature":{value}}}}}')
    talk.of("error")
    assert talk.write("Still there?")


def test_a_refused_update_changes_nothing():
    talk = Talk(update={"instructions": "Be kind."})
    talk.send("session.update", session={"instructions": "Be rude.", "audio": {"output": {"speed": 9.0}}})
    assert talk.error["param"] == "session.audio.output.speed"
    assert talk.session.settings.instructions == "Be kind."
    assert talk.send("session.update", session={})[0]["session"]["instructions"] == "Be kind."


@pytest.mark.parametrize(
    "frame",
    [
        json.dumps({"type": "x" * 1_000_000}),
        update(**{"x" * 1_000_000: 1}),
        json.dumps({"type": "conversation.item.truncate", "item_id": "x" * 1_000_000, "content_index": 0,
                    "audio_end_ms": 0}),
    ],
    ids=["type", "field", "item id"],
)  # fmt: skip
def test_an_error_is_no_longer_than_a_developer_reads(frame: str):
    assert len(refused(frame)["message"]) < 2000


def test_the_settings_of_a_client_secret_are_checked_by_the_same_rules():
    assert check_session({"instructions": "Hi.", "type": "realtime"}) is None
    problem = check_session({"turn_detection": {"type": "server_vad", "treshold": 0.5}})
    assert problem is not None
    assert problem.param == "session.turn_detection.treshold"
    assert "'session.turn_detection.threshold'" in problem.message


@pytest.mark.parametrize("name", ["message", "flat", "hosted"])
def test_a_field_named_like_a_kind_of_tool_or_item_is_still_a_field(name: str):
    problem = check_session({name: 1})
    assert problem is not None
    assert problem.param == f"session.{name}"


@pytest.mark.parametrize("session", [None, [], 7, "x"])
def test_settings_that_are_no_object_are_refused(session: object):
    assert check_session(session) is not None


class Unread:
    def validate_json(self, data: str) -> object:
        raise AssertionError("it is read")


@pytest.mark.parametrize("dialect", ["xai", "openai"])
@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (update(instructions="a" * MOST_CHARACTERS), str(MOST_CHARACTERS)),
        ("[" + "x" * MOST_CHARACTERS, str(MOST_CHARACTERS)),
        (update(**{f"k{n}": n for n in range(MOST_VALUES + 1)}), str(MOST_VALUES)),
        (item(content=[{}] * (MOST_VALUES + 1), audio="A" * MOST_CHARACTERS), str(MOST_VALUES)),
    ],
    ids=["text", "noise", "fields", "parts"],
)
def test_a_message_beyond_a_bound_is_refused_unread(
    monkeypatch: pytest.MonkeyPatch, dialect: str, frame: str, problem: str
):
    for each in (openai_parse, xai_parse):
        monkeypatch.setattr(each, "EVENTS", Unread())
    talk = Talk(dialect=dialect)
    talk.send_raw(frame)
    assert problem in talk.error["message"]


@pytest.mark.parametrize("dialect", ["xai", "openai"])
@pytest.mark.parametrize("type", ["message", "function_call_output"])
def test_a_text_has_at_most_a_million_characters(dialect: str, type: str):
    def create(text: str) -> str:
        if type == "message":
            return item(type=type, role="user", content=[{"type": "input_text", "text": text}])
        return item(type=type, call_id="c", output=text)

    talk = Talk(dialect=dialect)
    talk.create("function_call", call_id="c", name="look", arguments="{}")
    talk.send_raw(create("a" * 1_000_001))
    assert "1000000" in talk.error["message"]
    talk.send_raw(create("a" * 1_000_000))
    assert talk.of("conversation.item.added")


@pytest.mark.parametrize("dialect", ["xai", "openai"])
def test_an_item_has_at_most_a_thousand_parts(dialect: str):
    talk = Talk(dialect=dialect)
    parts = [{"type": "input_text", "text": "a"}] * 1001
    talk.send_raw(item(type="message", role="user", content=parts))
    error = talk.error
    assert "1000" in error["message"] and error["param"] == "item.content"
    assert talk.send_raw(item(type="message", role="user", content=parts[:1000]))[0]["type"].endswith("item.added")


@pytest.mark.parametrize("dialect", ["xai", "openai"])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_a_long_message_of_sound_needs_no_parser(
    monkeypatch: pytest.MonkeyPatch, dialect: str, separators: tuple[str, str]
):
    def append(audio: str, **more: str) -> str:
        return json.dumps({"type": "input_audio_buffer.append", "audio": audio, **more}, separators=separators)

    talk = Talk(dialect=dialect)
    talk.send_raw(append("A" * LONG_MESSAGE, event_id="e"))
    talk.send_raw(append("A" * LONG_MESSAGE + "*"))
    assert "audio" in talk.error["message"]
    for each in (openai_parse, xai_parse):
        monkeypatch.setattr(each, "EVENTS", Unread())
    talk.send_raw(append("A" * LONG_MESSAGE))
    assert talk.session.ledger.audio_in_s == Fraction(2 * LONG_MESSAGE * 3 // 4, 48_000)


def test_sound_may_be_longer_than_text():
    talk = Talk()
    talk.send("input_audio_buffer.append", audio="A" * (MOST_CHARACTERS + 4))
    assert not talk.of("error")
