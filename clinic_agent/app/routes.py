"""The clinic over HTTP: calls for programs, secrets and tools for the page in `web/`, and that page.

It serves whoever can reach it; by default that is this machine. What guards it stands in app_guard.py.
"""

from __future__ import annotations

import asyncio
import logging
import mimetypes
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI, Header, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict, Field

from clinic_agent.app import docs_page as app_docs
from clinic_agent.app import problems as app_problems
from clinic_agent.app import voice as app_voice
from clinic_agent.app.browser import BrowserCalls, mint
from clinic_agent.app.call_log import CallLog
from clinic_agent.app.guard import Guard
from clinic_agent.app.held_calls import HeldCalls, NotContinued
from clinic_agent.app.problems import Problem, call_failed
from clinic_agent.app.settings import AppSettings, today
from clinic_agent.app.voice import CallRequest, TranscriptLine, VoiceAnswer
from clinic_agent.call.connection import CallFailed, Watcher, unwatched
from clinic_agent.call.cost import LATEST, USD_PER_MINUTE, USD_PER_TEXT_ITEM, resolved
from clinic_agent.call.report import CallReport
from clinic_agent.call.retry import RetryPolicy
from clinic_agent.call.turn import Event
from clinic_agent.clinic.assistant import Assistant, clinic_assistant, open_mic_config
from clinic_agent.clinic.clinic import NAME, Clinic
from clinic_agent.clinic.schedule import Schedule

WEB = Path(__file__).parent / "web"
MAX_CALLS = 8
"""Calls that programs may have on at once."""
RETRY = RetryPolicy(attempts=1, turn_s=60.0)
"""Whoever asks over HTTP is told at once that the service is busy, and may come back."""
_log = logging.getLogger(__name__)
mimetypes.add_type("text/javascript", ".js")  # Windows may have learnt another, and browsers then refuse modules
router = APIRouter()


@dataclass(slots=True)
class AppState:
    """What all requests share."""

    settings: AppSettings
    schedule: Schedule
    log: CallLog
    calls: BrowserCalls = field(default_factory=lambda: BrowserCalls(time.monotonic))
    held_calls: HeldCalls = field(default_factory=HeldCalls)
    lines: int = 0

    @contextmanager
    def line(self) -> Iterator[None]:
        """One of the lines for programs. Raises Problem when all are in use."""
        if self.lines >= MAX_CALLS:
            raise Problem(429, f"{MAX_CALLS} calls are on; try again in some seconds", retry_after="5")
        self.lines += 1
        try:
            yield
        finally:
            self.lines -= 1

    def assistant(self) -> Assistant:
        """Whom one caller talks to."""
        return clinic_assistant(Clinic(self.settings.day, self.schedule))

    def note(self, call: Mapping[str, Any], wav: bytes = b"") -> None:
        """Keep a call's words. A full disk must not cost the caller the answer."""
        try:
            self.log.note(dict(call), wav)
        except OSError as error:
            _log.warning("a call could not be noted in %s: %s", self.log.path, error)


def state_of(request: Request) -> AppState:
    """The desk of the application."""
    state = request.app.state.clinic
    assert isinstance(state, AppState)
    return state


State = Annotated[AppState, Depends(state_of)]
_VOICE: dict[str, Any] = {
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": app_voice.schema()},
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "description": "Files are spoken turns (WAV, 24 kHz mono 16-bit), `text` typed ones, in order.",
                        "properties": {
                            "audio": {"type": "array", "items": {"type": "string", "format": "binary"}},
                            "text": {"type": "array", "items": {"type": "string"}},
                            "audio_path": {"type": "string"},
                            "conversation_id": {"type": "string"},
                            "simulate_tool_failure": {"type": "string"},
                        },
                    }
                },
                "audio/wav": {"schema": {"type": "string", "format": "binary"}},
            },
        }
    }
}


@router.post("/appointments/voice", **_VOICE)
async def voice(request: Request, state: State) -> VoiceAnswer:
    """Call the clinic: one or more turns, typed or spoken, and the whole answer.

    With the `conversation_id` of an earlier answer the conversation goes on: at once on the same line, which is held
    for 30 s, and for about 30 minutes by a new one.
    """
    asked = await app_voice.read(request, state.settings.audio, state.assistant().tools)
    with state.line():
        return await _answered(state, asked)


