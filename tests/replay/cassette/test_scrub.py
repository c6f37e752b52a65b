from __future__ import annotations

import json
import random
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from replay.cassette.file import Cassette, Writer
from replay.cassette.frames import Binary, Close, Text
from replay.cassette.records import Content, Dropped, Header, Record, Request, Response, StrippedMessage
from replay.cassette.scanner import MOST_KNOWN, REMEMBERED
from replay.cassette.scrub import Scrubber
from replay.cassette.strip_audio import strip_audio
from replay.secrets import shapes, values
from replay.secrets.media import is_base64

# None of these was ever anybody's.
SECRETS = {
    "xai key": "xai-Qm7cT2vB9nX4kLp0wZs8RfYh3JdG6aEu1iOq5tVy",
    "openai key": "sk-proj-Zx81kPq_wJt-4vNcR7yTbM2sLdGh0aFe",
    "xai client secret": "xai-realtime-client-secret-Kc7Wm2Tz9Qx4Lp0Nb8Rf",
    "openai client secret": "ek_68a1b2c3d4e5f60718293a4b5c6d7e8f",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9",
    "cloud key": "AKIAQ7RT2MXPLW94ZB3N",
}
PLAIN = "correct-horse-battery-staple"
"""A key without any form of its own: only where it stands, or that it was seen before, gives it away."""


def event(**fields: object) -> Text:
    return Text(json.dumps(fields, separators=(",", ":")).encode())


def get(headers: dict[str, str], target: str = "/v1/realtime?model=grok") -> Request:
    return Request("GET", target, tuple(headers.items()))


PLACES: dict[str, Callable[[str], Content]] = {
    "header": lambda key: get({"Authorization": f"Bearer {key}"}),
    "header of another name": lambda key: get({"X-Something": key}),
    "header that is kept": lambda key: get({"User-Agent": f"me {key}"}),
    "cookie": lambda key: get({"Cookie": f"a=1; session={key}"}),
    "set-cookie": lambda key: Response(101, (("Set-Cookie", f"s={key}; Path=/"),)),
    "query": lambda key: get({}, f"/v1/realtime?model=grok&api_key={quote(key)}&x=1"),
    "query of another name": lambda key: get({}, f"/v1/realtime?model=grok&x={quote(key)}"),
    "path": lambda key: get({}, f"/v1/realtime/{quote(key)}"),
    "xai subprotocol": lambda key: get({"Sec-WebSocket-Protocol": f"a, xai-client-secret.{key}"}),
    "openai subprotocol": lambda key: get({"Sec-WebSocket-Protocol": f"realtime, openai-insecure-api-key.{key}"}),
    "session field": lambda key: event(type="session.update", session={"instructions": f"Use {key}."}),
    "named session field": lambda key: event(type="session.update", session={"tools": [{"authorization": key}]}),
    "headers of a tool": lambda key: event(type="session.update", session={"tools": [{"headers": {"X-A": key}}]}),
    "tool argument": lambda key: event(
        type="response.function_call_arguments.done", arguments=json.dumps({"n": 1e5, "password": key, "text": key})
    ),
    "tool result in a tool result": lambda key: event(output=json.dumps({"body": json.dumps({"apiKey": key})})),
    "error text": lambda key: event(type="error", error={"message": f"Incorrect API key provided: {key}."}),
    "error body": lambda key: Response(400, (), json.dumps({"code": "x", "error": f"Incorrect: {key}"}).encode()),
    "answer with a client secret": lambda key: Response(200, (), json.dumps({"value": key, "expires_at": 1}).encode()),
    "text that is no JSON": lambda key: Text(f"token={key}".encode()),
    "escaped": lambda key: Text(b'{"a":"' + "".join(f"\\u{ord(c):04x}" for c in key).encode() + b'"}'),
    "binary": lambda key: Binary(b"\x00\xffA7" + key.encode() + b"\xfe\x00"),
    "base64": lambda key: event(audio=b64encode(b"\x07" + key.encode() + b"!").decode()),
    "URL-safe base64": lambda key: event(data=urlsafe_b64encode(b"\xfb\xff" + key.encode()).decode()),
    "base64 behind other text": lambda key: event(url="data:text/plain;base64," + b64encode(key.encode()).decode()),
    "base64 of JSON": lambda key: event(data=b64encode(json.dumps({"secret": key}).encode()).decode()),
    "long base64": lambda key: event(audio=b64encode(b"\x07\x81" * 9000 + key.encode() + b"\x80\x00" * 9000).decode()),
    "close reason": lambda key: Close(4001, f"bad key {key[:100]}"),
    "internal block": lambda key: event(type="session.created", session={"_internal": {"trace": key}}),
    "beside left-out sound": lambda key: strip_audio(event(audio="AAAA" * 40, token=key, text=key), "pcm"),
}
GIVES_AWAY = {  # places where a key without a form is recognised
    *("header", "header of another name", "cookie", "set-cookie", "query", "xai subprotocol", "openai subprotocol"),
    *("named session field", "headers of a tool", "answer with a client secret", "text that is no JSON"),
    *("base64 of JSON", "internal block", "tool result in a tool result"),
}


