"""What is wrong with a cassette. Looks at one record at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import partial

from replay.cassette import json_text
from replay.cassette.cut_sound import SOUND_FIELDS, cut_sound
from replay.cassette.file import Cassette
from replay.cassette.frames import Binary, Close, Reset, Text
from replay.cassette.json_text import Event
from replay.cassette.may_differ import ignored
from replay.cassette.records import (
    Dropped,
    Header,
    Record,
    Response,
    StrippedMessage,
    provable_origin,
)
from replay.cassette.scrub import Scrubber
from replay.report.sounds import READ, SoundCheck


def faults(cassette: Cassette, scrubber: Scrubber) -> list[str]:
    """What is wrong with a cassette, one sentence each with its place. Empty if nothing is."""
    found = _header_faults(cassette.header)
    if scrubber.header(cassette.header) != cassette.header:
        found.append("the header holds a secret; run `realtape scrub`")
    if cassette.end_us is None:
        found.append(cassette.cut.removeprefix(f"{cassette.path}: "))
    order, sounds = _Order(), SoundCheck()
    last_us: dict[tuple[int, str], int] = {}
    for number, record in enumerate(cassette):
        where = partial(_place, number, record.at_us)
        data = record.content.data if isinstance(record.content, Text) else b""
        if isinstance(record.content, StrippedMessage) and record.content.kind == "text":
            data = record.content.rest
        kind = json_text.event_type(data) if data else ""
        cut = cut_sound(data, SOUND_FIELDS[kind]) if kind in SOUND_FIELDS else None
        event = cut.event if cut is not None else json_text.event_in(data) if kind in READ else None
        for each in scrubber.kinds(record.content):
            found.append(f"{where()}: holds a secret ({each}); run `realtape scrub`")
        for problem in order.take(record, kind, event):
            found.append(f"{where()}: {problem}")
        for problem in sounds.take(where, record, kind, event, None if cut is None else cut.sound):
            found.append(f"{where()}: {problem}")
        # Each direction is in order. The two may overlap if a socket is slow, because a message is noted once sent.
        side = (record.connection, record.way)
        if record.at_us < last_us.get(side, 0):
            found.append(f"{where()}: earlier than the record before it")
        last_us[side] = record.at_us
    found += sounds.ended()
    if cassette.end_us is not None:
        found += order.ended()
    return found


def _place(number: int, at_us: int) -> str:
    return f"record {number} at {at_us / 1e6:.3f} s"


def _header_faults(header: Header) -> list[str]:
    try:
        ignored(header.ignore)
    except ValueError as problem:
        return [f"{problem}; remove it with `realtape ignore --remove`"]
    if header.origin == "live" and provable_origin(header.url) != "live":
        return [f"labelled live, but {header.url} is not a live service"]
    return []


class _Order:
    """Checks what must come before what, connection by connection."""

    def __init__(self) -> None:
        self._open: dict[int, bool] = {}
        """By connection: whether the handshake was accepted and no end was seen."""
        self._responses = defaultdict[int, dict[str, bool]](dict)
        """By connection and id: whether the response is in progress."""

    def take(self, record: Record, kind: str, event: Event | None) -> Iterator[str]:
        """What is wrong. `kind` is the type of the record's event, and `event` the event itself if the type is one of
        READ."""
        at = record.connection
        match record.content:
            case Dropped(what, size, reason):
                yield f"{what} of {size} bytes was not written: {reason}"
            case Response(status=101):
                self._open[at] = True
            case Close() | Reset():
                self._open[at] = False
            case Text() | Binary() | StrippedMessage():
                if at not in self._open:
                    yield f"a message on connection {at}, which was never opened"
                    self._open[at] = True
                if record.way == "received":
                    yield from self._event(self._responses[at], kind, event)
            case _:
                pass

    def _event(self, responses: dict[str, bool], kind: str, event: Event | None) -> Iterator[str]:
        match kind:
            case "response.created":
                responses[_id(event)] = True
            case "response.done":
                responses[_id(event)] = False
            case "response.output_audio.delta" | "response.audio.delta":
                if (state := responses.get(name := _id(event))) is not True:
                    yield f"orphaned audio: response {name!r} {'is over' if state is False else 'was never created'}"
            case _:
                pass

    def ended(self) -> Iterator[str]:
        """What is missing at the end of the recording."""
        for connection, is_open in self._open.items():
            if is_open:
                yield f"connection {connection} has no end, neither a close nor a reset"


def _id(event: Event | None) -> str:
    try:
        return str(event["response_id"] if "response_id" in event else event["response"]["id"]) if event else ""
    except (KeyError, TypeError):
        return ""
