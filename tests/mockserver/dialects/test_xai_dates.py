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
    assert statuses == {"xai@2026-04": 401, "xai@2026-07": 401, "xai@2026-08": 401, "xai@2026-09": 400}
