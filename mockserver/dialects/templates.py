"""A template: a message of the assistant as the bytes of its WebSocket frames, with blanks.

A dialect renders the message once, with blanks for what differs each time: ids, the link to the item before, the time,
the latency, and random padding. What it rendered is cut at the blanks. Filling them gives the same bytes as rendering
the message again, for a part of the cost: nothing is encoded, and the audio is copied once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import orjson

from mockserver.audio.formats import EncodedAudio
from replay.cassette.frames import TEXT, Frame, Passage, Sound, Span, Text, header
from replay.values import value

MOST_LAYOUTS = 16
"""Layouts of a template that are kept: one for each set of widths. A client's own ids may have any."""


def _mark(name: str) -> str:
    return f"\0{name}\0"


ITEM, RESPONSE, LINK = _mark("item"), _mark("response"), _mark("link")
"""Blanks: the ids of the message and of its response, and the id of the item before it."""
MS, LATENCY_S = 7_777_777_777_777, 77_777.77
"""Blanks: milliseconds of Unix time, and the latency in seconds. Both are rendered as numbers."""
_BLANK = re.compile(
    rb'"\\u0000(?P<link>link)\\u0000"'
    rb"|\\u0000(?P<name>item|response|[0-9]+)\\u0000|\\u0000audio(?P<audio>[0-9]+)\\u0000"
    rb'|(?<="ts":)(?P<ms>7777777777777)|(?<="latency":")(?P<latency>77777\.77)'
)
_FIXED = {"item": 0, "response": 1, "link": 2, "ms": 3, "latency": 4}
"""Places among the values that fill a template; what is drawn comes after them."""


class Blanks:
    """In place of a dialect's ids and padding: gives blanks, and remembers in which order what is drawn."""

    session = conversation = ""

    def __init__(self) -> None:
        self.drawn: list[int] = []
        """Characters of padding, or 0 for the id of an event."""

    def event(self, at: float = 0.0) -> str:
        """The id of an event."""
        return self._next(0)

    def events(self, count: int, at: float = 0.0) -> list[str]:
        """The ids of so many events."""
        return [self.event(at) for _ in range(count)]

    def draw(self, count: int) -> str:
        """That many characters of padding."""
        return self._next(count) if count else ""

    def item(self, at: float = 0.0) -> str:
        """The id of the message."""
        return ITEM

    def response(self, at: float = 0.0) -> str:
        """The id of the response."""
        return RESPONSE

    def call(self, index: int) -> str:
        """A message has no calls."""
        raise AssertionError("a template has no calls")

    def _next(self, what: int) -> str:
        self.drawn.append(what)
        return _mark(str(len(self.drawn) - 1))


def blank_audio(number: int, audio: EncodedAudio) -> EncodedAudio:
    """Audio that is rendered as a blank."""
    return EncodedAudio(audio.data, base64=orjson.dumps(_mark(f"audio{number}"))[1:-1])


def suits(text: str) -> bool:
    """Whether a text can be in a template: it has nothing that is rendered like a blank."""
    return "\0" not in text and "\\" not in text


@value
class Filling:
    """What fills a template: the message and its response, Unix time in ms, the latency as it is shown, and what was
    drawn."""

    item_id: str
    response_id: str
    link: str | None
    ms: int
    latency: str
    drawn: Sequence[str]


@value
class _Layout:
    """A template for values of certain widths: its bytes in parts, which value belongs to which part, and where its
    messages are."""

    parts: Sequence[bytes]
    places: Sequence[tuple[int, int]]
    spans: Sequence[Span]


@dataclass(slots=True)
class Template:
    """Messages with blanks. `messages`: each as its type, its parts and its bytes of audio; a part is bytes, or the
    place of a value. `drawn`: what has to be drawn to fill it, see `Blanks`."""

    drawn: Sequence[int]
    messages: Sequence[tuple[str, Sequence[bytes | int], int]]
    _layouts: dict[tuple[int, ...], _Layout] = field(default_factory=dict)

    @property
    def speaks(self) -> bool:
        """Whether there is audio in it."""
        return any(audio for _, _, audio in self.messages)

    @classmethod
    def of(cls, frames: Iterable[Frame | Sound], audio: Sequence[EncodedAudio], drawn: Sequence[int]) -> Template:
        """A template of rendered frames. `audio`: what stands where blanks of audio are."""
        messages = []
        for frame in frames:
            assert isinstance(frame, Text)
            parts: list[bytes | int] = []
            end = size = 0
            for found in _BLANK.finditer(frame.data):
                parts.append(frame.data[end : found.start()])
                end = found.end()
                if (number := found["audio"]) is not None:
                    parts.append(audio[int(number)].base64)
                    size = len(audio[int(number)].data)
                else:
                    name = next(text for text in found.groups() if text is not None).decode()
                    known = found.lastgroup if found.lastgroup in _FIXED else name
                    parts.append(_FIXED[known] if known in _FIXED else len(_FIXED) + int(name))
            parts.append(frame.data[end:])
            kind = orjson.loads(frame.data)["type"]
            messages.append((kind, parts, size))
        return cls(tuple(drawn), messages)

    def filled(self, by: Filling) -> Passage:
        """The messages with these values."""
        # Ids of items and responses may be the client's, so they are encoded as JSON; what is drawn needs no escapes.
        ids = (orjson.dumps(by.item_id)[1:-1], orjson.dumps(by.response_id)[1:-1], orjson.dumps(by.link))
        values = [*ids, b"%d" % by.ms, by.latency.encode(), *[each.encode() for each in by.drawn]]
        widths = tuple(map(len, values))
        if (layout := self._layouts.get(widths)) is None:
            if len(self._layouts) >= MOST_LAYOUTS:
                self._layouts.clear()
            layout = self._layouts[widths] = self._laid_out(widths)
        parts = list(layout.parts)
        for place, number in layout.places:
            parts[place] = values[number]
        return Passage(b"".join(parts), layout.spans)

    def _laid_out(self, widths: Sequence[int]) -> _Layout:
        parts: list[bytes] = []
        places: list[tuple[int, int]] = []
        spans: list[Span] = []
        end = 0
        for kind, of_message, audio in self.messages:
            size = sum(widths[part] if isinstance(part, int) else len(part) for part in of_message)
            head = header(TEXT, size)
            spans.append(Span(kind, end + len(head), end + len(head) + size, audio))
            end += len(head) + size
            for part in (head, *of_message):
                if isinstance(part, int):
                    places.append((len(parts), part))
                parts.append(b"" if isinstance(part, int) else part)
        return _Layout(parts, places, spans)
