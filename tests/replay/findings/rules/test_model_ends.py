"""A model that ends soon is remarked, by the session's day: not by that of the machine."""

from __future__ import annotations

from datetime import datetime, timezone

import orjson
import pytest

from replay.cassette.frames import Text
from replay.findings import Finding
from replay.findings.call import CallStep, Handshake
from replay.findings.watch import Watcher
from tests.live_messages import received


def findings(model: str, day: str, transcriber: str | None = None, dialect: str = "openai") -> list[Finding]:
    """What is found in a session that opens on a day."""
    opened = datetime.fromisoformat(day).replace(tzinfo=timezone.utc).timestamp()
    watcher = Watcher()
    watch = watcher.open("s", dialect, Handshake())
    heard = {"transcription": transcriber and {"model": transcriber}}
    session = {"model": model, "expires_at": int(opened) + 3600, "audio": {"input": heard}}
    for type in ("session.created", "session.updated"):
        received(watch, 0.1, Text(orjson.dumps({"type": type, "event_id": "event_1", "session": session})))
    return list(watcher.findings)


@pytest.mark.parametrize("model", ["gpt-realtime", "gpt-realtime-2025-08-28", "gpt-realtime-mini"])
@pytest.mark.parametrize(("day", "found"), [("2026-10-21", 0), ("2026-10-22", 1), ("2027-01-20", 1), ("2027-03-01", 1)])
def test_ninety_days_before_its_end_a_model_is_remarked_once(model: str, day: str, found: int):
    remarks = findings(model, day)
    assert [remark.rule for remark in remarks] == ["model-ends"] * found
    assert all(model in remark.message and "2027-01-20" in remark.message for remark in remarks)


@pytest.mark.parametrize("model", ["gpt-realtime-1.5", "gpt-realtime-2", "gpt-realtime-2.1-mini", "of-my-own"])
def test_a_model_that_lives_on_or_is_unknown_is_fine(model: str):
    assert findings(model, "2027-03-01") == []


def test_a_transcription_model_is_remarked_as_well():
    (remark,) = findings("gpt-realtime-2.1", "2026-12-01", "whisper-1")
    assert "whisper-1" in remark.message and remark.level == "warn"
    (sooner,) = findings("gpt-realtime-2.1", "2026-12-01", "gpt-4o-mini-transcribe-2025-03-20")
    assert "2027-01-20" in sooner.message
    for living in ("gpt-transcribe", "gpt-realtime-whisper"):
        assert findings("gpt-realtime-2.1", "2026-12-01", living) == []


def test_azure_s_sessions_are_looked_at():
    assert findings("gpt-realtime", "2026-12-01", dialect="azure") != []
    assert findings("gpt-realtime", "2026-12-01", dialect="xai") == []


def deprecated(asked: str | None, told: str, day: str) -> list[Finding]:
    """What is found in a session of xAI on a day."""
    unix_ms = datetime.fromisoformat(day).replace(tzinfo=timezone.utc).timestamp() * 1000
    watcher = Watcher()
    watch = watcher.open("s", "xai@2026-10", Handshake({"model": asked} if asked else {}))
    created = {"type": "session.created", "event_id": "e", "session": {"model": told, "turn_detection": {"type": None}}}
    for event in (created, *({"type": "ping", "event_id": "e", "timestamp": int(unix_ms)} for _ in range(2))):
        received(watch, 0.1, Text(orjson.dumps(event)))
    return list(watcher.findings)


@pytest.mark.parametrize(("day", "found"), [("2026-10-13", 0), ("2026-10-14", 1), ("2026-12-01", 1)])
def test_a_deprecated_model_of_xai_is_remarked_once(day: str, found: int):
    remarks = deprecated("grok-voice-think-fast-2.0", "grok-voice-think-fast-2.0", day)
    assert [(remark.rule, remark.level) for remark in remarks] == [("model-ends", "warn")] * found
    assert all("2026-10-14" in remark.message and "grok-voice-3.0" in remark.message for remark in remarks)


def test_an_alias_or_a_model_without_an_announced_end_is_fine():
    assert deprecated("grok-voice-latest", "grok-voice-think-fast-2.0", "2026-12-01")[1:] == []  # latest-model alone
    assert deprecated("grok-voice-3.0", "grok-voice-3.0", "2026-12-01") == []
    assert deprecated("grok-voice-think-fast-1.0", "grok-voice-think-fast-1.0", "2026-12-01") == []
    (found,) = deprecated(None, "grok-voice-think-fast-2.0", "2026-12-01")
    assert found.rule == "model-ends"


@pytest.mark.parametrize("instant", [1e30, -1e30, 1e300])
def test_a_time_that_is_no_date_ends_no_check(instant: float):
    events: list[dict[str, object]] = [
        {"type": "session.created", "session": {"model": "gpt-realtime", "expires_at": instant}},
        {"type": "ping", "timestamp": instant},
    ]
    for dialect in ("openai", "xai@2026-10"):
        watcher = Watcher()
        watch = watcher.open("s", dialect, Handshake({"model": "grok-voice-latest"}))
        for event in events:
            watch.recorded(CallStep(0.1, "received", str(event["type"]), event))
        assert not [each for each in watcher.findings if each.rule == "model-ends"]
