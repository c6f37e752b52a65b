"""What was found out about a sound, kept by its hash: a load test sends the same sound in each of its sessions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from hashlib import blake2b
from typing import Generic, TypeVar

T = TypeVar("T")


class KeptByHash(Generic[T]):
    """Results for the last sounds, without the sounds."""

    def __init__(self, most: int) -> None:
        """`most`: how many results are kept; the one that was found first goes first."""
        self._most = most
        self._found: OrderedDict[tuple[bytes, Hashable], T] = OrderedDict()

    def get(self, sound: bytes, form: Hashable, find: Callable[[], T]) -> T:
        """The result for a sound in a format, found now if it is not known. Hashing takes about 1 ms a megabyte."""
        key = blake2b(sound, digest_size=16).digest(), form
        if (kept := self._found.get(key)) is not None:
            return kept
        found = self._found[key] = find()
        while len(self._found) > self._most:
            self._found.popitem(last=False)
        return found
