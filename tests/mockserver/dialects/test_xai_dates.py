"""xAI from date to date: how a connection begins, in which voice and model, and how a wrong key is answered."""

from __future__ import annotations

import pytest

from mockserver.dialects.handshake import Denied
from mockserver.dialects.registry import SERVICES
from tests.mockserver.talk import Talk


def test_at_first_a_connection_began_with_its_conversation():
    talk = Talk(dialect="xai@2026-04")
    assert talk.types == ["conversation.created", "ping"]
    talk.send("session.update", session={"instructions": "Be brief."})
    assert talk.types[2:] == ["session.updated"]


@pytest.mark.parametrize("date", ["xai@2026-08", "xai@2026-09"])
def test_from_august_the_second_model_greets_in_a_voice_of_another_name(date: str):
    session = Talk(dialect=date).events[0]["session"]
    assert (session["voice"], session["model"]) == ("xai_ara", "grok-voice-think-fast-2.0")


def test_a_wrong_key_was_unauthorized_until_september():
    statuses = {
        name: SERVICES[name].handshake.refuse(Denied("wrong")).status
        for name in SERVICES
        if name.partition("@")[0] == "xai"
    }
    until, since = ("xai@2026-04", "xai@2026-07", "xai@2026-08"), ("xai@2026-09", "xai@2026-10")
    assert statuses == dict.fromkeys(until, 401) | dict.fromkeys(since, 400)


def test_at_first_the_voice_came_back_with_a_prefix_and_the_model_was_that_of_the_address():
    talk = Talk(dialect="xai@2026-04", model="no-such-model")
    (updated,) = talk.send("session.update", session={"voice": "Ara", "model": "grok-voice-think-fast-1.0"})
    session = updated["session"]
    assert list(session)[:2] == ["instructions", "voice"]
    assert (session["voice"], session["model"]) == ("human_Ara", "grok-voice-fast-1.0")
    july = Talk(dialect="xai@2026-07").send("session.update", session={"voice": "Ara"})[0]["session"]
    assert "voice" not in july


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (None, "grok-voice-3.0"),
        ("grok-voice-latest", "grok-voice-3.0"),
        ("grok-voice-3.0", "grok-voice-3.0"),
        ("grok-voice-2.0", "grok-voice-think-fast-2.0"),
        ("no-such-model", "grok-voice-3.0"),
    ],
)
def test_since_october_the_alias_names_the_third_model(asked: str | None, told: str):
    assert Talk(dialect="xai@2026-10", model=asked).events[0]["session"]["model"] == told


def test_a_team_had_a_hundred_sessions_and_has_ten():
    sessions = {name: Talk(dialect=name).session.dialect.traits.limits.max_sessions for name in SERVICES}
    assert [sessions[f"xai@2026-{month}"] for month in ("04", "07", "08", "09", "10")] == [100, 100, 100, 10, 10]
