"""Planted faults are found, good conversations are left alone, and differences say where they are."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.diff.compare import Difference, compare, report
from replay.diff.placeholders import ABSENT
from replay.formats import pydantic_ai
from tests.replay.planted_faults import FAULTS, Events, renamed

TALK: Any = pydantic_ai.read(Path(__file__).parents[1].joinpath("talk.yaml")).received()


def place(kind: str, nth: int = 0, **fields: object) -> int:
    found = [
        at
        for at, event in enumerate(TALK)
        if event["type"] == kind and all(event.get(key) == value for key, value in fields.items())
    ]
    return found[nth]


def planted(at: int, **changes: object) -> Events:
    events: Events = copy.deepcopy(TALK)
    events[at] |= changes
    return events


def only(differences: list[Difference]) -> tuple[object, ...]:
    (difference,) = differences
    return difference.kind, difference.event, difference.path, difference.expected, difference.actual


def test_a_conversation_does_not_differ_from_itself():
    assert compare(TALK, TALK) == []


def test_another_run_of_the_same_conversation_does_not_differ():
    other = renamed(TALK)
    ping = other[place("ping")]
    ping["timestamp"] += 86_400_000
    assert other != TALK
    assert compare(TALK, other) == []


@pytest.mark.parametrize(("output", "differs"), [('{"b": 2,  "a": 1}', []), ('{"a":1,"b":3}', ["item.output"])])
def test_a_tools_result_is_the_same_in_another_json_librarys_spelling(output: str, differs: list[str]):
    one, other = ([{"type": "conversation.item.added", "item": {"output": each}}] for each in ('{"a":1,"b":2}', output))
    assert [each.path for each in compare(one, other)] == differs


@pytest.mark.parametrize("kind", FAULTS)
def test_a_planted_fault_is_found_from_either_side(kind):
    planted_faults = list(FAULTS[kind](TALK))
    for name, events in planted_faults[3 :: len(planted_faults) // 6]:
        assert compare(TALK, events), name
        assert compare(events, TALK), name


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAULTS)
def test_every_planted_fault_is_found(kind):
    planted_faults = list(FAULTS[kind](TALK))
    assert planted_faults
    assert [name for name, events in planted_faults if not compare(TALK, events)] == []


def test_two_swapped_keys_are_one_difference_of_order():
    at = place("response.output_item.done")
    item = TALK[at]["item"]
    swapped = planted(at, item={"object": item["object"], **item})
    assert only(compare(TALK, swapped))[:3] == ("order", "response.output_item.done", "item")


def test_a_float_where_an_integer_was_is_a_difference_of_type():
    at = place("ping")
    assert only(compare(TALK, planted(at, timestamp=float(TALK[at]["timestamp"]))))[:3] == ("type", "ping", "timestamp")


def test_null_is_not_a_missing_key():
    at = place("response.created")
    events = copy.deepcopy(TALK)
    del events[at]["previous_item_id"]
    assert only(compare(TALK, events)) == ("keys", "response.created", "previous_item_id", None, ABSENT)


def test_a_changed_constant_is_a_difference_of_value():
    at = place("response.content_part.added")
    assert only(compare(TALK, planted(at, previous_item_id="1"))) == (
        "value",
        "response.content_part.added",
        "previous_item_id",
        "0",
        "1",
    )


def test_swapped_events_are_one_reordering():
    at = place("response.content_part.done")
    events = [*TALK[:at], TALK[at + 1], TALK[at], *TALK[at + 2 :]]
    assert [difference.kind for difference in compare(TALK, events)] == ["reordered"]


def test_one_wrong_reference_is_one_difference_although_it_is_the_first_to_name_the_item():
    at = place("input_audio_buffer.speech_started")
    wrong = planted(at, item_id="a0000000-0000-4000-8000-0000000000ee")
    assert only(compare(TALK, wrong))[:3] == ("value", "input_audio_buffer.speech_started", "item_id")


def test_an_extra_event_is_one_difference():
    at = place("ping")
    extra = {**TALK[at], "event_id": "e0000000-0000-4000-8000-0000000000ee"}
    (difference,) = compare(TALK, [*TALK[: at + 3], extra, *TALK[at + 3 :]])
    assert (difference.kind, difference.event, difference.at) == ("added", "ping", at + 3)


def test_one_delta_of_another_shape_among_many_is_told_by_path():
    at = place("response.output_audio.delta", nth=3)
    (difference,) = compare(TALK, planted(at, audio_duration_ms="61"))
    assert (difference.kind, difference.path, difference.at) == ("type", "audio_duration_ms", at)


def test_how_many_deltas_carry_the_sound_is_no_difference():
    at = place("response.output_audio.delta", nth=3)
    assert compare(TALK, TALK[:at] + TALK[at + 1 :]) == []


def test_transcript_deltas_that_do_not_join_to_the_transcript_differ():
    at = place("response.output_audio_transcript.delta", nth=1)
    found = compare(TALK, planted(at, delta=" Let me see."))
    assert {difference.path for difference in found} == {"delta"}


def test_audio_of_an_earlier_segment_after_a_later_one_differs():
    first = TALK[place("response.output_audio_transcript.delta")]["event_id"]
    last = place("response.output_audio.delta", nth=4)
    (difference,) = compare(TALK, planted(last, rid=first))
    assert difference.path == "rid"


def test_a_delta_after_its_closing_event_is_added():
    at = place("response.output_audio.delta", nth=4)
    done = place("response.output_audio_transcript.done")
    late = [*TALK[:at], *TALK[at + 1 : done + 1], TALK[at], *TALK[done + 1 :]]
    assert [difference.kind for difference in compare(TALK, late)] == ["added"]


def test_the_report_names_event_path_and_both_values():
    at = place("response.content_part.added")
    text = report(compare(TALK, planted(at, output_index=1)))
    assert text == f"1 difference\n#{at} response.content_part.added\n    value     output_index: expected 0, got 1"
    assert report([]) == "no differences"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=8,
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(sorted({event["type"] for event in TALK})) | anything,
        **{
            key: anything
            for key in ("event_id", "item_id", "response_id", "item", "delta", "rid", "start_time", "status")
        },
    },
)


@pytest.mark.slow
@given(st.lists(fields | anything, max_size=4), st.lists(fields | anything, max_size=4))
def test_nonsense_is_compared_without_an_error(left, right):
    assert compare(left, left) == []
    report(compare(left, right))


def test_what_is_no_event_is_compared_as_it_is():
    odd: Any = [None, 3, "ping", [], {}, {"type": ["ping"]}, {"type": "ping", 4: b"x", "rid": {}}, float("nan")]
    assert compare(odd, odd) == []
    assert compare([{"type": "ping"}, *odd[:2]], [{"type": "ping"}, *odd[1:]])


def test_nesting_without_end_is_compared_without_an_error():
    deep: Any = {"type": "ping"}
    for _ in range(5000):
        deep = {"type": "ping", "deeper": [deep]}
    assert compare([deep], [deep]) == []


@pytest.mark.slow
def test_long_conversations_are_aligned_within_bounds():
    long = [{"type": "ping", "timestamp": number} for number in range(1500)]
    other = [{"type": "ping", "timestamp": -number} for number in range(1, 1501)]
    assert len(compare(long, other)) == 1500
