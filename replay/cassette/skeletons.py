"""Messages that differ from an earlier one only in values: texts, ids and numbers.

In most messages of a call, all but the values is the same as in one before. What the scanner found out about that part,
the skeleton, then holds for the next message too, and only the values are left to be searched.
"""

from __future__ import annotations

import re

Skeleton = tuple[tuple[str, ...], tuple[str | None, ...]]
"""What is around the values of a message, in order, and the values of the keys `type`."""

LONGEST = 8192
"""Characters of a message that is taken apart."""
_LONGEST_KEPT = 2048
"""Characters of a skeleton that is remembered."""
_MOST_KEPT = 512
_VALUE = re.compile(r'":(?:"([^"\\]*)"|-?\d[\d.]*(?=[,}]))')
"""A string or a number under a key. It begins with the quote behind the key."""
_TYPE = '"type'
_KEY_END = re.compile(r"\s*:")


def apart(message: str) -> tuple[Skeleton, list[str | None]]:
    """The skeleton of a message without backslashes, and its values; None for a number."""
    parts = _VALUE.split(message)
    around, values = tuple(parts[::2]), parts[1::2]
    types = [value for before, value in zip(around, values, strict=False) if before.endswith(_TYPE)]
    return (around, tuple(types)), values


def is_apart(message: str) -> bool:
    """Whether each value that `apart` finds is one by the structure of the message: a string or number under a key.

    It then is one in each message with the same skeleton, since values hold no quote and no backslash.
    """
    quotes = done = 0
    for value in _VALUE.finditer(message):
        quotes += message.count('"', done, value.start())
        done = value.start()
        if quotes % 2 == 0 or (value[1] is not None and _KEY_END.match(message, value.end()) is not None):
            return False
    return True


class Skeletons:
    """The skeletons of messages whose values may be looked at by themselves."""

    def __init__(self) -> None:
        self._kept: set[tuple[Skeleton, int, int]] = set()

    def holds(self, skeleton: Skeleton, sound: int, depth: int) -> bool:
        """Whether this one was kept, with its sound behind so many quotes and at this depth."""
        return (skeleton, sound, depth) in self._kept

    def keep(self, skeleton: Skeleton, sound: int, depth: int) -> None:
        """Remember one, unless it is long. If there are too many, all are forgotten."""
        if sum(map(len, skeleton[0])) <= _LONGEST_KEPT:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept.add((skeleton, sound, depth))
