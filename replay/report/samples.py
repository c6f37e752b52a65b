"""Samples of 16 bits beyond what fits into memory: in a temporary file, of which turns and pieces refer to parts."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from weakref import finalize

_HELD = 4 << 20
"""Bytes that stay in memory."""
_WIDTH = 2


class SampleFile:
    """All samples of a recording, in the order in which they came."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=_HELD)
        finalize(self, self._file.close)
        self._count = 0

    def add(self, samples: array[int]) -> Samples:
        """Append samples. Raises OSError if the disk is full."""
        self._file.seek(self._count * _WIDTH)
        self._file.write(samples.tobytes())
        begin, self._count = self._count, self._count + len(samples)
        return Samples(self, [(begin, self._count)] if samples else [])

    def read(self, begin: int, end: int) -> array[int]:
        """The samples from `begin` to `end`."""
        self._file.seek(begin * _WIDTH)
        found = array("h")
        found.frombytes(self._file.read((end - begin) * _WIDTH))
        return found


class Samples:
    """A sequence of samples: parts of a file, one after the other. A slice of it is an array."""

    def __init__(self, file: SampleFile, parts: list[tuple[int, int]]) -> None:
        self._file = file
        self._parts: list[tuple[int, int]] = []
        self._ends: list[int] = []
        """Where each part ends, in samples of this sequence."""
        for part in parts:
            self._add(*part)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, wanted: slice) -> array[int]:
        found = array("h")
        for begin, end in self._between(*wanted.indices(len(self))[:2]):
            found += self._file.read(begin, end)
        return found

    def extend(self, other: Samples) -> None:
        """Append the samples of another sequence."""
        for part in other._parts:
            self._add(*part)

    def part(self, first: int, last: int) -> Samples:
        """The samples from `first` to `last`, without reading them. All of them are a copy, which grows by itself."""
        return Samples(self._file, list(self._between(first, min(last, len(self)))))

    def cut(self, length: int) -> None:
        """Leave so many samples."""
        kept = list(self._between(0, min(length, len(self))))
        self._parts, self._ends = [], []
        for part in kept:
            self._add(*part)

    def _add(self, begin: int, end: int) -> None:
        total = len(self) + end - begin
        if self._parts and self._parts[-1][1] == begin:
            self._parts[-1], self._ends[-1] = (self._parts[-1][0], end), total
        else:
            self._parts.append((begin, end))
            self._ends.append(total)

    def _between(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The parts from `first` to `last`, as far as they are in between."""
        at = bisect_right(self._ends, first)
        while first < last:
            begin, end = self._parts[at]
            start = self._ends[at] - (end - begin)
            stop = min(last, self._ends[at])
            yield begin + first - start, begin + stop - start
            first, at = stop, at + 1