def forms(secret: str) -> list[bytes]:
    """Everything that a secret may be got back from: as it is, URL-encoded, in base64 at each of three alignments."""
    coded = [b64encode(bytes(skip) + secret.encode())[4 if skip else 0 : -4] for skip in range(3)]
    return [
        secret.encode(),
        quote(secret, safe="").encode(),
        *coded,
        *(c.translate(bytes.maketrans(b"+/", b"-_")) for c in coded),
    ]


def file_of(path: Path, scrubber: Scrubber, *contents: Content) -> bytes:
    writer = Writer(path, Header("mock", "ws://x", "xai", None, "2026-07-01", "t"))
    for content in contents:
        writer.write(Record(0, 0, "sent", scrubber.clean(content)))
    writer.end(0)
    return path.read_bytes()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", SECRETS)
def test_a_planted_key_of_any_kind_in_any_place_is_in_no_file(kind: str, place: str, tmp_path: Path):
    secret = SECRETS[kind]
    content = PLACES[place](secret)
    data = file_of(tmp_path / "a.tape", Scrubber(), content)
    assert [form for form in forms(secret) if form in data] == []
    with Cassette.open(tmp_path / "a.tape") as cassette:
        assert b"scrubbed:" in data or place in (
            "base64",
            "URL-safe base64",
            "long base64",
            "base64 behind other text",
            "base64 of JSON",
        )
        assert not isinstance(cassette[0].content, Dropped)
        assert Scrubber().kinds(cassette[0].content) == []
    assert Scrubber().kinds(content)


@pytest.mark.parametrize("place", PLACES)
def test_a_key_seen_in_a_handshake_is_found_everywhere_after(place: str, tmp_path: Path):
    handshake = get({"Authorization": f"Bearer {PLAIN}"})
    data = file_of(tmp_path / "a.tape", Scrubber(), handshake, PLACES[place](PLAIN))
    assert [form for form in forms(PLAIN) if form in data] == []


@pytest.mark.parametrize("place", sorted(GIVES_AWAY))
def test_where_keys_are_expected_even_one_without_a_form_is_found(place: str, tmp_path: Path):
    data = file_of(tmp_path / "a.tape", Scrubber(), PLACES[place](PLAIN))
    assert [form for form in forms(PLAIN) if form in data] == []


@pytest.mark.parametrize(
    "frame",
    [
        b'{"type":"response.done","usage":{"total_tokens":91,"input_token_details":{"text_tokens":7}}}',
        rb'{"b":1e5,"a":"\ud83d\u00e9 \/ \"","c":"\ud800"}',
        b'{"logprobs":[{"token":"hello","logprob":-0.1}]}',
        b'{"model":"grok-voice-think-fast-1.0","text":"the task-management-of-everything, the weekly week_number"}',
        b'{"tools":[{"name":"log_in","parameters":{"properties":{"password":{"type":"string","description":"theirs"}}}}]}',
        b'{"type":"conversation.item.create","item":{"content":[{"type":"input_text","text":"A bearer of news?"}]}}',
        b'{"id":"item_CkT4hQ2mN8pR6sV0","previous_item_id":"msg_9f8e7d6c5b4a39281706","max_tokens":5}',
        b"not JSON at all, and a colon: here",
        b"",
        b"{",
    ],
)
def test_what_holds_no_secret_is_the_very_same_bytes(frame: bytes):
    content = Text(frame)
    assert Scrubber(["another-secret"]).clean(content) is content


