"""The clinic's assistant: its prompt, its session settings, and a call from the first turn to the report.

The command line and the demo use `run_call` and `run_open_call`; the HTTP service uses `calling`, turn by turn. Frames
and sockets are in clinic_agent/call/.
"""

from __future__ import annotations

import textwrap
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from typing_extensions import assert_never

from clinic_agent.call.connection import DEFAULT_RETRY, CallFailed, Watcher, open_connection, unwatched, watched_by
from clinic_agent.call.cost import Cost
from clinic_agent.call.manual_turns import VoiceClient, connect
from clinic_agent.call.open_mic import TURN_DETECTION, OpenCall
from clinic_agent.call.pcm import SAMPLE_RATE_HZ
from clinic_agent.call.playback import Playback
from clinic_agent.call.recording import CallRecording
from clinic_agent.call.report import CallReport
from clinic_agent.call.retry import RetryPolicy
from clinic_agent.call.tracing import CallTrace, traced
from clinic_agent.call.turn import Turn
from clinic_agent.clinic.clinic import NAME, Clinic
from clinic_agent.clinic.safety import CallLock
from clinic_agent.clinic.tools import FIND_INFORMATION, Tools, clinic_tools
from clinic_agent.config import Config

IDLE_MS = 15_000
"""Silence of a caller on the telephone after which the assistant asks whether anybody is there, in ms."""
_PCM = {"type": "audio/pcm", "rate": SAMPLE_RATE_HZ}


def instructions(clinic: Clinic) -> str:
    """The prompt. It contains today's date, which the model needs to understand "July sixth"."""
    today, told = clinic.today, clinic.information
    return textwrap.dedent(f"""\
        You answer the telephone of {NAME}. Today is {today:%A}, {today.isoformat()}.
        You book, move and cancel appointments and answer questions about the clinic, and nothing else.
        Speak in short sentences, one question at a time.
        {told.text("Services")}
        {told.text("Opening hours")}
        Look up prices, payment, address and preparation before you answer; never invent them.
        Look up free times with check_availability before you offer any; never invent one.
        Before you book, move or cancel, be sure of every detail: read out what the caller did not say plainly, and wait
        for a yes. A booking needs service, day, time and full name; a change needs the reference and the name.
        Book with book_appointment once the caller has chosen a time and given a full name, then read out the reference.
        What you hear may have small errors in times, names and services. Take the word that makes sense here, such as
        "nine thirty" for "nine dirty", and read it back before you act on it.
        If you could not understand the caller, ask for the words once more; do not say your last sentence again.
        If a tool answers with an error, say in plain words what is wrong and offer another way.
        Give no medical advice. If anything sounds like an emergency, such as chest pain, trouble breathing or heavy
        bleeding, book nothing: tell the caller to dial the emergency number and call transfer_to_human at once.
        Call it too when the caller asks for a person, or speaks another language than English.
        If asked about other things, lead back to appointments. When all is done, call end_call and say goodbye.
        """)


@dataclass(frozen=True, slots=True)
class Assistant:
    """The assistant of one phone call: its prompt, its tools, and what else watches the frames of the call."""

    instructions: str
    tools: Tools
    watch: Watcher = unwatched


def clinic_assistant(clinic: Clinic, *, call_key: str | None = None, lock: CallLock | None = None) -> Assistant:
    """The clinic's assistant for one phone call. `call_key` makes repeated writes harmless, see `clinic_tools`.

    `lock` continues a call that was known before; by default, the call is a new one.
    """
    lock = CallLock(clinic.today) if lock is None else lock
    return Assistant(instructions(clinic), replace(clinic_tools(clinic, call_key), guard=lock), lock.see)


def session_config(config: Config, assistant: Assistant) -> dict[str, Any]:
    """The body of `session.update`: manual turns, PCM16 24 kHz in both directions, transcription of the caller.

    With collections in `config`, the service searches them itself, in place of the tool `find_information`.
    """
    return _settings(config, assistant, None, sound=True)


def open_mic_config(config: Config, assistant: Assistant) -> dict[str, Any]:
    """The body of `session.update` for an open microphone: the service detects turns and interruptions."""
    return _settings(config, assistant, TURN_DETECTION, sound=True)


def phone_config(config: Config, assistant: Assistant) -> dict[str, Any]:
    """The session of a telephone call: the service detects turns and pauses, and has the sound."""
    detection = {**TURN_DETECTION, "idle_timeout_ms": IDLE_MS}
    settings = _settings(config, assistant, detection, sound=False)
    return {"model": config.model, **settings} if config.dialect == "openai" else settings


def _settings(config: Config, assistant: Assistant, detection: dict[str, Any] | None, *, sound: bool) -> dict[str, Any]:
    prompt, tools = assistant.instructions, assistant.tools.schemas()
    formats = {"format": _PCM} if sound else {}
    match config.dialect:
        case "openai":
            transcription = {"model": "gpt-realtime-whisper"}
            if config.language_hint is not None:
                transcription["language"] = config.language_hint.partition("-")[0]
            return {
                "type": "realtime",
                "instructions": prompt,
                "output_modalities": ["audio"],
                "tools": tools,
                "audio": {
                    "input": {**formats, "transcription": transcription, "turn_detection": detection},
                    "output": {**formats, "voice": config.voice},
                },
            }
        case "xai":
            transcription = {"model": "grok-transcribe"}
            if config.language_hint is not None:
                transcription["language_hint"] = config.language_hint
            if config.collections:
                prompt += "Look things up with file_search.\n"
                tools = [tool for tool in tools if tool["name"] != FIND_INFORMATION]
                tools.append({"type": "file_search", "vector_store_ids": list(config.collections)})
            audio: dict[str, Any] = {"input": {**formats, "transcription": transcription}}
            return {
                "instructions": prompt,
                "voice": config.voice,
                "turn_detection": detection,
                "resumption": {"enabled": True},  # has to be requested on each connection, the first one included
                "tools": tools,
                "audio": {**audio, "output": formats} if sound else audio,
            }
        case _:
            assert_never(config.dialect)


