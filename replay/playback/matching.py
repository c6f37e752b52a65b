"""Whether a client's message is the recorded one: its type, then its fields, but for those that are free in every call.

Also how much sound a client has sent. Not the playing: see player.py. FREE says which fields do not count; ids that the
client makes itself may differ as long as they are used alike.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from typing import Any

from replay.cassette.json_text import Event, unspelt
from replay.cassette.recording import Moment

APPEND = "input_audio_buffer.append"

FREE: tuple[tuple[str, str], ...] = (
    # event, path in it; `*` is anything
    ("*", "event_id"),
    (APPEND, "audio"),
    ("conversation.item.create", "item.content[*].audio"),
    ("conversation.item.truncate", "audio_end_ms"),  # how far the client has played
)
_JSON = ("arguments", "output")
"""Fields whose text is JSON by custom, spelt by whatever library the client has."""
_SHOWN = 60


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


ABSENT = _Absent()
"""Stands for a field that is not there."""


@dataclass(frozen=True, slots=True)
class Unlike:
    """A field in which two messages differ."""

    path: str
    expected: object
    came: object

    def __str__(self) -> str:
        expected, came = self.expected, self.came
        if isinstance(expected, str) and isinstance(came, str):
            expected, came = _from_where_they_differ(expected, came)
        return f"{self.path}: expected {_shown(expected)}, got {_shown(came)}"


def _from_where_they_differ(one: str, other: str) -> tuple[str, str]:
    """Two texts without most of a long beginning that they share."""
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    shared = max(0, alike - _SHOWN // 3)
    return (one, other) if shared < _SHOWN // 3 else (f"...{one[shared:]}", f"...{other[shared:]}")


def _shown(value: object) -> str:
    """A value in few characters."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def is_sound(message: Moment) -> bool:
    """Whether it is input audio, and so counted in milliseconds and not as a message."""
    return message.type in (APPEND, "(binary)")


class ClientIds:
    """Ids that clients choose: the recorded ones and those of this client, each always for the same other.

    `made_by_service` are the ids that the recorded client had from the service: they have to be as recorded.
    """

    def __init__(self, made_by_service: Collection[str]) -> None:
        self._service = made_by_service
        self._here: dict[str, str] = {}
        self._recorded: dict[str, str] = {}

    def may_be(self, recorded: str, live: str) -> bool:
        """Whether `live` may stand where `recorded` stood."""
        if recorded in self._service or live in self._service:
            return recorded == live
        return self._here.get(recorded, live) == live and self._recorded.get(live, recorded) == recorded

    def learn(self, recorded: Event, live: Event) -> None:
        """Two messages are the same: the ids in them name the same."""
        theirs = dict(ids_in(live))
        for path, value in ids_in(recorded):
            if path in theirs and value not in self._service:
                self._here[value], self._recorded[theirs[path]] = theirs[path], value


def ids_in(value: Any, path: str = "", key: str = "") -> Iterator[tuple[str, str]]:
    """Every id in an event, with its path: texts under `id` and what ends with `_id`."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from ids_in(part, f"{path}.{name}".lstrip("."), str(name))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from ids_in(part, f"{path}[{index}]", key)
    elif isinstance(value, str) and is_id(key):
        yield path, value


def is_id(key: str) -> bool:
    """Whether a field of that name holds an id."""
    return key == "id" or key.endswith("_id")


def unlike(recorded: Event, live: Event, ids: ClientIds, free: Sequence[tuple[str, str]] = FREE) -> list[Unlike]:
    """The fields in which two messages differ, in the recorded order. Types first: of another type, only that."""
    kind = recorded.get("type")
    if kind != live.get("type"):
        return [Unlike("type", kind, live.get("type", ABSENT))]
    places = [place for event, place in free if _glob(event).fullmatch(str(kind))]
    return [each for each in _walk(recorded, live, "", "", ids) if not _any(places, each.path)]


def _walk(recorded: Any, live: Any, path: str, key: str, ids: ClientIds) -> Iterator[Unlike]:
    if isinstance(recorded, Mapping) and isinstance(live, Mapping):
        for name in [*recorded, *(name for name in live if name not in recorded)]:
            inner = f"{path}.{name}".lstrip(".")
            yield from _walk(recorded.get(name, ABSENT), live.get(name, ABSENT), inner, str(name), ids)
    elif isinstance(recorded, list) and isinstance(live, list):
        for index in range(max(len(recorded), len(live))):
            ours, theirs = (side[index] if index < len(side) else ABSENT for side in (recorded, live))
            yield from _walk(ours, theirs, f"{path}[{index}]", key, ids)
    elif isinstance(recorded, str) and isinstance(live, str) and is_id(key):
        if not ids.may_be(recorded, live):
            yield Unlike(path, recorded, live)
    elif recorded != live or isinstance(recorded, bool) is not isinstance(live, bool):
        if key not in _JSON or unspelt(recorded) != unspelt(live):
            yield Unlike(path, recorded, live)


def _any(places: Sequence[str], path: str) -> bool:
    return any(_glob(place).fullmatch(path) for place in places)


@lru_cache(maxsize=256)
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*"), re.DOTALL)


_BYTES_PER_S = {"audio/pcmu": 8000, "audio/pcma": 8000, "g711_ulaw": 8000, "g711_alaw": 8000}
_OPUS_MS = {0: (10, 20, 40, 60), 1: (10, 20), 2: (2.5, 5, 10, 20)}
"""Of one frame: SILK, hybrid and CELT modes (RFC 6716 section 3.1)."""


class SoundClock:
    """Milliseconds of input audio that a client has sent, in the format that it has asked for."""

    def __init__(self) -> None:
        self.ms = 0.0
        self._opus = False
        self._bytes_per_s = 48_000

    def take(self, message: Moment) -> None:
        """Count a client's message; a `session.update` may change the format."""
        if message.type == "session.update":
            self._configure(message.event or {})
        elif is_sound(message):
            self.ms += self._opus_ms(message) if self._opus else _sound_bytes(message) * 1000 / self._bytes_per_s

    def _configure(self, event: Event) -> None:
        session = event.get("session")
        form = _at(session, "audio", "input", "format") or _at(session, "input_audio_format")
        if form is None:
            return
        kind = str(_at(form, "type") or form).lower()
        rate = _at(form, "rate")
        self._opus = kind == "audio/opus"
        self._bytes_per_s = _BYTES_PER_S.get(kind, 2 * rate if isinstance(rate, int) and rate > 0 else 48_000)

    def _opus_ms(self, message: Moment) -> float:
        """One packet a message; its first bytes tell its length."""
        head = _head(message)
        if not head:
            return 0.0
        config, code = head[0] >> 3, head[0] & 3
        frames = (1, 2, 2, head[1] & 63 if len(head) > 1 else 1)[code]
        mode = 0 if config < 12 else 1 if config < 16 else 2
        lengths = _OPUS_MS[mode]
        return frames * lengths[config % len(lengths)]


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _payload(message: Moment) -> str:
    audio = (message.event or {}).get("audio")
    return audio if isinstance(audio, str) else ""


def _sound_bytes(message: Moment) -> int:
    if message.event is None:
        return len(getattr(message.frame, "data", b""))
    text = _payload(message)
    return len(text) * 3 // 4 - text[-2:].count("=")


def _head(message: Moment) -> bytes:
    if message.event is None:
        return bytes(getattr(message.frame, "data", b"")[:2])
    try:
        return b64decode(_payload(message)[:4])[:2]
    except ValueError:
        return b""
