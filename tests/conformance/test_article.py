"""The programs of a published article run against the mock and the clinic agent, unchanged but for address and key.

The text is read from `../shared/article.txt` beside the checkout. Where it is missing, these tests are skipped.
"""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
import websockets
from fastapi import FastAPI
from pydantic import BaseModel

from clinic_agent.app.held_calls import HeldCalls
from clinic_agent.app.routes import create_app
from clinic_agent.app.settings import AppSettings
from clinic_agent.call.pcm import read_wav, wav_file
from clinic_agent.call.report import CallReport
from clinic_agent.clinic.assistant import clinic_assistant
from clinic_agent.clinic.clinic import Clinic
from clinic_agent.clinic.schedule import MemorySchedule
from clinic_agent.config import Config
from realtape import MockServer

ARTICLE = Path(os.environ.get("REALTAPE_ARTICLE") or Path(__file__).parents[3] / "shared" / "article.txt")
CASSETTES = Path(__file__).parents[2] / "cassettes"
LIVE_URL = "wss://api.x.ai/v1/realtime"
TODAY = date(2026, 7, 1)

pytestmark = pytest.mark.skipif(not ARTICLE.is_file(), reason=f"there is no {ARTICLE}")


INDENTS = {
    "import asyncio": "0000011222230",
    "def build_session_config": "0111222233221",
    "async def send_audio": "01122332121",
    "async def _collect_response": "011122232323231",
    "CHECK_AVAILABILITY_TOOL": "01111223322110",
    "def execute": "01121212",
    "@property": "0011001",
    '@app.post("/session")': "001233322",
    '@app.post("/appointments/voice")': "001112122122222221",
}
"""The depth of each line, by the first words of a program: the text has lost its indentation."""


def snippet(begins: str) -> str:
    """The program that begins with these words."""
    lines = ARTICLE.read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(begins))
    depths = INDENTS[begins]
    return "\n".join("    " * int(depth) + line for depth, line in zip(depths, lines[first:], strict=False))


def names_of(*begins: str, **given: Any) -> dict[str, Any]:
    """The names that these programs define, with the names that they need."""
    names = dict(given)
    for each in begins:
        exec(compile(snippet(each), f"<{each}>", "exec", dont_inherit=True), names)
    return names


def prompt() -> str:
    """The prompt as the article prints it."""
    lines = ARTICLE.read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("You are a voice appointment"))
    last = next(number for number in range(first, len(lines)) if lines[number].endswith("last message."))
    return "\n".join(lines[first : last + 1])


@pytest.fixture
def mock() -> Iterator[MockServer]:
    with MockServer(CASSETTES / "scenarios" / "booking.yaml", pacing="burst", voice="tone") as service:
        yield service


