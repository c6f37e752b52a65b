"""The items of one conversation, their order and what came before each. It makes no ids and renders nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from mockserver.protocol.commands import Part, Role

Kind = Literal["message", "call", "result", "hosted", "listing", "request", "approval"]
"""`hosted` is a call that the service made, `listing` what the tools of a server are, `request` the question whether a
call may be made, and `approval` the answer."""
Status = Literal["in_progress", "completed", "incomplete"]


MOST_ITEMS = 100_000
MOST_BYTES = 64 << 20
"""Text and sound of all items."""


@dataclass(slots=True, eq=False)
class SpokenSegment:
    """A segment of an assistant's message, as far as it was sent."""

    text: str = ""
    ms: float = 0.0


@dataclass(slots=True, eq=False)
class Item:
    """One entry: a message, a function call, its result, what was hosted. Mutable while it is being spoken."""

    id: str
    kind: Kind
    role: Role = "user"
    status: Status = "completed"
    parts: list[Part] = field(default_factory=list)
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    output: str = ""
    error: str = ""
    """Why a hosted call, or a listing, failed."""
    server: str = ""
    """The label of the MCP server; empty for a tool of the service's own."""
    tools: tuple[str, ...] = ()
    """Of a listing: their names."""
    request_id: str = ""
    """Of an approval, and of a hosted call that needed one: the item that asked for it."""
    approved: bool = False
    """Of an approval; `output` is the reason."""
    previous: str | None = None
    """Id of the item before it, as it was when this one was added."""
    replayed: bool = False
    """It repeats an item of an earlier connection."""
    size: int = 0
    """Bytes of text and sound that it had when it was added."""
    saved_s: float | None = None
    """From when on a connection that resumes gets it back; None until something ends that it belongs to."""
    truncated: bool = False
    """The client said how much of it was heard; what is sent after that was not."""
    spoken: list[SpokenSegment] = field(default_factory=list)
    """Of an assistant's message: its segments in order."""
    heard_ms: float = 0.0
    """Of a spoken turn: how long its audio is."""
    sounds: list[Callable[[], bytes]] = field(default_factory=list)
    """Make what was said in it, in the format of the wire; none where it is not known, or not any more."""
    bytes_per_ms: float = 0.0
    """Of that format."""
    kept_ms: float | None = None
    """Of a truncated message: how much of it was heard."""
    phase: str = ""
    """Of an assistant's message: `commentary` when a function call follows it, else `final_answer`; may be empty."""

    @property
    def text(self) -> str:
        """All that was written or said in it."""
        return "".join(part.text for part in self.parts)

    @property
    def spoken_ms(self) -> float:
        """How much of an assistant's message was sent as sound, and not truncated since."""
        return sum(segment.ms for segment in self.spoken)

    @property
    def sound(self) -> bytes:
        """What was said in it, as far as it was sent and not truncated; made when it is asked for."""
        whole = b"".join(make() for make in self.sounds)
        return whole if self.kept_ms is None else whole[: round(self.kept_ms * self.bytes_per_ms) // 2 * 2]

    def keep(self, heard_ms: int, *, erase: bool = False) -> None:
        """Forget what was spoken after its first `heard_ms` milliseconds: whole words, by their share of a segment.
        With `erase` forget all words, and the sound as well."""
        if heard_ms >= self.spoken_ms:
            return
        self.truncated, self.kept_ms = True, heard_ms
        if erase:
            self.parts = [Part("audio", is_audio=True)]
            self.spoken = [SpokenSegment("", float(heard_ms))]
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


SOUND_BYTES = 4 << 20
"""Of what callers said in a conversation so much is kept at the most, the newest: 87 s of PCM at 24 kHz."""


class Conversation:
    """An ordered collection of items by id. Adding and finding take constant time, whatever its length."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.earlier: list[Item] = []
        """What was said on connections before this one; remembered, but not announced here."""
        self._items: dict[str, Item] = {}
        self._calls: Counter[str] = Counter()
        self._size = 0
        self._unsaved: list[Item] = []
        self._last: str | None = None
        self._sounding: dict[Item, int] = {}
        self._sound_bytes = 0

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    def called(self, call_id: str) -> bool:
        """Whether a call of that id is in it."""
        return self._calls[call_id] > 0

    def full(self, item: Item) -> bool:
        """Whether it would be too large with that item: no conversation comes near, and memory has an end."""
        return len(self._items) >= MOST_ITEMS or self._size + _size(item) > MOST_BYTES

    def save(self, at: float) -> None:
        """What was added since the last time is there to be resumed from `at` on."""
        for item in self._unsaved:
            item.saved_s = at
        self._unsaved.clear()

    def history(self, at: float | None) -> list[Item]:
        """What a connection that resumes at that instant gets back; None is long after all of it."""
        own = [item for item in self if not item.replayed]
        return self.earlier + [item for item in own if at is None or (item.saved_s is not None and item.saved_s <= at)]

    def get(self, item_id: str) -> Item | None:
        """The item of that id, or None."""
        return self._items.get(item_id)

    def add(self, item: Item, after: str | None = None) -> None:
        """Put `item` at the end, or behind `after` (`"root"` is the head). An unknown `after` means the end."""
        self._drop(item.id)  # an id that comes again stands at its new place
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
        self._insert(item)

    def _insert(self, item: Item) -> None:
        """Rebuild the order with `item` behind its predecessor: linear, but only for placed items."""
        order = list(self._items.values())
        at = 0 if item.previous is None else list(self._items).index(item.previous) + 1
        order.insert(at, item)
        self._items = {each.id: each for each in order}
        self._last = order[-1].id

    def hold(self, item: Item, sound: bytes) -> None:
        """Keep what a caller said in an item, and forget the sound of the oldest items for it."""
        item.sounds = [lambda: sound]
        self._sounding[item] = len(sound)
        self._sound_bytes += len(sound)
        while self._sound_bytes > SOUND_BYTES:
            oldest = next(iter(self._sounding))
            self._sound_bytes -= self._sounding.pop(oldest)
            oldest.sounds = []

    def remove(self, item_id: str) -> Item | None:
        """Take an item out; None when there is no such item."""
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
    """Bytes that a client's item takes, roughly; what the assistant says comes later, and is small."""
    return len(item.output) + len(item.arguments) + sum(len(part.text) + len(part.audio) for part in item.parts)
