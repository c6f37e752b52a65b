"""The recordings among themselves: the normal form finds planted faults in them, and is not too strict for them."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from replay.cassette.conversation import Conversation
from replay.diff.compare import compare, report
from tests.conformance.play import dialect_of
from tests.conformance.recordings import anonymous, read, recordings
from tests.replay.planted_faults import FAULTS

XAI = recordings("xai")
ALL = [
    path
    for path in (*XAI, *recordings("openai"))
    if any(event["type"] == "response.done" for event in read(path).received())
]
"""Those with an answer."""


def first_turn(recording: Conversation) -> list[Any]:
    events = recording.received()
    return events[: [event["type"] for event in events].index("response.done") + 1]


def asked(recording: Conversation) -> list[Any]:
    """What the client did until the first answer was through, pieces of audio counted as one."""
    done = next(
        at for at, step in enumerate(recording.steps) if getattr(step, "event", {}).get("type") == "response.done"
    )
    sent = Conversation("", recording.steps[:done]).sent()
    steps: list[Any] = []
    for event in sent:
        plain = {key: value for key, value in event.items() if key != "audio"}
        if plain.get("session"):
            plain["session"] = {key: value for key, value in plain["session"].items() if key != "resumption"}
        if not steps or steps[-1] != plain:
            steps.append(plain)
    return steps


def _of_the_user(event: Any) -> bool:
    """Whether an event is about the user's turn: an interim transcript may come after the response has begun."""
    return "input_audio_transcription" in event["type"] or event.get("item", {}).get("role") == "user"


def _unnamed(event: Any) -> Any:
    """The event without what the client may name: the metadata of its request, and the item that is answered."""
    if event["type"] == "conversation.item.added":
        return {**event, "previous_item_id": "the item before"}
    if "response" not in event:
        return event
    return {**event, "response": {key: part for key, part in event["response"].items() if key != "metadata"}}


def spoken_answers(recording: Conversation) -> list[list[Any]]:
    """Each answer from its creation to the end of its first item, a message in all xAI recordings."""
    answers: list[list[Any]] = []
    begin = None
    events = recording.received()
    for at, event in enumerate(events):
        if event["type"] == "response.created":
            begin = at
        elif event["type"] == "response.output_item.done" and begin is not None:
            answers.append([_unnamed(each) for each in events[begin : at + 1] if not _of_the_user(each)])
            begin = None
    return answers


@pytest.mark.parametrize("path", ALL, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_recording_does_not_differ_from_itself(path):
    assert compare(read(path).received(), read(path).received()) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("path", ALL, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_faults_planted_in_a_recording_are_found(path, kind):
    events = read(path).received()
    planted = list(FAULTS[kind](events))
    missed = [name for name, changed in planted[:: len(planted) // 60 + 1] if not compare(events, changed)]
    assert planted and missed == []


def test_clients_that_did_the_same_got_the_same_first_turn():
    known = [anonymous(read(path)) for path in XAI]
    alike = [pair for pair in combinations(known, 2) if asked(pair[0]) == asked(pair[1])]
    if not alike:
        pytest.skip("no two recordings in which the client did the same")
    for one, other in alike:
        found = compare(first_turn(one), first_turn(other))
        assert found == [], f"{one.name} and {other.name}: {report(found)}"


def test_all_spoken_answers_have_the_same_form():
    answers = [(path, answer) for path in XAI for answer in spoken_answers(read(path))]
    dated = [(dialect_of(read(path), "xai"), path.stem, answer) for path, answer in answers]
    alike = [(one, other) for one, other in combinations(dated, 2) if one[0] == other[0]]
    if not alike:
        pytest.skip("no two answers to compare")
    for (_, name, one), (_, other_name, other) in alike:
        found = compare(one, other)
        assert found == [], f"{name} and {other_name}: {report(found)}"
