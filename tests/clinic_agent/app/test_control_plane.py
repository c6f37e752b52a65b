from __future__ import annotations

import pytest

from clinic_agent.app.control_plane import HEARING, hearing
from mockserver.responders.base import Say
from mockserver.responders.scenario import Clip, Scenario
from mockserver.testing.mock_server import MockServer
from tests.mockserver.audio.test_speech_evidence import VOICES
from tests.mockserver.server.test_requests import Writes

KNOWN = Scenario([], [Say("Yes?")], [Clip(str(VOICES / "emergency.wav"), "Help.")])


@pytest.mark.parametrize(
    ("mock", "words"),
    [
        (MockServer(), "scripted"),
        (MockServer(KNOWN), "clips"),
        (MockServer(KNOWN, transcriber=Writes()), "recognised"),
    ],
    ids=["scripted", "clips", "recognised"],
)
def test_a_page_can_say_how_spoken_words_are_found(mock: MockServer, words: str):
    with mock:
        assert hearing(mock.control_url) == HEARING[words]


def test_without_an_answer_a_page_says_nothing():
    assert (hearing(None), hearing("http://127.0.0.1:9/_mock")) == ("", "")
