"""Compares a client's message with the recorded one: first its type, then its fields, apart from those in FREE.

Ids that the client makes itself may differ, if they are used consistently. verbatim.py plays the recording.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from replay.cassette.json_text import Event, normalized_json
from replay.cassette.json_values import path_pattern
from replay.cassette.may_differ import NOTHING, Ignored
from replay.cassette.scanner import placeholder
from replay.outlets import clean
from replay.playback.sound import APPEND

FREE: tuple[tuple[str, str], ...] = (
    # event, path in it (`*` is anything)
    ("*", "event_id"),
    (APPEND, "audio"),
    ("conversation.item.create", "item.content[*].audio"),
    ("conversation.item.truncate", "audio_end_ms"),  # the client's playback position
)
"""Fields that may differ, by event and path."""
SCRUBBED = re.compile(r"<scrubbed:[a-z-]+>")
"""What a recording has in the place of a secret: a client may send any value there."""
_JSON = ("arguments", "output")
"""Fields whose text is usually JSON, in the formatting of the client's library."""
_SHOWN = 60
_INDEX = re.compile(r"\[\d+\]")


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


ABSENT = _Absent()
"""In place of a field that does not exist."""


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """A field in which two messages differ."""

    path: str
    expected: object
    received: object

    def __str__(self) -> str:
        # Before anything is cut: half a secret is not found.
        expected, received = (_cleaned(value, self.path) for value in (self.expected, self.received))
        if isinstance(expected, str) and isinstance(received, str):
            pairs = zip(expected, received, strict=False)
            shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs)) - _SHOWN // 3
            if shared >= _SHOWN // 3:  # leave out most of a long common beginning
                expected, received = f"...{expected[shared:]}", f"...{received[shared:]}"
        return f"{self.path}: expected {_shown(expected)}, got {_shown(received)}"


def _cleaned(value: object, path: str) -> object:
    """A value without secrets: the keys above it may tell that it is one."""
    if value is ABSENT:
        return value
    keys = _INDEX.sub("", path).split(".")
    document = value
    for key in reversed(keys):
        document = {key: document}
    try:
        cleaned = json.loads(clean(json.dumps(document, ensure_ascii=False)))
    except (ValueError, RecursionError):  # nested too deep
        return placeholder("unchecked")
    for _ in keys:
        (cleaned,) = cleaned.values()
    return clean(cleaned) if isinstance(cleaned, str) else cleaned


def _shown(value: object) -> str:
    """A value in at most 60 characters."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


class ClientIds:
    """Ids that clients make: which recorded one corresponds to which live one.

    `made_by_service`: ids that the recorded client got from the service. These must be as recorded.
    """

    def __init__(self, made_by_service: Collection[str]) -> None:
        self._service = made_by_service
        self._here: dict[str, str] = {}
        self._recorded: dict[str, str] = {}

    def may_be(self, recorded: str, live: str) -> bool:
        """Whether `live` may stand in the place of `recorded`."""
        if recorded in self._service or live in self._service:
            return recorded == live
        return self._here.get(recorded, live) == live and self._recorded.get(live, recorded) == recorded

    def learn(self, recorded: Event, live: Event) -> None:
        """Two messages match, so the ids in the same places correspond."""
        theirs = dict(ids_in(live))
        for path, value in ids_in(recorded):
            if path in theirs and value not in self._service:
                self._here[value], self._recorded[theirs[path]] = theirs[path], value


def ids_in(value: Any, path: str = "", key: str = "") -> Iterator[tuple[str, str]]:
    """Every id in an event, with its path: strings under `id` and under keys that end with `_id`."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from ids_in(part, f"{path}.{name}".lstrip("."), str(name))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from ids_in(part, f"{path}[{index}]", key)
    elif isinstance(value, str) and is_id(key):
        yield path, value


def is_id(key: str) -> bool:
    """Whether a field of this name holds an id."""
    return key == "id" or key.endswith("_id")


def field_differences(
    recorded: Event,
    live: Event,
    ids: ClientIds,
    free: Sequence[tuple[str, str]] = FREE,
    ignored: Ignored = NOTHING,
) -> list[FieldDifference]:
    """The fields in which two messages differ, in recorded order. If the types differ, only that."""
    kind = recorded.get("type")
    if kind != live.get("type"):
        return [FieldDifference("type", kind, live.get("type", ABSENT))]
    places = [path_pattern(place) for event, place in free if path_pattern(event).fullmatch(str(kind))]
    differences = _walk(recorded, live, "", "", ids)
    differing = (each for each in differences if not any(place.fullmatch(each.path) for place in places))
    return [each for each in differing if not ignored.covers(each.path, each.expected, each.received)]


def _walk(recorded: Any, live: Any, path: str, key: str, ids: ClientIds) -> Iterator[FieldDifference]:
    if isinstance(recorded, Mapping) and isinstance(live, Mapping):
        for name in [*recorded, *(name for name in live if name not in recorded)]:
            inner = f"{path}.{name}".lstrip(".")
            yield from _walk(recorded.get(name, ABSENT), live.get(name, ABSENT), inner, str(name), ids)
    elif isinstance(recorded, list) and isinstance(live, list):
        for index in range(max(len(recorded), len(live))):
            ours, theirs = (side[index] if index < len(side) else ABSENT for side in (recorded, live))
            yield from _walk(ours, theirs, f"{path}[{index}]", key, ids)
    elif isinstance(recorded, str) and isinstance(live, str) and SCRUBBED.search(recorded):
        if not fits(recorded, live):
            yield FieldDifference(path, recorded, live)
    elif isinstance(recorded, str) and isinstance(live, str) and is_id(key):
        if not ids.may_be(recorded, live):
            yield FieldDifference(path, recorded, live)
    elif recorded != live or isinstance(recorded, bool) is not isinstance(live, bool):
        if key not in _JSON or normalized_json(recorded) != normalized_json(live):
            yield FieldDifference(path, recorded, live)


def fits(recorded: str, live: str) -> bool:
    """Whether a text is as recorded, with any text in the place of each secret that was scrubbed."""
    first, *rest = SCRUBBED.split(recorded)
    *middle, last = rest
    if not live.startswith(first):
        return False
    at = len(first)
    for part in middle:
        if (found := live.find(part, at + 1)) < 0:
            return False
        at = found + len(part)
    return live.endswith(last) and len(live) - len(last) > at
