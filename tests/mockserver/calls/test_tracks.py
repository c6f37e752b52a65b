"""Samples on a track do what the same audio in events does; faults reach them as they reach those events."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.audio.formats import Samples
from mockserver.calls.playout import FRAME, MOST_LATE, Playout
from mockserver.dialects.base import Opening
from mockserver.dialects.registry import SERVICES
from mockserver.protocol.facts import PlayoutStarted, PlayoutStopped
from mockserver.responders.base import Say
from mockserver.session.session import Session
from replay.cassette.frames import Text
from tests.mockserver.calls.phoned import EPOCH, TONE, Phoned, voice
from tests.mockserver.talk import Script

LONG = "The quick brown fox jumps over the lazy dog, and then it goes on for a while before it stops."
SAID = np.concatenate([voice(1.2), np.zeros(24_000, np.int16)])


def answers(said: Sequence[Samples], *, tracks: bool) -> list[tuple[float, str]]:
    """What a session sends when somebody says that, without ids; one event for each piece, as far as it is no sound."""
    opening = Opening("7/0", EPOCH, "gpt-realtime", call_id="rtc_u1_x" if tracks else None)
    script = Script([Say("Yes.")], heard=["Hello."])
    session = Session(SERVICES["openai@2026-10"].open(opening), script, TONE, seed="7/0", pacing="burst")
    now, out = 0.0, list(session.take_output(0.0))
    for piece in said:
        now += len(piece) / 24_000
        out += session.take_output(now)
        if tracks:
            session.hear(piece, now)
        else:
            audio = base64.b64encode(piece.tobytes()).decode()
            session.receive(json.dumps({"type": "input_audio_buffer.append", "audio": audio}), now)
        out += session.take_output(now)
    out += session.take_output(now + 60)
    assert session.ledger.audio_in_s == Fraction(sum(map(len, said)), 24_000)
    events = [(each.at, json.loads(each.frame.data)) for each in out if isinstance(each.frame, Text)]
    return [
        (at, f"{event['type']} {event.get('audio_start_ms')} {event.get('audio_end_ms')} {event.get('usage')}")
        for at, event in events
        if event["type"] != "response.output_audio.delta" and event["type"] != "rate_limits.updated"
    ]


@settings(max_examples=5)
@given(st.lists(st.integers(1, 4_000), min_size=1, max_size=40))
def test_hearing_samples_is_hearing_the_same_audio_in_events(sizes: list[int]) -> None:
    borders = np.cumsum(sizes)
    said = [piece for piece in np.split(SAID, borders[borders < len(SAID)]) if len(piece)]
    assert answers(said, tracks=True) == answers(said, tracks=False)


@given(st.lists(st.tuples(st.integers(0, 4_000), st.floats(0, 0.3)), max_size=30), st.booleans())
def test_playing_gives_every_sample_once_and_in_order(pieces: list[tuple[int, float]], late: bool) -> None:
    playout, at, sent, got, facts = Playout(), 0.0, list[int](), list[int](), list[object]()
    for number, (size, gap_s) in enumerate(pieces):
        at += gap_s
        facts += [fact for _, fact in playout.advance(at)]
        samples = np.full(size, number + 1, np.int16)
        sent += samples.tolist()
        facts += playout.add("resp", "item", samples, at)
        while (frame := playout.play()) is not None:
            got += frame.tolist()
    if late:
        facts += [fact for _, fact in playout.advance(at + 0.3)]
    playout.complete("resp")
    while (due := playout.next_due()) is not None:
        step = min(due, at + FRAME / 24_000)
        facts += [fact for _, fact in playout.advance(step)]
        at = step
        while (frame := playout.play()) is not None:
            got += frame.tolist()
    played = [sample for sample in got if sample]
    assert played == sent
    assert facts == ([PlayoutStarted("resp"), PlayoutStopped("resp")] if sent else [])


def test_frames_that_nobody_asks_for_are_lost_after_half_a_second() -> None:
    playout = Playout()
    playout.add("resp", "item", np.arange(24_000, dtype=np.int16), 0.0)
    assert list(playout.advance(2.0)) == []
    frames = []
    while (frame := playout.play()) is not None:
        frames.append(frame)
    assert len(frames) == MOST_LATE
    assert frames[-1][-1] == 23_999


def played(faults: str) -> Samples:
    phoned = Phoned(Script([Say(LONG)]), pacing="burst", faults=faults)
    phoned.send("response.create")
    phoned.run(12)
    frames = [each for each in phoned.heard if each is not None]
    return np.concatenate(frames) if frames else np.zeros(0, np.int16)


def test_faults_of_the_audio_reach_what_is_played() -> None:
    at = "{at: response.output_audio.delta, do: %s}"
    whole = played("faults: []")
    half = played(f"faults: [{at % 'truncate'}]")
    assert len(half) == pytest.approx(len(whole) / 2, abs=2 * FRAME)
    assert not played(f"faults: [{at % 'gap'}]").any()
    assert len(played(f"faults: [{at % 'gap'}]")) == len(whole)
    assert np.abs(played(f"faults: [{at % 'clip'}]")).max() >= 32_767
    assert len(played(f"faults: [{at % '{wrong_rate: 8000}'}]")) == pytest.approx(len(whole) / 3, abs=2 * FRAME)
    assert len(played(f"faults: [{at % 'drop'}]")) == 0
    assert len(played(f"faults: [{at % 'duplicate'}]")) == pytest.approx(2 * len(whole), abs=2 * FRAME)
    assert np.array_equal(played(f"faults: [{at % '{delay: 2s}, nth: 1'}]"), whole)


def test_faults_of_appended_audio_reach_the_caller_s_track() -> None:
    for fault, hears in (("gap", False), ("drop", False), ("clip", True)):
        phoned = Phoned(Script(), faults=f"faults: [{{at: <input_audio_buffer.append, do: {fault}}}]")
        phoned.run(2.0, voice())
        assert ("input_audio_buffer.speech_started" in phoned.types()) is hears


def test_a_fault_ends_a_response_at_its_sound() -> None:
    phoned = Phoned(
        Script([Say(LONG)]), faults="faults: [{at: response.output_audio.delta, nth: 2, do: {fail: {code: gone}}}]"
    )
    phoned.send("response.create")
    phoned.run(4)
    assert phoned.of("response.done")[0][1]["response"]["status"] == "failed"
    assert phoned.types()[-1] == "output_audio_buffer.stopped"
