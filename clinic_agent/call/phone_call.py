"""One telephone call: attach to it by its id, run its turns and tools, and end it.

The service carries the sound between itself and the caller. This side sends and receives events on a sideband, and
commands the call over HTTP. If the sideband is lost, the call goes on, and another one is attached.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from math import ceil
from typing import Any, Literal

from typing_extensions import assert_never
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from clinic_agent.call.call_control import CallControl, CallGone, NotTransferred
from clinic_agent.call.connection import (
    CallFailed,
    CallTool,
    Watcher,
    error_text,
    hung_up,
    now_s,
    open_socket,
    parse_event,
    run_tool,
    unusable,
    was_lost,
)
from clinic_agent.call.cost import Cost
from clinic_agent.call.pcm import SAMPLE_RATE_HZ
from clinic_agent.call.phone_turns import Ending, PhoneTurns
from clinic_agent.call.retry import RetryPolicy
from clinic_agent.call.sound_sent import SoundSent
from clinic_agent.call.turn import Event, Turn
from clinic_agent.config import Config

PHONE_RETRY = RetryPolicy(open_s=5.0, attempts=3, backoff_s=0.5, max_wait_s=5.0, settle_s=0.5, call_s=1800.0)
"""Timeouts of a telephone call. A caller hears nothing of a lost sideband but silence, so the pauses are short."""
MAX_ERRORS = 20
"""How many error events of the service a call may have. One of them is no reason to leave the caller alone."""
_ATTACH_S = 0.3
"""Pause before the second attempt to attach to a call that the service does not know yet. That it may take a moment
after the accept is a guess."""
_UNAVAILABLE = 480
"""SIP status by which a call is declined that the service does not let the clinic answer."""
_STOP_S = 8.0
"""How long a server that stops waits for the transfer of a call, in s."""
_HUNG_UP = (1000, 1005)
"""Close codes of a sideband whose call has ended in order."""

_FRAMES_PER_S = 50
"""Frames of sound that a telephone sends each second. That the last one counts in full is a guess."""

Ended = Literal["caller", "assistant", "transfer", "service", "clinic"]
"""The side that ended a call. `transfer`: the caller was handed to a person; `clinic`: the clinic's server gave up."""
_log = logging.getLogger(__name__)  # noqa: TID251  # realtape's command prints it without secrets


@dataclass(frozen=True, slots=True)
class Step:
    """Something that the clinic did with a call, `at_s` seconds after the incoming call was reported."""

    at_s: float
    what: str


