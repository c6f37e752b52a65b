from __future__ import annotations

import json
import random
from base64 import b64encode

import pytest

from replay.cassette import scanner
from replay.cassette.frames import Text
from replay.cassette.scanner import Scanner
from replay.cassette.scrub import Scrubber
from replay.cassette.skeletons import Skeletons, apart, is_apart
from replay.secrets.named import Secrets
from tests.replay.cassette.secret_forms import GO_FIELDS, GO_TEXT, STAY_TEXT, rows, texts

SECRET = "Zq017plantedHiddenValue017xyz"
KNOWN = "a-value-known-17"
SOUND = b64encode(bytes(range(256)) * 2).decode()


def planted(form: str) -> str:
    return form.replace("SECRET", SECRET).replace("BASIC", b64encode(f"user:{SECRET}".encode()).decode())


def walked(message: str, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """What the scanner makes of a message if it looks at each by itself."""
    with monkeypatch.context() as patch:
        patch.setattr(Skeletons, "holds", lambda *_: False)
        return cleaned(Scrubber(), message)


def cleaned(scrubber: Scrubber, message: str) -> bytes:
    content = scrubber.clean(Text(message.encode(errors="surrogatepass")))
    return content.data if isinstance(content, Text) else repr(content).encode()


def delta(text: str, sound: str = SOUND) -> str:
    return json.dumps(
        {"type": "response.output_audio.delta", "event_id": text, "delta": sound, "output_index": 0},
        ensure_ascii=False,
    )


def test_each_form_of_a_secret_is_found_behind_harmless_messages_of_the_same_kind(monkeypatch: pytest.MonkeyPatch):
    scrubber = Scrubber()
    kinds = (
        lambda text: json.dumps({"type": "x.delta", "event_id": "e", "delta": text, "n": 17}, ensure_ascii=False),
        lambda text: json.dumps({"type": "x.done", "item": {"type": "message", "content": [{"text": text}]}}),
        delta,
    )
    for kind in kinds:
        for harmless in ("nothing", "event_00000000000000000012", "word"):
            assert cleaned(scrubber, kind(harmless)) == kind(harmless).encode()
        for form in (*texts(GO_TEXT), *rows(GO_FIELDS), *texts(STAY_TEXT)):
            message = kind(planted(form))
            assert cleaned(scrubber, message) == walked(message, monkeypatch), message


FRAGMENTS = (
    *(
        "",
        "hello there",
        "is",
        "to",
        "item_AbCdEf0123456789xyzq",
        "4f8a1c77-2b1d-4a19-8c55-0b5c1f0d9e21",
        "type",
        "none",
    ),
    *(planted("password: SECRET"), planted("sk-SECRET"), SECRET, KNOWN, b64encode(b"password: Zq017planted!").decode()),
    *(
        "response.output_audio.delta",
        "contrase\xf1a=Zq017plantedHidden",
        "%73%6b-Zq017plantedHidden",
        "a\tb",
        "<b>x</b>",
    ),
    *(
        "[",
        "{",
        ":",
        ":12,",
        "}",
        b64encode(b"\xff\xfe" + KNOWN.encode() + b"\xff").decode(),
        b64encode(KNOWN.encode()).decode(),
        SOUND,
        SOUND[:40],
        "\u212aey: Zq017abcDEF9",
    ),
    *(
        "-u user:Zq017planted",
        "https://a:Zq017planted@b.c",
        "Bearer Zq017plantedHidden",
        "eyJhbGciOiJI.eyJzdWIiOiIx.c2ln",
    ),
)
KEYS = (
    *("type", "event_id", "delta", "audio", "item_id", "text", "transcript", "data", "n", "ping", "a b", "x" * 45),
    *("token", "name", "value", "headers", "properties", "_internal", "keys", "Type", "sk-plantedHiddenZq017", ":", ""),
)


def an_object(rng: random.Random, depth: int = 0) -> object:
    match rng.randrange(9 if depth < 3 else 6):
        case 0 | 1 | 2 | 3:
            return rng.choice(FRAGMENTS)
        case 4:
            return rng.choice((0, 1, -17, 1.5, 12_345_678, True, None))
        case 5:
            return SOUND
        case 6:
            return [an_object(rng, depth + 1) for _ in range(rng.randrange(3))]
        case _:
            return {rng.choice(KEYS): an_object(rng, depth + 1) for _ in range(rng.randrange(1, 5))}


def other_values(value: object, rng: random.Random) -> object:
    """The same keys with other values, most of them."""
    match value:
        case str() if rng.random() < 0.7:
            return rng.choice(FRAGMENTS)
        case int() if rng.random() < 0.5:
            return rng.randrange(10**9)
        case list():
            return [other_values(each, rng) for each in value]
        case dict():
            return {key: other_values(each, rng) for key, each in value.items()}
        case _:
            return value


def test_messages_of_one_skeleton_are_searched_as_thoroughly_as_by_themselves(monkeypatch: pytest.MonkeyPatch):
    rng, kept = random.Random(7), 0
    for number in range(1500):
        warm = Scanner(Secrets((KNOWN,)))
        first = {"type": "response.output_audio.delta", rng.choice(KEYS): an_object(rng)}
        for _ in range(4):
            separators = (",", ":") if number % 3 else (", ", ": ")
            message = json.dumps(first, ensure_ascii=number % 2 == 0, separators=separators)
            found = outcome(warm, message)
            with monkeypatch.context() as patch:
                patch.setattr(Skeletons, "holds", lambda *_: False)
                assert found == outcome(Scanner(Secrets((KNOWN,))), message), message
            changed = other_values(first, rng)
            assert isinstance(changed, dict)
            first = {**changed, "type": rng.choice(("response.output_audio.delta", "x", "audio"))}
        kept += bool(warm._skeletons._kept)
    assert kept > 300, "some of the messages have skeletons, or this tests nothing"


def outcome(scanner_in_use: Scanner, message: str) -> object:
    try:
        return sorted((hit.start, hit.end, hit.kind, hit.instead) for hit in scanner_in_use.hits(message))
    except scanner.Uncheckable as problem:
        return str(problem)


def test_a_value_that_is_learned_later_is_found_in_a_known_skeleton():
    scrubber = Scrubber()
    message = delta("the-later-secret-1")
    assert cleaned(scrubber, message) == cleaned(scrubber, message) == message.encode()
    scrubber.learn("the-later-secret-1")
    assert b"later" not in cleaned(scrubber, message)


def test_a_message_is_taken_apart_at_its_values():
    skeleton, values = apart('{"type":"a","b":"c","d":[{"e":12}],"f":null}')
    assert values == ["a", "c", None]
    assert skeleton == (('{"type', ',"b', ',"d":[{"e', '}],"f":null}'), ("a",))
    assert is_apart('{"type":"a","b":"c","d":[{"e":12}],"f":null}')


@pytest.mark.parametrize("text", ['[":12,",1]', '[":","b"]', '{"a":"b":1}', '{"a":"b" : 1}'])
def test_what_only_looks_like_a_value_is_none(text: str):
    assert not is_apart(text)
