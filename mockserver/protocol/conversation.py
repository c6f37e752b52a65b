"""The items of one conversation and their order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from mockserver.protocol.commands import Part, Role, ServerTool

Kind = Literal["message", "call", "result", "hosted", "listing", "request", "approval"]
"""`hosted` is a call that the service makes itself, `listing` the tools of an MCP server. A `request` asks the client
to approve a call, and an `approval` answers that."""
Status = Literal["in_progress", "completed", "incomplete"]


@dataclass(frozen=True, slots=True)
class ToolError:
    """Why an MCP server gave no list, or no result. `code` is the HTTP status or that of the protocol."""

    message: str
    type: Literal["tool_execution_error", "protocol_error", "http_error", "connection_error"] = "tool_execution_error"
    code: int | None = None


MOST_ITEMS = 20_000
"""Items of a conversation, a guess: one every third of a second of the longest session. Each is several objects, and a
full garbage collection looks at all of them."""
_EMPTY_ITEM = 500
"""Bytes of an item without content, about."""
MOST_BYTES = 64 << 20
"""Bytes of text and audio of all items."""


@dataclass(slots=True, eq=False)
class SpokenSegment:
    """A segment of an assistant's message, as far as it was sent: its text and milliseconds of audio."""

    text: str = ""
    ms: float = 0.0


