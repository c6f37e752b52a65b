from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.cassette.json_text import event_type, normalized_json, strings, too_intricate, unescaped, values


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'{"type":"response.create"}', "response.create"),
        (b'{ "type" : "response.create" }', "response.create"),
        (b'{"event_id":"e","type":"ping","x":{"type":"inner"}}', "ping"),
        (b'{"session":{"type":"realtime"},"type":"session.update"}', "session.update"),
        (b'{"session":{"type":"realtime"}}', ""),
        (rb'{"type":"a\u0062"}', "ab"),
        (b'{"type":"unfinished', ""),
        (b'{"type":7}', ""),
        (b'["type"]', ""),
        (b"\xff", ""),
    ],
)
def test_the_type_is_the_events_own(data: bytes, name: str):
    assert event_type(data) == name


@settings(max_examples=100)
@given(st.text(), st.booleans())
def test_a_string_is_found_and_unescaped(text: str, ascii_only: bool):
    raw = json.dumps({"a": [{"k": text}], "n": 1}, ensure_ascii=ascii_only)
    (found,) = [value for value in values(raw) if value.keys == ("a", "k")]
    plain, places = unescaped(raw[found.start : found.end])
    assert plain.encode("utf-16", "surrogatepass").decode("utf-16") == text
    assert len(places) == len(plain) + 1
    assert places[-1] == found.end - found.start


def test_values_know_the_keys_around_them():
    text = '{"a":{"b":["x",{"c":"y"}],"d":"z"},"e":-1.5e3,"f":"w"}'
    found = [(value.keys, text[value.start : value.end], value.number) for value in values(text) if value.keys]
    assert found == [
        (("a", "b"), "x", False),
        (("a", "b", "c"), "y", False),
        (("a", "d"), "z", False),
        (("e",), "-1.5e3", True),
        (("f",), "w", False),
    ]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('{"slots":["09:30"],"price":90}', '{"price": 90.0, "slots": ["09:30"]}', True),
        ('"caf\\u00e9"', '"café"', True),
        ("1e2", "100", True),
        ('{"price":90}', '{"price":91}', False),
        ('{"free":1}', '{"free":true}', False),
        ("[1,2]", "[2,1]", False),
        ("90071992547409930", "90071992547409931", False),
        ("room 4", "room  4", False),
        ("[" * 5000, "[" * 5001, False),
    ],
)
def test_json_in_two_spellings_is_the_same_and_other_text_is_as_it_is(one: str, other: str, same: bool):
    assert (normalized_json(one) == normalized_json(other)) is same


@pytest.mark.parametrize(
    ("message", "refused"),
    [
        (json.dumps({f"k{n}": n for n in range(9_000)}), False),
        (json.dumps({f"k{n}": n for n in range(11_000)}), True),
        ('{"a":[' + "{}," * 11_000 + "{}]}", True),
        ('{"a":"' + ",:[{" * 50_000 + '"}', False),
        (json.dumps({"text": 'one, "two", three\n' * 5_000}), False),
        (json.dumps({"text": "one, two\n" * 250_000}), True),
        ('{"a":"' + '\\",' * 50_000 + '"}', False),
        ("," * 20_000, True),
        ("x" * 1_000_000, False),
        ('["' + "\\\\" * 5_000 + '",' + "0," * 20_000 + "0]", True),
        ('["' + "\\\\" * 5_000 + '\\",' + "0," * 20_000 + '"]', False),
        ('["' + "," * 20_000, True),
        ('{"a":"' + "\\n," * 300_000 + '"}', True),
    ],
)
def test_a_message_of_too_many_values_is_told_from_one_of_long_texts(message: str, refused: bool):
    assert too_intricate(message) is refused


_ANY = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"(\s*:)?', re.DOTALL)


@settings(max_examples=300)
@given(st.text('"\\:a \n{,', max_size=30))
def test_the_strings_of_a_text_are_those_of_the_grammar(text: str):
    found, at = [], text.find('"')
    while at >= 0 and (token := _ANY.match(text, at)) is not None:
        found.append((*token.span(1), token.end(), token[2] is not None))
        at = text.find('"', token.end())
    assert list(strings(text)) == found