def test_the_first_program_connects_and_sees_the_session(mock: MockServer):
    program = snippet("import asyncio")
    assert LIVE_URL in program
    running = subprocess.Popen(
        [sys.executable, "-u", "-c", program.replace(LIVE_URL, mock.ws_url)],
        env={**os.environ, "XAI_API_KEY": mock.api_key},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stdout is not None
        assert running.stdout.readline().strip() == "session.created"
    finally:
        running.kill()
        running.communicate()


@dataclass
class Transport:
    """The connection that the programs expect."""

    socket: Any

    async def send(self, event: dict[str, Any]) -> None:
        await self.socket.send(json.dumps(event))


@dataclass
class CostTracker:
    """The amounts that the programs count into; the prices are the article's."""

    telephony: bool = False
    audio_seconds: float = 0.0
    text_usd: float = 0.0
    tool_usd: float = 0.0


@dataclass
class VoiceClient:
    """The state of the programs' client; its methods are the article's."""

    _t: Transport
    cost: CostTracker = field(default_factory=CostTracker)
    _sample_rate: int = 24_000

    async def _recv(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(await self._t.socket.recv())
        return event


async def test_the_parts_of_the_client_hold_a_call_with_a_tool_and_count_what_the_mock_counts(mock: MockServer):
    parts = names_of(
        "CHECK_AVAILABILITY_TOOL",
        "def build_session_config",
        date=SimpleNamespace(today=lambda: TODAY),
        SYSTEM_PROMPT=prompt(),
    )
    methods = names_of(
        "async def send_audio",
        "async def _collect_response",
        base64=base64,
        pcm_seconds=lambda pcm, rate: len(pcm) / 2 / rate,
    )
    prices = names_of("@property")
    registry = names_of("def execute", ToolError=RuntimeError)
    tracker = type("Tracker", (CostTracker,), {name: prices[name] for name in ("audio_usd", "total_usd")})
    client_type = type("Client", (VoiceClient,), {n: methods[n] for n in ("send_audio", "_collect_response")})
    slots = {"slots": ["09:30", "11:00"]}
    async with websockets.connect(
        f"{mock.ws_url}?model=grok-voice-think-fast-1.0", additional_headers={"Authorization": f"Bearer {mock.api_key}"}
    ) as socket:
        client = client_type(Transport(socket), tracker())
        await client._t.send({"type": "session.update", "session": parts["build_session_config"]()})
        await client.send_audio(read_wav(CASSETTES / "voices" / "booking-1.wav"))
        await client._t.send({"type": "response.create"})
        audio, transcript, calls = await client._collect_response()
        client.cost.audio_seconds += len(audio) / 48_000
        assert transcript.strip() == "Let me check that for you."
        assert [call["name"] for call in calls] == ["check_availability"]
        handlers = SimpleNamespace(_handlers={"check_availability": lambda service, date: slots})
        result = registry["execute"](handlers, calls[0]["name"], json.loads(calls[0]["arguments"]))
        output = {"type": "function_call_output", "call_id": calls[0]["call_id"], "output": json.dumps(result)}
        await client._t.send({"type": "conversation.item.create", "item": output})
        await client._t.send({"type": "response.create"})
        audio, transcript, calls = await client._collect_response()
        client.cost.audio_seconds += len(audio) / 48_000
    assert "09:30, 11:00" in transcript
    assert calls == []
    assert [str(finding) for finding in mock.findings if finding.level == "error"] == []
    assert client.cost.total_usd == pytest.approx(float(mock.ledger.total_usd), abs=1e-6)


def test_a_tool_that_fails_or_does_not_exist_is_an_error_for_the_model():
    def fails() -> None:
        raise RuntimeError("the calendar is down")

    execute = names_of("def execute", ToolError=RuntimeError)["execute"]
    registry = SimpleNamespace(_handlers={"fails": fails})
    assert execute(registry, "fails", {}) == {"error": "the calendar is down"}
    assert "error" in execute(registry, "nothing", {})


async def test_the_route_of_a_browser_s_secret_gets_one_from_the_mock_as_ours_does(
    mock: MockServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("XAI_API_KEY", mock.api_key)
    app = FastAPI()
    url = f"{mock.http_url}/realtime/client_secrets"
    names_of('@app.post("/session")', app=app, httpx=httpx2, os=os, CLIENT_SECRETS_URL=url)
    async with asking(app) as theirs:
        secret = (await theirs.post("/session")).json()
    async with asking_clinic(mock, tmp_path) as ours:
        answer = (await ours.post("/session")).json()
    assert set(secret) >= {"value", "expires_at"}
    assert set(secret) <= set(answer)
    assert {name: type(secret[name]) for name in secret} == {name: type(answer[name]) for name in secret}


class VoiceRequest(BaseModel):
    """The body of the route, with the fields that the article names."""

    text: str | None = None
    audio_path: str | None = None
    voice: str = "ara"
    telephony: bool = False
    conversation_id: str | None = None
    simulate_tool_failure: bool = False


@dataclass
class AppointmentAssistant:
    """The clinic agent behind the interface that the article's route expects."""

    config: Config
    voice: str
    telephony: bool
    fail_tools: set[str] | None

    async def run_live(
        self, pcm: bytes | None = None, *, text: str | None = None, conversation_id: str | None = None
    ) -> SimpleNamespace:
        assistant = clinic_assistant(Clinic(TODAY))
        assert not (self.telephony or self.fail_tools)
        calls = HeldCalls()
        report: CallReport = await calls.say(
            self.config, [text or pcm or b""], assistant, conversation_id, priced_on=TODAY
        )
        await calls.close()
        (turn,) = report.turns
        cost = SimpleNamespace(
            total_usd=float(report.cost.usd or 0), audio_seconds=float(report.cost.input_s + report.cost.output_s)
        )
        return SimpleNamespace(
            transcript=turn.said,
            audio=turn.audio,
            tool_calls=[{"name": run.name, "arguments": run.arguments, "result": run.result} for run in turn.tools],
            latency_s=turn.total_ms / 1000,
            cost=cost,
            conversation_id=report.conversation_id,
        )


@pytest.mark.parametrize(
    "body", [{"text": "I would like a dental cleaning on July sixth."}, {"audio_path": "booking-1.wav"}]
)
async def test_the_article_s_route_and_ours_answer_one_body_with_the_same_fields_and_figures(
    body: dict[str, Any], mock: MockServer, tmp_path: Path
):
    app = FastAPI()
    names_of(
        '@app.post("/appointments/voice")',
        app=app,
        base64=base64,
        VoiceRequest=VoiceRequest,
        AppointmentAssistant=lambda **given: AppointmentAssistant(
            Config(mock.ws_url, mock.http_url, mock.api_key), **given
        ),
        load_wav_as_pcm=lambda path, rate: read_wav(CASSETTES / "voices" / path),
        encode_wav_bytes=lambda pcm, rate: wav_file(pcm),
    )
    async with asking(app) as theirs:
        expected = (await theirs.post("/appointments/voice", json=body)).json()
    whole = VoiceRequest(**body).model_dump()  # each field, as a client with such a model sends them
    async with asking_clinic(mock, tmp_path) as ours:
        answer = (await ours.post("/appointments/voice", json=whole)).json()
    assert set(expected) <= set(answer)
    assert {name: type(expected[name]) for name in expected} == {name: type(answer[name]) for name in expected}
    for name in ("transcript", "audio_wav_base64", "estimated_cost_usd", "audio_seconds"):
        assert answer[name] == expected[name], name
    assert set(expected["tool_calls"][0]) <= set(answer["tool_calls"][0])
    with wave.open(io.BytesIO(base64.b64decode(answer["audio_wav_base64"]))) as sound:
        assert (sound.getframerate(), sound.getnchannels()) == (24_000, 1)


@asynccontextmanager
async def asking_clinic(mock: MockServer, data: Path) -> AsyncIterator[httpx2.AsyncClient]:
    config = Config(mock.ws_url, mock.http_url, mock.api_key)
    app = create_app(AppSettings(config, data, audio=CASSETTES / "voices", today=TODAY), MemorySchedule())
    async with asking(app) as http:
        yield http
    await app.state.clinic.held_calls.close()


def asking(app: FastAPI) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=app)
    return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080", timeout=30)
