"""A client that sends turns whole: say something, collect the answer, run the tools it asks for.

Turns are manual: the caller's words are sent and committed. One connection serves the whole call; if it is lost,
another one takes the conversation up, and what was not answered is asked again. No barge-in: see open_mic.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
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
    """Dial the endpoint; the connection closes with the block.

    `priced_on` is the day whose prices count. `plays`: somebody listens to the answers as they come; without, nothing
    waits for their end. `watch` is told every frame. Raises CallFailed when nobody answers or the handshake is refused.
    """
    async with open_connection(config, priced_on=priced_on, retry=retry, watch=watch) as connection:
        yield VoiceClient(connection, retry, plays=plays)


class VoiceClient:
    """One call: `configure` once, then `speak` or `type` turn by turn."""

    def __init__(self, connection: ServiceConnection, retry: RetryPolicy, *, plays: bool = True) -> None:
        self._connection = connection
        self._retry = retry
        self._plays = plays
        self._playback = Playback()

    @property
    def model(self) -> str:
        """The model, as the service names it."""
        return self._connection.model

    @property
    def conversation_id(self) -> str | None:
        """The conversation, as the service names it."""
        return self._connection.conversation_id

    @property
    def cost(self) -> Cost:
        """What the call has cost so far."""
        return self._connection.cost

    async def configure(self, session: Mapping[str, Any]) -> None:
        """Send the session's settings and wait until they are in force.

        Raises CallFailed with the service's words when it refuses them.
        """
        await self._connection.configure(session)

    async def speak(self, pcm: bytes, call_tool: CallTool) -> Turn:
        """A spoken turn: PCM16 mono 24 kHz in, the whole answer out, tools run on the way.

        Raises CallFailed, carrying the turn so far, when the service reports an error, hangs up, or takes too long.
        """
        return await self._turn(TurnInProgress(asked_s=now_s()), pcm, call_tool)

    async def type(self, text: str, call_tool: CallTool) -> Turn:
        """A typed turn, answered in speech like any other. Raises as `speak` does."""
        return await self._turn(TurnInProgress(heard=text, asked_s=now_s()), b"", call_tool)

    async def _turn(self, turn: TurnInProgress, pcm: bytes, call_tool: CallTool) -> Turn:
        before = self.cost
        self._playback = Playback()  # whoever speaks again has heard the last answer out
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
        """Ask and collect the answer; where the connection is lost meanwhile, once more on another one."""
        while True:
            try:
                await ask()
                await self._collect_response(turn)
                return
            except ConnectionClosed as closed:
                turn.pending.clear()  # of an answer that did not end; the next one asks for them again
                await self._connection.resume(closed)

    async def _send_words(self, turn: TurnInProgress, pcm: bytes) -> None:
        """What was typed or, said before on a lost connection, has been understood; else the sound."""
        await (self._send_text(turn.heard) if turn.heard else self._send_speech(pcm))
        if turn.first_audio_s is None:
            turn.asked_s = now_s()

    async def _send_speech(self, pcm: bytes) -> None:
        for chunk in chunks(pcm):
            await self._connection.send_audio(chunk)
        await self._connection.send({"type": "input_audio_buffer.commit"})
        # Clients that tried it live report that a commit of speech is answered by itself and that the response.create
        # after it is dropped in silence; the vendor's pages ask for it. With both, either way, one answer comes.
        await self._connection.send({"type": "response.create"})

    async def _send_text(self, text: str) -> None:
        await self._connection.send(typed(text))
        await self._connection.send({"type": "response.create"})

    async def _send_results(self, results: list[Event]) -> None:
        """All results, then one request for the answer to them, which would talk over what is still heard."""
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
            # Not asked again: an answer that is only late would come twice.
            raise CallFailed(f"the service said nothing for {silence_s:g} s; call again") from error