class PhoneCall:
    """One telephone call. `session` is that of `phone_config`; `greeting` is added to its instructions at first.

    `urgent` tells whether the caller's words so far sound like an emergency. `hand_over_to`: `sip:` or `tel:` address
    of a person; None: nobody takes calls.
    """

    def __init__(
        self,
        config: Config,
        call_id: str,
        session: dict[str, Any],
        call_tool: CallTool,
        *,
        greeting: str,
        urgent: Callable[[], bool],
        hand_over_to: str | None,
        priced_on: date,
        retry: RetryPolicy,
        watch: Watcher,
    ) -> None:
        self.steps: list[Step] = []
        self.ended: Ended | None = None
        """None: the call goes on."""
        self.failure: str | None = None
        """Why the call broke off and what to do; None: it did not break off."""
        self._config = config
        self._call_id = call_id
        self._call_tool = call_tool
        self._urgent = urgent
        self._hand_over_to = hand_over_to
        self._retry = retry
        self._watch = watch
        self._control = CallControl(config, call_id)
        self._session = session
        self._greeting = greeting
        self._turns = PhoneTurns(session["instructions"], transfers=hand_over_to is not None)
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._events: asyncio.Queue[Event | ConnectionClosed | CallFailed] = asyncio.Queue()
        self._resumptions = 0
        self._errors = 0
        self._cost = Cost(config.model, priced_on, telephony=config.dialect == "xai")
        self._costs: list[Cost] = []
        self._sent = SoundSent()
        self._rang_s = now_s()
        self._answered_s: float | None = None
        self._over_s: float | None = None

    @property
    def keys(self) -> str:
        """The keys that the caller pressed."""
        return self._turns.keys

    @property
    def cost(self) -> Cost:
        """The cost so far. The caller's sound counts all along, the assistant's as the service counts it. A service
        that is billed by tokens does not count it: there it is the time for which it plays."""
        if self._answered_s is None:
            return self._cost
        lasted_s = (self._over_s or now_s()) - self._answered_s
        cost = replace(self._cost, connected_s=ceil(round(lasted_s, 3)))
        if self._config.dialect == "xai":
            output_samples = self._sent.samples
        else:
            output_samples = round(min(self._turns.playout.heard_s, lasted_s) * SAMPLE_RATE_HZ)
        input_samples = ceil(round(lasted_s * _FRAMES_PER_S, 3)) * (SAMPLE_RATE_HZ // _FRAMES_PER_S)
        return cost.plus(input_samples=input_samples, output_samples=output_samples)

    @property
    def cost_is_estimate(self) -> bool:
        """Whether the service did not tell all that the cost counts: an answer was in progress when the call ended, or
        a sideband was lost."""
        return self._sent.is_estimate

    def turns(self) -> tuple[Turn, ...]:
        """The turns so far; the first one is the greeting, if it was said. The cost of a turn covers the time until the
        next one."""
        if self._answered_s is None:
            return ()
        costs = [*self._costs, self.cost]
        return tuple(
            turn.finish(turn.ended_s or now_s(), after.since(before))
            for turn, before, after in zip(self._turns.turns, [self._cost.plus(), *costs[:-1]], costs, strict=False)
        )

    async def run(self) -> None:
        """Answer the call, and run it to its end. A call that broke off has `failure`."""
        try:
            await asyncio.wait_for(self._run(), self._retry.call_s)
        except asyncio.TimeoutError:
            self.failure = f"the call lasted over {self._retry.call_s:g} s and was ended"
            await self._give_up("clinic")
        except asyncio.CancelledError:
            self.failure = "the clinic's server stopped"
            try:
                await asyncio.wait_for(self._give_up("clinic"), _STOP_S)
            except asyncio.TimeoutError:  # the person's telephone rings; the service goes on with the transfer
                self._note("transfer requested")
        except CallGone:
            self._note("the caller hung up")
            self.ended = "caller"
        except CallFailed as failed:
            self.failure = str(failed)
            await self._give_up("service" if isinstance(failed.__cause__, ConnectionClosed) else "clinic")
        finally:
            self._over_s = now_s()
            await self._detach()

    def _note(self, what: str) -> None:
        self.steps.append(Step(round(now_s() - self._rang_s, 3), what))

    async def _run(self) -> None:
        self._note("incoming call")
        if self._config.dialect == "openai":
            await self._control.accept(self._session, self._retry)
            self._note("accepted")
        # xAI documents no accept: attaching to the call answers it.
        await self._attach()
        self._answered_s = now_s()
        work: Callable[[], Awaitable[None]] = self._begin
        while self.ended is None:
            try:
                await work()
                work = self._step
            except ConnectionClosed as closed:
                work = partial(self._resume, closed)

    async def _begin(self) -> None:
        if self._config.dialect == "xai":
            await self._send([{"type": "session.update", "session": self._session}])
        await self._send(self._turns.begin(self._greeting, now_s()))

    async def _step(self) -> None:
        """Do what is due, then take the next event, unless something is due before it arrives."""
        turns = self._turns
        await self._send(turns.due(now_s()))
        if (ending := turns.ends(now_s())) is not None:
            return await self._end(ending)
        due_s = turns.next_due
        try:
            event = await asyncio.wait_for(self._events.get(), None if due_s is None else max(0.0, due_s - now_s()))
        except asyncio.TimeoutError:
            return
        if isinstance(event, Exception):
            raise event
        self._take(event)
        if self._urgent():
            turns.emergency(now_s())
        await self._run_tools()

    async def _run_tools(self) -> None:
        if self._turns.requested_tools:
            runs = [await run_tool(self._call_tool, call) for call in self._turns.requested_tools]
            await self._send(self._turns.ran(runs, now_s()))

    def _take(self, event: Event) -> None:
        turns = self._turns
        known = len(turns.turns)
        self._cost = self._cost.billed(event)
        self._sent.take(event)
        match event:
            case {"type": "session.created" | "session.updated", "session": {"model": str(model)}}:
                self._cost = replace(self._cost, model=model)
            case {"type": "error"}:
                self._errors += 1
                _log.warning("phone call %s: the service reports: %s", self._call_id, error_text(event))
                if self._errors > MAX_ERRORS:
                    raise CallFailed(
                        f"the service reported over {MAX_ERRORS} errors, the last one: {error_text(event)}"
                    )
            case _:
                pass
        try:
            turns.take(event, now_s())
        except (KeyError, TypeError, ValueError) as error:
            raise unusable(event, error) from error
        self._costs += [self.cost] * (len(turns.turns) - known)

    async def _end(self, ending: Ending) -> None:
        match ending:
            case "hang up":
                await self._control.hang_up()
                self._note("hung up")
                self.ended = "assistant"
            case "hand over":
                await self._hand_over()
            case _:
                assert_never(ending)

    async def _hand_over(self) -> None:
        assert self._hand_over_to is not None
        self._note("transfer requested")
        try:
            await self._control.refer(self._hand_over_to)
        except NotTransferred as problem:
            _log.warning("phone call %s: the transfer failed: %s", self._call_id, problem)
            self._note(f"transfer failed: {problem}")
            self._turns.not_handed_over(str(problem), now_s())
            return
        self._note("transferred")
        self.ended = "transfer"

    async def _give_up(self, ended: Ended) -> None:
        """The call cannot go on: hand the caller to a person, or at least hang up."""
        self.ended = ended
        if self._answered_s is not None and self._hand_over_to is not None:
            with suppress(NotTransferred, CallFailed):
                await self._control.refer(self._hand_over_to)
                self._note("transferred")
                self.ended = "transfer"
                return
        with suppress(CallFailed):
            if self._answered_s is None and self._config.dialect == "openai":
                await self._control.reject(_UNAVAILABLE)
                self._note("rejected")
            else:
                await self._control.hang_up()
                self._note("hung up")

    async def _resume(self, closed: ConnectionClosed) -> None:
        """Attach again if the sideband was lost.

        Raises CallGone if the caller hung up, CallFailed if the service ended the call or cannot be reached.
        """
        if (closed.rcvd or closed.sent) is not None and not was_lost(closed):
            if closed.rcvd is not None and closed.rcvd.code in _HUNG_UP:
                raise CallGone("the caller hung up") from closed
            raise hung_up(closed) from closed
        if self._resumptions >= self._retry.resumptions:
            raise hung_up(closed) from closed
        self._resumptions += 1
        self._note("sideband lost")
        self._sent.miss()
        _log.warning("phone call %s: the sideband was lost; attaching again", self._call_id)
        await self._detach()
        await asyncio.sleep(self._retry.settle_s)
        await self._attach()
        if self._config.dialect == "xai":  # that the service keeps the settings is not documented
            session = {name: value for name, value in self._session.items() if name != "voice"}
            await self._send([{"type": "session.update", "session": session}])
        await self._send(self._turns.reattached(now_s()))
        await self._run_tools()

    async def _attach(self) -> None:
        """Open the sideband. Raises CallGone if the call is over, and CallFailed if the service does not answer."""
        for attempt in range(1, self._retry.attempts + 1):
            try:
                url = self._config.call_url(self._call_id)
                self._socket = await open_socket(self._config, self._retry, url=url)
                break
            except CallFailed as failed:
                refused = failed.__cause__
                if not (isinstance(refused, InvalidStatus) and refused.response.status_code == 404):
                    raise
                if attempt == self._retry.attempts or self._answered_s is not None:
                    raise CallGone("the call is over") from failed
                await asyncio.sleep(_ATTACH_S * attempt)
        assert self._socket is not None
        self._note("attached")
        self._events = asyncio.Queue()
        self._reader = asyncio.create_task(self._read(self._socket, self._events))  # noqa: TID251 - held, awaited

    async def _detach(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()
        self._reader = self._socket = None

    async def _read(
        self, socket: ClientConnection, events: asyncio.Queue[Event | ConnectionClosed | CallFailed]
    ) -> None:
        """Read also while a tool runs: it may wait for the transcript of the caller's words."""
        try:
            while True:
                event = parse_event(await socket.recv())
                self._watch("received", event)
                events.put_nowait(event)
        except (ConnectionClosed, CallFailed) as problem:
            events.put_nowait(problem)

    async def _send(self, events: list[Event]) -> None:
        assert self._socket is not None
        for event in events:
            self._watch("sent", event)
            await self._socket.send(json.dumps(event))