@dataclass(slots=True, eq=False)
class Item:
    """One entry of a conversation. It changes while it is spoken.

    name, call_id, arguments, output: of calls and their results.
    error: why a hosted call, or a listing, failed.
    server: the label of the MCP server; empty for a tool of the service itself.
    tools: of a listing, the tools of the server.
    request_id: of an approval, and of a hosted call that needed one: the id of the request.
    approved: of an approval; its `output` is the reason.
    previous: the id of the item before it, at the time at which it was added.
    replayed: it repeats an item of an earlier connection.
    size: bytes of text and audio at the time at which it was added.
    saved_s: the second from which a connection that resumes gets it; None until the response or connection is over.
    truncated: the client truncated it: what is sent of it after that was not heard.
    spoken: of an assistant's message: its segments in order.
    heard_ms: of a spoken turn: milliseconds of its audio.
    audio_parts: functions that make its audio in the format of the wire; empty if it is not known, or no longer kept.
    bytes_per_ms: of that format.
    kept_ms: of a truncated message: milliseconds that were heard.
    phase: of an assistant's message: `commentary` if a function call follows it, else `final_answer`, or empty.
    """

    id: str
    kind: Kind
    role: Role = "user"
    status: Status = "completed"
    parts: list[Part] = field(default_factory=list)
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    output: str = ""
    error: ToolError | None = None
    server: str = ""
    tools: tuple[ServerTool, ...] = ()
    request_id: str = ""
    approved: bool = False
    previous: str | None = None
    replayed: bool = False
    size: int = 0
    saved_s: float | None = None
    truncated: bool = False
    spoken: tuple[SpokenSegment, ...] = ()
    heard_ms: float = 0.0
    audio_parts: tuple[Callable[[], bytes], ...] = ()
    bytes_per_ms: float = 0.0
    kept_ms: float | None = None
    phase: str = ""

    @property
    def text(self) -> str:
        """Its texts and transcripts, joined."""
        return self.parts[0].text if len(self.parts) == 1 else "".join([part.text for part in self.parts])

    @property
    def spoken_ms(self) -> float:
        """Milliseconds of an assistant's message that were sent as audio, without what was truncated since."""
        return sum([segment.ms for segment in self.spoken])

    @property
    def audio(self) -> bytes:
        """Its audio, as far as it was sent and not truncated; made on each call."""
        whole = b"".join(make() for make in self.audio_parts)
        return whole if self.kept_ms is None else whole[: round(self.kept_ms * self.bytes_per_ms) // 2 * 2]

    def repeated(self, id: str) -> Item:
        """This message of the assistant as a connection that resumes the conversation shows it."""
        return Item(id, "message", "assistant", parts=[Part("text", self.text)], replayed=True)

    def keep(self, heard_ms: int, *, erase: bool = False) -> None:
        """Drop what was spoken after the first `heard_ms` milliseconds: whole words, by their share of a segment. With
        `erase` drop all words, and the audio."""
        if heard_ms >= self.spoken_ms:
            return
        self.truncated, self.kept_ms = True, heard_ms
        if erase:
            self.parts = [Part("audio", is_audio=True)]
            self.spoken = (SpokenSegment("", float(heard_ms)),)
            return
        kept, left = "", float(heard_ms)
        for segment in self.spoken:
            if left >= segment.ms:
                kept, left = kept + segment.text, left - segment.ms
                continue
            words = re.findall(r"\s*\S+", segment.text)
            kept += "".join(words[: int(len(words) * left / segment.ms)])
            break
        self.parts = [Part(self.parts[0].kind if self.parts else "audio", kept, is_audio=True)]


AUDIO_BYTES = 4 << 20
"""At most this much of the users' audio in a conversation is kept, the newest: 87 s of PCM at 24 kHz."""


class Conversation:
    """An ordered collection of items by id. Adding at the end and finding take constant time. It makes no ids."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.earlier: list[Item] = []
        """Items of the connections before this one; no events here show them."""
        self._items: dict[str, Item] = {}
        self._calls: Counter[str] = Counter()
        self._size = 0
        self._unsaved: list[Item] = []
        self._last: str | None = None
        self._with_audio: dict[Item, int] = {}
        self._audio_bytes = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def size(self) -> int:
        """Bytes of text and audio of its items, about, those of earlier connections included."""
        earlier = sum(item.size for item in self.earlier)
        return self._size + self._audio_bytes + earlier + _EMPTY_ITEM * (len(self._items) + len(self.earlier))

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    @property
    def last_id(self) -> str | None:
        """The id of its last item; None without one."""
        return self._last

    def called(self, call_id: str) -> bool:
        """Whether it has a call of that id."""
        return self._calls[call_id] > 0

    def full(self, item: Item) -> bool:
        """Whether it would be too large with that item: above `MOST_ITEMS` or `MOST_BYTES`, which bound memory."""
        return len(self._items) + len(self.earlier) >= MOST_ITEMS or self._size + _size(item) > MOST_BYTES

    def save(self, at: float) -> None:
        """Let connections that resume from `at` on get what was added since the last call."""
        for item in self._unsaved:
            item.saved_s = at
        self._unsaved.clear()

    def history(self, at: float | None) -> list[Item]:
        """The items that a connection that resumes at that instant gets; None is after everything was saved."""
        own = [item for item in self if not item.replayed]
        return self.earlier + [item for item in own if at is None or (item.saved_s is not None and item.saved_s <= at)]

    def release(self) -> None:
        """Let go of all items: nobody comes back. What still refers to the conversation may live on for a while."""
        self.earlier = []
        self._items.clear()
        self._unsaved.clear()
        self._with_audio.clear()
        self._size = self._audio_bytes = 0

    def get(self, item_id: str) -> Item | None:
        """The item of that id, or None."""
        return self._items.get(item_id)

    def add(self, item: Item, after: str | None = None) -> None:
        """Add an item at the end, or behind `after` (`"root"` is the start). An unknown `after` means the end."""
        self._drop(item.id)  # an id that comes again moves
        self._unsaved.append(item)
        item.size = _size(item)
        self._size += item.size
        if item.kind == "call":
            self._calls[item.call_id] += 1
        if after is None or after == self._last or (after != "root" and after not in self._items):
            item.previous = self._last
            self._items[item.id] = item
            self._last = item.id
            return
        item.previous = None if after == "root" else after
        order = list(self._items.values())  # rebuilding the order takes linear time
        order.insert(0 if item.previous is None else list(self._items).index(item.previous) + 1, item)
        self._items = {each.id: each for each in order}
        self._last = order[-1].id

    def keep_audio(self, item: Item, audio: bytes) -> None:
        """Keep the audio of a user's item, and drop the audio of the oldest items above `AUDIO_BYTES`."""
        item.audio_parts = (lambda: audio,)
        self._with_audio[item] = len(audio)
        self._audio_bytes += len(audio)
        while self._audio_bytes > AUDIO_BYTES:
            oldest = next(iter(self._with_audio))
            self._audio_bytes -= self._with_audio.pop(oldest)
            oldest.audio_parts = ()

    def remove(self, item_id: str) -> Item | None:
        """Remove an item and return it; None if there is no such item."""
        item = self._drop(item_id)
        if item is not None and item_id == self._last:
            self._last = next(reversed(self._items), None)
        return item

    def _drop(self, item_id: str) -> Item | None:
        item = self._items.pop(item_id, None)
        if item is not None:
            self._size -= item.size
            if item.kind == "call":
                self._calls[item.call_id] -= 1
        return item


def _size(item: Item) -> int:
    """Bytes of a client's item, about. What the assistant says is added later, and is small."""
    return len(item.output) + len(item.arguments) + sum([len(part.text) + len(part.audio) for part in item.parts])
