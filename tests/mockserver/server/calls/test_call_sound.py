"""The log, the cassette and the viewer have the sound of a call, which no channel carries."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mockserver.audio.formats import Samples
from mockserver.calls.call import Call
from mockserver.dialects.base import Opening
from mockserver.dialects.registry import SERVICES
from mockserver.responders.base import Say
from mockserver.server import session_views
from mockserver.server import virtual_time as autojump
from mockserver.server.calls.running_call import RunningCall
from mockserver.server.clock import Clock
from mockserver.server.journal import HEARD_BYTES, Journal, SessionLog
from mockserver.session.session import Session
from replay.cassette.recording import Recording
from replay.findings.lint import lint
from replay.report.soundtrack import sides, soundtrack
from replay.secrets.named import Secrets
from tests.mockserver.calls.phoned import CALL_ID, EPOCH, TONE, voice
from tests.mockserver.server.calls.scripted_call import Listener
from tests.mockserver.talk import Script

Event = Mapping[str, Any]


def update(form: str = "audio/pcm") -> dict[str, Any]:
    """The client's only message: it declares a format."""
    sides = {"input": {"format": {"type": form}}, "output": {"format": {"type": form}}}
    return {"type": "session.update", "session": {"type": "realtime", "audio": sides}}


async def called(said: Samples, form: str = "audio/pcm") -> tuple[SessionLog, Listener, bytes]:
    """A call on which somebody says that and is answered; its log, its channel and what was played. `form`: the format
    that its client declares."""
    dialect = SERVICES["openai@2026-10"].open(Opening("7/0", EPOCH, "gpt-realtime", call_id=CALL_ID))
    session = Session(dialect, Script([Say("Good morning.")], heard=["Hello."]), TONE, seed="7/0")
    log = Journal().open(dialect.ids.session, "conv", EPOCH, session.ledger)
    log.dialect, log.call_id = dialect.name, CALL_ID
    call = RunningCall(CALL_ID, Call(session, dialect.render), Clock(), log)
    channel, played = Listener(), b""
    call.join(channel)
    call.receive(json.dumps(update(form)))
    for n in range(200):
        await asyncio.sleep(0.02)
        piece = said[n * 480 : n * 480 + 480]
        call.hear(piece if len(piece) else np.zeros(480, np.int16))
        if (frame := call.play()) is not None:
            played += frame.tobytes()
    call.hang_up("caller")
    return log, channel, played


def sound(events: Sequence[Event], type: str, key: str) -> bytes:
    return b"".join(base64.b64decode(each[key]) for each in events if each["type"] == type)


def test_what_both_sides_said_is_in_the_log_and_in_the_cassette(tmp_path: Path) -> None:
    said = voice(1.0)
    log, channel, played = autojump.run(called(said))
    assert not any("response.output_audio.delta" in text or ".append" in text for _, text in channel.got)
    heard = sound(log.received(), "input_audio_buffer.append", "audio")
    answer = sound(log.sent(), "response.output_audio.delta", "delta")
    assert heard[: 2 * len(said)] == said.tobytes()
    assert len(heard) == 200 * 960
    assert len(answer) > 0
    assert played[: len(answer)] == answer
    entries = [entry for entry in log.entries if entry.type == "input_audio_buffer.append"]
    assert len(entries) <= len(heard) // HEARD_BYTES + 20  # 100 ms each, but for what other frames end early
    assert [entry.at for entry in log.entries] == sorted(entry.at for entry in log.entries)

    path = tmp_path / "call.tape"
    path.write_bytes(session_views.cassette(log, Secrets()))
    events = [each.event for each in Recording.read(path).moments() if each.event is not None]
    assert sound(events, "input_audio_buffer.append", "audio") == heard
    assert sound(events, "response.output_audio.delta", "delta") == answer
    assert lint(Recording.read(path)) == []


def test_the_sound_of_a_cassette_is_in_the_format_that_the_client_declared(tmp_path: Path) -> None:
    """The declared format is without effect on the tracks, but every reader of a cassette goes by it."""
    found = {}
    for form in ("audio/pcm", "audio/pcmu"):
        log, _, _ = autojump.run(called(voice(1.0), form))
        path = tmp_path / "call.tape"
        path.write_bytes(session_views.cassette(log, Secrets()))
        track = soundtrack(Recording.read(path))
        found[form] = dict(sides(track))
    assert found["audio/pcmu"]["sent"] == pytest.approx(found["audio/pcm"]["sent"], abs=0.12)
    assert found["audio/pcmu"]["received"] == pytest.approx(found["audio/pcm"]["received"], abs=0.01)
    assert found["audio/pcm"]["sent"] == pytest.approx(4.0, abs=0.05)
