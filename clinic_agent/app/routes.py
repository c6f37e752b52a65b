"""The HTTP routes: calls for programs, client secrets and tools for the call page in `web/`, and the page.

There is no login: each client that can reach the server may call. By default these are the clients on this machine; see
guard.py.
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

from clinic_agent.app import control_plane
from clinic_agent.app import docs_page as app_docs
from clinic_agent.app import problems as app_problems
from clinic_agent.app import voice as app_voice
from clinic_agent.app.browser import BrowserCalls, mint
from clinic_agent.app.call_log import CallLog
from clinic_agent.app.guard import Guard
from clinic_agent.app.held_calls import HeldCalls, NotContinued
from clinic_agent.app.problems import Problem, call_failed
from clinic_agent.app.settings import AppSettings, today
from clinic_agent.app.voice import CallRequest, VoiceAnswer
from clinic_agent.call.connection import CallFailed, Watcher, unwatched
from clinic_agent.call.cost import LATEST, USD_PER_TEXT_ITEM, audio_prices
from clinic_agent.call.retry import RetryPolicy
from clinic_agent.call.turn import Event
from clinic_agent.clinic.assistant import Assistant, clinic_assistant, open_mic_config
from clinic_agent.clinic.clinic import NAME, Clinic
from clinic_agent.clinic.safety import CallLock, Line
from clinic_agent.clinic.schedule import Schedule

WEB = Path(__file__).parent / "web"
MAX_CALLS = 8
"""Largest number of calls of programs at the same time."""
MAX_LOCKS = 1000
"""Largest number of conversations whose words are kept for their lock."""
RETRY = RetryPolicy(attempts=1, turn_s=60.0)
"""One attempt: if the service is busy, the HTTP client gets the answer at once and can try again."""
_log = logging.getLogger(__name__)
# Windows may have another type registered, and browsers then refuse modules.
mimetypes.add_type("text/javascript", ".js")
router = APIRouter()


@dataclass(slots=True)
class AppState:
    """The state that all requests share."""

    settings: AppSettings
    schedule: Schedule
    log: CallLog
    held_calls: HeldCalls
    calls: BrowserCalls = field(default_factory=lambda: BrowserCalls(time.monotonic))
    locks: dict[str, CallLock] = field(default_factory=dict)
    """By conversation."""
    in_progress: int = 0
    """Number of calls of programs."""

    @contextmanager
    def one_call(self) -> Iterator[None]:
        """Count a call of a program. Raises Problem if MAX_CALLS are in progress."""
        if self.in_progress >= MAX_CALLS:
            raise Problem(429, f"{MAX_CALLS} calls are in progress; try again in some seconds", retry_after="5")
        self.in_progress += 1
        try:
            yield
        finally:
            self.in_progress -= 1

    def assistant(self, lock: CallLock) -> Assistant:
        """The assistant of one call."""
        return clinic_assistant(Clinic(self.settings.day, self.schedule), lock=lock)

    def lock(self, conversation_id: str | None) -> CallLock:
        """The lock of a conversation that was known before, or a new one."""
        return self.locks.get(conversation_id or "") or CallLock(self.settings.day)

    def keep(self, conversation_id: str | None, lock: CallLock) -> None:
        """Keep the lock of a conversation; of more than MAX_LOCKS, the oldest is dropped."""
        if conversation_id is not None:
            self.locks.pop(conversation_id, None)
            self.locks[conversation_id] = lock
            while len(self.locks) > MAX_LOCKS:
                del self.locks[next(iter(self.locks))]

    def note(self, call: Mapping[str, Any], wav: bytes = b"") -> None:
        """Write a call to the log. A full disk does not cost the caller the answer."""
        try:
            self.log.note(dict(call), wav)
        except OSError as error:
            _log.warning("a call could not be written to %s: %s", self.log.path, error)


def state_of(request: Request) -> AppState:
    """The state of the application."""
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
                        "description": "Turns in order: files (WAV, 24 kHz mono 16-bit) are spoken, `text` is typed.",
                        "properties": {
                            "audio": {"type": "array", "items": {"type": "string", "format": "binary"}},
                            "text": {"type": "array", "items": {"type": "string"}},
                            "audio_path": {"type": "string"},
                            "conversation_id": {"type": "string"},
                            "simulate_tool_failure": {"type": "string"},
                            "telephony": {"type": "boolean"},
                            "voice": {"type": "string"},
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
    """Call the clinic with one or more turns, typed or spoken, and return the whole answer.

    With the `conversation_id` of an earlier answer the conversation continues on the same connection, which the server
    holds for 30 minutes by default. If it was lost meanwhile, the conversation is resumed on a new one.
    """
    call_request = await app_voice.read(request, state.settings.audio)
    with state.one_call():
        return await _answered(state, call_request)


@router.post("/appointments/voice/stream", response_class=StreamingResponse, **_VOICE)
async def stream(request: Request, state: State) -> StreamingResponse:
    """Make the same call, answered by server-sent events: `transcript`, `audio`, `tool_call` and `tool_result`.

    The last event is `done` with the answer (without its audio, which was sent before) or `problem`.

    If the client closes the stream, the call ends.
    """
    call_request = await app_voice.read(request, state.settings.audio)
    events: asyncio.Queue[bytes | Problem | None] = asyncio.Queue()

    def watch(way: Literal["sent", "received"], event: Event) -> None:
        if (shown := app_voice.stream_event(way, event)) is not None:
            events.put_nowait(app_voice.sse(*shown))

    async def call() -> None:
        try:
            with state.one_call():
                answer = await _answered(state, call_request, watch)
            events.put_nowait(app_voice.sse("done", answer.model_dump(exclude={"audio_wav_base64"})))
        except Problem as problem:
            events.put_nowait(problem)
        except Exception:
            _log.exception("a streamed call failed")
            events.put_nowait(
                Problem(500, "internal error; the log of this server has the details. Try again, or report it")
            )
        events.put_nowait(None)

    task = asyncio.create_task(call())  # noqa: TID251 - held and awaited by the stream
    first = await events.get()
    if isinstance(first, Problem):  # nothing was sent yet, so the problem can be the answer
        raise first
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(_events(first, events, task), media_type="text/event-stream", headers=headers)


async def _events(
    first: bytes | None, events: asyncio.Queue[bytes | Problem | None], task: asyncio.Task[None]
) -> AsyncIterator[bytes]:
    try:
        event: bytes | Problem | None = first
        while event is not None:
            yield app_voice.sse("problem", event.as_json()) if isinstance(event, Problem) else event
            event = await events.get()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _answered(state: AppState, call_request: CallRequest, watch: Watcher = unwatched) -> VoiceAnswer:
    """Make the call and log it. Raises Problem, with the turns so far, if the call fails."""
    lock = state.lock(call_request.conversation_id)
    assistant = state.assistant(lock)
    assistant = replace(assistant, tools=assistant.tools.failing(call_request.failing))
    config, known, day = state.settings.config, call_request.conversation_id, today()
    config = replace(config, voice=call_request.voice or config.voice, telephony=call_request.telephony)
    try:
        report = await state.held_calls.say(
            config,
            call_request.words,
            assistant,
            known,
            priced_on=day,
            retry=RETRY,
            watch=watch,
        )
    except CallFailed as failed:
        raise call_failed(failed) from failed
    except NotContinued as problem:
        raise Problem(409 if problem.busy else 410, str(problem)) from problem
    state.keep(report.conversation_id, lock)
    answer = app_voice.answer(report, state.log.notice)
    state.note(app_voice.log_entry(report), b"".join(turn.audio for turn in report.turns))
    if report.failure is not None:
        raise Problem(502, report.failure, **answer.model_dump(exclude={"audio_wav_base64"}))
    return answer


class Price(BaseModel):
    """Prices in USD, as text. For a model without an entry no price is known."""

    usd_per_minute: dict[str, str]
    usd_per_text_item: str


class SessionAnswer(BaseModel):
    """The data for one call from a browser, without the server's key."""

    clinic: str
    url: str
    value: Annotated[str, Field(description="the client secret; it can open a connection until `expires_at`")]
    expires_at: int
    subprotocol: Annotated[
        str, Field(description="the client secret as a subprotocol: `new WebSocket(url, subprotocol)`")
    ]
    token: Annotated[str, Field(description="for /session/tools and /session/end, as `Authorization: Bearer …`")]
    model: str
    session: Annotated[dict[str, Any], Field(description="the body of the `session.update` that the page sends")]
    price: Price
    recording_notice: str


