"""The loudspeaker's clock, without a loudspeaker."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_agent.call.playback import Playback, Truncation


def sound(ms: float) -> bytes:
    return b"\1\0" * round(ms * 24)


def test_three_seconds_that_come_at_once_have_been_heard_for_one_second_a_second_later():
    playback = Playback()
    playback.queue("a", sound(3000), now_s=10.0)
    assert playback.heard_ms("a", 11.0) == 1000
    assert not playback.over("a", 12.999)
    assert playback.over("a", 13.0)


def test_sound_that_comes_while_other_sound_plays_waits_for_its_end():
    playback = Playback()
    playback.queue("a", sound(1000), 0.0)
    playback.queue("a", sound(500), 0.2)
    playback.queue("b", sound(500), 0.4)
    assert [(each.item_id, each.start_s, each.end_s) for each in playback.segments] == [("a", 0, 1.5), ("b", 1.5, 2)]
    assert playback.begun(1.4) == ["a"]
    assert playback.begun(1.5) == ["a", "b"]


def test_while_sound_is_late_nothing_is_heard_and_the_item_s_time_stands_still():
    playback = Playback()
    playback.queue("a", sound(500), 0.0)
    playback.queue("a", sound(500), 2.0)
    assert [playback.heard_ms("a", now) for now in (0.25, 0.5, 1.9, 2.25, 9.0)] == [250, 500, 500, 750, 1000]


def test_a_cut_keeps_what_was_heard_and_drops_the_rest_and_all_that_was_waiting():
    playback = Playback()
    playback.queue("a", sound(1000), 0.0)
    playback.queue("b", sound(1000), 0.0)
    playback.queue("c", sound(1000), 0.0)
    assert playback.cut(1.4) == [Truncation("b", 400), Truncation("c", 0)]
    assert playback.ends_s == pytest.approx(1.4)
    assert [(each.item_id, len(each.pcm)) for each in playback.dropped] == [("b", len(sound(600))), ("c", 48_000)]
    assert playback.heard_ms("b", 99.0) == 400


def test_a_cut_after_the_last_sound_was_heard_cuts_nothing():
    playback = Playback()
    assert playback.cut(0.0) == []
    playback.queue("a", sound(1000), 0.0)
    assert playback.cut(1.0) == []
    assert playback.dropped == []


def test_after_a_cut_new_sound_plays_at_once():
    playback = Playback()
    playback.queue("a", sound(5000), 0.0)
    playback.cut(1.0)
    playback.queue("b", sound(100), 1.0)
    assert playback.segments[-1].start_s == pytest.approx(1.0)


@given(
    deltas=st.lists(st.tuples(st.integers(1, 5000), st.integers(0, 400)), max_size=20),
    cut_after_ms=st.integers(0, 9000),
)
def test_nothing_is_lost_doubled_or_heard_before_it_came(deltas: list[tuple[int, int]], cut_after_ms: int):
    playback, now_ms, came = Playback(), 0, 0
    for length, gap_ms in deltas:
        now_ms += gap_ms
        playback.queue("a", b"\1\0" * length, now_ms / 1000)
        came += length
    cut_s = (now_ms + cut_after_ms) / 1000
    cuts = playback.cut(cut_s)
    kept, dropped = (sum(len(each.pcm) // 2 for each in list_) for list_ in (playback.segments, playback.dropped))
    assert kept + dropped == came
    assert playback.ends_s <= cut_s + 1e-6
    assert kept <= Fraction(cut_s) * 24_000 + 1
    assert bool(cuts) == bool(dropped)
    assert all(cut.heard_ms == kept * 1000 // 24_000 for cut in cuts)
