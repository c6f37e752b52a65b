"""Identifiers: the same seed gives the same ones, and one purpose does not disturb another."""

from __future__ import annotations

import uuid
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from mockserver.dialects.openai.ids import Digits, drawn
from mockserver.dialects.xai.dialect import XaiIds
from mockserver.protocol.ids import LateStream, hex128, stream, uuid4, uuid4s


@given(st.text(max_size=20))
def test_ids_are_version_4_uuids_of_the_standard_variant(seed: str):
    made = uuid.UUID(uuid4(stream(seed, "x")))
    assert (made.version, made.variant) == (4, uuid.RFC_4122)
    assert hex128(stream(seed, "x")) == made.hex


def test_the_same_seed_gives_the_same_ids_and_another_seed_others():
    one, same, other = XaiIds("7/0"), XaiIds("7/0"), XaiIds("7/1")
    assert [one.session, one.item(), one.event()] == [same.session, same.item(), same.event()]
    assert not {one.session, one.conversation, one.item()} & {other.session, other.conversation, other.item()}


def test_drawing_for_one_purpose_moves_no_other():
    busy, idle = XaiIds("7/0"), XaiIds("7/0")
    for _ in range(100):
        busy.event()
        busy.call(0)
    assert (busy.item(), busy.response()) == (idle.item(), idle.response())


def test_ten_thousand_ids_are_all_different():
    ids = XaiIds("7/0")
    assert len({ids.event() for _ in range(10_000)}) == 10_000


@given(st.text(max_size=20))
def test_ids_drawn_in_blocks_are_those_drawn_one_by_one(seed: str):
    one_by_one = stream(seed, "x")
    assert list(islice(uuid4s(LateStream(seed, "x")), 40)) == [uuid4(one_by_one) for _ in range(40)]


@given(st.text(max_size=20), st.lists(st.integers(0, 300), max_size=30))
def test_digits_drawn_in_blocks_are_those_drawn_one_by_one(seed: str, counts: list[int]):
    digits, one_by_one = Digits(LateStream(seed, "x")), stream(seed, "x")
    assert [digits.draw(count) for count in counts] == [drawn(one_by_one, count) for count in counts]
