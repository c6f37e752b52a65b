"""A phone call of a test: how it stands, what both sides said, and how it ended."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Protocol, TypeVar

from mockserver.audio.formats import Samples
from mockserver.calls.caller import Turn
from mockserver.server.calls.phone import PhoneCall, Status
from mockserver.server.calls.running_call import End
from mockserver.server.calls.webhook_sender import Attempt
from mockserver.testing.loop_thread import LoopThread
from mockserver.testing.sessions import TestedSession

T = TypeVar("T")


class _Mock(Protocol):
    """What a call asks of its mock."""

    @property
    def sessions(self) -> list[TestedSession]: ...


class RungCall:
    """A call that a test made: `await call`, or `call.wait()` under a plain `with`, until it is over."""

    def __init__(
        self, mock: _Mock, call: PhoneCall, thread: LoopThread | None, hang_up: Callable[[PhoneCall], None]
    ) -> None:
        self._mock = mock
        self._call = call
        self._hang_up = hang_up
        self._thread = thread

    def __await__(self) -> Generator[object, None, RungCall]:
        return self._over().__await__()

    def wait(self, seconds: float = 60.0) -> RungCall:
        """Wait until the call is over, under a plain `with`. Raises TimeoutError after that many real seconds."""
        if self._thread is None:
            raise RuntimeError("this mock was entered with `async with`; await the call instead")
        try:
            self._thread.call(asyncio.wait_for(self._call.ended.wait(), seconds))
        except asyncio.TimeoutError:
            raise TimeoutError(f"the call is still {self.status} after {seconds:g} s") from None
        return self

    async def accepted(self) -> bool:
        """Wait until the agent has accepted the call; False if the call ended without that."""
        return await self._in_its_loop(self._call.answered.wait()) and self._ask(lambda: bool(self._call.entry.session))

    def hang_up(self) -> None:
        """Hang up for the caller, whatever the script says; while it rings, the caller gives up."""
        self._ask(lambda: self._hang_up(self._call))

    @property
    def id(self) -> str:
        """The call's id, as the webhook has it."""
        return self._call.id

    @property
    def status(self) -> Status:
        """`ringing`, `open`, `over`, `referred`, `rejected`, `unanswered` or `busy`."""
        return self._ask(lambda: self._call.status)

    @property
    def hung_up_by(self) -> End | None:
        """Who hung up: the `caller`, the `client` (the agent's program) or the `server`; None if nobody did."""
        return self._ask(lambda: self._call.hung_up_by)

    @property
    def sip_status(self) -> int | None:
        """The SIP status with which the call was rejected."""
        return self._ask(lambda: self._call.sip_status)

    @property
    def transferred_to(self) -> str:
        """The address to which the call was handed over; empty if it was not."""
        return self._ask(lambda: self._call.entry.transferred_to)

    @property
    def webhooks(self) -> list[Attempt]:
        """The attempts to deliver the webhook: `.at`, `.status` and `.problem`."""
        return self._ask(lambda: list(self._call.webhooks))

    @property
    def turns(self) -> list[Turn]:
        """What the caller said: `.text`, `.began_s`, `.ended_s`, `.barge_in`, `.answered_s`, `.silent_s`."""
        return self._ask(lambda: list(self._call.turns))

    @property
    def digits(self) -> str:
        """The keys that the caller pressed so far."""
        return self._ask(lambda: self._call.digits)

    @property
    def answers(self) -> list[str]:
        """The transcript of each answer of the agent so far."""
        events = [] if self.session is None else self.session.sent("response.output_audio_transcript.done")
        return [str(event["transcript"]) for event in events]

    @property
    def session(self) -> TestedSession | None:
        """The session of the call, with its events; None before the call is accepted."""
        return next((each for each in self._mock.sessions if each.id == self._call.entry.session), None)

    @property
    def seconds(self) -> float:
        """How long the call has lasted since it was accepted."""
        return self._ask(lambda: self._call.seconds)

    @property
    def caller_audio(self) -> Samples:
        """What the caller said: int16, mono, 8 kHz."""
        return self._ask(lambda: self._call.caller_audio)

    @property
    def agent_audio(self) -> Samples:
        """What the caller heard: int16, mono, 8 kHz, as long as `caller_audio`."""
        return self._ask(lambda: self._call.agent_audio)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write both sides to a stereo WAV file: left the caller, right the agent. Raises OSError."""
        file = Path(path)
        file.write_bytes(self._ask(self._call.wav))
        return file

    def __repr__(self) -> str:
        return f"<RungCall {self.id} {self.status}>"

    async def _over(self) -> RungCall:
        await self._in_its_loop(self._call.ended.wait())
        return self

    async def _in_its_loop(self, work: Awaitable[T]) -> T:
        """Await something of the server, which may run in a thread of its own."""
        return await (work if self._thread is None else asyncio.to_thread(self._thread.call, work))

    def _ask(self, what: Callable[[], T]) -> T:
        return what() if self._thread is None else self._thread.ask(what)
