"""A client with manual turns: it sends a whole turn, collects the answer, and runs the requested tools.

Each turn is committed by the client. One connection serves the whole call. If it is lost, the conversation is resumed
on a new one, and a request without an answer is sent again. For interruptions by the caller see open_mic.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any

from websockets.exceptions import ConnectionClosed

from clinic_agent.call.connection import (
    DEFAULT_RETRY,
    CallFailed,
    CallTool,
    ServiceConnection,
    Watcher,
    bounded,
    now_s,
    open_connection,
    run_tool,
    unusable,
    unwatched,
)
from clinic_agent.call.cost import Cost
from clinic_agent.call.pcm import SAMPLE_BYTES, chunks, samples
from clinic_agent.call.playback import Playback
from clinic_agent.call.retry import RetryPolicy
from clinic_agent.call.turn import MAX_TOOL_ROUNDS, Event, Turn, TurnInProgress, typed
from clinic_agent.config import Config


@asynccontextmanager
async def connect(
    config: Config,
    *,
    priced_on: date,
    retry: RetryPolicy = DEFAULT_RETRY,
    plays: bool = True,
    watch: Watcher = unwatched,
) -> AsyncIterator[VoiceClient]:
    """Connect to the endpoint; the connection is closed at the end of the block.

    `priced_on` is the day whose prices apply. `plays`: the answers are played as they arrive, so the request that
    follows a tool result waits for the end of playback. `watch` is called with each frame. Raises CallFailed if the
    endpoint does not answer or refuses the handshake.
    """
    async with open_connection(config, priced_on=priced_on, retry=retry, watch=watch) as connection:
        yield VoiceClient(connection, retry, plays=plays)


class VoiceClient:
    """One call: `configure` once, then `speak` or `type` for each turn."""

    def __init__(self, connection: ServiceConnection, retry: RetryPolicy, *, plays: bool = True) -> None:
        self._connection = connection
        self._retry = retry
        self._plays = plays
        self._playback = Playback()

    @property
    def model(self) -> str:
        """The model named by the service."""
        return self._connection.model

    @property
    def conversation_id(self) -> str | None:
        """The conversation's identifier, from the service."""
        return self._connection.conversation_id

    @property
    def cost(self) -> Cost:
        """The cost of the call so far."""
        return self._connection.cost

    async def configure(self, session: Mapping[str, Any]) -> None:
        """Send the body of `session.update` and wait for `session.updated`.

        Raises CallFailed with the service's message if the service refuses it.
        """
        await self._connection.configure(session)

    async def reconfigure(self, session: Mapping[str, Any], *, telephony: bool) -> None:
        """Change the settings of a call that goes on; `telephony` is that of the cost. Raises as `configure` does."""
        await self._connection.reconfigure(session)
        self._connection.cost = replace(self._connection.cost, telephony=telephony)

    def charge(self, hosted_calls: Mapping[str, int]) -> None:
        """Add calls of hosted tools, by name, that no event reported."""
        self._connection.cost = self._connection.cost.plus(hosted_calls=hosted_calls)

    async def heard(self) -> None:
        """Wait until the last answer has been played to its end."""
        if self._plays:
            await asyncio.sleep(self._playback.ends_s - now_s())

    async def idle(self) -> None:
        """Take what the service sends between two turns, until cancelled. Raises ConnectionClosed and CallFailed.

        Without a reader, the socket fills up, and pings are not answered.
        """
        while True:
            await self._connection.receive()

    async def speak(self, pcm: bytes, call_tool: CallTool) -> Turn:
        """A spoken turn: PCM16 mono 24 kHz in, the whole answer out; requested tools are run meanwhile.

        Raises CallFailed, with the turn so far, if the service reports an error, closes, or takes too long.
        """
        return await self._turn(TurnInProgress(requested_s=now_s()), pcm, call_tool)

    async def type(self, text: str, call_tool: CallTool) -> Turn:
        """A typed turn with a spoken answer. Raises as `speak` does."""
        return await self._turn(TurnInProgress(heard=text, requested_s=now_s()), b"", call_tool)

    async def _turn(self, turn: TurnInProgress, pcm: bytes, call_tool: CallTool) -> Turn:
        before = self.cost
        self._playback = Playback()  # the last answer has been heard to its end
        try:
            await bounded(self._converse(turn, pcm, call_tool), self._retry.turn_s)
        except CallFailed as failed:
            failed.turn = turn.finish(now_s(), self.cost.since(before))
            raise
        return turn.finish(now_s(), self.cost.since(before))

    async def _converse(self, turn: TurnInProgress, pcm: bytes, call_tool: CallTool) -> None:
        await self._answered(turn, partial(self._send_words, turn, pcm))
        for _ in range(MAX_TOOL_ROUNDS):
            if not turn.pending:
                return
            calls, turn.pending = turn.pending, []
            results = []
            for call in calls:
                turn.tools.append(await run_tool(call_tool, call))
                results.append(call.answer(turn.tools[-1].result))
            await self._answered(turn, partial(self._send_results, results))
        raise CallFailed(f"the service called tools {MAX_TOOL_ROUNDS} times in one turn; check the prompt for a loop")

    async def _answered(self, turn: TurnInProgress, ask: Callable[[], Awaitable[None]]) -> None:
        """Send a request and collect the answer; if the connection is lost, again on a new one."""
        while True:
            try:
                await ask()
                await self._collect_response(turn)
                return
            except ConnectionClosed as closed:
                turn.pending.clear()  # the repeated answer requests its tools again
                await self._connection.resume(closed)

    async def _send_words(self, turn: TurnInProgress, pcm: bytes) -> None:
        """Send the caller's words as text if the text is known: typed, or transcribed before a connection was lost."""
        if turn.heard:
            await self._connection.send(typed(turn.heard))
        else:
            for chunk in chunks(pcm):
                await self._connection.send_audio(chunk)
            await self._connection.send({"type": "input_audio_buffer.commit"})
        # Clients in the field report that a commit of speech is answered without a response.create, and that one sent
        # after it is dropped. The vendor's pages require it. With both there is one answer in either case.
        await self._connection.send({"type": "response.create"})
        if turn.first_audio_s is None:
            turn.requested_s = now_s()

    async def _send_results(self, results: list[Event]) -> None:
        """Send all results, then request the answer once the audio of the last one has been played."""
        for result in results:
            await self._connection.send(result)
        if self._plays:
            await asyncio.sleep(self._playback.ends_s - now_s())
        await self._connection.send({"type": "response.create"})

    async def _collect_response(self, turn: TurnInProgress) -> None:
        while True:
            event = await self._next()
            known = len(turn.audio)
            try:
                turn.take(event, now_s())
                if len(turn.audio) > known:
                    self._playback.queue(str(event["item_id"]), bytes(turn.audio[known:]), now_s())
            except (KeyError, TypeError, ValueError) as error:
                raise unusable(event, error) from error
            self._connection.cost = self._connection.cost.plus(
                output_samples=samples(turn.audio) - known // SAMPLE_BYTES
            )
            if event["type"] == "response.done":
                break
        if turn.status == "failed":
            raise CallFailed("the service failed to answer; call again")

    async def _next(self) -> Event:
        silence_s = self._retry.silence_s
        try:
            return await asyncio.wait_for(self._connection.receive(), silence_s)
        except asyncio.TimeoutError as error:
            # Not requested again: a late answer would then arrive twice.
            raise CallFailed(f"the service sent nothing for {silence_s:g} s; call again") from error
