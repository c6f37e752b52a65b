"""The HTTP routes: calls for programs, client secrets and tools for the call page in `web/`, and the page.

There is no login: each client that can reach the server may call. By default these are the clients on this machine; see
guard.py.
"""

from __future__ import annotations

import asyncio
import json
import logging
import mimetypes
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from datetime import timedelta
from functools import partial
from html import escape
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI, Header, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from clinic_agent.app import calls as app_calls
from clinic_agent.app import control_plane
from clinic_agent.app import docs_page as app_docs
from clinic_agent.app import problems as app_problems
from clinic_agent.app import telephone as app_telephone
from clinic_agent.app import voice as app_voice
from clinic_agent.app.browser import CALL_S, MAX_FRAME_BYTES, BrowserCall, mint
from clinic_agent.app.call_page import CallPage
from clinic_agent.app.call_store import CallRecord, Frame, call_record
from clinic_agent.app.guard import Guard
from clinic_agent.app.held_calls import HeldCalls, NotContinued
from clinic_agent.app.problems import Problem, call_failed
from clinic_agent.app.settings import AppSettings, today
from clinic_agent.app.state import AppState, State
from clinic_agent.app.voice import CallRequest, VoiceAnswer
from clinic_agent.call.connection import CallFailed, Watcher, unwatched, watched_by
from clinic_agent.call.cost import LATEST, USD_PER_TEXT_ITEM, audio_prices
from clinic_agent.call.retry import RetryPolicy
from clinic_agent.call.turn import Event
from clinic_agent.clinic.assistant import open_mic_config
from clinic_agent.clinic.clinic import NAME
from clinic_agent.clinic.safety import CallLock, Line
from clinic_agent.clinic.schedule import Schedule

WEB = Path(__file__).parent / "web"
RETRY = RetryPolicy(attempts=1, turn_s=60.0)
"""One attempt: if the service is busy, the HTTP client gets the answer at once and can try again."""
_log = logging.getLogger(__name__)  # noqa: TID251  # realtape's command prints it without secrets
# Windows may have another type registered, and browsers then refuse modules.
mimetypes.add_type("text/javascript", ".js")
router = APIRouter()


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
    lock = await asyncio.to_thread(state.lock, call_request.conversation_id)
    began, frames = state.store.now(), list[Frame]()
    watch = watched_by(state.store.watcher(frames), watch)
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
    answer = app_voice.answer(report, state.store.notice)
    if report.conversation_id is not None:
        record = call_record(report, "api", began, state.store.now(), lock)
        await asyncio.to_thread(state.note, partial(state.store.add, record, frames))
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
    token: Annotated[str, Field(description="for the other /session routes, as `Authorization: Bearer …`")]
    model: str
    session: Annotated[dict[str, Any], Field(description="the body of the `session.update` that the page sends")]
    price: Price
    recording_notice: str
    keeps_audio: Annotated[bool, Field(description="whether the frames for /session/frames keep their audio")]


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
        recording_notice=state.store.notice,
        keeps_audio=state.store.keep_audio,
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
    answer = ToolAnswer(
        result=state.calls.run(
            token,
            request.call_id,
            request.name,
            request.arguments,
            [Line(line.role, line.text) for line in request.transcript],
        )
    )
    call = state.calls.find(token)
    if call.lock.emergency is not None:  # so that a person sees the call while it lasts, and can release it
        state.keep(call.id, call.lock)
        so_far = EndRequest(transcript=request.transcript)
        state.note(partial(state.store.put, _page_record(state, call, so_far)))
    return answer


def _event(given: Event) -> Event:
    if not isinstance(given.get("type"), str):
        raise ValueError("an event has a type")
    return given


class PageFrame(BaseModel):
    """A frame between page and service."""

    at_ms: Annotated[float, Field(ge=0, le=CALL_S * 1000, description="since the answer of POST /session")]
    way: Literal["sent", "received"]
    event: Annotated[Event, AfterValidator(_event)]


PageFrames = Annotated[list[PageFrame], Field(max_length=5000)]


class FramesRequest(BaseModel):
    """Frames of a browser's call, in their order. `left_out`: how many before them the page could not keep."""

    frames: PageFrames
    left_out: Annotated[int, Field(ge=0, le=1_000_000)] = 0