@router.post("/session")
async def session(state: State) -> SessionAnswer:
    """Create a client secret for a browser, with the settings for one call over an open microphone."""
    config, lock = state.settings.config, CallLock(state.settings.day)
    assistant = state.assistant(lock)
    token = state.calls.begin(assistant.tools, lock)
    try:
        secret = await mint(config)
    except Problem:
        state.calls.end(token)
        raise
    prices = audio_prices(today())
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
            usd_per_minute={name: str(float(prices.of(name) or 0)) for name in (*prices.usd_per_minute, LATEST)},
            usd_per_text_item=str(float(USD_PER_TEXT_ITEM)),
        ),
        recording_notice=state.log.notice,
    )


class SecretAnswer(BaseModel):
    """Another client secret for the same call."""

    url: str
    value: Annotated[str, Field(description="the client secret; it can open a connection until `expires_at`")]
    expires_at: int
    subprotocol: str


def bearer(authorization: Annotated[str, Header()] = "") -> str:
    """The token of a browser's call. Raises Problem if there is none."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Problem(401, "send the token of POST /session: Authorization: Bearer <token>")
    return token.strip()


Token = Annotated[str, Depends(bearer)]


@router.post("/session/secret")
async def another_secret(token: Token, state: State) -> SecretAnswer:
    """Create another client secret for a browser's call, with which the page resumes it after a lost connection."""
    state.calls.check(token)
    config = state.settings.config
    secret = await mint(config)
    return SecretAnswer(
        url=config.session_url,
        value=secret.value,
        expires_at=secret.expires_at,
        subprotocol=f"xai-client-secret.{secret.value}",
    )


