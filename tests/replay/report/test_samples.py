from __future__ import annotations

from array import array
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from replay.report import samples
from replay.report.samples import SampleFile, Samples
from replay.report.soundtrack import resampled

chunks = st.lists(st.integers(-32768, 32767), max_size=9).map(lambda values: array("h", values))


def pair(added: Sequence[array[int]]) -> tuple[Samples, array[int]]:
    """The same samples in a file and in memory; others lie between them in the file."""
    file, plain = SampleFile(), array("h")
    stored = file.add(plain)
    for number, each in enumerate(added):
        if number % 3:
            file.add(array("h", [7] * number))
        stored.extend(file.add(each))
        plain += each
    return stored, plain


@settings(max_examples=100)
@given(st.lists(chunks, max_size=6), st.integers(0, 40), st.integers(0, 40))
def test_samples_in_a_file_are_those_of_an_array(added: list[array[int]], first: int, last: int):
    stored, plain = pair(added)
    assert len(stored) == len(plain)
    assert stored[:] == plain
    assert stored[first:last] == plain[first:last]
    part = stored.part(first, last)
    assert part[:] == plain[first:last]
    stored.cut(first)
    assert stored[:] == plain[:first]
    part.extend(stored)
    assert part[:] == plain[first:last] + plain[:first]
    assert stored[:] == plain[:first], "a part grows by itself"


@settings(max_examples=100)
@given(st.lists(chunks, max_size=6), st.sampled_from([8000, 16_000, 23_999, 24_000, 44_100]), st.integers(1, 20))
def test_audio_is_resampled_in_pieces_as_it_is_at_once(added: list[array[int]], rate: int, step: int):
    stored, plain = pair(added)
    count, pieces = len(plain) * 24_000 // rate, array("h")
    for first in range(0, count, step):
        pieces += resampled(stored, rate, 24_000, first, min(count, first + step))
    assert pieces == (resampled(plain, rate, 24_000, 0, count) if count else array("h"))


def test_more_samples_than_memory_is_for_go_to_disk():
    file = SampleFile()
    file.add(array("h", bytes(samples._HELD + 2)))
    assert file.add(array("h", [5]))[:] == array("h", [5])
    assert file._file.fileno() > 0
