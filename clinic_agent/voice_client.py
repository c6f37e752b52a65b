"""A client of a realtime voice API: dial, configure, say something, collect the answer, run the tools it asks for.

Turns are manual: the caller's words are sent whole and committed. It plays no sound and handles no barge-in.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as dial
from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI, WebSocketException

from clinic_agent.config import Config
from clinic_agent.cost import Cost
from clinic_agent.speech import chunks, samples
from clinic_agent.turn import Event, Turn, TurnSoFar, tool_run

MAX_TOOL_ROUNDS = 8
MAX_FRAME_BYTES = 4 * 2**20  # over a minute of sound in one frame; recorded ones hold about a second

CallTool = Callable[[str, str], dict[str, Any]]
"""Runs a tool by name on a JSON text of arguments; must not raise."""


class CallFailed(Exception):
    """The call cannot begin or go on. The message says what to do; `turn` is the turn so far, if one was under way."""

    def __init__(self, message: str, turn: Turn | None = None) -> None:
        super().__init__(message)
        self.turn = turn


@asynccontextmanager
async def connect(
    config: Config, *, priced_on: date, open_timeout_s: float = 10.0, turn_timeout_s: float = 60.0
) -> AsyncIterator[VoiceClient]:
    """Dial the endpoint; the connection closes with the block.

    `priced_on` is the day whose prices count; `turn_timeout_s` bounds each turn, tools included.
    Raises CallFailed when nobody answers or the handshake is refused.
    """
    try:
        socket = await dial(
            config.session_url,
            additional_headers={"Authorization": f"Bearer {config.key}"},
            compression=None,  # base64 audio hardly shrinks, and deflate costs more than the rest of a frame
            open_timeout=open_timeout_s,
            close_timeout=2,
            max_size=MAX_FRAME_BYTES,
        )
    except (OSError, WebSocketException, asyncio.TimeoutError) as error:
        raise CallFailed(_why_not_connected(error, config, open_timeout_s)) from error
    async with socket:
        yield VoiceClient(socket, model=config.model, priced_on=priced_on, turn_timeout_s=turn_timeout_s)


class VoiceClient:
    """One connection: `configure` once, then `speak` or `type` turn by turn.

    `cost` is what the call has cost so far; `conversation_id` and `model` are what the service says they are.
    """

    def __init__(self, socket: ClientConnection, *, model: str, priced_on: date, turn_timeout_s: float) -> None:
        self.model = model
        self.conversation_id: str | None = None
        self.cost = Cost(model, priced_on)
        self._socket = socket
        self._timeout_s = turn_timeout_s

    async def configure(self, session: Mapping[str, Any]) -> None:
        """Send the session's settings and wait until they are in force.

        Raises CallFailed with the service's words when it refuses them.
        """
        await self._bounded(self._configure(session))

    async def speak(self, pcm: bytes, call_tool: CallTool) -> Turn:
        """A spoken turn: PCM16 mono 24 kHz in, the whole answer out, tools run on the way.

        Raises CallFailed, carrying the turn so far, when the service reports an error, hangs up, or takes too long.
        """
        return await self._turn(TurnSoFar(asked_s=_now_s()), self._send_speech(pcm), call_tool)

    async def type(self, text: str, call_tool: CallTool) -> Turn:
        """A typed turn, answered in speech like any other. Raises as `speak` does."""
        return await self._turn(TurnSoFar(heard=text, asked_s=_now_s()), self._send_text(text), call_tool)

    async def _configure(self, session: Mapping[str, Any]) -> None:
        # Which of the two comes first has changed over time; an update sent before either may be lost.
        await self._wait_for("session.created", "conversation.created")
        await self._send({"type": "session.update", "session": dict(session)})
        await self._wait_for("session.updated")

    async def _wait_for(self, *types: str) -> None:
        while (await self._receive())["type"] not in types:
            pass

    async def _turn(self, turn: TurnSoFar, words: Coroutine[Any, Any, None], call_tool: CallTool) -> Turn:
        before = self.cost
        try:
            await self._bounded(self._converse(turn, words, call_tool))
        except CallFailed as failed:
            failed.turn = turn.finish(_now_s(), self.cost.since(before))
            raise
        return turn.finish(_now_s(), self.cost.since(before))

    async def _converse(self, turn: TurnSoFar, words: Coroutine[Any, Any, None], call_tool: CallTool) -> None:
        await words
        turn.asked_s = _now_s()
        await self._collect_response(turn)
        for _ in range(MAX_TOOL_ROUNDS):
            if not turn.pending:
                return
            await self._answer_calls(turn, call_tool)
            await self._collect_response(turn)
        raise CallFailed(f"the service called tools {MAX_TOOL_ROUNDS} times in one turn; check the prompt for a loop")

    async def _send_speech(self, pcm: bytes) -> None:
        for chunk in chunks(pcm):
            await self._send({"type": "input_audio_buffer.append", "audio": b64encode(chunk).decode("ascii")})
            self.cost = self.cost.plus(input_samples=samples(chunk))
        await self._send({"type": "input_audio_buffer.commit"})
        # Clients that tried it live report that a commit of speech is answered by itself and that the response.create
        # after it is dropped in silence; the vendor's pages ask for it. With both, either way, one answer comes.
        await self._send({"type": "response.create"})

    async def _send_text(self, text: str) -> None:
        message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        await self._send({"type": "conversation.item.create", "item": message})
        self.cost = self.cost.plus(text_items=1)
        await self._send({"type": "response.create"})

    async def _answer_calls(self, turn: TurnSoFar, call_tool: CallTool) -> None:
        """Run every call of the response, send all results, then ask once for the answer to them."""
        calls, turn.pending = turn.pending, []
        for call in calls:
            began_s = _now_s()
            result = call_tool(call.name, call.arguments)
            turn.tools.append(tool_run(call, result, (_now_s() - began_s) * 1000))
            output = {"type": "function_call_output", "call_id": call.call_id, "output": json.dumps(result)}
            await self._send({"type": "conversation.item.create", "item": output})
        await self._send({"type": "response.create"})

    async def _collect_response(self, turn: TurnSoFar) -> None:
        while True:
            event = await self._receive()
            known = samples(turn.audio)
            try:
                turn.take(event, _now_s())
            except (KeyError, TypeError, ValueError) as error:
                raise CallFailed(f"the service sent an unusable {event['type']} ({error}); report it there") from error
            self.cost = self.cost.plus(output_samples=samples(turn.audio) - known)
            if event["type"] == "response.done":
                break
        if turn.status == "failed":
            raise CallFailed("the service failed to answer; call again")

    async def _send(self, event: Event) -> None:
        await self._socket.send(json.dumps(event))

    async def _receive(self) -> Event:
        event = _parse(await self._socket.recv())
        match event:
            case {"type": "session.created" | "session.updated", "session": {"model": str(model)}}:
                # The service substitutes unknown model names in silence; what it names here is what it bills.
                self.model = model
                self.cost = replace(self.cost, model=model)
            case {"type": "conversation.created", "conversation": {"id": str(conversation_id)}}:
                self.conversation_id = conversation_id
            case {"type": "error"} if not _harmless(event):
                raise CallFailed(f"the service reports: {_error_text(event)}; correct what it names and call again")
        return event

    async def _bounded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await asyncio.wait_for(work, self._timeout_s)
        except asyncio.TimeoutError as error:
            waited = f"no complete answer within {self._timeout_s:g} s"
            raise CallFailed(f"{waited}; check that the audio holds speech, or allow more time") from error
        except ConnectionClosed as closed:
            raise CallFailed(f"{_close_text(closed)} in mid-call; call again") from closed


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _parse(data: str | bytes) -> Event:
    if isinstance(data, bytes):
        return {"type": "binary"}  # sound on the binary transport, which this client never asks for
    try:
        event = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CallFailed("the service sent a frame that is not JSON; check XAI_REALTIME_URL") from error
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise CallFailed("the service sent a frame without a type; check XAI_REALTIME_URL")
    return event


def _harmless(event: Event) -> bool:
    # What the second of commit and response.create may draw where it is not dropped in silence.
    return "already has an active response" in _error_text(event)


def _error_text(event: Event) -> str:
    error = event.get("error")
    message = error.get("message") if isinstance(error, dict) else None
    return str(message or "an error without a message")[:300]


def _close_text(closed: ConnectionClosed) -> str:
    if closed.rcvd is not None:
        return f"the service closed the connection ({closed.rcvd.code} {closed.rcvd.reason})".replace(" )", ")")
    if closed.sent is not None:
        return f"the connection had to be given up ({closed.sent.code} {closed.sent.reason})"
    return "the connection was lost"


def _why_not_connected(error: Exception, config: Config, timeout_s: float) -> str:
    url = config.shown_url
    match error:
        case InvalidStatus():
            return _why_refused(error.response.status_code, error.response.headers.get("Retry-After"), config)
        case TimeoutError() | asyncio.TimeoutError():
            return f"{url} did not answer within {timeout_s:g} s; check XAI_REALTIME_URL and the network"
        case InvalidURI():
            return f"{url} is not a WebSocket address; write XAI_REALTIME_URL like wss://api.x.ai/v1/realtime"
        case OSError():
            reason = error.strerror or type(error).__name__
            return f"cannot reach {url} ({reason}); start that server or correct XAI_REALTIME_URL"
        case _:
            return f"{url} does not speak WebSocket ({type(error).__name__}); correct XAI_REALTIME_URL"


def _why_refused(status: int, retry_after: str | None, config: Config) -> str:
    """What to do about an HTTP answer to the handshake. The body is left out: it may quote the key."""
    wait = f"{retry_after} s" if retry_after else "a minute"
    match status:
        case 400:
            advice = "the key is wrong or the request malformed; check XAI_API_KEY and CLINIC_MODEL"
        case 401:
            advice = "the key is missing or wrong; check XAI_API_KEY"
        case 403:
            advice = "the key's team has no credit or no permission; look at the team's billing page"
        case 404:
            advice = "there is no realtime endpoint there; XAI_REALTIME_URL usually ends in /v1/realtime"
        case 429:
            advice = f"too many sessions or requests; end another session or call again in {wait}"
        case _ if status >= 500:
            advice = f"the service is in trouble; call again in {wait}"
        case _:
            advice = "check XAI_REALTIME_URL"
    return f"{config.shown_url} refused the call with HTTP {status}: {advice}"
