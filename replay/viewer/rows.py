"""The rows of a call document, in a form that takes a third of the memory: a long call has a hundred thousand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import orjson

Row = dict[str, Any]


class PackedRows(Sequence[Row]):
    """Rows that are made of JSON when they are read."""

    def __init__(self) -> None:
        self._packed: list[bytes | Row] = []
        """As it is: a row that JSON of orjson cannot give back, such as one with an integer of more than 64 bits."""

    def append(self, row: Row) -> None:
        """Keep a row; it must not change any more."""
        try:
            self._packed.append(bytes(memoryview(orjson.dumps(row))))  # a copy: what it returns takes 1 KiB at least
        except TypeError:
            self._packed.append(row)

    def __len__(self) -> int:
        return len(self._packed)

    @overload
    def __getitem__(self, place: int) -> Row: ...

    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...

    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        if isinstance(place, slice):
            return [_unpacked(each) for each in self._packed[place]]
        return _unpacked(self._packed[place])


def _unpacked(packed: bytes | Row) -> Row:
    if isinstance(packed, bytes):
        row: Row = orjson.loads(packed)
        return row
    return packed
