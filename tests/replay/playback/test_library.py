"""Of several recordings the one whose client says the same is found, and played as soon as that is clear."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from replay.cassette.frames import Text
from replay.cassette.recording import Line, message
from replay.playback.library import MOST_TAKEN_BYTES, PATIENCE_S, Candidate, Chooser, Narrowing, Plays, Script
from replay.playback.verbatim import Player, Track
from replay.playback.words import Words, said_apart
from tests.replay.recordings import Told, line, spoken, typed


def update(text: str) -> dict[str, Any]:
    return {"type": "session.update", "session": {"instructions": text}}


def said(*events: Any) -> Words:
    words = Words()
    for event in events:
        words.take(message(json.dumps(event), 0.0))
    words.heard()
    return words


def near(live: list[Any], *recorded: list[Any]) -> list[int]:
    narrowing = Narrowing([Script(said(*each)) for each in recorded])
    for event in live:
        narrowing.take(message(json.dumps(event), 0.0))
    narrowing.live.heard()
    narrowing.narrow()
    return narrowing.near


def tape(name: str, *turns: Any, settings: str = "Be kind.", says: str = "") -> Line:
    told: list[Told] = [
        ("<", 0.0, {"type": "session.created", "of": name, "session": {"id": f"session {name}"}}),
        (">", 0.1, update(settings)),
        ("<", 0.1, {"type": "session.updated", "of": name, "session": {"id": f"session {name}"}}),
    ]
    for number, turn in enumerate(turns):
        response = f"response {name}{number}"
        told += [(">", 1.0 + number, event) for event in (turn if isinstance(turn, list) else [turn])]
        told += [
            ("<", 1.5 + number, {"type": "input_audio_buffer.committed", "of": name}),
            ("<", 1.5 + number, {"type": "response.done", "of": name, "response": {"id": response}}),
        ]
    return line(*told)


def choosing(*tapes: tuple[str, Line], plays: Plays | None = None, tied: Any = lambda *_: None) -> Chooser:
    def candidate(number: int, name: str, of: Line) -> Candidate:
        script = Script(Words([of]))
        return Candidate(number, name, script, lambda: Player(name, Track(of), lambda _: (), speed=math.inf))

    candidates = [candidate(number, *each) for number, each in enumerate(tapes)]
    return Chooser(candidates, plays or Plays(), tied)


def events(chooser: Chooser, now: float) -> list[Any]:
    return [json.loads(each.frame.data) for each in chooser.take_output(now) if isinstance(each.frame, Text)]


def played(chooser: Chooser, now: float) -> list[tuple[str, str]]:
    return [(event["type"].rpartition(".")[2], event["of"]) for event in events(chooser, now)]


def tell(chooser: Chooser, now: float, *said: Any) -> list[tuple[str, str]]:
    for each in said:
        chooser.receive(json.dumps(each), now)
    return played(chooser, now)


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        ([update("A")], [0, 1]),
        ([update("B")], [2]),
        ([typed("Where do I park?")], [0, 2]),
        ([typed("where do i park")], [0, 2]),
        ([typed("Where can I park?")], [0, 2]),
        ([typed("I cancel.")], [1]),
        ([spoken(800)], [0, 1, 2]),
        ([update("A"), typed("Where do I park?")], [0]),
    ],
)
def test_those_remain_that_have_the_nearest_settings_and_the_nearest_words(live: list[Any], expected: list[int]):
    park, cancel = typed("Where do I park?"), typed("I cancel.")
    assert near(live, [update("A"), park], [update("A"), cancel], [update("B"), park]) == expected


def test_the_first_turn_that_differs_decides_and_later_ones_do_not_change_it():
    recorded = [[typed("Hello"), typed("One"), typed("Bye")], [typed("Hello"), typed("Two"), typed("Later")]]
    assert near([typed("Hello")], *recorded) == [0, 1]
    assert near([typed("Hello"), typed("Two"), typed("Bye")], *recorded) == [1]
    assert near([typed("Hello"), typed("Two")], [typed("Hello")], recorded[1]) == [1]
    assert near([update("A"), update("B")], [update("A"), update("A")], [update("A"), update("B")]) == [1]


def test_speech_is_compared_by_its_loudness_and_length():
    one, other = [spoken(900, 0, 600)], [spoken(300, 600, 600)]
    assert near([spoken(900, 0, 600)], one, other) == [0]
    assert near([spoken(300, 600, 600)], one, other) == [1]
    assert near([spoken(0, 200), spoken(300, 600), spoken(600, 400)], one, other) == [1]


def test_the_first_words_decide_and_what_was_sent_is_not_sent_again():
    chooser = choosing(("a", tape("a", typed("Good morning"))), ("b", tape("b", typed("Where do I park?"))))
    assert played(chooser, 0.0) == [("created", "a")]
    assert tell(chooser, 0.1, update("Be kind.")) == [("updated", "a")]
    assert tell(chooser, 0.2, typed("Where do I park?")) == [("committed", "b"), ("done", "b")]
    assert chooser.player.report().clean


def test_settings_decide_before_the_first_words():
    chooser = choosing(("a", tape("a", typed("Hi"))), ("b", tape("b", typed("Hi"), settings="Be rude.")))
    assert played(chooser, 0.0) == [("created", "a")]
    assert tell(chooser, 0.1, update("Be rude.")) == [("updated", "b")]


def test_the_ids_of_a_greeting_remain_those_that_the_client_got():
    chooser = choosing(("a", tape("a", typed("Hi"))), ("b", tape("b", typed("Hi"), settings="Be rude.")))
    (created,) = events(chooser, 0.0)
    chooser.receive(json.dumps(update("Be rude.")), 0.1)
    (updated,) = events(chooser, 0.1)
    assert updated["of"] == "b"
    assert updated["session"]["id"] == created["session"]["id"] == "session a"


def test_the_clients_messages_name_ids_of_either_recording():
    cancel = {"type": "response.cancel", "response_id": "response b0"}
    chooser = choosing(
        ("a", tape("a", typed("Hi"), typed("One"))), ("b", tape("b", typed("Hi"), [typed("Two"), cancel]))
    )
    tell(chooser, 0.0, update("Be kind."))
    assert tell(chooser, 0.1, typed("Hi")) == [("committed", "a"), ("done", "a")]
    assert tell(chooser, 0.2, typed("Two"), {**cancel, "response_id": "response a0"})[-1] == ("done", "b")
    assert chooser.player.report().clean


def test_equal_turns_stay_open_until_the_client_says_what_only_one_has():
    chooser = choosing(*((name, tape(name, typed("Hi"), typed(name))) for name in ("one", "two")))
    assert tell(chooser, 0.1, update("Be kind."), typed("Hi"))[-1] == ("done", "one")
    assert tell(chooser, 0.2, typed("two")) == [("committed", "two"), ("done", "two")]
    assert chooser.player.report().clean


def test_messages_that_say_nothing_decide_too():
    """The result of a tool, or the fields of a request for a response."""
    asks = [{"type": "response.create", "response": {"instructions": each}} for each in ("One.", "Two.", "Three.")]
    tapes = [(str(n), tape(str(n), [typed("Hi"), ask], typed("Bye"))) for n, ask in enumerate(asks)]
    for n in (2, 0, 1):
        chooser = choosing(*tapes)
        tell(chooser, 0.1, update("Be kind."), typed("Hi"))
        assert tell(chooser, 0.2, asks[n]) == [("committed", str(n)), ("done", str(n))]
        assert tell(chooser, 0.3, typed("Bye"))[-1] == ("done", str(n))
        assert chooser.player.report().clean


def test_a_message_that_none_has_is_a_mismatch_of_the_one_in_use():
    chooser = choosing(*((name, tape(name, typed("Hi"), typed("Bye"))) for name in "ab"))
    tell(chooser, 0.1, update("Be kind."), typed("Hi"), {"type": "response.cancel"})
    assert chooser.player.name == "a"
    assert [each.received for each in chooser.player.report().mismatches] == ["response.cancel"]
    assert tell(chooser, 0.2, typed("Bye"))[-1] == ("done", "a")


def test_of_equals_each_connection_gets_the_one_that_was_played_least():
    plays, tapes = Plays(), [(name, tape(name, typed("Hi"), typed(name))) for name in ("one", "two")]
    first, second = (choosing(*tapes, plays=plays) for _ in range(2))
    assert [played(each, 0.0)[0][1] for each in (first, second)] == ["one", "two"]
    for each, name in ((second, "one"), (first, "two")):
        assert tell(each, 0.2, update("Be kind."), typed("Hi"), typed(name))[-1] == ("done", name)
    assert dict(plays.counts) == {0: 1, 1: 1}


def test_speech_is_held_back_until_the_user_is_silent():
    long, short = spoken(3000), spoken(1000)
    chooser = choosing(("long", tape("long", long)), ("short", tape("short", short)))
    tell(chooser, 0.1, update("Be kind."))
    for at in range(10):
        assert tell(chooser, at / 10, spoken(100)) == []
    assert chooser.next_due() == 0.9 + PATIENCE_S
    assert played(chooser, 2.0) == [("committed", "short"), ("done", "short")]


def test_a_microphone_that_goes_on_in_silence_is_not_waited_for():
    chooser = choosing(("long", tape("long", spoken(3000))), ("short", tape("short", spoken(1000))))
    tell(chooser, 0.1, update("Be kind."))
    got = [each for at in range(30) for each in tell(chooser, at / 10, spoken(100) if at < 10 else spoken(0, 100))]
    assert got == [("committed", "short"), ("done", "short")]


def kept(chooser: Chooser) -> list[Any]:
    return [*chooser._taken, *chooser._held, *chooser._seen]


def test_what_a_client_has_sent_is_forgotten_when_it_has_gone():
    tapes = [(name, tape(name, typed("Hi"), spoken(ms))) for name, ms in (("long", 3000), ("short", 1000))]
    chooser = choosing(*tapes)
    tell(chooser, 0.1, update("Be kind."), typed("Hi"), spoken(500))
    assert chooser._taken
    assert chooser._held
    assert chooser._seen
    before = chooser.player.report().lines()
    chooser.lost(0.2)
    assert kept(chooser) == played(chooser, 9.0) == []
    assert chooser.next_due() is None
    assert chooser.player.report().lines() == before


def test_messages_that_never_end_a_turn_are_kept_up_to_a_size():
    chooser = choosing(("long", tape("long", spoken(3000))), ("short", tape("short", spoken(1000))))
    tell(chooser, 0.1, update("Be kind."), spoken(500))
    empty = json.dumps({"type": "input_audio_buffer.append", "audio": "", "event_id": "x" * 2**20})
    for _ in range(MOST_TAKEN_BYTES // len(empty)):
        chooser.receive(empty, 0.2)
    assert len(kept(chooser)) > 10
    chooser.receive(empty, 0.2)
    assert kept(chooser) == []
    assert tell(chooser, 0.3, spoken(600)) == [("committed", "short"), ("done", "short")]


def test_what_is_due_still_leaves_while_a_user_is_listened_to():
    late = line(("<", 0.5, {"type": "session.created", "of": "late"}), (">", 0.6, spoken(1000)))
    script = Script(Words([Line(0.0, None, None, late.moments)]))
    assert script.words.said_at(0) is None
    script.words.heard()
    candidates = [Candidate(n, "late", script, lambda: Player("late", Track(late), lambda _: ())) for n in range(2)]
    chooser = Chooser(candidates, Plays())
    chooser.receive(json.dumps(spoken(100)), 0.1)
    assert chooser.next_due() == 0.5
    assert played(chooser, 0.5) == [("created", "late")]
    assert chooser.next_due() == 0.1 + PATIENCE_S


def test_others_that_are_as_near_are_told_once():
    ties: list[Any] = []
    chooser = choosing(
        *((name, tape(name, typed("Hi"), typed("Bye"))) for name in "abc"), tied=lambda *tie: ties.append(tie)
    )
    tell(chooser, 0.1, update("Be kind."), typed("Hi"), typed("Bye"))
    assert ties == [("a", ["b", "c"])]


def test_speech_that_is_answered_before_it_is_committed_is_what_the_response_answers():
    """The order of xAI (recordings)."""
    created, committed = ("<", 1.0, "response.created"), ("<", 1.1, "input_audio_buffer.committed")
    for order in ((created, committed), (committed, created)):
        words = Words([line((">", 0.5, spoken(500)), *order, (">", 1.2, spoken(0, 300)), *order)])
        assert [len(words.answering(number)) for number in range(2)] == [1, order[0] is committed]


@pytest.mark.parametrize(
    ("recorded", "live", "apart"),
    [
        ("Where do I park?", "where do I park", 0.0),
        ("Where do I park?", "Where can I park?", 0.25),
        ("Where do I park?", "Where do I park the car?", 0.2),
        ("Where do I park?", "Cancel it.", 1.0),
        ("!", "?", 1.0),
        ("日本語です", "日本語で", 0.11),
        ("a " * 900 + "b", "a " * 900 + "c", 0.01),
        ("a " * 1000, "b a " * 500, 0.5),
    ],
)
def test_texts_are_as_far_apart_as_words_differ(recorded: str, live: str, apart: float):
    assert said_apart(recorded, live) == said_apart(live, recorded) == apart