def test_only_the_secret_gives_way():
    key = SECRETS["xai key"]
    frame = b'{ "n":1e5, "x":"\\ud800 ' + key.encode() + b'", "m":[1.0,  2] }'
    assert Scrubber().clean(Text(frame)) == Text(frame.replace(key.encode(), b"<scrubbed:api-key>"))


def test_only_the_secret_gives_way_within_arguments_too():
    frame = rb'{"arguments":"{\"n\":1e5,\"password\":\"hunter2\",\"t\":\"\u00e9\"}"}'
    cleaned = rb'{"arguments":"{\"n\":1e5,\"password\":\"<scrubbed:password>\",\"t\":\"\u00e9\"}"}'
    assert Scrubber().clean(Text(frame)) == Text(cleaned)


def test_a_binary_message_keeps_its_length():
    data = b"\x00\xff" * 50 + SECRETS["xai key"].encode() + b"\x01" * 7
    cleaned = Scrubber().clean(Binary(data))
    assert isinstance(cleaned, Binary)
    assert len(cleaned.data) == len(data)
    assert cleaned.data.endswith(b"...\x01\x01\x01\x01\x01\x01\x01")


def test_a_key_too_short_to_be_one_does_not_eat_the_words_it_is_in():
    scrubber = Scrubber()
    cleaned = scrubber.clean(get({"Authorization": "Bearer test"}))
    assert isinstance(cleaned, Request)
    assert "test" not in str(cleaned.headers)
    assert scrubber.clean(Text(b'{"text":"this is a test"}')) == Text(b'{"text":"this is a test"}')


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (Response(200, (("Content-Encoding", "gzip"),), b"\x1f\x8b123"), "cannot be checked"),
        (Text(json.dumps({"a": "\n" + "x"}).encode()), None),
    ],
)
def test_what_cannot_be_checked_is_dropped_with_the_reason(content: Content, reason: str | None):
    cleaned = Scrubber().clean(content)
    if reason is None:
        assert cleaned is content
    else:
        assert isinstance(cleaned, Dropped)
        assert reason in cleaned.reason


def test_strings_in_strings_without_end_are_dropped():
    value: object = {"password": PLAIN}
    for _ in range(8):
        value = {"a": json.dumps(value)}
    cleaned = Scrubber().clean(event(value=value))
    assert isinstance(cleaned, Dropped)
    assert "nested too deep" in cleaned.reason


def test_a_failure_of_the_check_lets_nothing_through(monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> None:
        raise RuntimeError(PLAIN)

    monkeypatch.setattr("replay.secrets.text.find", broken)
    assert Scrubber().clean(Text(PLAIN.encode())) == Dropped("text", len(PLAIN), "the check failed with RuntimeError")


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.just("password"), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=150)
@given(json_values, st.booleans())
@example({"password": 'a"\\\ud800'}, False)
def test_what_was_json_is_json_after_and_clean_when_looked_at_again(value: object, ascii_only: bool):
    scrubber = Scrubber([PLAIN])
    text = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    cleaned = scrubber.clean(Text(text))
    assert isinstance(cleaned, Text)
    json.loads(cleaned.data.decode("utf-8", "surrogatepass"))
    assert scrubber.clean(cleaned) == cleaned


@settings(max_examples=150)
@given(st.binary(max_size=80), st.binary(max_size=80), st.sampled_from(sorted(SECRETS)), st.booleans())
def test_no_neighbours_hide_a_key_in_bytes(before: bytes, after: bytes, kind: str, coded: bool):
    secret = SECRETS[kind].encode()
    data = before + secret + after
    cleaned = Scrubber().clean(Text(b'{"audio":"' + b64encode(data) + b'"}') if coded else Binary(data))
    shown = repr(cleaned).encode()
    assert [form for form in forms(SECRETS[kind]) if form in shown] == []


