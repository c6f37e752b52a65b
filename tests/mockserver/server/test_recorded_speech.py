"""Calls by voice that were recorded side by side: the sound tells the callers apart, in any order and any chunks."""

from __future__ import annotations

import asyncio
import json
import math
import wave
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from websockets.asyncio.client import connect

import realtape
from mockserver.server.journal import SessionLog
from realtape import MockServer, Say, Scenario
from realtape.data import cassettes
from tests.replay.recordings import HEADER, taped

VOICES = cassettes() / "voices"
CALLS = (("booking-1", "booking-2"), ("booking-1", "emergency"), ("unclear",))
ADAPTIVE: dict[str, Any] = {"pacing": "burst"}
VERBATIM: dict[str, Any] = {"verbatim": True, "speed": math.inf}


def speech(name: str) -> bytes:
    with wave.open(str(VOICES / f"{name}.wav")) as file:
        return bytes(file.readframes(file.getnframes()))


async def call(url: str, turns: tuple[str, ...], chunk: int, lead_ms: int, quiet_ms: int, vad: bool) -> list[str]:
    """The answers to a caller whose microphone is silent before and after each turn."""
    detection = {"type": "server_vad", "silence_duration_ms": 1000} if vad else None
    openai = "model=gpt" in url
    settings: dict[str, Any] = {"turn_detection": detection}
    if openai:
        settings = {"type": "realtime", "audio": {"input": settings}}
    answers: list[str] = []
    async with connect(url, additional_headers={"Authorization": "Bearer any"}, max_size=None) as ws:

        async def until(kind: str) -> str:
            words = ""
            while True:
                event = json.loads(await asyncio.wait_for(ws.recv(), 20))
                words += event["delta"] if event["type"] == "response.output_audio_transcript.delta" else ""
                if event["type"] == kind:
                    return words

        await ws.send(json.dumps({"type": "session.update", "session": settings}))
        await until("session.updated")
        for turn in turns:
            sound = bytes(48 * lead_ms) + speech(turn) + bytes(48 * quiet_ms)
            for at in range(0, len(sound), chunk):
                audio = b64encode(sound[at : at + chunk]).decode()
                await ws.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
            if not vad:
                await ws.send('{"type": "input_audio_buffer.commit"}')
                await ws.send('{"type": "response.create"}')
            answers.append(await until("response.done"))
    return answers


@pytest.mark.slow
@pytest.mark.parametrize("vad", [True, False])
@pytest.mark.parametrize("dialect", ["xai@2026-09", "openai"])
async def test_each_caller_gets_the_answers_to_what_was_said(dialect: str, vad: bool, tmp_path: Path):
    model = "?model=gpt-realtime" if dialect == "openai" else ""
    sessions: list[SessionLog] = []
    for number, turns in enumerate(CALLS):
        scenario = Scenario(sequence=[Say(f"Answer {turn} of call {number}.") for turn in turns])
        async with MockServer(scenario, pacing="burst", seed=number, dialect=dialect) as mock:
            await call(f"{mock.ws_url}{model}", turns, 4800, 0, 1500, vad)
        sessions += mock.sessions
    tape = taped(tmp_path / "a.tape", *sessions, header=replace(HEADER, dialect=dialect))
    for options in (ADAPTIVE, VERBATIM):
        for chunk, lead_ms, quiet_ms in ((4800, 0, 1500), (1920, 0, 1500), (9600, 300, 1800)):
            async with MockServer(cassette=tape, **options) as mock:
                calls = [
                    call(f"{mock.ws_url}{model}", turns, chunk, lead_ms, quiet_ms, vad) for turns in reversed(CALLS)
                ]
                unclear, emergency, booking = await asyncio.gather(*calls)
            assert unclear == ["Answer unclear of call 2."]
            assert emergency[1:] == ["Answer emergency of call 1."]
            assert booking[1:] == ["Answer booking-2 of call 0."]
            assert {emergency[0], booking[0]} == {f"Answer booking-1 of call {number}." for number in (0, 1)}
            assert mock.report == mock.unused == []


@pytest.mark.slow
def test_a_folder_answers_each_of_its_callers_as_recorded():
    """The six calls of the clinic, four of which begin with the same words."""
    with MockServer(cassette=cassettes(), **ADAPTIVE) as mock:
        command = ["replay", str(cassettes()), "--to", mock.ws_url, "--speed", "20", "--json"]
        told = json.loads(CliRunner().invoke(realtape.main, command).stdout)
    assert [(each["file"].rpartition("/")[2], each["verdict"]) for each in told["recordings"]] == [
        (path.name, "same") for path in sorted(cassettes().glob("*.tape"))
    ]
    assert mock.report == mock.unused == []
    assert not [finding for finding in mock.findings if finding.rule == "unrecorded-turn"]


@pytest.mark.slow
async def test_other_speech_than_recorded_is_a_finding(tmp_path: Path):
    async with MockServer(Scenario(sequence=[Say("Yes?")]), pacing="burst") as mock:
        await call(mock.ws_url, ("booking-1",), 4800, 0, 1500, True)
    tape = taped(tmp_path / "a.tape", *mock.sessions)
    async with MockServer(cassette=tape, **ADAPTIVE) as mock:
        await call(mock.ws_url, ("booking-1",), 9600, 200, 1500, True)
        assert mock.report == []
        await call(mock.ws_url, ("emergency",), 4800, 0, 1500, True)
    (line,) = mock.report
    assert line.startswith("the client said 1.9 s of speech, recorded is 2.1 s of speech before response 1 of 1")
    assert [finding.rule for finding in mock.findings if finding.message in mock.report] == ["unrecorded-turn"]