class FramesAnswer(BaseModel):
    """How many of the frames are kept."""

    kept: int


@router.post("/session/frames")
def frames(request: FramesRequest, token: Token, state: State) -> FramesAnswer:
    """Keep frames of a browser's call, so that its record shows them. Their audio is kept only if that is set."""
    return FramesAnswer(kept=_keep_frames(state, state.calls.find(token), request.frames, request.left_out))


def _keep_frames(state: AppState, call: BrowserCall, given: Sequence[PageFrame], left_out: int) -> int:
    """Keep the frames of a page as far as their size allows; gives how many."""
    record = _page_record(state, call, EndRequest())
    kept: list[Frame] = []
    with call.running:
        for each in given:
            frame = state.store.frame(record.began + timedelta(milliseconds=each.at_ms), each.way, each.event)
            call.frame_bytes += len(json.dumps(frame.event))
            if call.frame_bytes <= MAX_FRAME_BYTES:
                kept.append(frame)
    if given or left_out:
        state.note(partial(state.store.add_frames, record, kept, left_out + len(given) - len(kept)))
    return len(kept)


class EndRequest(BaseModel):
    """The page's record of its call. `frames`: the last ones, which it has not reported yet."""

    conversation_id: Annotated[str | None, Field(max_length=200)] = None
    transcript: Annotated[list[TranscriptLine], Field(max_length=1000)] = []
    usd: Annotated[str | None, Field(max_length=20)] = None
    frames: PageFrames = []
    frames_left_out: Annotated[int, Field(ge=0, le=1_000_000)] = 0


class EndAnswer(BaseModel):
    """The call has ended, and its transcript is kept."""

    ended: bool = True


@router.post("/session/end")
def end(request: EndRequest, token: Token, state: State) -> EndAnswer:
    """End a browser's call: the token becomes invalid, and the transcript is kept."""
    call = state.calls.end(token)
    _keep_frames(state, call, request.frames, request.frames_left_out)
    state.note(partial(state.store.put, _page_record(state, call, request)))
    return EndAnswer()


def _page_record(state: AppState, call: BrowserCall, told: EndRequest) -> CallRecord:
    """The record of a browser's call, as far as the page and the tools tell."""
    turns: list[dict[str, Any]] = [{"heard": "", "said": "", "tools": []}]
    for line in told.transcript:
        if line.role == "caller":
            turns.append({"heard": line.text, "said": "", "tools": []})
        else:
            turns[-1]["said"] = f"{turns[-1]['said']} {line.text}".strip()
    if not turns[0]["said"] and len(turns) > 1:
        del turns[0]
    for number, run in call.tool_runs:
        turns[min(number, len(turns) - 1)]["tools"].append(asdict(run))
    ended = state.store.now()
    began = ended - timedelta(seconds=time.monotonic() - call.began_s)
    emergency, model = call.lock.emergency, state.settings.config.model
    # An id that the page invents must not touch the record of another front end.
    return CallRecord(call.id, told.conversation_id, began, ended, "page", model, told.usd, None, emergency, turns)


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
    notice = f"{state.store.notice} {control_plane.hearing(state.settings.control_url)}".strip()
    html = (WEB / "index.html").read_text(encoding="utf-8").replace("{{ notice }}", escape(notice))
    return HTMLResponse(html, headers={"Content-Security-Policy": text})


@router.get("/docs", include_in_schema=False)
def docs(request: Request) -> HTMLResponse:
    """The routes, with examples."""
    return app_docs.page(request.app.openapi())


def create_app(settings: AppSettings, schedule: Schedule, call_page: CallPage | None = None) -> FastAPI:
    """The application on one calendar. When it ends it closes its calls, but not the calendar.

    `call_page`: what makes the page of one recorded call. Default: a plain page.
    """
    held_calls = HeldCalls(settings.hold_s)
    state = AppState(settings, schedule, settings.store(), held_calls=held_calls, call_page=call_page)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await state.phone_calls.close()
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
    app.include_router(app_calls.router)
    app.include_router(app_telephone.router)
    app.mount("/web", StaticFiles(directory=WEB), name="web")
    app.add_middleware(Guard, hosts=settings.hosts)
    app_problems.install(app)
    return app
