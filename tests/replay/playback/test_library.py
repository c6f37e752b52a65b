"""Of several recordings the one that begins in the same way is found, and played as soon as that is clear."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from replay.cassette.frames import Text
from replay.cassette.recording import Line, message
from replay.playback.library import PATIENCE_S, Beginning, Candidate, Chooser, Distance, beginning, distance, nearest
from replay.playback.verbatim import Player, track
from tests.replay.recordings import Told, line, sound, typed


def update(text: str) -> dict[str, Any]:
    return {"type": "session.update", "session": {"instructions": text}}


def began(*events: Any) -> Beginning:
    found = Beginning()
    for event in events:
        found.take(message(json.dumps(event), 0.0))
    return found


def tape(name: str, *first_turn: Any, settings: str = "Be kind.") -> Line:
    asked: list[Told] = [(">", 0.2, event) for event in first_turn]
    return line(
        ("<", 0.0, {"type": "session.created", "of": name}),
        (">", 0.1, update(settings)),
        ("<", 0.1, {"type": "session.updated", "of": name}),
        *asked,
        ("<", 0.3, {"type": "input_audio_buffer.committed", "of": name}),
        (">", 0.4, sound(500)),
        ("<", 0.5, {"type": "response.done", "of": name}),
    )


def choosing(told: list[tuple[str, list[str]]], **tapes: Line) -> Chooser:
    def candidate(name: str, of: Line) -> Candidate:
        return Candidate(name, beginning(of), lambda: Player(name, track(of), lambda _: (), speed=math.inf))

    return Chooser(
        [candidate(name, of) for name, of in tapes.items()], lambda name, rivals: told.append((name, rivals))
    )


def played(chooser: Chooser, now: float) -> list[tuple[str, str]]:
    events = [json.loads(each.frame.data) for each in chooser.take_output(now) if isinstance(each.frame, Text)]
    return [(event["type"].rpartition(".")[2], event["of"]) for event in events]


def test_a_beginning_is_the_first_settings_and_the_first_turn():
    spoken = beginning(tape("a", sound(700), sound(300)))
    assert (spoken.session, spoken.typed, spoken.sound_ms) == ({"instructions": "Be kind."}, None, 1000)
    assert began(update("A"), update("B"), typed("Hi"), typed("there"), sound(100)).typed == "Hi"


@pytest.mark.parametrize(
    ("recorded", "live", "apart"),
    [
        ([update("A"), typed("Hi")], [update("A"), typed("Hi")], Distance(0, 0)),
        ([update("A"), typed("Hi")], [update("B"), typed("Hi")], Distance(1, 0)),
        ([update("A"), typed("Hi")], [update("A")], Distance(0, 0)),
        ([update("A"), typed("Hi")], [update("A"), sound(100)], Distance(0, 2)),
        ([update("A"), sound(1000)], [update("A"), sound(900)], Distance(0, 0.1)),
    ],
)
def test_settings_count_more_than_the_turn_and_what_is_not_known_yet_does_not(
    recorded: list[Any], live: list[Any], apart: Distance
):
    assert distance(began(*recorded), began(*live)) == apart


def test_those_that_are_as_near_are_all_given():
    one = [update("A"), typed("Where is it?")]
    assert nearest([began(*one), began(update("A"), typed("No.")), began(*one)], began(*one)) == [0, 2]


def test_the_first_words_settle_it_and_what_was_sent_is_not_sent_again():
    told: list[tuple[str, list[str]]] = []
    chooser = choosing(told, a=tape("a", typed("Good morning")), b=tape("b", typed("Where do I park?")))
    assert played(chooser, 0.0) == [("created", "a")]
    chooser.receive(json.dumps(update("Be kind.")), 0.1)
    assert played(chooser, 0.1) == [("updated", "a")]
    chooser.receive(json.dumps(typed("Where do I park?")), 0.2)
    assert (played(chooser, 0.2), told) == ([("committed", "b")], [("b", [])])
    chooser.receive(json.dumps(sound(500)), 0.4)
    assert played(chooser, 0.4) == [("done", "b")]
    assert chooser.player.report().clean


def test_settings_settle_it_before_the_first_words():
    told: list[tuple[str, list[str]]] = []
    chooser = choosing(told, a=tape("a", typed("Hi")), b=tape("b", typed("Hi"), settings="Be rude."))
    played(chooser, 0.0)
    chooser.receive(json.dumps(update("Be rude.")), 0.1)
    assert played(chooser, 0.1) == [("updated", "b")]
    chooser.receive(json.dumps(typed("Hi")), 0.2)
    assert told == [("b", [])]


def test_speech_is_told_apart_by_its_length_once_the_caller_is_silent():
    told: list[tuple[str, list[str]]] = []
    chooser = choosing(told, long=tape("long", sound(3000)), short=tape("short", sound(1000)))
    played(chooser, 0.0)
    chooser.receive(json.dumps(update("Be kind.")), 0.1)
    played(chooser, 0.1)
    for at in range(11):
        chooser.receive(json.dumps(sound(100)), at / 10)
        assert played(chooser, at / 10) == []
    assert chooser.next_due() == 1.0 + PATIENCE_S
    assert played(chooser, 2.0) == [("committed", "short")]
    assert told == [("short", [])]


def test_what_is_due_still_leaves_while_a_caller_is_listened_to():
    late = line(("<", 0.5, {"type": "session.created", "of": "late"}), (">", 0.6, sound(1000)))
    told: list[tuple[str, list[str]]] = []

    def player() -> Player:
        return Player("late", track(late), lambda _: ())

    chooser = Chooser([Candidate("late", beginning(late), player)] * 2, lambda *chosen: told.append(chosen))
    chooser.receive(json.dumps(sound(100)), 0.1)
    assert chooser.next_due() == 0.5
    assert played(chooser, 0.5) == [("created", "late")]
    assert (chooser.next_due(), told) == (0.1 + PATIENCE_S, [])


def test_speech_longer_than_any_recorded_does_not_wait():
    told: list[tuple[str, list[str]]] = []
    chooser = choosing(told, a=tape("a", sound(400)), b=tape("b", sound(400)))
    chooser.receive(json.dumps(sound(500)), 0.1)
    assert told == [("a", ["b"])]
