from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable

import pytest

from replay.cassette.frames import Text
from replay.cassette.scrub import Scrubber
from tests.replay.cassette.secret_forms import GO_FIELDS, GO_TEXT, STAY_FIELDS, STAY_TEXT, rows, texts

# None of these was ever anybody's. A word with capitals and digits, hexadecimal, and letters and digits in groups.
SECRETS = ("Zq017plantedHiddenValue017xyz", "9f2c71d0b84e45a6a1c3d5e7f9012b4d", "kT4-pX9_w2Lm-77QzBv0R-aa1")


def event(text: str) -> bytes:
    """A typed message, as a client sends it."""
    content = [{"type": "input_text", "text": text}]
    return json.dumps({"type": "conversation.item.create", "item": {"type": "message", "content": content}}).encode()


def update(field: str) -> bytes:
    """A session update with this object as metadata, written exactly so."""
    return b'{"type":"session.update","session":{"metadata":' + field.encode() + b"}}"


def planted(form: str, secret: str) -> str:
    return form.replace("SECRET", secret).replace("BASIC", b64encode(f"user:{secret}".encode()).decode())


def cleaned(message: bytes) -> bytes:
    content = Scrubber().clean(Text(message))
    assert isinstance(content, Text), content
    assert Scrubber().kinds(content) == []
    return content.data


def test_the_tables_have_two_hundred_rows_and_both_sides():
    go, stay = len(rows(GO_TEXT) + rows(GO_FIELDS)), len(rows(STAY_TEXT) + rows(STAY_FIELDS))
    assert go >= 150
    assert stay >= 100


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("form", texts(GO_TEXT))
def test_a_secret_in_a_text_is_found_in_each_form(form: str, secret: str):
    if form.startswith("ek_") and "-" in secret:
        pytest.skip("keys of this form have no hyphen")
    coded = b64encode(f"user:{secret}".encode())
    for message in (event(planted(form, secret)), planted(form, secret).encode()):
        found = cleaned(message)
        assert secret.encode() not in found
        assert coded not in found
        assert secret[-8:].encode() not in found


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("form", rows(GO_FIELDS))
def test_a_secret_in_a_field_is_found_in_each_form(form: str, secret: str):
    coded = b64encode(f"user:{secret}".encode())
    for message in (update(planted(form, secret)), planted(form, secret).encode()):
        found = cleaned(message)
        assert secret.encode() not in found
        assert coded not in found


@pytest.mark.parametrize("text", texts(STAY_TEXT))
def test_what_only_looks_like_a_secret_in_a_text_stays(text: str):
    for message in (event(text), text.encode()):
        assert cleaned(message).decode() == message.decode()


@pytest.mark.parametrize("field", rows(STAY_FIELDS))
def test_what_only_looks_like_a_secret_in_a_field_stays(field: str):
    for message in (update(field), field.encode()):
        assert cleaned(message).decode() == message.decode()


BEGINNINGS = (
    *("eyJ", "sk-", "ask-", "ek_", "week_", "xai-", "AKIA", "AIza", "ghp_", "whsec_", "Bearer ", "basic ", "basic A"),
    *("-----BEGIN ", "-----BEGIN PRIVATE KEY", "password", "password:", "password: ", "password=/", "auth:/", "token "),
    *(
        "a=",
        ":",
        "a:",
        "=a ",
        "://",
        "a://b",
        "://a:b/",
        "://:@",
        "<key>",
        "<password>x",
        "--key ",
        "-u a:",
        "is ",
        "to /",
    ),
    *(
        '"',
        '""',
        "'",
        '\\"',
        "[",
        "{",
        '[""',
        '{"a":',
        "cookie: ",
        "Authorization: x ",
        "%61pi_key=",
        "&a=",
        "AAAA",
        "QUFB",
    ),
    *(
        "x",
        "<scrubbed:",
        "a <scrubbed:k",
        "\\u0061",
        "eyJh.",
        "data:image/png;base64,",
        "api_key = ",
        "key key ",
        "x" * 15 + " ",
        "\\",
        "9" * 9 + ",",
    ),
)
"""What hostile texts repeat: each begins something that the search has to follow."""


def seconds(message: bytes, times: int = 3) -> float:
    """The least processor time of a scan."""
    took = []
    for _ in range(times):
        began = time.process_time()
        Scrubber().clean(Text(message))
        took.append(time.process_time() - began)
    return min(took)


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrap",
    [event, str.encode, lambda text: b'{"a":' + text.encode(), lambda text: json.dumps({text: 1}).encode()],
    ids=["typed", "bare", "cut", "key"],
)
@pytest.mark.parametrize("part", BEGINNINGS)
def test_four_times_the_text_takes_about_four_times_as_long(part: str, wrap: Callable[[str], bytes]):
    """A search that is quadratic takes 16 times as long. Below a hundredth of a second, the clock is too coarse."""
    few, many = (wrap(part * (size // len(part))) for size in (10_000, 40_000))
    long = seconds(many, 2)
    assert long < 0.01 or long / seconds(few) < 9
