"""A call over an open microphone: the service finds the caller's turns, and the caller may speak over the answer.

`OpenMic` decides: server events with their arrival times in, client events out; no socket. `OpenCall` carries them. An
open microphone hears the loudspeaker too: echo has to be cancelled before the sound comes here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from websockets.exceptions import ConnectionClosed

from clinic_agent.call.connection import CallFailed, CallTool, ServiceConnection, hung_up, now_s, run_tool, unusable
from clinic_agent.call.cost import Cost
from clinic_agent.call.pcm import SAMPLE_RATE_HZ, samples
from clinic_agent.call.playback import Playback
from clinic_agent.call.recording import CallRecording, TimelineEntry, call_recording
from clinic_agent.call.turn import MAX_TOOL_ROUNDS, Event, FunctionCall, ToolRun, Turn, TurnInProgress, typed

TURN_DETECTION: dict[str, Any] = {
    "type": "server_vad",
    # Chosen, for the vendor states no default and clients in the field send as little as 200. A caller who breathes for
    # 0.3 s between two sentences would be answered after the first.
    "silence_duration_ms": 500,
}
CALLER, TURNS, ASSISTANT, RESPONSES, AGENT = "caller", "turns", "assistant", "responses", "agent"
"""The lanes of a call's moments."""


class OpenMic:
    """One call's state: whose turn it is, which answer may be heard, what is owed to the service."""

    def __init__(self) -> None:
        self.playback = Playback()
        self.timeline: list[TimelineEntry] = []
        self.ends_s: float | None = None
        """When the assistant hangs up; None as long as it does not."""
        self.asked_for: list[FunctionCall] = []
        """Tools to be run, all of one response; `ran` takes what came of them."""
        self.turns: list[TurnInProgress] = [TurnInProgress()]
        """The first is what the service says before the caller does; mostly nothing."""
        self._turn_of: dict[str, TurnInProgress] = {}
        self._caller_item = ""
        self._caller_speaks = False
        self._audible = ""
        self._create_s: float | None = None
        self._rounds = 0
        self._asking = self.turns[0]
        self._unanswered: list[Event] = []
        """Results of tools, as sent, whose answer has not come."""

    @property
    def received_samples(self) -> int:
        """How much sound came, heard or not."""
        return sum(samples(turn.audio) for turn in self.turns)

    @property
    def next_due(self) -> float | None:
        """When to ask `due` again; None: not before the next event."""
        return self._create_s if self.ends_s is None else self.ends_s

    def due(self, at_s: float) -> list[Event]:
        """What is to be sent by now although nothing came: the request for the answer to tool results."""
        if self._create_s is None or at_s < self._create_s:
            return []
        self._create_s = None
        self._note(at_s, AGENT, "response.create")
        return [{"type": "response.create"}]

    def take(self, event: Event, at_s: float) -> list[Event]:
        """Take one server event; what is to be sent at once.

        Raises KeyError, TypeError or ValueError for an event that lacks what its type promises; CallFailed when the
        service fails to answer, or calls tools without end.
        """
        turn = self._owner(event)
        known = len(turn.audio)
        turn.take(event, at_s)
        match event["type"]:
            case "input_audio_buffer.speech_started":
                return self._caller_began(str(event["item_id"]), at_s)
            case "input_audio_buffer.speech_stopped":
                self._note(at_s, TURNS, "speech_stopped")
                self._caller_speaks, turn.asked_s = False, at_s
            case "response.created":
                self._note(at_s, RESPONSES, "response.created")
                self._create_s = None
                self._turn_of[event["response"]["id"]] = turn
                # One that begins while the caller speaks was asked for before the service heard them.
                self._audible = "" if self._caller_speaks else event["response"]["id"]
            case "response.output_audio.delta":
                self._turn_of[event["item_id"]] = turn
                if event["response_id"] == self._audible:
                    self.playback.queue(event["item_id"], bytes(turn.audio[known:]), at_s)
            case "response.done":
                return self._response_done(turn, at_s)
        return []

    def resumed(self, at_s: float) -> list[Event]:
        """The connection was lost, and another one has taken the conversation up; what is to be sent at once.

        What came of an answer plays on, the rest never comes: it is asked for anew. What the caller had said is told in
        writing, as it was understood.
        """
        self._note(at_s, AGENT, "resumed")
        self._caller_item, self._caller_speaks, self._audible, self._create_s = "", False, "", None
        turn = self.turns[-1]
        turn.pending.clear()
        again = list(self._unanswered)
        if not again and turn.heard and turn.status == "in_progress":
            again = [typed(turn.heard)]
        if again:
            self._create_s = max(at_s, self.playback.ends_s)
        return again

    def said(self) -> list[TimelineEntry]:
        """What the assistant said, each utterance where its sound began."""
        told: dict[str, TimelineEntry] = {}
        for segment in self.playback.segments:
            text = self._turn_of[segment.item_id].said.get(segment.item_id, "").strip()
            told.setdefault(segment.item_id, TimelineEntry(segment.start_s, ASSISTANT, text))
        return list(told.values())

    def asked(self) -> list[TimelineEntry]:
        """What the caller said, each turn where the service noticed it."""
        return [TimelineEntry(turn.began_s, CALLER, turn.heard) for turn in self.turns if turn.heard]

    def _owner(self, event: Event) -> TurnInProgress:
        """The turn an event belongs to: late ones of an answer that was cut are not the new turn's."""
        response = event.get("response")
        names = (event.get("response_id"), response.get("id") if isinstance(response, dict) else None)
        for name in (*names, event.get("item_id")):
            if isinstance(name, str) and name in self._turn_of:
                return self._turn_of[name]
        return self.turns[-1]

    def _caller_began(self, item_id: str, at_s: float) -> list[Event]:
        """Silence at once. The service ends its answer by itself; a response.cancel of ours could hit the next one."""
        self._note(at_s, TURNS, "speech_started")
        self._caller_speaks, self._audible, self._create_s = True, "", None
        self.ends_s = None  # whoever speaks into the goodbye has not done yet
        cuts = self.playback.cut(at_s)
        if cuts:
            heard = f"barge-in: playback cut at {cuts[0].heard_ms} ms"
            self.timeline.append(TimelineEntry(at_s, AGENT, heard, alarm=True))
            turn = self._turn_of[cuts[0].item_id]
            mine = [name for name, owner in self._turn_of.items() if owner is turn]
            turn.heard_ms = sum(self.playback.heard_ms(name, at_s) for name in mine)
        if item_id == self._caller_item:
            # The caller only paused: the same turn goes on, and the answer to its first half never was.
            self.turns[-1].pending.clear()
            self.turns[-1].first_audio_s = None
        else:
            self._caller_item, self._rounds = item_id, 0
            self.turns.append(TurnInProgress(began_s=at_s, asked_s=at_s))
            self._turn_of[item_id] = self.turns[-1]
        # A spoken item has one part. Older dates of the service refuse a truncate now and then: line.py lets that pass.
        return [
            {
                "type": "conversation.item.truncate",
                "item_id": cut.item_id,
                "content_index": 0,
                "audio_end_ms": cut.heard_ms,
            }
            for cut in cuts
        ]

    def _response_done(self, turn: TurnInProgress, at_s: float) -> list[Event]:
        self._note(at_s, RESPONSES, f"response.done {turn.status}")
        if turn.status == "failed":
            raise CallFailed("the service failed to answer; call again")
        calls, turn.pending = turn.pending, []
        self._unanswered = []
        if not calls:
            if turn.hangs_up and not self._caller_speaks:
                self.ends_s = max(at_s, self.playback.ends_s)  # once the goodbye was heard
            return []
        self._rounds += 1
        if self._rounds > MAX_TOOL_ROUNDS:
            raise CallFailed(
                f"the service called tools {MAX_TOOL_ROUNDS} times in one turn; check the prompt for a loop"
            )
        self.asked_for, self._asking = calls, turn
        return []

    def ran(self, runs: list[ToolRun], at_s: float) -> list[Event]:
        """What came of all that was asked for, in that order; what is to be sent at once."""
        calls, self.asked_for = self.asked_for, []
        for run in runs:
            self._note(at_s, AGENT, run.name)
        self._asking.tools += runs
        results = [call.answer(run.result) for call, run in zip(calls, runs, strict=True)]
        if not self._caller_speaks:  # else their turn is answered by itself, results and all
            self._unanswered = results
            self._create_s = max(at_s, self.playback.ends_s)  # an answer asked for now would talk over its preamble
        return results

    def _note(self, at_s: float, lane: str, label: str) -> None:
        self.timeline.append(TimelineEntry(at_s, lane, label))


