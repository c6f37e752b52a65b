"""A cassette as text that a re-recording of the same call hardly changes, for `git diff`.

What differs between two recordings of one call is left out, or gets a fixed place:

- times, sizes, numbers, ids, keep-alive messages, and how audio and text are cut into messages;
- the order of connections that were open at the same time: they are sorted by their text;
- the order of what client and server send independently of each other: in each stretch up to the end of a response, the
  client's messages come first, and a transcript follows the turn that it belongs to.

Of the client's events all fields are shown, of the server's those with words. compare.py compares two recordings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from typing_extensions import assert_never

from replay.cassette.frames import Binary, Close, Reset, Text
from replay.cassette.json_text import Event, event_in
from replay.cassette.json_values import object_at, text_at
from replay.cassette.may_differ import NOTHING, Ignored
from replay.cassette.may_differ import ignored as named
from replay.cassette.records import Dropped, Record, Request, Response, StrippedMessage, Way

_LEFT_OUT = ("ping", "rate_limits.updated")
_PIECES = (".delta", "input_audio_transcription.updated")
_APPEND = "input_audio_buffer.append"
_ENDS_TURN = ("input_audio_buffer.commit", "input_audio_buffer.clear")
_TRANSCRIPT = "conversation.item.input_audio_transcription."
_SPOKEN_ITEM = ("input_audio_buffer.committed", "conversation.item.added", "conversation.item.created")
_WORDS = {
    "response.output_audio_transcript.done": ("transcript",),
    "response.audio_transcript.done": ("transcript",),
    "response.output_text.done": ("text",),
    "response.text.done": ("text",),
    "response.function_call_arguments.done": ("name", "arguments"),
    "conversation.item.input_audio_transcription.completed": ("transcript",),
}
"""By server event: the fields with words. Other events repeat them."""
_NO_ID = named(["id"])
_LONG_ID = re.compile(r"\b[a-z]{2,8}_(?:u\d_)?[0-9A-Za-z]{16,32}\b")
_UNIX = re.compile(r"\b1\d{9}(?:\d{3})?\b")
_ARROWS: Mapping[Way, str] = {"sent": ">", "received": "<"}


@dataclass(frozen=True, slots=True)
class _Entry:
    """One record: its type, the id of the item it is about, and what is shown of it."""

    at_us: int
    way: Way
    type: str
    item: str = ""
    shown: tuple[str, ...] = ()

    def lines(self, connection: int) -> Iterator[str]:
        inline = self.shown and (self.way == "received" or self.type.startswith("("))
        first, *more = self.shown if inline else ("", *self.shown)
        yield f"{connection:2} {_ARROWS[self.way]} {self.type}{f'  {first}' if first else ''}"
        for line in more:
            yield f"       {line}".rstrip()


def stable(records: Iterable[Record], may_differ: Ignored = NOTHING) -> Iterator[str]:
    """The lines. `may_differ`: what the header of the cassette lets differ; it is shown as `<ignored>`."""
    connections: dict[int, list[_Entry]] = {}
    for record in records:
        entry = _entry(record, may_differ)
        if entry.type not in _LEFT_OUT:
            connections.setdefault(record.connection, []).append(entry)
    for number, entries in enumerate(_sorted([_in_order(each) for each in connections.values()])):
        for entry in entries:
            yield from entry.lines(number)


def _sorted(connections: list[list[_Entry]]) -> Iterator[list[_Entry]]:
    """Connections in the order in which they opened; those that overlap, by their text."""
    together: list[list[_Entry]] = []
    until_us = -1
    for each in sorted(connections, key=lambda entries: min(entry.at_us for entry in entries)):
        if together and min(entry.at_us for entry in each) > until_us:
            yield from sorted(together, key=_text)
            together = []
        together.append(each)
        until_us = max(until_us, *(entry.at_us for entry in each))
    yield from sorted(together, key=_text)


def _text(entries: list[_Entry]) -> list[str]:
    return [line for entry in entries for line in entry.lines(0)]


def _in_order(entries: list[_Entry]) -> list[_Entry]:
    """One connection in its fixed order, each run of pieces as one entry."""
    ordered: list[_Entry] = []
    sent: list[_Entry] = []
    received: list[_Entry] = []
    for entry in _without_pieces(_with_transcripts(entries)):
        (sent if entry.way == "sent" else received).append(entry)
        if entry.type in ("(response)", "response.done"):
            ordered += [*sent, *received]
            sent, received = [], []
    return [*ordered, *sent, *received]


def _with_transcripts(entries: list[_Entry]) -> list[_Entry]:
    """Each transcript after the turn that it belongs to."""
    late: list[_Entry] = []
    rest: list[_Entry] = []
    for each in entries:
        (late if each.way == "received" and each.type.startswith(_TRANSCRIPT) else rest).append(each)
    for transcript in late:
        places = [n for n, each in enumerate(rest) if each.item == transcript.item and each.way == "received"]
        turns = [n for n in places if rest[n].type in _SPOKEN_ITEM or rest[n].type.startswith(_TRANSCRIPT)]
        rest.insert(turns[-1] + 1 if turns and transcript.item else len(rest), transcript)
    return rest


def _without_pieces(entries: Sequence[_Entry]) -> Iterator[_Entry]:
    """Of an item's pieces of audio and text one of each type, where its first piece is; of audio without an item one in
    each turn."""
    pieces: dict[str, dict[str, _Entry]] = {}
    for each in entries:
        if each.type.endswith(_PIECES):
            pieces.setdefault(each.item, {}).setdefault(each.type, each)
    audio: set[Way] = set()
    for each in entries:
        if each.type.endswith(_PIECES):
            types = pieces.pop(each.item, {})
            yield from (types[name] for name in sorted(types))
        elif each.type not in (_APPEND, "(binary)"):
            if each.type in (*_ENDS_TURN, "response.done"):
                audio.discard(each.way)
            yield each
        elif each.way not in audio:
            audio.add(each.way)
            yield each


def _entry(record: Record, may_differ: Ignored) -> _Entry:
    content = record.content
    blank = _Entry(record.at_us, record.way, "")

    def shown(kind: str, *texts: str) -> _Entry:
        return replace(blank, type=kind, shown=tuple(line for text in texts for line in _plain(text, may_differ)))

    match content:
        case Text(data):
            event = event_in(data)
            if event is None or not isinstance(event.get("type"), str):
                return shown("(text)", data.decode(errors="replace"))
            return _event_entry(blank, event, may_differ)
        case StrippedMessage(kind, _):
            event = event_in(content.rest)
            if kind == "binary" or event is None:
                return shown("(binary)")
            return _event_entry(blank, event, may_differ)
        case Binary():
            return shown("(binary)")
        case Close(code, reason):
            return shown("(close)", f"{code} {reason}".rstrip())
        case Reset():
            return shown("(reset)")
        case Request(method, target, _, _):
            return shown("(request)", f"{method} {target}")
        case Response(status, _, _):
            return shown("(response)", str(status))
        case Dropped(what, _, reason):
            return shown("(dropped)", f"{what}: {reason}")
        case _:
            assert_never(content)


def _event_entry(blank: _Entry, event: Event, may_differ: Ignored) -> _Entry:
    kind = str(event["type"])
    item = text_at(event, "item_id") or text_at(event, "item", "id")
    if kind.endswith(_PIECES):
        item = item or text_at(event, "response_id")
    elif kind == _APPEND:
        item = ""
    shown: Iterable[str]
    if blank.way == "sent":
        shown = () if kind == _APPEND else _fields(event, "", may_differ)
    else:
        error = object_at(event, "error") or object_at(event, "response", "status_details", "error")
        texts = [text_at(event, name) for name in _WORDS.get(kind, ())]
        texts += [text_at(event, "response", "status")] if kind == "response.done" else []
        texts += [text_at(error, name) for name in ("code", "message")]
        shown = (line for text in texts if text for line in _plain(_compact(text), may_differ))
    return replace(blank, type=kind, item=item, shown=tuple(shown))


def _fields(value: Any, path: str, may_differ: Ignored) -> Iterator[str]:
    """The fields of a client's event, one a line; a text with line breaks takes several. Ids and audio are left out."""
    if may_differ.covers(path, "", None):
        yield f"{path}: <ignored>"
    elif isinstance(value, Mapping) and value:
        for key, part in value.items():
            if path or key not in ("type", "event_id"):
                yield from _fields(part, f"{path}.{key}".lstrip("."), may_differ)
    elif isinstance(value, list) and value:
        for index, part in enumerate(value):
            yield from _fields(part, f"{path}[{index}]", may_differ)
    elif path.endswith(".audio") and isinstance(value, str):
        return
    else:
        text = _compact(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        lines = _plain(text, may_differ)
        yield f"{path}: {lines[0]}" if len(lines) == 1 else f"{path}:"
        if len(lines) > 1:
            yield from (f"  {line}" for line in lines)


def _compact(text: str) -> str:
    """JSON within a text in one form, with its keys sorted."""
    if text[:1] not in ("{", "["):
        return text
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, sort_keys=True)
    except (ValueError, RecursionError):
        return text


def _plain(text: str, may_differ: Ignored) -> list[str]:
    """The lines of a text without ids and Unix times, and without what may differ."""
    clean = _LONG_ID.sub("<ignored>", _NO_ID.without(may_differ.without(text)))
    return _UNIX.sub("<time>", clean).replace("<ignored>", "<…>").splitlines() or [""]
