"""One connection to a realtime voice service: connect, configure, send, receive, and count the cost.

This module handles frames and their errors. Turns are in manual_turns.py (each turn is sent whole) and open_mic.py.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from inspect import signature
from itertools import count
from random import Random
from typing import Any, Literal

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus, InvalidURI, WebSocketException

from clinic_agent.call.cost import Cost, hosted_call
from clinic_agent.call.pcm import samples
from clinic_agent.call.retry import RetryPolicy, retry_after_s
from clinic_agent.call.turn import Event, FunctionCall, ToolRun, Turn, tool_run
from clinic_agent.config import Config, is_loopback_url

MAX_FRAME_BYTES = 4 * 2**20  # over a minute of audio in one frame; recorded frames hold about a second

DEFAULT_RETRY = RetryPolicy()

_DIRECT: Mapping[str, Any] = {"proxy": None} if "proxy" in signature(connect).parameters else {}
"""Argument by which no proxy of the environment is used; releases of websockets before 15 use none."""
_LOST = (1006, 1011, 1012, 1013, 1014)
"""Close codes of a connection that nobody meant to close: it broke, the service failed, or pings were not answered."""

CallTool = Callable[[str, str], dict[str, Any]]
"""Runs a tool: its name and its arguments as JSON text in, the result out. Called in a thread; must not raise."""
Watcher = Callable[[Literal["sent", "received"], Event], None]
"""Called with each frame of a call as it is sent or received; must return quickly."""


def unwatched(way: Literal["sent", "received"], event: Event) -> None:
    """A watcher that ignores the frame."""


def watched_by(*watchers: Watcher) -> Watcher:
    """One watcher that passes each frame to all of them, in order."""

    def watch(way: Literal["sent", "received"], event: Event) -> None:
        for watcher in watchers:
            watcher(way, event)

    return watch


class CallFailed(Exception):
    """The call cannot start or continue; the message says what to do. `turn` is the interrupted turn, if any."""

    def __init__(self, message: str, turn: Turn | None = None) -> None:
        super().__init__(message)
        self.turn = turn


@asynccontextmanager
async def open_connection(
    config: Config, *, priced_on: date, retry: RetryPolicy = DEFAULT_RETRY, watch: Watcher = unwatched
) -> AsyncIterator[ServiceConnection]:
    """Connect to the endpoint; the connection is closed at the end of the block.

    `priced_on` is the day whose prices apply. If the endpoint does not answer or is busy (429, 5xx), the client tries
    again as `retry` says. Raises CallFailed when the attempts are used up, and at once for any other refusal.
    """
    cost = Cost(config.model, priced_on, telephony=config.telephony)
    connection = ServiceConnection(config, await open_socket(config, retry), cost, retry, watch)
    try:
        yield connection
    finally:
        await connection.close()


async def open_socket(config: Config, retry: RetryPolicy, *, url: str | None = None) -> ClientConnection:
    """Connect, with retries; gives the open socket. `url`: another address of the same endpoint.

    Raises CallFailed as `open_connection` does.
    """
    random = Random(retry.seed)
    for attempt in count(1):
        try:
            return await connect(
                url or config.session_url,
                additional_headers=[("Authorization", f"Bearer {config.key}"), *config.trace],
                compression=None,  # base64 audio hardly shrinks, and deflate takes longer than the rest of the work
                open_timeout=retry.open_s,
                close_timeout=2,
                max_size=MAX_FRAME_BYTES,
                **(_DIRECT if is_loopback_url(config.url) else {}),
            )
        except (OSError, WebSocketException, asyncio.TimeoutError) as error:
            wait_s = retry.wait_s(attempt, _retry_after_s(error), random) if _may_pass(error) else None
            if wait_s is None:
                tried = f" (after {attempt} attempts)" if attempt > 1 else ""
                raise CallFailed(_why_not_connected(error, config, retry.open_s) + tried) from error
            await asyncio.sleep(wait_s)
    raise AssertionError("unreachable")


def _may_pass(error: Exception) -> bool:
    """Whether another attempt may succeed. It cannot where the key, the credit, the address or the request is wrong."""
    if isinstance(error, InvalidStatus):
        return error.response.status_code == 429 or error.response.status_code >= 500
    return isinstance(error, OSError | asyncio.TimeoutError | EOFError | ConnectionClosed | InvalidMessage)


def _retry_after_s(error: Exception) -> float | None:
    return retry_after_s(error.response.headers) if isinstance(error, InvalidStatus) else None


class ServiceConnection:
    """The connection of one call. If its socket is lost, `resume` replaces the socket.

    `cost` is the cost so far; the code that decodes the received audio adds it there. `conversation_id` and `model` are
    the values that the service last sent.
    """

    def __init__(
        self, config: Config, socket: ClientConnection, cost: Cost, retry: RetryPolicy, watch: Watcher = unwatched
    ) -> None:
        self.cost = cost
        self.conversation_id: str | None = None
        self.resumptions = 0
        """How often the socket was replaced so far."""
        self._config = config
        self._socket = socket
        self._retry = retry
        self._watch = watch
        self._session: dict[str, Any] = {}

    @property
    def model(self) -> str:
        """The model named by the service, or the requested one before the service has named any."""
        return self.cost.model

    async def configure(self, session: Mapping[str, Any]) -> None:
        """Send the body of `session.update` and wait for `session.updated`.

        A socket that is lost before that is replaced. Raises CallFailed with the service's message if the service
        refuses the settings.
        """
        self._session = dict(session)
        await self._begin(self._config)

    async def reconfigure(self, session: Mapping[str, Any]) -> None:
        """Send another body of `session.update` in a conversation that goes on. Raises as `configure` does."""
        self._session = dict(session)
        try:
            await bounded(self._update(), self._retry.open_s)
        except CallFailed as failed:
            if not isinstance(failed.__cause__, ConnectionClosed):
                raise
            await self.resume(failed.__cause__)

    async def resume(self, closed: ConnectionClosed) -> None:
        """Replace a lost socket and resume the conversation on the new one.

        The client waits `settle_s` first, because the service may still have an older state of the conversation. Frames
        that were sent and not answered may be lost. Raises CallFailed if the service ended the call on purpose, if the
        call has used up its resumptions, or if the service no longer knows the conversation.
        """
        known = self.conversation_id
        if known is None or not self._may_replace(closed):
            raise hung_up(closed) from closed
        there = self._config.resuming(known)
        await self._replace(there)
        await self._begin(there)
        if self.conversation_id != known:
            raise CallFailed("the service no longer knows the conversation; call again")

    async def close(self) -> None:
        """Close the socket."""
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
        """Whether the socket was lost, not closed on purpose, and may be replaced once more."""
        if not isinstance(error, ConnectionClosed) or self.resumptions >= self._retry.resumptions:
            return False
        return was_lost(error)

    async def _replace(self, there: Config) -> None:
        self.resumptions += 1
        await asyncio.sleep(self._retry.settle_s)
        self._socket = await open_socket(there, self._retry)

    async def _configure(self) -> None:
        # Dates of the service differ in which of the two comes first. An update sent before either may be lost.
        await self._wait_for("session.created", "conversation.created")
        await self._update()

    async def _update(self) -> None:
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
        """The next server event. Raises CallFailed for an error that ends the call, or a frame that is no event."""
        event = parse_event(await self._socket.recv())
        self._watch("received", event)
        self.cost = self.cost.billed(event)
        if (tool := hosted_call(event)) is not None:
            self.cost = self.cost.plus(hosted_calls={tool: 1})
        match event:
            case {"type": "session.created" | "session.updated", "session": {"model": str(model)}}:
                # The service replaces an unknown model without an error; it bills the model that it names here.
                self.cost = replace(self.cost, model=model)
            case {"type": "conversation.created", "conversation": {"id": str(conversation_id)}}:
                self.conversation_id = conversation_id
            case {"type": "error"} if not _harmless(event):
                raise CallFailed(f"the service reports: {error_text(event)}; correct what it names and call again")
        return event

    async def _wait_for(self, *types: str) -> None:
        while (await self.receive())["type"] not in types:
            pass


async def run_tool(call_tool: CallTool, call: FunctionCall) -> ToolRun:
    """Run a requested tool in a thread, so that a slow tool delays no other call."""
    began_s = now_s()
    result = await asyncio.to_thread(call_tool, call.name, call.arguments)
    return tool_run(call, result, (now_s() - began_s) * 1000)


async def bounded(work: Coroutine[Any, Any, None], timeout_s: float) -> None:
    """Run the work of one turn. Raises CallFailed after `timeout_s` seconds, and if the connection is lost."""
    try:
        await asyncio.wait_for(work, timeout_s)
    except asyncio.TimeoutError as error:
        waited = f"no complete answer within {timeout_s:g} s"
        raise CallFailed(f"{waited}; check that the audio holds speech, or allow more time") from error
    except ConnectionClosed as closed:
        raise hung_up(closed) from closed


def was_lost(closed: ConnectionClosed) -> bool:
    """Whether nobody meant to close the connection."""
    close = closed.rcvd or closed.sent
    return (close.code if close else 1006) in _LOST


def hung_up(closed: ConnectionClosed) -> CallFailed:
    """The failure of a call whose connection closed."""
    if closed.rcvd is not None:
        how = f"the service closed the connection ({closed.rcvd.code} {closed.rcvd.reason})".replace(" )", ")")
    elif closed.sent is not None:
        how = f"the client had to close the connection ({closed.sent.code} {closed.sent.reason})"
    else:
        how = "the connection was lost"
    return CallFailed(f"{how} in mid-call; call again")


def unusable(event: Event, error: Exception) -> CallFailed:
    """The failure of a call whose event lacks a required field."""
    return CallFailed(f"the service sent an unusable {event['type']} ({error}); report it to the service")


def now_s() -> float:
    """Seconds on the running loop's clock."""
    return asyncio.get_running_loop().time()