@router.post("/appointments/voice/stream", response_class=StreamingResponse, **_VOICE)
async def stream(request: Request, state: State) -> StreamingResponse:
    """The same as server-sent events, as they come: `transcript`, `audio`, `tool_call`, `tool_result`, and at the end
    `done` with the answer (its sound was sent before), or `problem`.

    Whoever stops reading hangs up.
    """
    asked = await app_voice.read(request, state.settings.audio, state.assistant().tools)
    told: asyncio.Queue[bytes | Problem | None] = asyncio.Queue()

    def watch(way: Literal["sent", "received"], event: Event) -> None:
        if (heard := app_voice.heard_of(way, event)) is not None:
            told.put_nowait(app_voice.sse(*heard))

    async def call() -> None:
        try:
            with state.line():
                answer = await _answered(state, asked, watch)
            told.put_nowait(app_voice.sse("done", answer.model_dump(exclude={"audio_wav_base64"})))
        except Problem as problem:
            told.put_nowait(problem)
        except Exception:
            _log.exception("a streamed call failed")
            told.put_nowait(Problem(500, "this server made a mistake; its log says which. Try again, or report it"))
        told.put_nowait(None)

    task = asyncio.create_task(call())  # noqa: TID251 - held and awaited by the stream
    first = await told.get()
    if isinstance(first, Problem):  # nothing was said yet, so it can still be the answer itself
        raise first
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(_events(first, told, task), media_type="text/event-stream", headers=headers)


async def _events(
    first: bytes | None, told: asyncio.Queue[bytes | Problem | None], task: asyncio.Task[None]
) -> AsyncIterator[bytes]:
    try:
        event: bytes | Problem | None = first
        while event is not None:
            yield app_voice.sse("problem", event.as_json()) if isinstance(event, Problem) else event
            event = await told.get()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _answered(state: AppState, asked: CallRequest, watch: Watcher = unwatched) -> VoiceAnswer:
    """Make the call and note it. Raises Problem, with what was said until then, when it fails."""
    assistant = state.assistant()
    assistant = replace(assistant, tools=assistant.tools.failing(asked.failing))
    config, known, day = state.settings.config, asked.conversation_id, today()
    try:
        report = await state.held_calls.say(
            config, asked.words, assistant, known, priced_on=day, retry=RETRY, watch=watch
        )
    except CallFailed as failed:
        raise call_failed(failed) from failed
    except NotContinued as problem:
        raise Problem(409 if problem.busy else 410, str(problem)) from problem
    answer = app_voice.answer(report, state.log.notice)
    state.note(app_voice.kept(report, answer.transcript), _sound(report))
    if report.failure is not None:
        raise Problem(502, report.failure, **answer.model_dump(exclude={"audio_wav_base64"}))
    return answer


def _sound(report: CallReport) -> bytes:
    return b"".join(turn.audio for turn in report.turns)


class Price(BaseModel):
    """USD as text. Models without an entry have no known price."""

    usd_per_minute: dict[str, str]
    usd_per_text_item: str


class SessionAnswer(BaseModel):
    """What a page needs for one call of its own; the server's key is not in it."""

    clinic: str
    url: str
    value: Annotated[str, Field(description="the secret, as the service gave it; may dial until `expires_at`")]
    expires_at: int
    subprotocol: Annotated[
        str, Field(description="the secret as a browser offers it: `new WebSocket(url, subprotocol)`")
    ]
    token: Annotated[str, Field(description="for /session/tools and /session/end, as `Authorization: Bearer …`")]
    model: str
    session: Annotated[dict[str, Any], Field(description="the body of the page's session.update")]
    price: Price
    recording_notice: str


@router.post("/session")
async def session(state: State) -> SessionAnswer:
    """A short-lived secret for a browser, and all it needs for one call over an open microphone."""
    config, assistant = state.settings.config, state.assistant()
    token = state.calls.begin(assistant.tools)
    try:
        secret = await mint(config)
    except Problem:
        state.calls.end(token)
        raise
    per_minute = {name: str(float(usd)) for name, usd in USD_PER_MINUTE.items()}
    return SessionAnswer(
        clinic=NAME,
        url=config.session_url,
        value=secret.value,
        expires_at=secret.expires_at,
        subprotocol=f"xai-client-secret.{secret.value}",
        token=token,
        model=config.model,
        session=open_mic_config(config, assistant),
        price=Price(
            usd_per_minute={**per_minute, LATEST: per_minute[resolved(LATEST, today())]},
            usd_per_text_item=str(float(USD_PER_TEXT_ITEM)),
        ),
        recording_notice=state.log.notice,
    )


