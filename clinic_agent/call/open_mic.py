"""A call over an open microphone: the service detects the caller's turns, and the caller may interrupt the answer.

`OpenMic` is the state of the call: server events with their arrival times in, client events out, without a socket.
`OpenCall` connects it to a socket. Echo of the loudspeaker has to be cancelled before the audio comes here.
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
from clinic_agent.call.repeated_answer import Answer, Repetition
from clinic_agent.call.turn import MAX_TOOL_ROUNDS, Event, FunctionCall, ToolRun, Turn, TurnInProgress, owner, typed

TURN_DETECTION: dict[str, Any] = {
    "type": "server_vad",
    # A choice: the vendor states no default, and clients in the field send values down to 200. With 200 a caller who
    # pauses for 0.3 s between two sentences is answered after the first.
    "silence_duration_ms": 500,
}
CALLER, TURNS, ASSISTANT, RESPONSES, AGENT = "caller", "turns", "assistant", "responses", "agent"
"""The lanes of a call's timeline."""


class OpenMic:
    """The state of one call: whose turn it is, which response may be played, which results await an answer."""

    def __init__(self) -> None:
        self.playback = Playback()
        self.timeline: list[TimelineEntry] = []
        self.ends_s: float | None = None
        """The time when the assistant hangs up; None: it does not."""
        self.requested_tools: list[FunctionCall] = []
        """Tool calls of one response that are to be run; `ran` takes their results."""
        self.turns: list[TurnInProgress] = [TurnInProgress()]
        """The first one is the service's audio before the caller's first turn, usually none."""
        self._turn_of: dict[str, TurnInProgress] = {}
        self._caller_item = ""
        self._caller_speaks = False
        self._audible = ""
        self._create_s: float | None = None
        self._rounds = 0
        self._tool_turn = self.turns[0]
        self._unanswered: list[Event] = []
        """Tool results that were sent and whose answer has not come."""
        self._answer = Answer()
        """The response in progress, or the last one."""
        self._repetition: Repetition | None = None
        self._continues: dict[str, str] = {}
        """Items of a repeated answer, by the item that each continues."""

    @property
    def received_samples(self) -> int:
        """The number of audio samples received, played or not."""
        return sum(samples(turn.audio) for turn in self.turns)

    @property
    def next_due(self) -> float | None:
        """The time to call `due` again; None: after the next event."""
        return self._create_s if self.ends_s is None else self.ends_s

    def due(self, at_s: float) -> list[Event]:
        """Events to send at this time: the request for the answer to tool results."""
        if self._create_s is None or at_s < self._create_s:
            return []
        self._create_s = None
        self._note(at_s, AGENT, "response.create")
        return [{"type": "response.create"}]

    def take(self, event: Event, at_s: float) -> list[Event]:
        """Take one server event; gives the events to send at once.

        Raises KeyError, TypeError or ValueError for an event that lacks a field of its type. Raises CallFailed if the
        response failed, or if a turn calls tools too often.
        """
        turn = owner(event, self._turn_of, self.turns[-1])
        known = len(turn.audio)
        turn.take(event, at_s)
        match event["type"]:
            case "input_audio_buffer.speech_started":
                return self._caller_began(str(event["item_id"]), at_s)
            case "input_audio_buffer.speech_stopped":
                self._note(at_s, TURNS, "speech_stopped")
                self._caller_speaks, turn.requested_s = False, at_s
            case "response.created":
                self._note(at_s, RESPONSES, "response.created")
                self._create_s = None
                self._turn_of[event["response"]["id"]] = turn
                self._answer = Answer()
                if self._repetition is not None and self._repetition.decided:
                    self._repetition = None
                # A response that begins while the caller speaks was requested before the service heard the caller.
                self._audible = "" if self._caller_speaks else event["response"]["id"]
            case "response.output_audio.delta":
                self._turn_of[event["item_id"]] = turn
                pcm = bytes(turn.audio[known:])
                if event["response_id"] == self._audible:
                    self._answer.add(event["item_id"], pcm=pcm)
                    self._play(event["item_id"], pcm, at_s)
            case "response.output_audio_transcript.delta":
                if event.get("response_id") == self._audible:
                    self._answer.add(event["item_id"], text=event["delta"])
                    self._compare(turn, at_s)
            case "response.done":
                return self._response_done(turn, at_s)
            case _:
                pass
        return []

    def resumed(self, at_s: float) -> list[Event]:
        """Continue after the conversation was resumed on a new connection; gives the events to send at once.

        The received part of an answer plays on; the rest does not come, so the answer is requested again, and what is
        new in it is played. The caller's words are sent again as text, if they were transcribed.
        """
        self._note(at_s, AGENT, "resumed")
        self._caller_item, self._caller_speaks, self._audible, self._create_s = "", False, "", None
        turn = self.turns[-1]
        turn.pending.clear()
        again = list(self._unanswered)
        if not again and turn.heard and turn.status == "in_progress":
            again = [typed(turn.heard)]
        if not again or self._answer.over:
            self._repetition = None
        elif self._repetition is not None:
            self._repetition = self._repetition.cut_off(self._answer)
        elif self._answer.samples:
            self._repetition = Repetition(self._answer)
        if again:
            self._create_s = at_s if self._repetition is not None else max(at_s, self.playback.ends_s)
        return again

    def _play(self, item_id: str, pcm: bytes, at_s: float) -> None:
        again = self._repetition
        if again is None:
            self.playback.queue(item_id, pcm, at_s)
        elif not again.decided:
            again.held.append((item_id, pcm))
        elif rest := again.rest(pcm):
            self.playback.queue(item_id, rest, at_s)

    def _compare(self, turn: TurnInProgress, at_s: float, *, ended: bool = False) -> None:
        """Play what a repeated answer has that the caller has not heard, as soon as its words tell."""
        again = self._repetition
        if again is None or again.decided:
            return
        again.compare(self._answer, ended=ended)
        if not again.decided:
            return
        if again.same:
            self._continues |= dict(zip(again.before.items, self._answer.items, strict=False))
            for item in (*again.unheard, *again.before.items):
                turn.said.pop(item, None)  # the repetition has all of its words
        held, again.held = again.held, []
        for item_id, pcm in held:
            self._play(item_id, pcm, at_s)

    def assistant_utterances(self) -> list[TimelineEntry]:
        """The assistant's utterances, each at the time when its audio began to play."""
        entries: dict[str, TimelineEntry] = {}
        for segment in self.playback.segments:
            item = self._continued_by(segment.item_id)
            text = self._turn_of[item].said.get(item, "").strip()
            entries.setdefault(item, TimelineEntry(segment.start_s, ASSISTANT, text))
        return list(entries.values())

    def _continued_by(self, item_id: str) -> str:
        """The last item that repeats this one, or the item itself."""
        while item_id in self._continues:
            item_id = self._continues[item_id]
        return item_id

    def caller_utterances(self) -> list[TimelineEntry]:
        """The caller's turns, each at the time when the service detected it."""
        return [TimelineEntry(turn.began_s, CALLER, turn.heard) for turn in self.turns if turn.heard]

    def _caller_began(self, item_id: str, at_s: float) -> list[Event]:
        """Stop playback at once. The service ends its response itself; a response.cancel could hit the next one."""
        self._note(at_s, TURNS, "speech_started")
        self._caller_speaks, self._audible, self._create_s = True, "", None
        self._answer, self._repetition = Answer(), None
        self.ends_s = None  # a caller who interrupts the goodbye has not finished
        cuts = self.playback.cut(at_s)
        if cuts:
            heard = f"barge-in: playback cut at {cuts[0].heard_ms} ms"
            self.timeline.append(TimelineEntry(at_s, AGENT, heard, alarm=True))
            turn = self._turn_of[cuts[0].item_id]
            mine = [name for name, each in self._turn_of.items() if each is turn]
            turn.heard_ms = sum(self.playback.heard_ms(name, at_s) for name in mine)
        if item_id == self._caller_item:
            # The caller only paused: the turn continues, and the answer to its first half does not count.
            self.turns[-1].pending.clear()
            self.turns[-1].first_audio_s = None
        else:
            self._caller_item, self._rounds = item_id, 0
            self.turns.append(TurnInProgress(began_s=at_s, requested_s=at_s))
            self._turn_of[item_id] = self.turns[-1]
        # Of an answer that was repeated after a lost connection, the service knows the repetition.
        names = dict.fromkeys(self._continued_by(cut.item_id) for cut in cuts)
        # A spoken item has one part. Older dates of the service may refuse a truncate; connection.py ignores that.
        return [
            {
                "type": "conversation.item.truncate",
                "item_id": name,
                "content_index": 0,
                "audio_end_ms": self._heard_ms(name, at_s),
            }
            for name in names
        ]

    def _heard_ms(self, item_id: str, at_s: float) -> int:
        """The length of an item that was heard, in ms; that of an item which it repeats is part of it."""
        repeated = (old for old, new in self._continues.items() if new == item_id)
        return self.playback.heard_ms(item_id, at_s) + sum(self._heard_ms(old, at_s) for old in repeated)

    def _response_done(self, turn: TurnInProgress, at_s: float) -> list[Event]:
        self._compare(turn, at_s, ended=True)
        self._answer.over = turn.status == "completed"
        self._note(at_s, RESPONSES, f"response.done {turn.status}")
        if turn.status == "failed":
            raise CallFailed("the service failed to answer; call again")
        calls, turn.pending = turn.pending, []
        self._unanswered = []
        if not calls:
            if turn.hangs_up and not self._caller_speaks:
                self.ends_s = max(at_s, self.playback.ends_s)  # after the goodbye was played
            return []
        self._rounds += 1
        if self._rounds > MAX_TOOL_ROUNDS:
            raise CallFailed(
                f"the service called tools {MAX_TOOL_ROUNDS} times in one turn; check the prompt for a loop"
            )
        self.requested_tools, self._tool_turn = calls, turn
        return []

    def ran(self, runs: list[ToolRun], at_s: float) -> list[Event]:
        """Take the results of `requested_tools`, in order; gives the events to send at once."""
        calls, self.requested_tools = self.requested_tools, []
        for run in runs:
            self._note(at_s, AGENT, run.name)
        self._tool_turn.tools += runs
        results = [call.answer(run.result) for call, run in zip(calls, runs, strict=True)]
        if not self._caller_speaks:  # otherwise the service answers the caller's turn and the results together
            self._unanswered = results
            self._create_s = max(at_s, self.playback.ends_s)  # an answer requested now would interrupt its own preamble
        return results

    def _note(self, at_s: float, lane: str, label: str) -> None:
        self.timeline.append(TimelineEntry(at_s, lane, label))


