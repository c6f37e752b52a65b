"""Maps ids of a recording to ids of a replay: the id in the same place.

A place is the connection, the event type, the number of events of that type before it, and the path in the event. Tool
calls are matched by name: the second call of `book` here is the second one there, whatever was called in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from replay.cassette import json_text
from replay.cassette.json_text import Event

_Path = tuple[Any, ...]
_Place = tuple[int, str, int, _Path]
_CALL = "response.function_call_arguments.done"


class IdMap:
    """The ids of a recording and of a replay. It needs every server event of both, in order, connection by
    connection.
    """

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}
        """By recorded id: where it first stood."""
        self._here: dict[_Place, str] = {}
        self._calls: dict[str, tuple[str, int]] = {}
        self._calls_here: dict[tuple[str, int], str] = {}
        self._tape_events: Counter[tuple[int, str]] = Counter()
        self._events: Counter[tuple[int, str]] = Counter()
        self._named: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self._tape_connection = self._connection = -1

    def next_recorded_connection(self) -> None:
        """The recorded events from now on belong to the next connection."""
        self._tape_connection += 1

    def next_connection(self) -> None:
        """The received events from now on belong to the next connection."""
        self._connection += 1

    def recorded(self, event: Event) -> None:
        """The next server event of the recording."""
        kind = str(event.get("type"))
        self._tape_events[self._tape_connection, kind] += 1
        count = self._tape_events[self._tape_connection, kind]
        for path, value in _ids(event):
            self._places.setdefault(value, (self._tape_connection, kind, count, path))
        if kind == _CALL:
            name = str(event.get("name"))
            self._calls.setdefault(str(event.get("call_id")), (name, self._named[0][name]))
            self._named[0][name] += 1

    def received(self, event: Event) -> None:
        """The next server event of the replay."""
        kind = str(event.get("type"))
        self._events[self._connection, kind] += 1
        count = self._events[self._connection, kind]
        for path, value in _ids(event):
            self._here[self._connection, kind, count, path] = value
        if kind == _CALL:
            name = str(event.get("name"))
            self._calls_here[name, self._named[1][name]] = str(event.get("call_id"))
            self._named[1][name] += 1

    def live_id(self, known: str) -> str | None:
        """The replay's id for a recorded one. None if the recorded server did not send it, or if it has not arrived
        here.
        """
        if known in self._calls:
            return self.live_call_id(known)
        place = self._places.get(known)
        return None if place is None else self._here.get(place)

    def live_call_id(self, known: str) -> str | None:
        """The replay's call id for a recorded one. An id that no recorded call has is returned as it is."""
        return self._calls_here.get(self._calls[known]) if known in self._calls else known

    def rewritten(self, data: bytes) -> bytes:
        """A client's event with the replay's ids. No other byte changes."""
        text = data.decode("latin-1")  # one character per byte, so that positions are byte offsets
        parts: list[str] = []
        done = 0
        for value in json_text.values(text):
            if value.number or not value.keys or not value.keys[-1].endswith("id"):
                continue
            new = self.live_id(text[value.start : value.end])
            if new is not None:
                parts += (text[done : value.start], new)
                done = value.end
        return "".join((*parts, text[done:])).encode("latin-1") if parts else data


def _ids(value: Any, path: _Path = ()) -> Iterator[tuple[_Path, str]]:
    """The strings under keys that name ids, with their paths."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            if isinstance(part, str):
                if key.endswith("id"):
                    yield (*path, key), part
            else:
                yield from _ids(part, (*path, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _ids(part, (*path, index))
