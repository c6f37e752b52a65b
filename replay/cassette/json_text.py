"""JSON as text: where its strings are, under which keys, and the type of an event. Nothing is parsed or rebuilt.

Works on text with one character per byte (latin-1), so that positions are byte offsets, and on any other str. For text
that is not JSON the results mean nothing: call `is_json` first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

_STRING = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_COLON = re.compile(r"\s*:")
_NUMBER = re.compile(r"\s*(-?\d[\d.eE+-]*)")
_NESTING = re.compile(r"[][{}]")
_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
# Pairs of plain strings may come before the type; a nested type is never taken for the event's own.
_TYPE = re.compile(rb'\s*\{\s*(?:"[^"\\]*"\s*:\s*"[^"\\]*"\s*,\s*){0,8}?"type"\s*:\s*"([^"\\]*)"')

_LONGEST_TYPE = 200
"""Bytes of a type that is decoded once. Those of the services are shorter."""
TYPE_FIRST = b'{"type":"'
"""How an event begins whose first key is its type, as the services write it."""


@dataclass(frozen=True, slots=True)
class Value:
    """A string or number: `text[start:end]`, without quotes. `keys` are the keys around it, from the outermost to its
    own.
    """

    start: int
    end: int
    keys: tuple[str, ...]
    number: bool = False


def values(text: str) -> Iterator[Value]:
    """Every string of a JSON text in order. Keys come too, with no keys of their own; numbers only as values of
    a key.
    """
    stack: list[tuple[str, tuple[str, ...]]] = []
    path: tuple[str, ...] = ()
    key, done = "", 0
    for begin, end, stop, is_key in strings(text):
        for nesting in _NESTING.findall(text, done, begin - 1):
            if nesting in "{[":
                stack.append((key, path))
                path = (*path, key) if key else path
                key = ""
            elif stack:
                outer, path = stack.pop()
                key = outer if nesting == "]" else ""
        done = stop
        if is_key:
            key = text[begin:end]
            yield Value(begin, end, ())
            if number := _NUMBER.match(text, done):
                yield Value(*number.span(1), (*path, key), number=True)
        else:
            yield Value(begin, end, (*path, key) if key else path)


def strings(text: str) -> Iterator[tuple[int, int, int, bool]]:
    """Each string of a JSON text: where its raw text begins and ends, where what follows it begins, and whether it is a
    key. What follows a key begins behind its colon. Ends at a string that is cut off, so that no text is searched
    twice.
    """
    at = text.find('"')
    while at >= 0 and (end := text.find('"', at + 1)) >= 0:
        if text.find("\\", at + 1, end) >= 0:  # the quote may be escaped; without, this is ten times as fast for sound
            if (found := _STRING.match(text, at)) is None:
                return
            end = found.end(1)
        colon = _COLON.match(text, end + 1)
        stop = end + 1 if colon is None else colon.end()
        yield at + 1, end, stop, colon is not None
        at = text.find('"', stop)


MOST_VALUES = 10_000
"""Values in one message, about: commas outside of strings. 128 tools with ten parameters each have 4,000."""
MOST_ESCAPES = 200_000
"""Backslashes in a message with more commas than that. A text of a megabyte has a tenth of them."""


MOST_CHARACTERS = 4 << 20
"""Characters of a message without sound or images. A text of a million has at most that many bytes."""
_MEDIA = ('"audio"', '"image_url"')
_WINDOW = 64 << 10


def too_long(text: str) -> bool:
    """Whether a JSON text is too long for a message that has neither sound nor images."""
    return len(text) > MOST_CHARACTERS and not any(key in text for key in _MEDIA)


def too_intricate(text: str, most: int = MOST_VALUES) -> bool:
    """Whether a JSON text has too many values to be read at once, while others wait. Commas in strings do not count.
    Depth is the parser's business.
    """
    if not _more_than(most, text, ","):
        return False
    if _more_than(MOST_ESCAPES, text, "\\"):
        return True
    text = text.replace("\\\\", "").replace('\\"', "")  # what is left of a string has no quote in it
    count, done = 0, 0
    for _ in range(4 * most):
        begin = text.find('"', done)
        end = text.find('"', begin + 1)
        if begin < 0 or end < 0:
            return count + text.count(",", done) > most
        count += text.count(",", done, begin)
        if count > most:
            return True
        done = end + 1
    return True


def _more_than(most: int, text: str, character: str) -> bool:
    """Whether the character is more often in the text. It stops when that is clear."""
    count = 0
    for at in range(0, len(text), _WINDOW):
        count += text.count(character, at, at + _WINDOW)
        if count > most:
            return True
    return False


def normalized_json(value: object) -> object:
    """A text that holds JSON in one formatting: spaces, escapes, order of keys, 90 for 90.0. Any other value is
    returned as it is.
    """
    if not isinstance(value, str):
        return value
    try:
        return json.dumps(json.loads(value, parse_int=_as_float), sort_keys=True)
    except (ValueError, RecursionError):
        return value


def _as_float(digits: str) -> float | int:
    """JSON has one kind of number. An integer that a float would round stays an integer."""
    return float(digits) if len(digits) < 16 else int(digits)


def is_json(text: str) -> bool:
    """Whether the text is one JSON value. Lone surrogates in escapes are allowed, as on the wire."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def unescaped(raw: str) -> tuple[str, list[int]]:
    """The text that a raw JSON string stands for, and the position in the raw text of each of its characters and of its
    end.
    """
    plain: list[str] = []
    places: list[int] = []
    done = 0
    for found in _ESCAPE.finditer(raw):
        plain.append(raw[done : found.start()])
        places += range(done, found.start())
        plain.append(chr(int(found[1], 16)) if found[1] else _SHORT.get(found[2], found[2]))
        places.append(found.start())
        done = found.end()
    plain.append(raw[done:])
    return "".join(plain), [*places, *range(done, len(raw) + 1)]


def event_type(data: bytes) -> str:
    """The `type` of an event; empty if it has none or is not JSON."""
    if data.startswith(TYPE_FIRST):  # the usual case, and three times as fast as a match
        first, quote, _ = data[len(TYPE_FIRST) : 128].partition(b'"')
        if quote and b"\\" not in first:
            return _text(first)
    if found := _TYPE.match(data):
        return _text(found[1])
    kind = (event_in(data) or {}).get("type")
    return kind if isinstance(kind, str) else ""


def _text(data: bytes) -> str:
    return _short_text(data) if len(data) <= _LONGEST_TYPE else data.decode(errors="replace")


@lru_cache(maxsize=512)
def _short_text(data: bytes) -> str:
    return data.decode(errors="replace")


Event = Mapping[str, Any]
"""A parsed event: a JSON object, its keys in wire order."""


def event_in(data: str | bytes) -> Event | None:
    """The JSON object that a message holds, or None."""
    try:
        event = orjson.loads(data)
    except ValueError:  # orjson refuses lone surrogates, which occur on the wire
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            return None
    return event if isinstance(event, dict) else None
