"""A recorded call is played to a client that joins it: the recorded caller speaks again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import ClientSession

from mockserver.server import session_views
from mockserver.server import virtual_time as autojump
from mockserver.testing.mock_server import MockServer
from replay.secrets.named import Secrets
from tests.mockserver.calls.phoned import voice
from tests.mockserver.server.calls.test_call_sound import called, update
from tests.mockserver.server.calls.test_calls import KEY, attach, until


@pytest.mark.parametrize("verbatim", [False, True])
def test_the_recorded_caller_is_heard_and_answered(tmp_path: Path, *, verbatim: bool) -> None:
    log, _, _ = autojump.run(called(voice(1.0)))
    tape = tmp_path / "call.tape"
    tape.write_bytes(session_views.cassette(log, Secrets()))

    async def again() -> None:
        async with MockServer(cassette=tape, verbatim=verbatim, voice="tone") as mock, ClientSession() as http:
            ws = await attach(http, mock, "rtc_u1_another", KEY)
            await ws.send_json(update())
            events = await until(ws, "response.done")
            assert "input_audio_buffer.speech_started" in {event["type"] for event in events}
            await ws.close()
            await asyncio.sleep(0.1)
            (session,) = mock.sessions
            assert len(session.received("input_audio_buffer.append")) > 5

    autojump.run(again())
