"""A caller's script, frame by frame, against another side that speaks when the test says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mockserver.calls.caller import Act, Caller, HangUp, Interrupt, Listen, Pause, Press, Speak, Step

SOUND = np.full(160, 9000, np.int16)
WORDS = Speak(np.full(800, 5000, np.int16), "Tuesday, please.")  # 100 ms


def call(steps: list[Step], speaks: Callable[[float], bool], greeting_s: float = 0.0) -> tuple[list[Act], Caller]:
    """All acts until the caller hangs up. speaks: whether the other side is heard at a second of the call."""
    caller, acts = Caller(steps, greeting_s=greeting_s), list[Act]()
    while not acts or not acts[-1].hangs_up:
        acts.append(caller.frame(SOUND if speaks(caller.now_s) else None))
        assert len(acts) < 3000, "the caller never hangs up"
    return acts, caller


def spoken_at(acts: list[Act]) -> list[float]:
    return [round(at * 0.02, 2) for at, act in enumerate(acts) if act.said]


def test_words_come_in_frames_and_then_the_caller_hangs_up():
    acts, caller = call([WORDS], lambda now: False)
    assert [None if act.samples is None else len(act.samples) for act in acts] == [160] * 5 + [None]
    assert [act.said for act in acts] == ["Tuesday, please.", "", "", "", "", ""]
    assert (caller.turns[0].began_s, caller.turns[0].ended_s) == (0.0, 0.1)


def test_a_greeting_is_heard_to_its_end():
    acts, _ = call([WORDS], lambda now: 0.5 <= now < 3.0, greeting_s=2.0)
    assert spoken_at(acts) == [3.98]


def test_without_a_greeting_the_caller_begins():
    assert spoken_at(call([WORDS], lambda now: False, greeting_s=2.0)[0]) == [2.0]


def test_an_answer_ends_after_a_silence_and_not_at_a_breath():
    acts, caller = call([WORDS, Listen(), WORDS], lambda now: 1.0 <= now < 2.0 or 2.9 <= now < 3.5)
    assert spoken_at(acts) == [0.0, 4.48]
    assert caller.turns[0].answered_s == 1.0


def test_an_answer_that_never_comes_is_waited_for_only_so_long():
    assert spoken_at(call([WORDS, Listen(at_most_s=5.0), WORDS], lambda now: False)[0]) == [0.0, 5.1]


def test_the_caller_speaks_into_the_answer_and_hears_it_stop():
    acts, caller = call([WORDS, Interrupt(0.4), WORDS, Listen()], lambda now: 1.0 <= now < 1.6 or 2.5 <= now < 3.0)
    assert spoken_at(acts) == [0.0, 1.38]
    first, second = caller.turns
    assert not first.barge_in
    assert second.barge_in
    assert second.silent_s == pytest.approx(1.6)
    assert second.answered_s == 2.5


def test_an_answer_that_is_too_short_to_interrupt_does_not_hold_the_caller():
    assert spoken_at(call([Interrupt(2.0), WORDS], lambda now: now < 0.5)[0]) == [1.48]


def test_a_caller_may_hang_up_into_the_answer():
    acts, _ = call([Interrupt(0.3), HangUp(), WORDS], lambda now: True)
    assert len(acts) == 15
    assert spoken_at(acts) == []


def test_keys_are_pressed_one_by_one_and_a_pause_is_silent():
    acts, _ = call([Press("1#"), Press("5"), Pause(0.5), Press("9")], lambda now: False)
    assert [(round(at * 0.02, 2), act.digits) for at, act in enumerate(acts) if act.digits] == [
        (0.0, "1"),
        (0.2, "#"),
        (0.4, "5"),
        (0.92, "9"),
    ]
