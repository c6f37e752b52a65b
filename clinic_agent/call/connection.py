"""One connection to a realtime voice service: dial, configure, send, receive, and count what it costs.

It knows frames and their errors, and nothing of turns: see voice_client.py (turns sent whole) and open_mic.py.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from itertools import count
from random import Random
from typing import Any, Literal

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus, InvalidURI, WebSocketException

from clinic_agent.call.cost import Cost
from clinic_agent.call.pcm import samples
from clinic_agent.call.retry import RetryPolicy, retry_after_s
from clinic_agent.call.turn import Event, FunctionCall, ToolRun, Turn, tool_run
from clinic_agent.config import Config

MAX_FRAME_BYTES = 4 * 2**20  # over a minute of sound in one frame; recorded ones hold about a second

DEFAULT_RETRY = RetryPolicy()

CallTool = Callable[[str, str], dict[str, Any]]
"""Runs a tool by name on a JSON text of arguments, in a thread of its own; must not raise."""
Watcher = Callable[[Literal["sent", "received"], Event], None]
"""Told every frame of a call as it crosses the wire; must be quick."""


def unwatched(way: Literal["sent", "received"], event: Event) -> None:
    """Watches nothing."""


class CallFailed(Exception):
    """The call cannot begin or go on. The message says what to do; `turn` is the turn so far, if one was under way."""

    def __init__(self, message: str, turn: Turn | None = None) -> None:
        super().__init__(message)
        self.turn = turn


@asynccontextmanager
async def open_connection(
    config: Config, *, priced_on: date, retry: RetryPolicy = DEFAULT_RETRY, watch: Watcher = unwatched
) -> AsyncIterator[ServiceConnection]:
    """Dial the endpoint; the connection closes with the block. `priced_on` is the day whose prices count.

    Dials again, as `patience` has it, when nobody answers or the service is busy (429, 5xx). Raises CallFailed when
    that does not help, and at once for any other refusal.
    """
    connection = ServiceConnection(
        config, await open_socket(config, retry), Cost(config.model, priced_on), retry, watch
    )
    try:
        yield connection
    finally:
        await connection.close()


async def open_socket(config: Config, retry: RetryPolicy) -> ClientConnection:
    """An open socket. Raises CallFailed, see `dialled`."""
    random = Random(retry.seed)
    for attempt in count(1):
        try:
            return await connect(
                config.session_url,
                additional_headers={"Authorization": f"Bearer {config.key}"},
                compression=None,  # base64 audio hardly shrinks, and deflate costs more than the rest of a frame
                open_timeout=retry.open_s,
                close_timeout=2,
                max_size=MAX_FRAME_BYTES,
            )
        except (OSError, WebSocketException, asyncio.TimeoutError) as error:
            wait_s = retry.wait_s(attempt, _asked_s(error), random) if _may_pass(error) else None
            if wait_s is None:
                tried = f" (after {attempt} attempts)" if attempt > 1 else ""
                raise CallFailed(_why_not_connected(error, config, retry.open_s) + tried) from error
            await asyncio.sleep(wait_s)
    raise AssertionError("unreachable")


def _may_pass(error: Exception) -> bool:
    """Whether dialling again may help: never where key, credit, address or request are at fault."""
    if isinstance(error, InvalidStatus):
        return error.response.status_code == 429 or error.response.status_code >= 500
    return isinstance(error, OSError | asyncio.TimeoutError | EOFError | ConnectionClosed | InvalidMessage)


def _asked_s(error: Exception) -> float | None:
    return retry_after_s(error.response.headers) if isinstance(error, InvalidStatus) else None


class ServiceConnection:
    """A connection, and the one that replaces it when it is lost: one call, whatever becomes of its sockets.

    `cost` is what it has cost so far; whoever decodes the sound that comes adds it there. `conversation_id` and `model`
    are what the service says they are.
    """

    def __init__(
        self, config: Config, socket: ClientConnection, cost: Cost, retry: RetryPolicy, watch: Watcher = unwatched
    ) -> None:
        self.cost = cost
        self.conversation_id: str | None = None
        self.resumptions = 0
        """How often the connection was replaced so far."""
        self._config = config
        self._socket = socket
        self._retry = retry
        self._watch = watch
        self._session: dict[str, Any] = {}

    @property
    def model(self) -> str:
        """The model in use, as far as is known."""
        return self.cost.model

    async def configure(self, session: Mapping[str, Any]) -> None:
        """Send the session's settings and wait until they are in force.

        A connection that is lost before that is replaced: nothing was said on it. Raises CallFailed with the service's
        words when it refuses them.
        """
        self._session = dict(session)
        await self._begin(self._config)

    async def resume(self, closed: ConnectionClosed) -> None:
        """Replace a connection that was lost: dial again, and take the conversation up where it was.

        Not at once: the service may still know an older state of it. What was sent and not answered may be lost.
        Raises CallFailed when it was not lost but ended, when this has been done too often in this call, or when the
        service no longer knows the conversation.
        """
        known = self.conversation_id
        if known is None or not self._may_replace(closed):
            raise hung_up(closed) from closed
        there = self._config.resuming(known)
        await self._replace(there)
        await self._begin(there)
        if self.conversation_id != known:
            raise CallFailed("the service has forgotten the conversation that was lost; call again")

    async def close(self) -> None:
        """Hang up."""
        await self._socket.close()

    async def _begin(self, there: Config) -> None:
        while True:
            try:
                return await bounded(self._configure(), self._retry.open_s)
            except CallFailed as failed:
                if not self._may_replace(failed.__cause__):
                    raise
            await self._replace(there)

    def _may_replace(self, error: BaseException | None) -> bool:
        lost = isinstance(error, ConnectionClosed) and _lost(error)
        return lost and self.resumptions < self._retry.resumptions

    async def _replace(self, there: Config) -> None:
        self.resumptions += 1
        await asyncio.sleep(self._retry.settle_s)
        self._socket = await open_socket(there, self._retry)

    async def _configure(self) -> None:
        # Which of the two comes first has changed over time; an update sent before either may be lost.
        await self._wait_for("session.created", "conversation.created")
        await self.send({"type": "session.update", "session": self._session})
        await self._wait_for("session.updated")

    async def send(self, event: Event) -> None:
        """Send one client event."""
        self._watch("sent", event)
        await self._socket.send(json.dumps(event))
        if event["type"] == "conversation.item.create" and event["item"]["type"] == "message":
            self.cost = self.cost.plus(text_items=1)

    async def send_audio(self, pcm: bytes) -> None:
        """Append PCM16 mono 24 kHz to the service's input buffer."""
        await self.send({"type": "input_audio_buffer.append", "audio": b64encode(pcm).decode("ascii")})
        self.cost = self.cost.plus(input_samples=samples(pcm))

    async def receive(self) -> Event:
        """The next server event. Raises CallFailed for an error the call cannot go on with, or a frame that is none."""
        event = _parse(await self._socket.recv())
        self._watch("received", event)
        match event:
            case {"type": "session.created" | "session.updated", "session": {"model": str(model)}}:
                # The service substitutes unknown model names in silence; what it names here is what it bills.
                self.cost = replace(self.cost, model=model)
            case {"type": "conversation.created", "conversation": {"id": str(conversation_id)}}:
                self.conversation_id = conversation_id
            case {"type": "error"} if not _harmless(event):
                raise CallFailed(f"the service reports: {_error_text(event)}; correct what it names and call again")
        return event

    async def _wait_for(self, *types: str) -> None:
        while (await self.receive())["type"] not in types:
            pass


