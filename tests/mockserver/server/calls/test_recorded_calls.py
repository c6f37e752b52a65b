"""Sidebands that were recorded, played to clients that join a call."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import ClientSession, WSMsgType, WSServerHandshakeError

from mockserver.server import virtual_time as autojump
from mockserver.server.accounts import Team
from mockserver.server.admission import accepted
from mockserver.server.calls.registry import NoEvents
from mockserver.server.calls.running_call import RunningCall
from mockserver.testing.mock_server import MockServer
from replay.cassette.frames import Text
from replay.cassette.recording import Recording
from replay.cassette.records import Header, Record, Request, Response
from replay.findings.lint import lint
from replay.formats import tape
from replay.secrets.named import Secrets

KEY = {"Authorization": "Bearer sk-any"}
UPDATE = {"type": "session.update", "session": {"type": "realtime", "instructions": "Answer in two words."}}
CALL = "rtc_u1_ETYJSp3oMdsOb7HW9eMflgesrIs0XaTn"


def recorded(path: Path) -> Path:
    """A sideband: an update and its answer, then a transcript without sound."""
    header = Header(
        "hand", "wss://api.openai.com/v1/realtime", "openai@2026-10", None, "2026-11-30T00:00:00+00:00", "x"
    )

    def event(at_us: int, way: Any, text: str) -> Record:
        return Record(at_us, 0, way, Text(text.encode()))

    records = (
        Record(0, 0, "sent", Request("GET", f"/v1/realtime?call_id={CALL}", ())),
        Record(0, 0, "received", Response(101, ())),
        event(
            0, "sent", '{"type":"session.update","session":{"type":"realtime","instructions":"Answer in two words."}}'
        ),
        event(47_000, "received", '{"type":"session.updated","event_id":"event_1","session":{"id":"sess_u1_E"}}'),
        event(90_000, "received", '{"type":"output_audio_buffer.started","event_id":"event_2","response_id":"resp_1"}'),
    )
    tape.write(tape.Tape(header, records, 100_000), path, secrets=Secrets())
    return path


@pytest.mark.parametrize("accepts", [False, True])
def test_a_recorded_sideband_is_played_to_who_joins_any_call(accepts: bool, tmp_path: Path) -> None:
    async def tell() -> None:
        path = recorded(tmp_path / "sideband.tape")
        async with MockServer(cassette=path, verbatim=True) as mock, ClientSession() as http:
            calls = f"{mock.http_url}/realtime/calls"
            if accepts:
                async with http.post(f"{calls}/{CALL}/accept", json={"type": "realtime"}, headers=KEY) as response:
                    assert response.status == 200
            ws = await http.ws_connect(f"{mock.ws_url}?call_id={CALL}", headers=KEY)
            await ws.send_json(UPDATE)
            assert (await ws.receive_json())["session"] == {"id": "sess_u1_E"}
            assert (await ws.receive_json())["type"] == "output_audio_buffer.started"
            async with http.post(f"{calls}/{CALL}/hangup", headers=KEY) as response:
                assert response.status == 200
            message = await ws.receive()
            assert (message.type, message.data) == (WSMsgType.CLOSE, 1000)
            assert mock.report == []

    autojump.run(tell())


def test_a_recorded_call_ends_with_its_last_socket(tmp_path: Path) -> None:
    async def tell() -> None:
        path = recorded(tmp_path / "sideband.tape")
        async with MockServer(cassette=path) as mock, ClientSession() as http:
            other = await http.ws_connect(f"{mock.ws_url}?call_id={CALL}", headers=KEY)
            async with http.ws_connect(f"{mock.ws_url}?call_id={CALL}", headers=KEY) as ws:
                await other.close()
                await ws.send_json(UPDATE)
                assert (await ws.receive_json())["type"] == "session.updated"
            async with http.get(f"{mock.control_url}/calls") as response:
                (listed,) = await response.json()
            assert (listed["id"], listed["state"]) == (CALL, "over")

    autojump.run(tell())


def test_a_recorded_call_ends_if_its_socket_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lost(*_: object) -> None:
        raise ConnectionResetError("the client is gone")

    async def tell() -> None:
        path = recorded(tmp_path / "sideband.tape")
        async with MockServer(cassette=path) as mock, ClientSession() as http:
            with monkeypatch.context() as patched, pytest.raises(WSServerHandshakeError):
                patched.setattr("mockserver.server.websocket.accept", lost)
                await http.ws_connect(f"{mock.ws_url}?call_id={CALL}", headers=KEY)
            (call,) = mock._service.calls.listed
            assert (call.state, mock._service.open_sessions) == ("over", {})
            mock._service.errors.clear()

    autojump.run(tell())


def test_a_call_is_recorded_as_the_socket_that_would_carry_its_sound(tmp_path: Path) -> None:
    async def tell() -> Path:
        async with MockServer(dialect="openai", voice="tone", record=tmp_path) as mock:
            service = mock._service
            team = service.accounts.owner("sk-any")
            assert isinstance(team, Team)
            entry = service.calls.announce("openai@2026-10", "phone", service.clock.unix(), NoEvents())
            call = await accepted(service, entry.id, team, {"type": "realtime", "model": "gpt-realtime-2.1"})
            assert isinstance(call, RunningCall)
            for _ in range(10):
                await asyncio.sleep(0.02)
                call.hear(np.full(480, 5, np.int16))
            call.hang_up("caller")
        (path,) = mock.cassettes
        return path

    recording = Recording.read(autojump.run(tell()))
    (line,) = recording.lines
    assert line.request is not None
    assert line.request.target == "/v1/realtime?model=gpt-realtime-2.1"
    assert line.call_id is not None
    assert line.call_id.startswith("rtc_u1_")
    types = [each.type for each in line.moments]
    assert types[0] == "session.created"
    assert "input_audio_buffer.append" in types
    assert lint(recording) == []
