"""Does what sessions ask for (protocol/requests.py), beside the event loop, and brings the results back onto it.

Each kind of work has its own bound: so much at once, so much that waits, and what is more fails at once. Work in a
thread runs to its end; a result that nobody waits for any more is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from typing_extensions import assert_never

from mockserver.audio.asr import Transcriber
from mockserver.audio.asr_process import TranscribingProcess
from mockserver.audio.speech_evidence import could_be_speech
from mockserver.protocol.requests import (
    CallTool,
    ChatCall,
    ChatEnded,
    ChatText,
    Complete,
    Failed,
    ListTools,
    Result,
    ToolAnswered,
    ToolsFound,
    Transcribe,
    Transcribed,
    Work,
)
from mockserver.server.chat import ChatEndpoint
from mockserver.server.clock import Clock
from replay.outlets import logger

_LOG = logger(__name__)


class AsksServers(Protocol):
    """Asks MCP servers; see mcp_client.py."""

    async def list(self, work: ListTools) -> ToolsFound:
        """The tools of a server, or why there are none."""

    async def call(self, work: CallTool) -> ToolAnswered:
        """The result of a tool, or why there is none."""


class NoModel(Exception):
    """A step wants a language model, and the server has none."""


class _Lane:
    """The bound of one kind of work: `at_once` run, `waiting` more may wait."""

    def __init__(self, name: str, at_once: int, waiting: int) -> None:
        self.name = name
        self.begun = 0
        self.slots = asyncio.Semaphore(at_once)
        self._most = at_once + waiting

    @property
    def full(self) -> bool:
        return self.begun >= self._most


class Lanes:
    """The bounds of a whole server: so much of each kind of work at once, whoever asks for it."""

    def __init__(self) -> None:
        self.hearing = _Lane("transcriber", at_once=1, waiting=32)
        self.chatting = _Lane("chat", at_once=16, waiting=64)
        self.asking_servers = _Lane("mcp", at_once=16, waiting=64)
        self.threads = _one_thread()

    def begun(self) -> dict[str, int]:
        """How much work runs or waits, by who does it."""
        return {lane.name: lane.begun for lane in (self.hearing, self.chatting, self.asking_servers)}

    def close(self) -> None:
        """End the threads once they are through with what they do; new work gets new ones."""
        self.threads.shutdown(wait=False, cancel_futures=True)
        self.threads = _one_thread()


def _one_thread() -> ThreadPoolExecutor:
    # One at a time: a recogniser uses the processor's cores itself, and pacing needs one of them.
    return ThreadPoolExecutor(1, "transcriber")


@dataclass(frozen=True, slots=True)
class Outside:
    """What a server can do for its sessions; None for what is off."""

    transcriber: Transcriber | None = None
    chat: ChatEndpoint | None = None
    servers: AsksServers | None = None
    lanes: Lanes = field(default_factory=Lanes)

    async def close(self) -> None:
        """End what was begun outside, and the threads once they are through with what they do."""
        if self.chat is not None:
            await self.chat.close()
        if isinstance(self.transcriber, TranscribingProcess):
            self.transcriber.close()
        self.lanes.close()


class Started(Protocol):
    """Work that has begun."""

    def cancel(self) -> object:
        """Nobody waits for it any more."""


class RequestRunner:
    """Runs the work of all sessions of a namespace, on the running loop."""

    def __init__(
        self, outside: Outside, clock: Clock, worked: Callable[[str, float], None] = lambda work, seconds: None
    ) -> None:
        """`worked` takes who did a piece of work, and the seconds from the request to its last result."""
        self._outside = outside
        self._clock = clock
        self._worked = worked
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Work, deliver: Callable[[Result, bool], None]) -> Started:
        """Begin work. `deliver` is called on the loop with each result, and with whether it is the last one."""
        task = self._loop.create_task(self._run(work, deliver))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """Cancel everything."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self, work: Work, deliver: Callable[[Result, bool], None]) -> None:
        lane = self._lane(work)
        if lane.full or (isinstance(work, Transcribe) and work.so_far and lane.begun):
            if not (isinstance(work, Transcribe) and work.so_far):
                _LOG.warning("%s: too much waits already", _named(work))
            deliver(Failed(work.id, "too much waits already"), True)
            return
        lane.begun += 1
        began = self._loop.time()
        try:
            async with lane.slots:
                async for result in self._results(work):
                    deliver(result, _is_last(result))
        except Exception as problem:
            _LOG.warning("%s: %s: %s", _named(work), type(problem).__name__, problem)
            deliver(Failed(work.id, f"{type(problem).__name__}: {problem}"), True)
        finally:
            lane.begun -= 1
            self._worked(lane.name, self._loop.time() - began)

    def _lane(self, work: Work) -> _Lane:
        match work:
            case Transcribe():
                return self._outside.lanes.hearing
            case Complete():
                return self._outside.lanes.chatting
            case ListTools() | CallTool():
                return self._outside.lanes.asking_servers
            case _:
                assert_never(work)

    def _results(self, work: Work) -> AsyncIterator[Result]:
        match work:
            case Transcribe():
                return self._transcription(work)
            case Complete():
                if self._outside.chat is None:
                    raise NoModel("there is none; name one with --chat URL --chat-model NAME")
                return self._outside.chat.answer(work)
            case ListTools() | CallTool():
                return self._from_server(work)
            case _:
                assert_never(work)

    async def _from_server(self, work: ListTools | CallTool) -> AsyncIterator[Result]:
        servers = self._outside.servers
        assert servers is not None
        found = await (servers.list(work) if isinstance(work, ListTools) else servers.call(work))
        if found.error is not None:
            _LOG.warning("%s: %s", _named(work), found.error.message)
        yield found

    async def _transcription(self, work: Transcribe) -> AsyncIterator[Result]:
        transcriber = self._outside.transcriber
        assert transcriber is not None
        self._clock.hold()
        try:
            yield await self._loop.run_in_executor(self._outside.lanes.threads, _transcribed, transcriber, work)
        finally:
            self._clock.release()


def _transcribed(transcriber: Transcriber, work: Transcribe) -> Transcribed:
    if not could_be_speech(work.samples, work.form):
        return Transcribed(work.id, "", speech=False)
    rate, keyterms = work.form.rate, work.keyterms
    return Transcribed(work.id, transcriber.transcribe(work.samples, rate, work.language, keyterms, work.prompt))


def _is_last(result: Result) -> bool:
    match result:
        case Transcribed() | ChatEnded() | ToolsFound() | ToolAnswered() | Failed():
            return True
        case ChatText() | ChatCall():
            return False
        case _:
            assert_never(result)


def _named(work: Work) -> str:
    match work:
        case Transcribe():
            return "the transcriber"
        case Complete():
            return "the language model"
        case ListTools():
            return "a list of tools"
        case CallTool():
            return f"the tool {work.name!r:.80}"
        case _:
            assert_never(work)
