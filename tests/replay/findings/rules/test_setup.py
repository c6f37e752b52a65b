from __future__ import annotations

import numpy as np
import pytest

from replay.findings.fields import MOST_UNKNOWN
from tests.mockserver.talk import TONE
from tests.replay.findings.watched_calls import DIALECTS, calling, watched_call

both = pytest.mark.parametrize("dialect", DIALECTS)
VAD: dict[str, object] = {"turn_detection": {"type": "server_vad", "silence_duration_ms": 600}}
VOICE = TONE.speak("Hello, is anybody there?").samples


@both
def test_audio_before_the_configuration_is_found(dialect: str):
    with watched_call(dialect) as call:
        call.speak_in_time(VOICE[:7200])
        call.configure(**VAD)
        call.rest()
    (found,) = call.findings
    assert found.rule == "audio-before-configuration"
    assert found.at == pytest.approx(0.3)
    assert "3 messages of audio" in found.message and "session.update first" in found.fix


@both
def test_audio_after_the_configuration_is_fine(dialect: str):
    with watched_call(dialect, update=VAD) as call:
        call.speak_in_time(VOICE[:7200])
        call.configure(instructions="Be brief.")
    assert call.rules == []


def test_audio_without_any_configuration_is_heard_by_nobody_at_xai():
    with watched_call("xai") as call:
        call.speak_in_time(np.tile(VOICE, 2))
    assert call.rules == ["audio-before-configuration"]


def test_openai_listens_for_turns_from_the_start():
    with watched_call("openai") as call:
        call.speak_in_time(np.concatenate([VOICE, np.zeros(24_000, np.int16)]))
        call.rest()
    assert call.rules == []


@pytest.mark.parametrize(
    ("dialect", "session", "path", "near"),
    [
        ("xai", {"voise": "eve"}, "session.voise", "session.voice"),
        ("xai", {"audio": {"input": {"fromat": {}}}}, "session.audio.input.fromat", "session.audio.input.format"),
        ("openai", {"voice": "marin"}, "session.voice", ""),
        (
            "openai",
            {"audio": {"output": {"voise": "marin"}}},
            "session.audio.output.voise",
            "session.audio.output.voice",
        ),
    ],
)
def test_an_unknown_field_is_found_with_the_nearest_name(
    dialect: str, session: dict[str, object], path: str, near: str
):
    with watched_call(dialect, update=session) as call:
        call.of("error")
    (found,) = call.findings
    assert found.rule == "unknown-field"
    assert path in found.message and near in found.message


@both
def test_of_many_unknown_fields_the_first_are_told(dialect: str):
    with watched_call(dialect, update={f"field{number}": number for number in range(500)}) as call:
        call.of("error")
    assert [each.message.split()[2] for each in call.findings] == [
        f"session.field{number}," for number in range(MOST_UNKNOWN)
    ]


@both
def test_the_fields_that_a_service_knows_are_fine(dialect: str):
    form = {"type": "audio/pcm", "rate": 24_000}
    audio = {"input": {"format": form, "transcription": None}, "output": {"format": form, "speed": 1.1}}
    tools = [{"type": "function", "name": "look", "description": "", "parameters": {"type": "object"}}]
    with watched_call(dialect, update={"instructions": "Be brief.", "tools": tools, "audio": audio, **VAD}) as call:
        pass
    assert call.rules == []


@pytest.mark.parametrize(
    ("session", "path"),
    [
        ({"modalities": ["text"]}, "modalities"),
        ({"turn_detection": {"type": "server_vad", "create_response": False}}, "turn_detection.create_response"),
        ({"temperature": 0.2}, "temperature"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}, "audio.input.turn_detection"),
    ],
)
def test_a_field_that_xai_takes_and_does_not_apply_is_remarked(session: dict[str, object], path: str):
    with watched_call("xai", update=session) as call:
        pass
    (found,) = call.findings
    assert (found.rule, found.level) == ("ignored-field", "warn")
    assert f"sets {path} to" in found.message


def test_what_asks_for_nothing_is_not_remarked():
    session = {"type": "realtime", "modalities": ["audio"], "tool_choice": "auto", "max_output_tokens": None}
    with watched_call(
        "xai", update={**session, "turn_detection": {"type": "server_vad", "create_response": True}}
    ) as call:
        pass
    assert call.rules == []


@both
def test_a_refused_configuration_that_is_ignored_is_found(dialect: str):
    with watched_call(dialect, update={"instructions": 7}) as call:
        call.of("error")
        call.wait(0.2)
        call.say("Hello.")
        call.rest()
    (found,) = call.findings
    assert (found.rule, found.at) == ("ignored-error", 0.0)
    assert "session.update was refused" in found.message and "instructions" in found.message


@both
def test_a_refused_configuration_that_is_mended_is_fine(dialect: str):
    with watched_call(dialect, update={"instructions": 7}) as call:
        call.of("error")
        call.wait(0.2)
        call.configure(instructions="Be brief.")
        call.say("Hello.")
        call.rest()
    assert call.rules == []


@both
def test_an_error_about_something_else_does_not_refuse_the_configuration(dialect: str):
    with watched_call(dialect, calling()) as call:
        call.send("response.cancel")
        call.of("error")
        call.wait(0.2)
        call.say("Hello.")
        call.called()
        call.wait(0.1)
    assert call.rules == []


@both
def test_the_same_refusal_three_times_is_found(dialect: str):
    with watched_call(dialect) as call:
        for _ in range(4):
            call.send("conversation.item.delete", item_id="nowhere") if dialect == "openai" else call.send("no.event")
            call.wait(1.0)
        call.of("error")
    (found,) = call.findings
    assert (found.rule, found.at) == ("repeated-error", 2.0)


def test_a_cancel_that_comes_too_late_is_no_mistake():
    with watched_call("xai") as call:
        for _ in range(4):
            call.send("response.cancel")
        call.of("error")
    assert call.rules == []


@pytest.mark.parametrize(("dialect", "minutes"), [("xai", 115), ("openai", 58)])
def test_a_session_that_nears_its_end_is_remarked(dialect: str, minutes: int):
    with watched_call(dialect) as call:
        call.send("input_audio_buffer.clear")
        call.wait(60.0 * (minutes - 5))
        assert call.rules == []
        call.wait(300.0)
        (found,) = call.findings
    assert (found.rule, found.level) == ("session-cap", "warn")
