"""A recorded connection is played to a client that does the same, and to no other."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.cassette.frames import Binary, Close, Frame, Outgoing, Reset, Text
from replay.cassette.recording import Line, Recording, message
from replay.formats import pydantic_ai
from replay.outlets import held
from replay.playback.matching import ABSENT, FieldDifference
from replay.playback.sound import SoundClock
from replay.playback.verbatim import Mismatch, Player, Track
from replay.secrets.named import Secrets
from tests.replay.recordings import line, sound, typed

TALK = Recording.of(pydantic_ai.read(Path(__file__).parents[1].joinpath("talk.yaml"))).lines[0]


def complaint(mismatch: Mismatch) -> list[Frame]:
    return [Text(json.dumps({"type": "error", "message": str(mismatch), "param": mismatch.path}).encode())]


def playing(tape: Line, speed: float = 1.0) -> Player:
    return Player("tape", Track(tape), complaint, speed=speed)


def says(event: Any) -> str:
    return json.dumps({"type": event} if isinstance(event, str) else event)


def kinds(out: list[Outgoing]) -> list[str]:
    return [json.loads(each.frame.data)["type"] if isinstance(each.frame, Text) else repr(each.frame) for each in out]


ASKED = line(
    ("<", 0.1, "session.created"),
    (">", 0.2, typed("Hello")),
    (">", 0.3, "response.create"),
    ("<", 0.7, "response.created"),
    ("<", 1.1, "response.done"),
)


def test_a_frame_leaves_as_late_after_its_cause_as_it_was_recorded():
    player = playing(ASKED)
    assert (player.next_due(), kinds(player.take_output(0.1))) == (0.1, ["session.created"])
    assert player.next_due() is None
    player.receive(says(typed("Hello")), 5.0)
    player.receive(says("response.create"), 6.0)
    assert kinds(player.take_output(6.3)) == []
    out = player.take_output(7.0)
    assert kinds(out) == ["response.created", "response.done"]
    assert [each.at for each in out] == pytest.approx([6.4, 6.8])
    assert player.report().clean


@pytest.mark.parametrize(("speed", "due"), [(2.0, [6.2, 6.4]), (0.5, [6.8, 7.6]), (math.inf, [6.0, 6.0])])
def test_time_can_be_scaled(speed: float, due: list[float]):
    player = playing(ASKED, speed)
    player.receive(says(typed("Hello")), 5.0)
    player.receive(says("response.create"), 6.0)
    assert [each.at for each in player.take_output(9.0)][1:] == pytest.approx(due)


def test_a_speed_of_nothing_is_refused():
    with pytest.raises(ValueError, match="inf at once"):
        playing(ASKED, 0.0)


def test_frames_are_the_recorded_bytes():
    odd = Text(b'{"type" : "ping",  "x":1e5}')
    player = playing(line(("<", 0.0, odd), ("<", 0.0, Binary(b"\x00\xff"))))
    assert [each.frame for each in player.take_output(0.0)] == [odd, Binary(b"\x00\xff")]


SPOKEN = line(
    *((">", at / 10, sound(100)) for at in range(20)),
    ("<", 1.95, "input_audio_buffer.speech_stopped"),
    ("<", 2.4, "response.created"),
)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=60))
def test_a_client_that_chunks_its_sound_differently_is_answered_at_the_same_point_of_it(chunks_ms: list[int]):
    player, sent_ms = playing(SPOKEN, math.inf), 0
    for ms in chunks_ms:
        player.receive(says(sound(ms)), sent_ms / 1000)
        sent_ms += ms
        answered = bool(player.take_output(sent_ms / 1000))
        assert answered == (sent_ms >= 2000)
        if answered:
            break


def test_a_turn_that_ends_a_little_short_is_fine_and_one_without_sound_is_not():
    tape = line((">", 0.0, sound(2000)), (">", 2.0, "input_audio_buffer.commit"), ("<", 2.1, "committed"))
    short, mute = playing(tape), playing(tape)
    short.receive(says(sound(1950)), 0.0)
    short.receive(says("input_audio_buffer.commit"), 2.0)
    assert kinds(short.take_output(3.0)) == ["committed"]
    mute.receive(says("input_audio_buffer.commit"), 2.0)
    assert kinds(mute.take_output(3.0)) == ["error"]
    assert str(mute.mismatches[0]) == (
        "expected message 1, input_audio_buffer.commit, got input_audio_buffer.commit: audio: "
        "expected '2000 ms by then', got '0 ms'; the nearest recorded is message 1, input_audio_buffer.commit"
    )


@pytest.mark.parametrize(
    ("form", "data", "ms"),
    [
        ({"type": "audio/pcm", "rate": 16000}, bytes(3200), 100),
        ({"type": "audio/pcmu"}, bytes(800), 100),
        ({"type": "audio/opus"}, b"\x78\x00\x00", 20),  # one CELT frame of 20 ms
        ({"type": "audio/opus"}, b"\x03\x03\x00", 30),  # three SILK frames of 10 ms
        ({"type": "audio/opus"}, b"", 0),
    ],
)
def test_sound_is_counted_in_the_format_that_was_asked_for(form: Any, data: bytes, ms: float):
    clock = SoundClock()
    clock.take(message(says({"type": "session.update", "session": {"audio": {"input": {"format": form}}}}), 0.0))
    clock.take(message(data, 0.0))
    assert clock.ms == pytest.approx(ms)


def result(output: str) -> dict[str, Any]:
    item = {"type": "function_call_output", "call_id": "call_1", "output": output}
    return {"type": "conversation.item.create", "item": item}


@pytest.mark.parametrize(("output", "matches"), [('{"b": 2,  "a": 1}', True), ('{"a":1,"b":3}', False)])
def test_a_tools_result_may_be_spelt_by_another_json_library(output: str, matches: bool):
    player = playing(line((">", 0.0, result('{"a":1,"b":2}')), ("<", 0.1, "response.created")))
    player.receive(says(result(output)), 0.0)
    assert kinds(player.take_output(1.0)) == (["response.created"] if matches else ["error"])


def test_a_mismatch_names_what_was_expected_what_came_the_path_and_the_nearest_and_plays_no_further():
    player = playing(line((">", 0.0, typed("Hello")), (">", 0.1, typed("Good morning")), ("<", 0.2, "ping")))
    player.receive(says(typed("Good evening")), 1.5)
    (error,) = [json.loads(each.frame.data) for each in player.take_output(2.0) if isinstance(each.frame, Text)]
    assert error == {
        "type": "error",
        "param": "item.content[0].text",
        "message": "expected message 1, conversation.item.create, got conversation.item.create: item.content[0].text: "
        "expected 'Hello', got 'Good evening'; the nearest recorded is message 1, conversation.item.create",
    }
    assert player.mismatches[0].at_s == 1.5
    assert player.report().lines()[1:] == [
        "never sent by the client: 2 x conversation.item.create",
        "waiting for message 1, conversation.item.create",
    ]


def test_a_message_too_many_is_told_from_one_that_is_early():
    player = playing(ASKED)
    player.receive(says("response.create"), 1.0)
    player.receive(says("response.cancel"), 1.0)
    early, unknown = player.mismatches
    assert early.nearest == "message 2, response.create"
    assert unknown.nearest == ""


def test_of_long_texts_that_begin_alike_the_difference_is_shown():
    player = playing(line((">", 0.0, typed("word " * 99 + "Monday"))))
    player.receive(says(typed("word " * 99 + "Tuesday")), 0.0)
    assert player.mismatches[0].problem == (
        "item.content[0].text: expected '...word word word word Monday', got '...word word word word Tuesday'"
    )


SECRET = "-".join(f"word{number}" for number in range(12))
"""73 characters, with no form of its own."""


@pytest.mark.parametrize(
    ("recorded", "said"),
    [
        ("Hello", SECRET),
        (SECRET, "Hello"),
        (f"{SECRET[:30]}, plainly", SECRET),
        ("Hello", {"text": SECRET, "more": "\ud800"}),
        ([SECRET], "Hello"),
        ({"client_secret": {"value": "short-one-8472"}}, "Hello"),
    ],
)
def test_a_secret_is_removed_before_a_mismatch_is_cut(recorded: object, said: object):
    with held(Secrets((SECRET,))):
        player = playing(line((">", 0.0, {"type": "x", "text": recorded})))
        player.receive(says({"type": "x", "text": said}), 0.0)
        problem = player.mismatches[0].problem
    assert "<scrubbed:" in problem
    assert not any(part in problem for part in ("word4-word5", "word11", "8472"))


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        ("session.metadata.patient", "Maria Lopez", "'<scrubbed:named>'"),
        ("session.metadata", {"patient": "Maria Lopez"}, "{'patient': '<scrubbed:named>'}"),
        ("session.tools[0].authorization", "Zq017plantedHidden", "'<scrubbed:authorization>'"),
        ("session.metadata.doctor", "Tom Baker", "'Tom Baker'"),
        ("", "response.create", "'response.create'"),
    ],
)
def test_a_mismatch_does_not_show_what_its_place_makes_a_secret(path: str, value: object, shown: str):
    with held(Secrets(paths=(("session", "metadata", "patient"),))):
        assert str(FieldDifference(path, ABSENT, value)) == f"{path}: expected nothing, got {shown}"


def test_a_value_that_cannot_be_checked_is_not_shown():
    deep: object = "word0"
    for _ in range(1_500):
        deep = [deep]
    assert str(FieldDifference("a", deep, "b")) == "a: expected '<scrubbed:unchecked>', got 'b'"


def test_what_differs_from_run_to_run_is_free():
    tape = line(
        ("<", 0.0, {"type": "response.created", "response": {"id": "resp_1"}}),
        (">", 0.1, {**typed("Hi", id="mine_1"), "event_id": "e1"}),
        (
            ">",
            0.2,
            {"type": "conversation.item.truncate", "item_id": "item_7", "content_index": 0, "audio_end_ms": 900},
        ),
        (">", 0.3, {"type": "conversation.item.delete", "item_id": "mine_1"}),
        (">", 0.4, {"type": "response.cancel", "response_id": "resp_1"}),
    )
    player = playing(tape)
    player.receive(says({"event_id": "x", **typed("Hi", id="other")}), 0.1)
    player.receive(
        says({"type": "conversation.item.truncate", "item_id": "item_7", "audio_end_ms": 1234, "content_index": 0}), 0.2
    )
    player.receive(says({"type": "conversation.item.delete", "item_id": "other"}), 0.3)
    player.receive(says({"type": "response.cancel", "response_id": "resp_1"}), 0.4)
    assert player.report().lines() == []


@pytest.mark.parametrize(
    "event",
    [
        {"type": "conversation.item.delete", "item_id": "stranger"},  # its own id was another
        {"type": "conversation.item.delete", "item_id": "resp_1"},  # that one is the service's
    ],
)
def test_an_id_has_to_name_the_same_as_in_the_recording(event: Any):
    tape = line(
        ("<", 0.0, {"type": "response.created", "response": {"id": "resp_1"}}),
        (">", 0.1, typed("Hi", id="mine_1")),
        (">", 0.3, {"type": "conversation.item.delete", "item_id": "mine_1"}),
    )
    player = playing(tape)
    player.receive(says(typed("Hi", id="other")), 0.1)
    player.receive(says(event), 0.3)
    assert [mismatch.path for mismatch in player.mismatches] == ["item_id"]


def test_the_services_own_ids_are_taken_as_recorded_only():
    tape = line(
        ("<", 0.0, {"type": "response.created", "response": {"id": "resp_1"}}),
        (">", 0.4, {"type": "response.cancel", "response_id": "resp_1"}),
    )
    player = playing(tape)
    player.receive(says({"type": "response.cancel", "response_id": "resp_2"}), 0.4)
    assert len(player.mismatches) == 1


@pytest.mark.parametrize("ending", [Close(1011, "gone"), Reset()])
def test_a_recorded_end_is_played_and_nothing_after_it(ending: Frame):
    player = playing(line((">", 0.0, "response.create"), ("<", 0.1, ending)))
    player.receive(says("response.create"), 0.0)
    assert [each.frame for each in player.take_output(1.0)] == [ending]
    player.receive(says("response.create"), 1.1)
    assert (player.take_output(2.0), player.mismatches) == ([], [])


def test_what_the_client_did_not_wait_for_is_told_but_for_what_nobody_waits_for():
    player = playing(line(("<", 0.0, "session.created"), ("<", 0.1, "ping"), ("<", 0.2, "response.done")))
    player.take_output(0.0)
    player.lost(0.05)
    assert player.take_output(1.0) == []
    assert player.report().lines() == ["never sent to the client: response.done"]
    assert player.report(allowed=("response.done", "ping")).clean


def test_mismatches_are_kept_within_bounds():
    player = playing(ASKED)
    for _ in range(200):
        player.receive(says("response.cancel"), 0.0)
    assert len(player.mismatches) == 100


def sent(tape: Line) -> list[str]:
    return [each.frame.data.decode() for each in tape.moments if each.way == "sent" and isinstance(each.frame, Text)]


@settings(max_examples=30)
@given(st.floats(0, 3), st.sampled_from([1.0, 3.0, math.inf]))
def test_a_whole_conversation_comes_back_to_the_client_that_had_it(pause_s: float, speed: float):
    player, now, out = playing(TALK, speed), 0.0, []
    for data in sent(TALK):
        out += player.take_output(now)
        player.receive(data, now)
        now += pause_s
    out += player.take_output(now + 60)
    assert player.report().lines() == []
    recorded = [each.frame for each in TALK.moments if each.way == "received"]
    assert [each.frame for each in out] == recorded


@settings(max_examples=30)
@given(st.data())
def test_whatever_comes_it_never_raises_and_its_frames_are_a_beginning_of_the_recording(data: st.DataObject):
    messages = st.one_of(st.sampled_from(sent(TALK)), st.text(max_size=30), st.binary(max_size=30))
    player, out = playing(TALK, math.inf), []
    for now, each in enumerate(data.draw(st.lists(messages, max_size=30))):
        player.receive(each, float(now))
        out += player.take_output(float(now))
    played = [each.frame for each in out if b'"error"' not in getattr(each.frame, "data", b"")]
    recorded = [each.frame for each in TALK.moments if each.way == "received"]
    assert played == recorded[: len(played)]
    assert [each.at for each in out] == sorted(each.at for each in out)