class OpenCall:
    """One call on a configured connection: the microphone's audio in; turns, cost and recording out."""

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
        """The audio that the caller hears."""
        return self._state.playback

    async def talk(self, mic: AsyncIterator[bytes], timeout_s: float) -> None:
        """Run the call until `mic` ends, which means that the caller has hung up. `mic` gives PCM16 in real time.

        Raises CallFailed if the service reports an error or closes, or after `timeout_s` seconds.
        """
        tasks = [asyncio.create_task(work) for work in (self._speak(mic), self._listen())]  # noqa: TID251 - held, awaited
        try:
            done, _ = await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        if not done:
            raise CallFailed(f"the call lasted over {timeout_s:g} s and was ended; allow more time for longer calls")
        for outcome in reversed(outcomes):  # the service's message explains a lost connection
            if isinstance(outcome, ConnectionClosed):
                raise hung_up(outcome) from outcome
            if isinstance(outcome, Exception):
                raise outcome

    def turns(self) -> tuple[Turn, ...]:
        """The turns so far. The cost of a turn covers the time from its beginning to the beginning of the next one."""
        turns, costs = self._state.turns, [*self._costs, self._connection.cost]
        if not turns[0].audio and len(turns) > 1:  # the silence before the caller's first word counts for that turn
            turns, costs = turns[1:], [costs[0], *costs[2:]]
        return tuple(
            turn.finish(turn.ended_s or now_s(), after.since(before))
            for turn, before, after in zip(turns, costs[:-1], costs[1:], strict=True)
        )

    def recording(self) -> CallRecording:
        """The audio and the timeline of the call so far."""
        state = self._state
        timeline = [*state.timeline, *state.caller_utterances(), *state.assistant_utterances()]
        start_s = self._start_s or 0.0
        return call_recording(bytes(self._caller), state.playback.segments, state.playback.dropped, timeline, start_s)

    async def _speak(self, mic: AsyncIterator[bytes]) -> None:
        async for chunk in mic:
            if self._start_s is None:  # a chunk arrives when its last sample has been spoken
                self._start_s = now_s() - samples(chunk) / SAMPLE_RATE_HZ
            self._caller += chunk
            await self._send_audio(chunk)

    async def _send_audio(self, chunk: bytes) -> None:
        """Send audio; if the connection is lost, wait for the next one."""
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
        """Send the events that are due, then take the next event, unless something is due before it arrives."""
        await self._send(self._state.due(now_s()))
        due_s = self._state.next_due
        try:
            event = await asyncio.wait_for(self._connection.receive(), None if due_s is None else due_s - now_s())
        except asyncio.TimeoutError:
            return
        await self._send(self._take(event))
        if self._state.requested_tools:
            runs = [await run_tool(self._call_tool, call) for call in self._state.requested_tools]
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
    """A microphone filled by `speak`: it is called with the time and gives the next chunk, or None at the end.

    Each chunk arrives when its last sample would have been spoken, counted from the first chunk: delays do not add up.
    """
    start_s, spoken = now_s(), 0
    while (chunk := speak(start_s + spoken / SAMPLE_RATE_HZ)) is not None:
        spoken += samples(chunk)
        await asyncio.sleep(start_s + spoken / SAMPLE_RATE_HZ - now_s())
        yield chunk