class AgentCall:
    """A call in progress, turn by turn. See `calling`."""

    def __init__(self, client: VoiceClient, tools: Tools, trace: CallTrace) -> None:
        self.turns: list[Turn] = []
        self.failure: str | None = None
        """Why the call broke off and what to do; None: it did not break off."""
        self.tools = tools
        """The tools that are run. The model was given those of the beginning; others need the same names."""
        self._client = client
        self._trace = trace

    @property
    def conversation_id(self) -> str | None:
        """The conversation's identifier, from the service."""
        return self._client.conversation_id

    @property
    def cost(self) -> Cost:
        """The cost of the call so far."""
        return self._client.cost

    @property
    def over(self) -> bool:
        """Whether the assistant has hung up, or the call broke off."""
        return self.failure is not None or any(turn.hung_up for turn in self.turns)

    async def reconfigure(self, config: Config, assistant: Assistant) -> None:
        """Take over the voice and the telephony of `config`. Raises CallFailed if the service refuses it."""
        await self._client.reconfigure(session_config(config, assistant), telephony=config.telephony)

    async def heard(self) -> None:
        """Wait until the last answer has been played, unless the call is made without playback."""
        await self._client.heard()

    async def idle(self) -> None:
        """Read the connection between two turns, until cancelled. Raises ConnectionClosed and CallFailed."""
        await self._client.idle()

    def charge(self, hosted_calls: Mapping[str, int]) -> None:
        """Add calls of hosted tools, by name, that the service made without an event."""
        self._client.charge(hosted_calls)

    async def say(self, words: str | bytes) -> Turn:
        """One turn: typed text, or spoken PCM16 mono 24 kHz, with a spoken answer; requested tools are run.

        Raises CallFailed, with the turn so far, if the call breaks off; that turn is kept in `turns`.
        """
        if self.over:
            raise CallFailed("the call is over; make another one")
        client, call_tool = self._client, self._trace.tools(self.tools.call)
        try:
            said = client.type(words, call_tool) if isinstance(words, str) else client.speak(words, call_tool)
            turn = await said
        except CallFailed as failed:
            self.failure = str(failed)
            self.turns += [failed.turn] if failed.turn else []
            raise
        self.turns.append(turn)
        return turn

    def report(self) -> CallReport:
        """The report of the call so far."""
        return CallReport(self.conversation_id, self._client.model, tuple(self.turns), self.cost, self.failure)


@asynccontextmanager
async def calling(
    config: Config,
    assistant: Assistant,
    *,
    priced_on: date,
    retry: RetryPolicy = DEFAULT_RETRY,
    plays: bool = True,
    watch: Watcher = unwatched,
) -> AsyncIterator[AgentCall]:
    """Make a call that lasts as long as the block.

    `plays`: the answers are played as they arrive, so the request after a tool result waits for the end of playback;
    False if the audio goes to a file. `watch` is called with each frame that is sent or received. Raises CallFailed if
    the call cannot start.
    """
    with traced(config) as trace:
        watch = watched_by(assistant.watch, trace.watch, watch)
        config = trace.config
        async with connect(config, priced_on=priced_on, retry=retry, plays=plays, watch=watch) as client:
            await client.configure(session_config(config, assistant))
            call = AgentCall(client, assistant.tools, trace)
            try:
                yield call
            finally:
                trace.result(call.cost, call.failure)


async def run_call(
    config: Config,
    words: Sequence[str | bytes],
    assistant: Assistant,
    *,
    priced_on: date,
    retry: RetryPolicy = DEFAULT_RETRY,
    plays: bool = True,
    watch: Watcher = unwatched,
) -> CallReport:
    """Make one call: each of `words` is a turn, see `AgentCall.say`. Turns after the assistant hung up are left out.

    With `plays`, each turn waits until the answer before it has been heard, and the call ends after the last answer.
    The report of a call that broke off has `failure` and the turns so far. Raises CallFailed if the call cannot start.
    """
    async with calling(config, assistant, priced_on=priced_on, retry=retry, plays=plays, watch=watch) as call:
        for said in words:
            if call.over:
                break
            with suppress(CallFailed):  # the call keeps it as `failure`
                await call.say(said)
                await call.heard()
        return call.report()


async def run_open_call(
    config: Config,
    caller: Callable[[Playback], AsyncIterator[bytes]],
    assistant: Assistant,
    *,
    priced_on: date,
    retry: RetryPolicy = DEFAULT_RETRY,
    watch: Watcher = unwatched,
) -> tuple[CallReport, CallRecording]:
    """Make one call over an open microphone. `caller` takes the playback that it hears, and gives PCM16 mono 24 kHz in
    real time, with silence between the words. The call ends when it ends.

    The report of a call that broke off has `failure` and the turns so far. Raises CallFailed if the call cannot start.
    """
    with traced(config) as trace:
        watch = watched_by(assistant.watch, trace.watch, watch)
        config = trace.config
        async with open_connection(config, priced_on=priced_on, retry=retry, watch=watch) as connection:
            await connection.configure(open_mic_config(config, assistant))
            call, failure = OpenCall(connection, trace.tools(assistant.tools.call)), None
            try:
                await call.talk(caller(call.playback), retry.call_s)
            except CallFailed as failed:
                failure = str(failed)
            trace.result(connection.cost, failure)
            return CallReport(
                connection.conversation_id, connection.model, call.turns(), connection.cost, failure
            ), call.recording()
