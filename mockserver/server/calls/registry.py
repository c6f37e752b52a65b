"""The calls of one namespace: which ring, which go on, which are over, and how they ended.

States and bounds alone. What makes a running call is handed over by the service; HTTP is routes.py and sideband.py.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from mockserver.audio.formats import Samples
from mockserver.server.accounts import Team
from mockserver.server.calls.running_call import End, RunningCall
from mockserver.server.notices import CallAnswered, CallEnded, CallRang, CallReferred, CallRejected, Notice
from mockserver.server.state.port import Seat
from replay.outlets import clean

MOST_CALLS = 1_000
"""Calls of one namespace that ring or go on at a time."""
MOST_KEPT = 1_000
"""Calls that are over and still listed."""
State = Literal["ringing", "open", "over", "rejected", "unanswered", "busy"]
"""A call is `ringing` until the client accepts or rejects it, `open` while it goes on, and then `over`. `unanswered`:
the caller gave up. `busy`: the caller heard that the line is busy."""
Came = Literal["phone", "webrtc"]
"""How a call came."""
Known = tuple[Samples, int, str]
"""A clip that the caller is going to play, its rate in Hz, and its words."""
REJECTED = 603
"""The SIP status of a call that is rejected without one: the callee declines."""


class NoSuchCall(Exception):
    """There is no call of that id in a state that allows the request, or it is another team's."""


class TooManyCalls(Exception):
    """There are as many calls as there may be."""


class CallEvents(Protocol):
    """What the caller's side of a call learns of it."""

    def on_accepted(self, call: RunningCall) -> None:
        """The client accepted: from now on there is somebody to hear."""

    def on_rejected(self, status: int) -> None:
        """The client rejected the call, with this SIP status."""

    async def on_referred(self, uri: str) -> int | None:
        """The client hands the caller over to this `tel:` or `sip:` address. Returns the SIP status with which the
        destination refuses; None if it answers."""

    def on_ended(self, reason: str) -> None:
        """The call is over, after it was accepted, or because the server stops."""

    def as_json(self) -> dict[str, Any] | None:
        """The caller's side, as the control plane shows it; None if there is nothing to show."""


class NoEvents:
    """A caller's side that does not care."""

    def on_accepted(self, call: RunningCall) -> None:
        """Ignored."""

    def on_rejected(self, status: int) -> None:
        """Ignored."""

    async def on_referred(self, uri: str) -> int | None:
        """Any destination answers."""
        return None

    def on_ended(self, reason: str) -> None:
        """Ignored."""

    def as_json(self) -> None:
        """Nothing to show."""


@dataclass(slots=True, eq=False)
class CallEntry:
    """One call.

    caller, called: the numbers or addresses. headers: of the SIP invitation. known: what the caller is going to say.
    team: whose call it is; None until somebody accepts a call that rings for anybody.
    recorded: a recording takes the caller's place, so that the call ends with its last socket.
    rang_at: Unix seconds. reason: why it is over, for people.
    """

    id: str
    came: Came
    dialect: str
    rang_at: float
    events: CallEvents
    caller: str = ""
    called: str = ""
    headers: Sequence[tuple[str, str]] = ()
    known: Sequence[Known] = ()
    team: Team | None = None
    recorded: bool = False
    resumes: str | None = None
    """The id of an earlier conversation that its session goes on with."""
    state: State = "ringing"
    running: RunningCall | None = None
    """The call while it goes on. Afterwards it is freed with its session."""
    sidebands: int = 0
    """The sockets that it had."""
    session: str = ""
    """The id of its session; empty before it is accepted."""
    transferred_to: str = ""
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """As the control plane shows it. Headers are left out: they may hold a credential."""
        return {
            "id": self.id,
            "came": self.came,
            "dialect": self.dialect,
            "state": self.state,
            "rang_at": self.rang_at,
            "from": clean(self.caller),
            "to": clean(self.called),
            "session": self.session or None,
            "transferred_to": clean(self.transferred_to) or None,
            "reason": clean(self.reason) or None,
            "sidebands": self.sidebands if self.running is None else len(self.running.log.sidebands),
            "phone": self.events.as_json(),
        }


OpenCall = Callable[[CallEntry, Mapping[str, Any] | None, int | None, Callable[[], None]], RunningCall]
"""Makes the running call of an entry from the session that was asked for. The number is as in `Seat`; the last argument
is called when the call is over."""


