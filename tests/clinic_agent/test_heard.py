"""What the clinic makes of sound that nobody expects, by command line, HTTP and Streamlit upload."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from streamlit.testing.v1 import AppTest

from clinic_agent.app import playground
from mockserver.testing.mock_server import MockServer
from tests.clinic_agent.callers_nobody_expects import (
    AGREES,
    ALL_AT_ONCE,
    BOOKED,
    NOT_UNDERSTOOD,
    RATE,
    g711_as_pcm,
    known,
    needs_ears,
    spoken,
    wav,
)

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
TODAY = "2026-07-01"
EMERGENCY = "Please dial the emergency number now."
Caller = Callable[[list[bytes]], str]
"""Makes a call of WAV files, and gives what the assistant said last."""


@pytest.fixture
def mock() -> Iterator[MockServer]:
    scenario = ROOT / "cassettes" / "scenarios" / "clinic.yaml"
    with MockServer(scenario, voice="tone", pacing="burst", transcriber="auto") as server:
        yield server


@pytest.fixture
def environ(mock: MockServer, tmp_path: Path) -> dict[str, str]:
    return {
        "XAI_API_KEY": mock.api_key,
        "XAI_REALTIME_URL": mock.ws_url,
        "CLINIC_DATA": str(tmp_path),
        "CLINIC_TODAY": TODAY,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }


def by_command_line(environ: dict[str, str], folder: Path) -> Iterator[Caller]:
    def call(files: list[bytes]) -> str:
        words = []
        for at, each in enumerate(files):
            (folder / f"{at}.wav").write_bytes(each)
            words += ["--wav", f"{at}.wav"]
        command = [sys.executable, "-m", "realtape", "clinic", "call", "--fast", "--json", "--today", TODAY]
        command += ["--database", str(folder / "clinic.sqlite3"), *words]
        done = subprocess.run(
            command, cwd=folder, env={**os.environ, **environ}, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["turns"][-1]["said"])

    yield call


def by_http(environ: dict[str, str], folder: Path) -> Iterator[Caller]:
    command = [sys.executable, "-m", "realtape", "clinic", "serve", "--port", "0"]
    with subprocess.Popen(
        command, cwd=folder, env={**os.environ, **environ}, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().split()[1]

        def call(files: list[bytes]) -> str:
            going_on: dict[str, str] = {}
            answer: dict[str, str] = {}
            for each in files:
                sent = httpx2.post(
                    f"{url}appointments/voice", files={"audio": ("a.wav", each)}, data=going_on, timeout=240
                )
                assert sent.status_code == 200, sent.text
                answer = sent.json()
                going_on = {"conversation_id": answer["conversation_id"]}
            return answer["transcript"]

        try:
            yield call
        finally:
            server.terminate()


def by_streamlit(environ: dict[str, str], folder: Path) -> Iterator[Caller]:
    def call(files: list[bytes]) -> str:
        demo = AppTest.from_file(playground.__file__, default_timeout=240).run()
        for at, each in enumerate(files):
            demo.file_uploader[0].upload(f"{at}.wav", each, "audio/wav").run()
            demo.button(key="send").click().run()
            assert not demo.exception
        return "\n".join(str(each.value) for each in [*demo.text, *demo.markdown])

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, value in environ.items():
            patch.setenv(name, value)
        yield call
    playground._call_thread(1800.0).end()
    playground._call_thread.clear()


@pytest.fixture(params=[by_command_line, by_http, by_streamlit], ids=lambda way: way.__name__)
def call(request: pytest.FixtureRequest, environ: dict[str, str], tmp_path: Path) -> Iterator[Caller]:
    yield from request.param(environ, tmp_path)


def bookings(folder: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(folder / "clinic.sqlite3")) as calendar:
        return calendar.execute("SELECT service, day, start, name FROM bookings").fetchall()


def heard_by(mock: MockServer) -> list[str]:
    control = f"{mock.http_url.removesuffix('/v1')}/_mock/sessions"
    sessions = [httpx2.get(f"{control}/{each['id']}").json() for each in httpx2.get(control).json()]
    return [turn["heard_by"] for session in sessions for turn in session["heard"]]


@needs_ears
def test_another_sentence_of_another_voice_is_heard_and_booked(call: Caller, mock: MockServer, tmp_path: Path):
    assert "You are booked, Emily Brown" in call([wav(spoken(ALL_AT_ONCE)), wav(spoken(AGREES))])
    assert bookings(tmp_path) == [BOOKED]
    assert heard_by(mock) == ["transcriber", "transcriber"]


def test_an_emergency_is_handed_over(call: Caller, mock: MockServer, tmp_path: Path):
    said = call([wav(known("emergency"))])
    assert EMERGENCY in said
    assert "the nurse on duty" in said
    assert bookings(tmp_path) == []
    assert heard_by(mock) == ["clip"]


def test_another_encoding_is_not_understood(call: Caller, mock: MockServer, tmp_path: Path):
    assert NOT_UNDERSTOOD in call([wav(g711_as_pcm("booking-1"))])
    assert bookings(tmp_path) == []
    assert heard_by(mock) == ["nobody"]


def test_silence_is_not_understood(call: Caller, mock: MockServer, tmp_path: Path):
    call([wav(bytes(2 * RATE * 2))])
    assert bookings(tmp_path) == []
    assert set(heard_by(mock)) <= {"nobody"}