class TranscriptLine(BaseModel):
    """The words of one speaker in one turn."""

    role: Literal["caller", "assistant"]
    text: str


class ToolRequest(BaseModel):
    """A tool call requested by the service; `arguments` is JSON text."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "call_id": "call-1",
                    "name": "check_availability",
                    "arguments": '{"service": "dental cleaning", "date": "2026-07-06"}',
                    "transcript": [{"role": "caller", "text": "I would like a dental cleaning on July sixth."}],
                }
            ]
        }
    )

    call_id: Annotated[str, Field(min_length=1, max_length=200)]
    name: Annotated[str, Field(max_length=100)]
    arguments: Annotated[str, Field(max_length=20_000)]
    transcript: Annotated[
        list[TranscriptLine],
        Field(max_length=1000, description="the call so far; the caller's words in it confirm what is booked"),
    ] = []


class ToolAnswer(BaseModel):
    """The result of a tool call; a failure is `{"error": …}`, in words for the caller."""

    result: dict[str, Any]


@router.post("/session/tools")
def run_tool(request: ToolRequest, token: Token, state: State) -> ToolAnswer:
    """Run one of the clinic's tools for a browser's call. A repeated `call_id` returns the first result."""
    return ToolAnswer(
        result=state.calls.run(
            token,
            request.call_id,
            request.name,
            request.arguments,
            [Line(line.role, line.text) for line in request.transcript],
        )
    )


class EndRequest(BaseModel):
    """The page's record of its call."""

    conversation_id: Annotated[str | None, Field(max_length=200)] = None
    transcript: Annotated[list[TranscriptLine], Field(max_length=1000)] = []
    usd: Annotated[str | None, Field(max_length=20)] = None


class EndAnswer(BaseModel):
    """The call has ended, and its transcript is kept."""

    ended: bool = True


@router.post("/session/end")
def end(request: EndRequest, token: Token, state: State) -> EndAnswer:
    """End a browser's call: the token becomes invalid, and the transcript is kept."""
    done = state.calls.end(token)
    state.note({"by": "page", **request.model_dump(), "tools": done})
    return EndAnswer()


class Health(BaseModel):
    """The state of the server, and the endpoint and model that it uses."""

    status: Literal["ok"] = "ok"
    url: str
    model: str


@router.get("/healthz")
def healthz(state: State) -> Health:
    """Check that the server runs and can read its calendar. The voice service is not called."""
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
    notice = f"{state.log.notice} {control_plane.hearing(state.settings.control_url)}".strip()
    html = (WEB / "index.html").read_text(encoding="utf-8").replace("{{ notice }}", escape(notice))
    return HTMLResponse(html, headers={"Content-Security-Policy": text})


@router.get("/docs", include_in_schema=False)
def docs(request: Request) -> HTMLResponse:
    """The routes, with examples."""
    return app_docs.page(request.app.openapi())


def create_app(settings: AppSettings, schedule: Schedule) -> FastAPI:
    """The application on one calendar. When it ends it closes its calls, but not the calendar."""
    log = CallLog(settings.data, keep_audio=settings.keep_audio)
    state = AppState(settings, schedule, log, held_calls=HeldCalls(settings.hold_s))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await state.held_calls.close()

    app = FastAPI(
        lifespan=lifespan,
        title=f"{NAME}: appointments by voice",
        description="Errors are application/problem+json and say what to do.",
        docs_url=None,  # FastAPI's page loads scripts from another site
        redoc_url=None,
        responses={"default": {"description": "An error", "content": {app_problems.MEDIA_TYPE: {}}}},
    )
    app.state.clinic = state
    app.include_router(router)
    app.mount("/web", StaticFiles(directory=WEB), name="web")
    app.add_middleware(Guard, hosts=settings.hosts)
    app_problems.install(app)
    return app