class CallRegistry:
    """The calls of one namespace."""

    def __init__(
        self,
        new_id: Callable[[str, int | None], str],
        open: OpenCall,
        release: Callable[[Seat], None],
        tell: Callable[[Notice], None],
    ) -> None:
        """`new_id` makes the id of a call of that dialect and number. `release` gives back the seat of a call that is
        over."""
        self._new_id = new_id
        self._open = open
        self._release = release
        self._tell = tell
        self._calls: OrderedDict[str, CallEntry] = OrderedDict()

    @property
    def listed(self) -> list[CallEntry]:
        """Every call that is kept, oldest first."""
        return list(self._calls.values())

    @property
    def going_on(self) -> int:
        """How many calls ring or are open."""
        return sum(each.state in ("ringing", "open") for each in self._calls.values())

    def get(self, id: str) -> CallEntry | None:
        """The call of that id, in any state."""
        return self._calls.get(id)

    def announce(
        self,
        dialect: str,
        came: Came,
        unix: float,
        events: CallEvents,
        *,
        caller: str = "",
        called: str = "",
        headers: Sequence[tuple[str, str]] = (),
        known: Sequence[Known] = (),
        team: Team | None = None,
        number: int | None = None,
    ) -> CallEntry:
        """A call that rings. `number`: as `State.number` gives it. Raises TooManyCalls."""
        id = self._new_id(dialect, number)
        entry = CallEntry(id, came, dialect, unix, events, caller, called, tuple(headers), tuple(known), team)
        self._keep(entry)
        if came == "phone":
            self._tell(CallRang(entry.id, caller, called))
        return entry

    def stage(self, id: str, dialect: str, unix: float) -> None:
        """Let a recording take the place of a caller whose call is not known. Raises TooManyCalls."""
        if id not in self._calls:
            self._keep(CallEntry(id, "phone", dialect, unix, NoEvents(), recorded=True))

    def _keep(self, entry: CallEntry) -> None:
        if self.going_on >= MOST_CALLS:
            raise TooManyCalls(f"{MOST_CALLS} calls ring or go on already")
        self._calls[entry.id] = entry
        kept = [each for each in self._calls.values() if each.state not in ("ringing", "open")]
        for each in kept[: max(0, len(kept) - MOST_KEPT)]:
            del self._calls[each.id]

    def accept(self, id: str, seat: Seat, session: Mapping[str, Any] | None = None) -> RunningCall:
        """Accept a call that rings, with the session that the client asks for. The seat is given back when the call is
        over. Raises NoSuchCall."""
        entry = self.find(id, seat.team, "ringing")
        before, entry.team = entry.team, seat.team
        try:
            running = entry.running = self._open(entry, session, seat.number, lambda: self._ended(entry, seat))
        except BaseException:
            entry.team = before  # it rings on for whom it rang
            raise
        entry.state, entry.session = "open", running.log.id
        self._tell(CallAnswered(id, running.log.id))
        entry.events.on_accepted(running)
        return running

    def reject(self, id: str, team: Team, status: int = REJECTED) -> None:
        """Reject a call that rings, with a SIP status. Raises NoSuchCall."""
        entry = self.find(id, team, "ringing")
        entry.state, entry.reason = "rejected", f"rejected with {status}"
        self._tell(CallRejected(id, status))
        entry.events.on_rejected(status)

    async def refer(self, id: str, team: Team, uri: str) -> int | None:
        """Hand the caller over: the call ends once the destination answers. Returns the SIP status with which it
        refuses; the call then goes on. Raises NoSuchCall."""
        entry = self.find(id, team, "open")
        running = entry.running
        assert running is not None
        loop = asyncio.get_running_loop()
        referred, ended = loop.create_task(entry.events.on_referred(uri)), loop.create_task(running.ended())
        try:
            await asyncio.wait((referred, ended), return_when=asyncio.FIRST_COMPLETED)
            if running.over is not None:
                raise NoSuchCall(id)
            refused = referred.result()
        finally:
            referred.cancel()
            ended.cancel()
        self._tell(CallReferred(id, uri, refused))
        if refused is None:
            entry.transferred_to = uri
            running.hang_up("client", f"handed over to {uri}")
        return refused

    def hang_up(self, id: str, team: Team) -> None:
        """End a call that goes on, for a client. Raises NoSuchCall."""
        running = self.find(id, team, "open").running
        assert running is not None
        running.hang_up("client")

    def give_up(self, entry: CallEntry, state: Literal["unanswered", "busy"] = "unanswered", reason: str = "") -> None:
        """The caller stops ringing."""
        if entry.state == "ringing":
            entry.state, entry.reason = state, reason or ("the line is busy" if state == "busy" else "nobody answered")
            self._tell(CallEnded(entry.id, entry.reason))

    def end(self, entry: CallEntry, by: End = "server", reason: str = "") -> None:
        """End a call that rings or goes on, whoever's it is."""
        if entry.running is not None and entry.state == "open":
            entry.running.hang_up(by, reason)
        elif entry.state == "ringing":
            self.give_up(entry, reason=reason or "the caller gave up")
            entry.events.on_ended(entry.reason)

    def stop(self, reason: str) -> None:
        """No call rings any more. Calls that go on are closed as sessions are."""
        for entry in self.listed:
            if entry.state == "ringing":
                self.end(entry, reason=reason)

    def reset(self) -> None:
        """Forget the calls that are over."""
        for entry in self.listed:
            if entry.state not in ("ringing", "open"):
                del self._calls[entry.id]

    def find(self, id: str, team: Team, *states: State) -> CallEntry:
        """The call of that id in one of these states. Raises NoSuchCall."""
        entry = self._calls.get(id)
        if entry is None or entry.state not in states or entry.team not in (None, team):
            raise NoSuchCall(id)
        return entry

    def _ended(self, entry: CallEntry, seat: Seat) -> None:
        running, entry.running = entry.running, None
        over = None if running is None else running.over
        entry.state, entry.reason = "over", "" if over is None else over.reason or f"closed with {over.code}"
        entry.sidebands = 0 if running is None else len(running.log.sidebands)
        self._release(seat)
        self._tell(CallEnded(entry.id, entry.reason))
        entry.events.on_ended(entry.reason)