async def run_tool(call_tool: CallTool, call: FunctionCall) -> ToolRun:
    """Run what the service asked for in a thread: a slow tool keeps no other call waiting."""
    began_s = now_s()
    result = await asyncio.to_thread(call_tool, call.name, call.arguments)
    return tool_run(call, result, (now_s() - began_s) * 1000)


async def bounded(work: Coroutine[Any, Any, None], timeout_s: float) -> None:
    """Do one turn's work on a line. Raises CallFailed when it takes too long or the connection is lost."""
    try:
        await asyncio.wait_for(work, timeout_s)
    except asyncio.TimeoutError as error:
        waited = f"no complete answer within {timeout_s:g} s"
        raise CallFailed(f"{waited}; check that the audio holds speech, or allow more time") from error
    except ConnectionClosed as closed:
        raise hung_up(closed) from closed


def _lost(closed: ConnectionClosed) -> bool:
    """Whether nobody meant the connection to end: it broke (1006), the service did, or it did not answer our pings."""
    code = (closed.rcvd or closed.sent).code if closed.rcvd or closed.sent else 1006  # type: ignore[union-attr]
    return code in (1006, 1011, 1012, 1013, 1014)


def hung_up(closed: ConnectionClosed) -> CallFailed:
    """What to make of a connection that closed in mid-call."""
    return CallFailed(f"{_close_text(closed)} in mid-call; call again")


def unusable(event: Event, error: Exception) -> CallFailed:
    """What to make of an event that lacks what its type promises."""
    return CallFailed(f"the service sent an unusable {event['type']} ({error}); report it there")


def now_s() -> float:
    """Seconds on the running loop's clock."""
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
    text = _error_text(event)
    # What the second of commit and response.create may draw where it is not dropped in silence; and what a truncate
    # draws, which older dates of the service take badly: the sound has stopped here all the same.
    return "already has an active response" in text or "truncat" in text.lower()


def _error_text(event: Event) -> str:
    error = event.get("error")
    message = error.get("message") if isinstance(error, dict) else None
    return str(message or "an error without a message")[:300].rstrip(".")


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
            status = error.response.status_code
            return f"{url} refused the call with HTTP {status}: {advice(status, _asked_s(error))}"
        case TimeoutError() | asyncio.TimeoutError():
            return f"{url} did not answer within {timeout_s:g} s; check XAI_REALTIME_URL and the network"
        case InvalidURI():
            return f"{url} is not a WebSocket address; write XAI_REALTIME_URL like wss://api.x.ai/v1/realtime"
        case OSError():
            reason = error.strerror or type(error).__name__
            return f"cannot reach {url} ({reason}); start that server or correct XAI_REALTIME_URL"
        case _:
            return f"{url} does not speak WebSocket ({type(error).__name__}); correct XAI_REALTIME_URL"


def advice(status: int, asked_s: float | None) -> str:
    """What to do about an HTTP answer to a handshake or a request. Its body is left out: it may quote the key."""
    wait = f"{asked_s:g} s" if asked_s else "a minute"
    match status:
        case 400:
            return "the key is wrong or the request malformed; check XAI_API_KEY and CLINIC_MODEL"
        case 401:
            return "the key is missing or wrong; check XAI_API_KEY"
        case 403:
            return "the key's team has no credit or no permission; look at the team's billing page"
        case 404:
            return "there is no realtime endpoint there; XAI_REALTIME_URL usually ends in /v1/realtime"
        case 429:
            return f"too many sessions or requests; end another session or call again in {wait}"
        case _ if status >= 500:
            return f"the service is in trouble; call again in {wait}"
        case _:
            return "check XAI_REALTIME_URL"
