"""Which date a name without a date means: what a live user gets, by the model that a connection asks for."""

from __future__ import annotations

import json
from datetime import date

import pytest
from websockets.sync.client import connect

from mockserver.dialects.names import (
    ALIASES,
    BEGINS,
    DIALECT_NAMES,
    dialect_for,
    dialect_name,
    dialect_of,
    dialect_on,
)
from mockserver.dialects.xai import dates
from mockserver.testing.mock_server import MockServer
from replay.billing.prices import PRICES
from replay.xai_models import VOICE

OF_MODEL = {
    None: "xai@2026-10",
    "grok-voice-latest": "xai@2026-10",
    "grok-voice-3.0": "xai@2026-10",
    "no-such-model": "xai@2026-10",
    "grok-voice-2.0": "xai@2026-09",
    "grok-voice-think-fast-2.0": "xai@2026-09",
    "grok-voice-think-fast-1.0": "xai@2026-07",
    "grok-voice-fast-1.0": "xai@2026-04",
}


@pytest.mark.parametrize("model", OF_MODEL)
def test_a_model_selects_the_last_date_at_which_it_was_the_default(model: str | None):
    assert dialect_of("xai", model) == OF_MODEL[model]
    if model is not None:
        assert dialect_for(model, None, None, {}) == OF_MODEL[model]


def test_the_newest_date_answers_every_other_service():
    assert dialect_of("openai", "gpt-realtime") == ALIASES["openai"]
    assert dialect_of("azure", "grok-voice-think-fast-1.0") == ALIASES["azure"]


def test_an_alias_is_the_newest_date_and_every_date_has_its_first_day():
    assert set(BEGINS) == set(DIALECT_NAMES)
    for service, newest in ALIASES.items():
        dated = [name for name in DIALECT_NAMES if name.startswith(f"{service}@")]
        assert newest == max(dated, key=BEGINS.__getitem__) == dialect_name(service)
    assert all(BEGINS[name].isoformat()[:7] == name.partition("@")[2] for name in DIALECT_NAMES)
    with pytest.raises(ValueError, match="xai@2026-09"):
        dialect_name("xai@1999")


def test_a_day_has_the_dialect_that_had_begun():
    assert dialect_on("xai", date(2026, 8, 4)) == "xai@2026-07"
    assert dialect_on("xai", date(2026, 8, 5)) == "xai@2026-08"
    assert dialect_on("xai", date(2025, 1, 1)) == "xai@2026-04"
    assert dialect_on("openai", date(2027, 1, 1)) == "openai@2026-10"


def test_the_date_of_a_model_shows_it_by_a_name_and_prices_it():
    known = {each.name: each for each in vars(dates).values() if isinstance(each, dates.Date)}
    for model in VOICE:
        shown = known[dialect_of("xai", model)].model(model)
        assert shown == model or (model, shown) == ("grok-voice-2.0", "grok-voice-think-fast-2.0")
        assert model in PRICES["xai"][-1].per_audio_minute
        replaced, successor = VOICE[model].replaced, VOICE[model].successor
        assert (replaced is None) == (successor == "") and (not successor or successor in VOICE)


def greeting(mock: MockServer, model: str | None) -> list[dict[str, object]]:
    url = mock.ws_url + (f"?model={model}" if model else "")
    with connect(url, additional_headers={"Authorization": "Bearer k"}) as ws:
        ws.send(json.dumps({"type": "session.update", "session": {"turn_detection": None}}))
        events = [json.loads(ws.recv(5))]
        while events[-1]["type"] != "session.updated":
            events.append(json.loads(ws.recv(5)))
        return events


@pytest.mark.parametrize("choice", [None, "xai", "auto"])
def test_a_server_speaks_to_each_connection_as_of_the_date_of_its_model(choice: str | None):
    with MockServer(dialect=choice, check=True, voice="tone") as mock:
        july, september = greeting(mock, "grok-voice-think-fast-1.0"), greeting(mock, "grok-voice-think-fast-2.0")
        newest = greeting(mock, "grok-voice-latest")
        assert greeting(mock, "grok-voice-fast-1.0")[0]["type"] == "conversation.created"
    sessions = [events[0]["session"] for events in (july, september, newest)]
    assert [session["voice"] for session in sessions] == ["ara", "xai_ara", "xai_ara"]  # type: ignore[index]
    assert sessions[2]["model"] == "grok-voice-3.0"  # type: ignore[index]
    shown = ["turn_detection" in events[-1]["session"] for events in (july, september, newest)]  # type: ignore[operator]
    assert shown == [True, False, False]


def test_a_pinned_date_speaks_to_every_model():
    with MockServer(dialect="xai@2026-09", voice="tone") as mock:
        session = greeting(mock, "grok-voice-think-fast-1.0")[0]["session"]
    assert (session["voice"], session["model"]) == ("xai_ara", "grok-voice-think-fast-1.0")  # type: ignore[index]
