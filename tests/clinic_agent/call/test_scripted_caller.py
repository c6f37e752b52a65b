"""The caller of rehearsals: speaks on cue, is silent in between, and always hangs up."""

from __future__ import annotations

from clinic_agent.call.playback import Playback
from clinic_agent.call.scripted_caller import After, Cue, During, ScriptedCaller

WORD = b"\1\0" * 3600  # 150 ms
QUIET = bytes(4800)


def spoken(caller: ScriptedCaller, seconds: float = 60.0) -> list[tuple[float, bytes]]:
    """All that is not silence, and when; the last entry is when the caller hung up."""
    said: list[tuple[float, bytes]] = []
    for tick in range(round(seconds * 10)):
        chunk = caller.speak(tick / 10)
        if chunk is None:
            return [*said, (tick / 10, b"")]
        assert len(chunk) == len(QUIET)
        if chunk != QUIET:
            said.append((tick / 10, chunk))
    raise AssertionError(f"still on the line after {seconds} s")


def test_speaks_first_when_told_so_and_hangs_up_after_the_last_cue():
    caller = ScriptedCaller([Cue(After(0, 0.5), WORD)], Playback())
    assert [at for at, _ in spoken(caller)] == [0.5, 0.6, 0.7]
    assert not caller.gave_up


def test_the_last_piece_of_a_word_is_filled_up_with_silence():
    (_, first), (_, last), _ = spoken(ScriptedCaller([Cue(After(0, 0), WORD)], Playback()))
    assert first + last == WORD.ljust(2 * len(QUIET), b"\0")


def test_interrupts_two_seconds_into_what_is_heard_and_not_into_what_has_come():
    hearing = Playback()
    hearing.queue("preamble", bytes(48_000), 1.0)
    hearing.queue("offer", bytes(480_000), 1.0)
    assert spoken(ScriptedCaller([Cue(During(2, 2.0), WORD)], hearing))[0][0] == 4.0


def test_waits_until_an_utterance_is_over_and_a_moment_longer():
    hearing = Playback()
    hearing.queue("confirmation", bytes(96_000), 1.0)
    assert spoken(ScriptedCaller([Cue(After(1, 1.0))], hearing)) == [(4.0, b"")]


def test_loses_patience_with_a_service_that_says_nothing():
    caller = ScriptedCaller([Cue(After(1, 1.0))], Playback(), give_up_s=5.0)
    assert spoken(caller) == [(5.1, b"")]
    assert caller.gave_up


def test_is_patient_while_the_service_speaks():
    hearing = Playback()
    hearing.queue("a long story", bytes(48_000 * 8), 0.0)
    assert spoken(ScriptedCaller([Cue(After(2, 1.0))], hearing, give_up_s=5.0)) == [(13.1, b"")]
