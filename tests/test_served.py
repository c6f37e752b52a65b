"""The watch over events finds what is wrong, and is on while tests run."""

from __future__ import annotations

import orjson
import pytest

from mockserver.dialects.openai.dialect import OpenAI
from replay.cassette.frames import Text
from tests import served
from tests.mockserver.talk import Talk


@pytest.fixture(autouse=True)
def package() -> None:
    if served.TYPES is None:
        pytest.skip("the package openai is not installed")


@pytest.mark.parametrize(
    "event",
    [
        {"type": "session.started", "event_id": "event_1"},
        {"type": "input_audio_buffer.committed", "event_id": "event_1"},
        {"type": "input_audio_buffer.speech_started", "event_id": "event_1", "item_id": "i", "audio_start_ms": "soon"},
    ],
)
def test_an_event_of_no_type_or_without_what_belongs_to_it_is_complained_of(event: dict[str, object]):
    served.judge("openai", event)
    assert served.complaints
    served.complaints.clear()


def test_an_event_that_nobody_has_accounted_for_is_complained_of():
    served.judge("xai", {"type": "rate_limits.updated"})
    assert "provenance.py" in served.complaints.pop()


def test_a_talk_is_watched(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(OpenAI, "event", lambda self, at, type, **fields: Text(orjson.dumps({"type": type})))
    Talk(dialect="openai").hang_up()
    shape, package = served.complaints
    assert shape == "session.created: event_id: missing" and "session.created" in package
    served.complaints.clear()