def bearer(authorization: Annotated[str, Header()] = "") -> str:
    """The token of a page's call. Raises Problem when there is none."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Problem(401, "send the token of POST /session: Authorization: Bearer <token>")
    return token.strip()


Token = Annotated[str, Depends(bearer)]


class ToolRequest(BaseModel):
    """A call as the service asked for it; `arguments` is JSON text."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "call_id": "call-1",
                    "name": "check_availability",
                    "arguments": '{"service": "dental cleaning", "date": "2026-07-06"}',
                }
            ]
        }
    )

    call_id: Annotated[str, Field(min_length=1, max_length=200)]
    name: Annotated[str, Field(max_length=100)]
    arguments: Annotated[str, Field(max_length=20_000)]


class ToolAnswer(BaseModel):
    """What came of it; a failure is `{"error": …}`, fit to be told to the caller."""

    result: dict[str, Any]


@router.post("/session/tools")
def run_tool(asked: ToolRequest, token: Token, state: State) -> ToolAnswer:
    """Run one of the clinic's tools for a page's call. The same `call_id` again gives the same result."""
    return ToolAnswer(result=state.calls.run(token, asked.call_id, asked.name, asked.arguments))


class EndRequest(BaseModel):
    """What the page knows of its call."""

    conversation_id: Annotated[str | None, Field(max_length=200)] = None
    transcript: Annotated[list[TranscriptLine], Field(max_length=1000)] = []
    usd: Annotated[str | None, Field(max_length=20)] = None


class EndAnswer(BaseModel):
    """The call is over, and its words are kept."""

    ended: bool = True


@router.post("/session/end")
def end(told: EndRequest, token: Token, state: State) -> EndAnswer:
    """Hang up: the token is worth nothing any more, and the transcript is kept."""
    done = state.calls.end(token)
    state.note({"by": "page", **told.model_dump(), "tools": done})
    return EndAnswer()


class Health(BaseModel):
    """Up, and which address and model are called."""

    status: Literal["ok"] = "ok"
    url: str
    model: str


@router.get("/healthz")
def healthz(state: State) -> Health:
    """Whether the server is up and its calendar can be read. It does not call the voice service."""
    try:
        state.schedule.transfers()
    except Exception as error:
        raise Problem(503, f"the calendar cannot be read ({type(error).__name__}); check CLINIC_DATA") from error
    return Health(url=state.settings.config.shown_url, model=state.settings.config.model)


@router.get("/", include_in_schema=False)
def page(state: State) -> HTMLResponse:
    """The call page."""
    service = urlsplit(state.settings.config.url)
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": f"'self' {service.scheme}://{service.netloc.rpartition('@')[2]}",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    text = "; ".join(f"{name} {value}" for name, value in policy.items())
    html = (WEB / "index.html").read_text(encoding="utf-8").replace("{{ notice }}", escape(state.log.notice))
    return HTMLResponse(html, headers={"Content-Security-Policy": text})


@router.get("/docs", include_in_schema=False)
def docs(request: Request) -> HTMLResponse:
    """Every route, with examples."""
    return app_docs.page(request.app.openapi())


def create_app(settings: AppSettings, schedule: Schedule) -> FastAPI:
    """The application on one calendar. It hangs up all calls when it ends; whoever opened the calendar closes it."""
    state = AppState(settings, schedule, CallLog(settings.data, keep_audio=settings.keep_audio))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await state.held_calls.close()

    app = FastAPI(
        lifespan=lifespan,
        title=f"{NAME}: appointments by voice",
        description="Errors are application/problem+json, and say what to do.",
        docs_url=None,  # FastAPI's own loads scripts from elsewhere
        redoc_url=None,
        responses={"default": {"description": "A problem", "content": {app_problems.MEDIA_TYPE: {}}}},
    )
    app.state.clinic = state
    app.include_router(router)
    app.mount("/web", StaticFiles(directory=WEB), name="web")
    app.add_middleware(Guard, hosts=settings.hosts)
    app_problems.install(app)
    return app