def test_outlines_keep_their_sound_places():
    whole = event(text=SECRETS["jwt"], audio="AAAA" * 40, n=1e5)
    outlined = strip_audio(whole, "pcm")
    cleaned = Scrubber().clean(outlined)
    assert isinstance(outlined, StrippedMessage)
    assert isinstance(cleaned, StrippedMessage)
    assert cleaned.parts == (b'{"text":"<scrubbed:jwt>","audio":"', outlined.parts[1], b'","n":100000.0}')


@pytest.mark.parametrize("between", ["9" * 400, "1e" * 200, "-1" * 200, "null" * 99, "1.5, " * 99])
def test_what_is_not_quite_json_is_searched_in_no_time(between: str):
    message = Text(f'{{"a": {between}x, "password": "Zq017plantedHiddenValue017"}}'.encode())
    cleaned = Scrubber().clean(message)
    assert isinstance(cleaned, Text) and b"plantedHidden" not in cleaned.data


@pytest.mark.parametrize("value", ["a" + "-ab" * 80 + "!", "A-" * 120 + "!", "Ab-" * 80 + "!", "a." * 120 + "!"])
def test_whether_a_value_is_ordinary_is_decided_in_no_time(value: str):
    assert not values.ordinary(value) and not values.only_words(value)


def test_named_values_are_never_forgotten_and_learned_ones_are_bounded():
    named = [f"plain-named-value-{number:05}" for number in range(MOST_KNOWN + 100)]
    learned = [f"plain-learned-value-{number:05}" for number in range(MOST_KNOWN + 100)]
    scrubber = Scrubber(named)
    for value in learned:
        scrubber.learn(value)
    assert "plain" not in scrubber.text(" ".join((named[0], named[-1], learned[-1], learned[-MOST_KNOWN])))
    assert scrubber.text(learned[0]) == learned[0]


SOUND = b64encode(bytes(range(256))).decode()


def test_a_scrubber_that_has_seen_much_finds_what_a_new_one_finds():
    messages = [make(key) for make in PLACES.values() for key in (*SECRETS.values(), "nothing to see here")]
    messages += [
        event(**{"type": "input_audio_buffer.append", "audio": sound, **more})
        for sound in (SOUND, SOUND[:-4] + "****", SOUND + SECRETS["openai key"], f"{SOUND}{SECRETS['cloud key']} ")
        for more in ({}, {"type": "other"}, {"event_id": SECRETS["jwt"]}, {"note": "password: hunter22x"})
    ]
    random.Random(1).shuffle(messages)
    experienced = Scrubber()
    for message in [*messages, *messages]:
        fresh = Scrubber()
        if isinstance(message, Request | Response):  # both learn the keys of handshakes
            continue
        assert experienced.clean(message) == fresh.clean(message)


def test_a_string_without_a_secret_has_one_once_it_is_learned():
    scrubber, message = Scrubber(), event(type="x", text=f"say {PLAIN}", name=PLAIN)
    with_sound = event(type="input_audio_buffer.append", audio=SOUND, event_id=PLAIN)
    assert scrubber.kinds(message) == scrubber.kinds(with_sound) == []
    scrubber.learn(PLAIN)
    assert scrubber.kinds(message) == ["key", "key"]
    assert scrubber.kinds(with_sound) == ["key"]


def test_what_is_remembered_is_bounded():
    scrubber = Scrubber()
    for number in range(10_000):
        scrubber.clean(event(type="x", text=f"text {number}"))
    assert len(scrubber._scanner._harmless) <= REMEMBERED


def test_each_beginning_of_a_key_is_looked_for():
    begins = [*shapes._BY_BEGIN, *shapes._OTHERS]
    assert [begin for begin in begins if not shapes.may_hold(f"a{begin}b")] == []
    assert not shapes.may_hold("item_0 a-b 1.5")


@settings(max_examples=200)
@given(st.text("AZaz09+/=\\\n é", max_size=8), st.integers(0, 100), st.text("A=\\/", max_size=5))
def test_base64_is_what_its_form_says(begin: str, count: int, end: str):
    raw = begin + "QUJD" * count + end
    plain = raw.replace("\\/", "/")
    assert is_base64(raw) == (re.fullmatch("[A-Za-z0-9+/]*={0,2}", plain) is not None)
