"""What a normal form shows in place of what may vary, and that only a value of the right form is replaced."""

from __future__ import annotations

from typing import Any

import pytest

from replay.cassette.recording import without_sound
from replay.diff.normal_form import VOLATILE, normalize
from replay.diff.placeholders import Placeholder, form, id_shape, json_type

ITEM = "a0000000-0000-4000-8000-000000000001"
OTHER = "a0000000-0000-4000-8000-000000000002"


def shown(event: Any, *path: Any) -> Any:
    value = normalize([event])[0].event
    for key in path:
        value = value[key]
    return str(value) if isinstance(value, Placeholder) else value


def test_equal_ids_get_equal_placeholders_whatever_they_name():
    events = [{"type": "a", "event_id": ITEM}, {"type": "b", "item": {"id": OTHER}, "previous_item_id": ITEM}]
    first, second = (normal.event for normal in normalize(events))
    assert str(first["event_id"]) == "<id-1 uuid4>"
    assert str(second["item"]["id"]) == "<id-2 uuid4>"
    assert second["previous_item_id"] == first["event_id"]


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (ITEM, "uuid4"),
        (ITEM.replace("-4", "-1"), None),
        (ITEM.upper(), None),
        ("9a503158b91c4e03b3f2b9c9ec16d68d", "uuid4 hex"),
        (f"call-{ITEM}-0", "call-uuid4-0"),
        (f"call-{ITEM}-1", "call-uuid4-1"),
        ("item_E6U0wZ7az3EZovEnFLqH4", "item_21"),
        ("call_qBWDkMS4urWSGbSx", "call_16"),
        ("event_0123456789abcdef", "event_16hex"),
        ("0", None),
        ("my-own-item", None),
        (7, None),
    ],
)
def test_an_id_keeps_its_shape(value, shape):
    assert id_shape(value) == shape


def test_an_id_of_no_known_shape_stays_as_it_is():
    assert shown({"type": "x", "item_id": "my-own-item"}, "item_id") == "my-own-item"
    assert shown({"type": "x", "previous_item_id": "0"}, "previous_item_id") == "0"


@pytest.mark.parametrize(
    ("event", "path", "good", "bad"),
    [
        ("ping", "timestamp", 1785214092700, [1785214092, 1785214092700.0, "1785214092700", True]),
        ("x", "ts", 1785214092700, [0, None]),
        ("x", "latency", "0.53", ["0.5", "0.530", 0.53, ""]),
        ("x", "audio_duration_ms", 489, [489.0, 0, -1, "489"]),
        ("x", "audio_start_ms", 0, [0.0, -1]),
        ("x", "expires_at", 1785217650, [1785217650.0, 0]),
        ("x", "transcript", "Hello", ["", None]),
        ("response.output_audio.delta", "delta", "AAAB", ["AAA", "", "A*AB", None]),
    ],
)
def test_a_volatile_value_is_replaced_only_in_the_right_form(event, path, good, bad):
    base = {"type": event}
    assert shown({**base, path: good}, path).startswith("<")
    for value in bad:
        assert shown({**base, path: value}, path) == value


def test_a_mark_keeps_the_json_type():
    mark = normalize([{"type": "ping", "timestamp": 1785214092700}])[0].event["timestamp"]
    assert json_type(mark) == json_type(1785214092700) == "integer"
    assert json_type(1.0) == "float" and json_type(True) == "boolean" and json_type(None) == "null"


def test_token_totals_must_add_up():
    usage = {
        "input_tokens": 5,
        "input_token_details": {"text_tokens": 3, "audio_tokens": 2, "grok_tokens": 0},
        "output_tokens": 7,
        "total_tokens": 12,
    }
    done = {"type": "response.done", "usage": usage}
    assert shown(done, "usage", "total_tokens") == "<sum of its parts>"
    assert shown(done, "usage", "input_tokens") == "<sum of its parts>"
    assert shown({"type": "response.done", "usage": {**usage, "total_tokens": 13}}, "usage", "total_tokens") == 13


def test_no_tokens_and_some_tokens_are_different_statements():
    def usage(count: int) -> dict[str, Any]:
        return {"type": "response.done", "usage": {"input_token_details": {"audio_tokens": count}}}

    assert shown(usage(0), "usage", "input_token_details", "audio_tokens") == 0
    assert shown(usage(146), "usage", "input_token_details", "audio_tokens") == "<some>"


def test_what_the_client_chose_stays_word_for_word():
    typed = {"type": "x", "item": {"content": [{"type": "input_text", "text": "Hello"}]}}
    tools = {"type": "x", "session": {"tools": [{"function": {"parameters": {"item_id": ITEM}}}]}}
    assert shown(typed, "item", "content", 0, "text") == "Hello"
    assert shown(tools, "session", "tools", 0, "function", "parameters", "item_id") == ITEM


def test_spoken_texts_are_numbered_so_that_equal_ones_stay_equal():
    events = [{"type": "a", "transcript": text} for text in ("One", "Two", "One")]
    assert [str(normal.event["transcript"]) for normal in normalize(events)] == ["<text-1>", "<text-2>", "<text-1>"]


def test_guesses_of_the_recogniser_stand_behind_their_item_however_many_and_whenever_they_come():
    heard = "conversation.item.input_audio_transcription."

    def guess(text: str) -> list[dict[str, Any]]:
        base = {"item_id": ITEM, "transcript": text, "content_index": 0}
        return [{"type": heard + "updated", **base}, {"type": heard + "completed", **base, "status": "in_progress"}]

    added = {"type": "conversation.item.added", "item": {"id": ITEM}}
    stopped = {"type": "input_audio_buffer.speech_stopped", "item_id": ITEM}
    early = [added, *guess("He"), *guess("Hello"), stopped]
    late = [added, stopped, *guess("Hello?")]
    assert [form(each.event) for each in normalize(early)] == [form(each.event) for each in normalize(late)]


def test_words_that_openai_transcribes_beside_the_answer_stand_behind_the_first_event_of_their_item():
    heard = "conversation.item.input_audio_transcription."
    committed = {"type": "input_audio_buffer.committed", "item_id": ITEM}
    created = {"type": "response.created"}
    delta = {"type": heard + "delta", "item_id": ITEM, "delta": " Hi", "obfuscation": "abcdefghijklm"}
    done = {"type": heard + "completed", "item_id": ITEM, "transcript": "Hi"}
    before, after = normalize([committed, delta, done, created]), normalize([committed, created, delta, done])
    assert [each.event for each in before] == [each.event for each in after]


def test_every_rule_of_the_table_names_a_place_once():
    places = [(event, path) for event, path, _ in VOLATILE]
    assert len(places) == len(set(places))


@pytest.mark.parametrize(
    "sound", ["", "AAAA", "QQ==", "AQIDBAUGBwgJCgsMDQ4PEA==", "A" * 4000, "AAAA" * 5 + "*", "A" * 4001, 7]
)
@pytest.mark.parametrize("kind", ["response.output_audio.delta", "response.audio.delta", "response.output_text.delta"])
def test_an_event_without_its_sound_has_the_same_form(sound: object, kind: str):
    event = {"type": kind, "response_id": "r", "item_id": "i", "delta": sound, "obfuscation": "abc"}
    assert normalize([without_sound(event)]) == normalize([event])
    assert len(str(without_sound({**event, "type": "response.output_audio.delta", "delta": "A" * 4000}))) < 200