def parse_event(data: str | bytes) -> Event:
    """The event in a frame. Raises CallFailed for a frame that is no event."""
    if isinstance(data, bytes):
        return {"type": "binary"}  # audio of the binary transport, which this client does not request
    try:
        event = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CallFailed("the service sent a frame that is not JSON; check XAI_REALTIME_URL") from error
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise CallFailed("the service sent a frame without a type; check XAI_REALTIME_URL")
    return event


def _harmless(event: Event) -> bool:
    text = error_text(event)
    # The first may answer the second of commit and response.create. The second answers a truncate on older dates of the
    # service; the audio has stopped on this side all the same.
    return "already has an active response" in text or "truncat" in text.lower()


def error_text(event: Event) -> str:
    """The message of an error event."""
    error = event.get("error")
    message = error.get("message") if isinstance(error, dict) else None
    return str(message or "an error without a message")[:300].rstrip(".")


def _why_not_connected(error: Exception, config: Config, timeout_s: float) -> str:
    url = config.shown_url
    match error:
        case InvalidStatus():
            status = error.response.status_code
            return f"{url} refused the call with HTTP {status}: {advice(status, _retry_after_s(error))}"
        case TimeoutError() | asyncio.TimeoutError():
            return f"{url} did not answer within {timeout_s:g} s; check XAI_REALTIME_URL and the network"
        case InvalidURI():
            return f"{url} is not a WebSocket address; write XAI_REALTIME_URL like wss://api.x.ai/v1/realtime"
        case OSError():
            reason = error.strerror or type(error).__name__
            return f"cannot reach {url} ({reason}); start that server or correct XAI_REALTIME_URL"
        case _:
            return f"{url} does not speak WebSocket ({type(error).__name__}); correct XAI_REALTIME_URL"


def advice(status: int, after_s: float | None) -> str:
    """What to do about an HTTP error status. The body of the answer is left out: it may quote the key."""
    wait = f"{after_s:g} s" if after_s else "a minute"
    match status:
        case 400:
            return "the key is wrong or the request malformed; check XAI_API_KEY and CLINIC_MODEL"
        case 401:
            return "the key is missing or wrong; check XAI_API_KEY"
        case 403:
            return "the team of the key has no credit or no permission; see the billing page of the team"
        case 404:
            return "there is no realtime endpoint at this address; XAI_REALTIME_URL usually ends in /v1/realtime"
        case 429:
            return f"too many sessions or requests; end another session or call again in {wait}"
        case _ if status >= 500:
            return f"the service has an error; call again in {wait}"
        case _:
            return "check XAI_REALTIME_URL"