class OpenCall:
    """One call on one configured line: the microphone in, everything else out."""

    def __init__(self, connection: ServiceConnection, call_tool: CallTool) -> None:
        self._connection = connection
        self._call_tool = call_tool
        self._state = OpenMic()
        self._costs: list[Cost] = [connection.cost]
        self._caller = bytearray()
        self._start_s: float | None = None
        self._up = asyncio.Event()
        self._up.set()

    @property
    def playback(self) -> Playback:
        """What the caller hears."""
        return self._state.playback

    async def talk(self, mic: AsyncIterator[bytes], timeout_s: float) -> None:
        """Listen and speak until `mic` ends: then the caller has hung up. `mic` gives PCM16 as fast as it is spoken.

        Raises CallFailed when the service reports an error, hangs up, or the call lasts longer than `timeout_s`.
        """
        tasks = [asyncio.create_task(work) for work in (self._speak(mic), self._listen())]  # noqa: TID251 - held, awaited
        try:
            done, _ = await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        if not done:
            raise CallFailed(f"the call lasted over {timeout_s:g} s and was ended; allow more time if it should last")
        for outcome in reversed(outcomes):  # what the service said explains a lost connection
            if isinstance(outcome, ConnectionClosed):
                raise hung_up(outcome) from outcome
            if isinstance(outcome, Exception):
                raise outcome

    def turns(self) -> tuple[Turn, ...]:
        """The turns so far. What was sent between two beginnings of the caller's turns is the earlier one's cost."""
        turns, costs = self._state.turns, [*self._costs, self._connection.cost]
        if not turns[0].audio and len(turns) > 1:  # the silence before the caller's first word belongs to that turn
            turns, costs = turns[1:], [costs[0], *costs[2:]]
        return tuple(
            turn.finish(turn.ended_s or now_s(), after.since(before))
            for turn, before, after in zip(turns, costs[:-1], costs[1:], strict=True)
        )

    def recording(self) -> CallRecording:
        """The call so far, in sound and moments."""
        state = self._state
        timeline = [*state.timeline, *state.asked(), *state.said()]
        start_s = self._start_s or 0.0
        return call_recording(bytes(self._caller), state.playback.segments, state.playback.dropped, timeline, start_s)

    async def _speak(self, mic: AsyncIterator[bytes]) -> None:
        async for chunk in mic:
            if self._start_s is None:  # a chunk is there once its last sample was spoken
                self._start_s = now_s() - samples(chunk) / SAMPLE_RATE_HZ
            self._caller += chunk
            await self._send_audio(chunk)

    async def _send_audio(self, chunk: bytes) -> None:
        """What is spoken while the line is down goes out over the next one."""
        while True:
            await self._up.wait()
            try:
                return await self._connection.send_audio(chunk)
            except ConnectionClosed:
                self._up.clear()  # which `_listen` notices as well

    async def _listen(self) -> None:
        while self._state.ends_s is None or now_s() < self._state.ends_s:
            try:
                await self._hear()
            except ConnectionClosed as closed:
                self._up.clear()
                await self._connection.resume(closed)
                await self._send(self._state.resumed(now_s()))
                self._up.set()

    async def _hear(self) -> None:
        """Send what is due, and take the next event if one comes before something else is."""
        await self._send(self._state.due(now_s()))
        due_s = self._state.next_due
        try:
            event = await asyncio.wait_for(self._connection.receive(), None if due_s is None else due_s - now_s())
        except asyncio.TimeoutError:
            return
        await self._send(self._take(event))
        if self._state.asked_for:
            runs = [await run_tool(self._call_tool, call) for call in self._state.asked_for]
            await self._send(self._state.ran(runs, now_s()))

    async def _send(self, events: list[Event]) -> None:
        for event in events:
            await self._connection.send(event)

    def _take(self, event: Event) -> list[Event]:
        state = self._state
        turns, sound = len(state.turns), state.received_samples
        try:
            answers = state.take(event, now_s())
        except (KeyError, TypeError, ValueError) as error:
            raise unusable(event, error) from error
        self._connection.cost = self._connection.cost.plus(output_samples=state.received_samples - sound)
        if len(state.turns) > turns:
            self._costs.append(self._connection.cost)
        return answers


async def microphone(speak: Callable[[float], bytes | None]) -> AsyncIterator[bytes]:
    """A microphone that `speak` is asked to fill, chunk by chunk, until it gives None; its argument is the clock's now.

    Every chunk comes when its last sample would have been spoken, counted from the first: delays do not add up.
    """
    start_s, spoken = now_s(), 0
    while (chunk := speak(start_s + spoken / SAMPLE_RATE_HZ)) is not None:
        spoken += samples(chunk)
        await asyncio.sleep(start_s + spoken / SAMPLE_RATE_HZ - now_s())
        yield chunk
