"""A score: with it or without, a session says the same bytes at the same instants."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Literal, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.audio.tts import CachedSynthesizer, synthesizer_named
from mockserver.dialects.base import Dialect, Opening, templated
from mockserver.dialects.registry import SERVICES
from mockserver.responders.base import Call, Pause, Say, Source, Step, Turn
from mockserver.session.score import Line, Scores
from mockserver.session.session import Session
from replay.cassette.frames import Outgoing, Passage, apart

VOICE = CachedSynthesizer(synthesizer_named("tone"))
TEXTS = (
    "hello",
    "One, two. Three! And “four” at last.",
    "What a long way it is to the sea, and back again, on foot.",
    "Good day.",
    'A "quote" and 1\\2.',
)
ALONE, ESCAPED = TEXTS[3:]
"""Texts that are the whole answer."""


class Plain(Scores):
    """Scores of which none is ever written."""

    def said(self, line: Line) -> None:
        pass


class Parrot:
    """Says what it is told, in one text, in two with a pause, or before a call."""

    source = Source()

    def hear(self, turn_number: int) -> str | None:
        return None

    def reply(self, turn: Turn) -> Iterable[Step]:
        says = turn.says or "Well?"
        yield Say(says)
        if len(says) % 3 == 1:
            yield Pause(300)
            yield Say(f"{says} {says}", speed=1.25)
        if len(says) % 3 == 2:
            yield Say(says, item="new")
            yield Call("look_up", {"name": says})


def frames_of(action: tuple[str, object], dialect: str) -> list[dict[str, object]]:
    kind, value = action
    match kind:
        case "say":
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": value}]}
            return [{"type": "conversation.item.create", "item": item}, {"type": "response.create"}]
        case "named":
            content = [{"type": "input_text", "text": ALONE}]
            named = {"id": value, "type": "message", "role": "user", "content": content}
            return [{"type": "conversation.item.create", "item": named}, {"type": "response.create"}]
        case "format":
            output: dict[str, object] = {"format": {"type": value}}
            return [{"type": "session.update", "session": {**_kind(dialect), "audio": {"output": output}}}]
        case "limit" if not dialect.startswith("xai"):
            return [{"type": "response.create", "response": {"max_output_tokens": value}}]
        case "text" if not dialect.startswith("xai"):
            return [{"type": "session.update", "session": {**_kind(dialect), "output_modalities": [value]}}]
        case _:
            return [{"type": "response.cancel"}]


def _kind(dialect: str) -> dict[str, object]:
    return {} if dialect.startswith("xai") else {"type": "realtime"}


def played(
    dialect: str,
    model: str | None,
    pacing: str,
    acts: list[tuple[float, tuple[str, object]]],
    scores: Scores,
    joins: bool | Literal["kept"] = False,
) -> tuple[list[Outgoing], dict[str, object]]:
    opening = Opening("0/0", 1_785_214_080.0, model=model)
    session = Session(SERVICES[dialect].open(opening), Parrot(), VOICE, seed="0/0", pacing=pacing, scores=scores)
    session.joins = bool(joins)
    said: list[Outgoing] = []
    now = 0.0

    def until(end: float) -> None:
        while (due := session.next_due(keep_alive=False)) is not None and due <= end:
            said.extend(session.take_output(due))

    for wait, action in acts:
        until(now := now + wait)
        for frame in frames_of(action, dialect):
            session.receive(json.dumps(frame), now)
            said.extend(session.take_output(now))
    until(now + 60.0)
    if joins:
        assert pacing == "burst" or not passages(said)
    return (said if joins == "kept" else apart(said)), session.ledger.as_json()


def passages(said: Iterable[Outgoing]) -> list[Passage]:
    return [each.frame for each in said if isinstance(each.frame, Passage)]


ACTIONS = st.one_of(
    st.tuples(st.just("say"), st.sampled_from(TEXTS)),
    st.tuples(st.just("say"), st.sampled_from([TEXTS[0], ALONE])),
    st.tuples(st.just("named"), st.sampled_from(["a", "the_message_of_a_client", 'mine "quoted"'])),
    st.tuples(st.just("format"), st.sampled_from(["audio/pcm", "audio/pcmu", "audio/pcma"])),
    st.tuples(st.just("limit"), st.integers(1, 60)),
    st.tuples(st.just("text"), st.sampled_from(["text", "audio"])),
    st.tuples(st.just("cancel"), st.none()),
)
SERVICE = st.sampled_from(
    [("xai@2026-07", None), ("xai@2026-09", None), ("openai@2026-10", "gpt-realtime"), ("openai@2026-10", None)]
)


@pytest.mark.pure
@settings(max_examples=60, deadline=None)
@given(
    SERVICE,
    st.sampled_from(["live", "realtime", "burst"]),
    st.lists(st.tuples(st.sampled_from([0.0, 0.4, 1.1, 9.0]), ACTIONS), min_size=2, max_size=10),
)
def test_a_session_says_the_same_with_scores_and_without(
    service: tuple[str, str | None], pacing: str, acts: list[tuple[float, tuple[str, object]]]
):
    dialect, model = service
    plainly, scores = played(dialect, model, pacing, acts, Plain()), Scores()
    assert plainly == played(dialect, model, pacing, acts, scores)
    assert plainly == played(dialect, model, pacing, acts, scores)  # all that was said to its end has a score now
    assert plainly == played(dialect, model, pacing, acts, Scores(max_bytes=100_000))
    assert plainly == played(dialect, model, pacing, acts, scores, joins=True)


@pytest.mark.parametrize("dialect", ["xai@2026-07", "openai@2026-10"])
def test_a_text_gets_a_score_when_it_comes_again_and_sessions_share_it(dialect: str):
    once: list[tuple[float, tuple[str, object]]] = [(0.0, ("say", TEXTS[0]))]
    scores = Scores()
    played(dialect, None, "burst", once, scores)
    assert scores.held_bytes == 0
    played(dialect, None, "burst", once, scores)
    held = scores.held_bytes
    assert held > 0
    played(dialect, None, "burst", once, scores)
    assert scores.held_bytes == held


@pytest.mark.parametrize("dialect", ["xai@2026-09", "openai@2026-10", "azure@2026-10"])
def test_an_answer_that_comes_again_leaves_as_one_passage(dialect: str):
    thrice: list[tuple[float, tuple[str, object]]] = [(1.0, ("say", ALONE))] * 4
    said, _ = played(dialect, None, "burst", thrice, Scores(), joins="kept")
    types = [span.type for span in passages(said)[-1].spans]
    assert types[0] == "response.output_item.added"
    assert types[-1] == "response.output_item.done"
    assert "response.output_audio.delta" in types
    assert [len(each.texts) for each in passages(said)] == [len(types)] * len(passages(said))
    plainly, _ = played(dialect, None, "burst", thrice, Plain())
    assert apart(said) == plainly


def test_a_text_that_reads_like_a_blank_is_said_piece_by_piece():
    acts: list[tuple[float, tuple[str, object]]] = [(1.0, ("say", ESCAPED))] * 4
    said, _ = played("xai@2026-09", None, "burst", acts, Scores(), joins="kept")
    assert not passages(said)


class Blank:
    """What makes templates."""

    def blank(self) -> None:
        """The service with blanks."""


class Derived(Blank):
    """As the dialect of a plugin, which may render more than the class that it is derived from."""


def test_a_dialect_derived_from_another_one_is_rendered_each_time():
    dialects = [SERVICES["openai@2026-10"].open(Opening("0/0", 0.0)), cast(Dialect, Blank()), cast(Dialect, Derived())]
    assert [templated(each) is not None for each in dialects] == [True, True, False]


def test_scores_stay_within_their_bytes():
    scores = Scores(max_bytes=2_000_000)
    for number in range(40):
        acts: list[tuple[float, tuple[str, object]]] = [(1.0, ("say", f"Number {number} on the list."))]
        played("xai@2026-07", None, "burst", acts * 3, scores)
        assert scores.held_bytes <= 2_000_000
    assert scores.held_bytes > 1_000_000
