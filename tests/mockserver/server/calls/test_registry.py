"""The states of calls, without sockets and without sessions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.server import virtual_time as autojump
from mockserver.server.accounts import Team
from mockserver.server.calls import registry
from mockserver.server.calls.registry import CallEntry, CallRegistry, NoSuchCall, TooManyCalls
from mockserver.server.calls.running_call import RunningCall, TooManyChannels
from mockserver.server.notices import Notice
from mockserver.server.state.port import Seat
from tests.mockserver.server.calls.scripted_call import Listener, scripted
from tests.mockserver.server.calls.told import Told


class Calls:
    """A registry whose calls are scripted."""

    def __init__(self, most_sessions: int = 10) -> None:
        self.notices: list[Notice] = []
        self.asked: list[Mapping[str, Any] | None] = []
        self.most_sessions = most_sessions
        self.made = 0
        self.registry = CallRegistry(self._id, self._open, self._release, self.notices.append)
        self.us, self.them = Team("us"), Team("them")

    def _id(self, dialect: str, number: int | None) -> str:
        self.made += 1
        return f"rtc_{self.made}"

    def _open(
        self, entry: CallEntry, session: Mapping[str, Any] | None, number: int | None, on_over: Callable[[], None]
    ) -> RunningCall:
        self.asked.append(session)
        return scripted(entry.id, on_over=on_over).call

    def accept(self, id: str, team: Team, session: Mapping[str, Any] | None = None) -> RunningCall | None:
        """Accept with a seat, as the service does; None if the team has none left."""
        if team.sessions >= self.most_sessions:
            return None
        team.sessions += 1
        try:
            return self.registry.accept(id, Seat(team), session)
        except BaseException:
            self._release(Seat(team))
            raise

    def _release(self, seat: Seat) -> None:
        seat.team.sessions -= 1

    def ring(self, told: Told, team: Team | None = None) -> CallEntry:
        return self.registry.announce("openai@2026-08", "phone", 0.0, told, caller="+1415", team=team)


def test_a_call_whose_session_cannot_be_opened_rings_on_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        calls = Calls()
        entry = calls.ring(Told())
        with monkeypatch.context() as broken:
            broken.setattr(calls.registry, "_open", lambda *_: (_ for _ in ()).throw(OSError("no room")))
            with pytest.raises(OSError, match="no room"):
                calls.accept(entry.id, calls.us)
        assert (entry.state, entry.team, calls.us.sessions) == ("ringing", None, 0)
        calls.accept(entry.id, calls.them)
        assert entry.team is calls.them

    autojump.run(story())


def test_a_call_rings_is_accepted_and_ends_once() -> None:
    async def story() -> None:
        calls, told = Calls(), Told()
        entry = calls.ring(told)
        assert entry.state == "ringing"
        running = calls.accept(entry.id, calls.us, {"type": "realtime"})
        assert isinstance(running, RunningCall)
        assert (entry.state, entry.team, calls.us.sessions) == ("open", calls.us, 1)
        calls.registry.hang_up(entry.id, calls.us)
        assert (entry.state, entry.reason, calls.us.sessions) == ("over", "hung up by the client", 0)
        for again in (calls.registry.hang_up, calls.accept, calls.registry.reject):
            with pytest.raises(NoSuchCall):
                again(entry.id, calls.us)
        assert told.learned == ["accepted", "ended: hung up by the client"]
        assert [type(each).__name__ for each in calls.notices] == ["CallRang", "CallAnswered", "CallEnded"]

    autojump.run(story())


def test_a_ringing_call_can_be_rejected_but_neither_hung_up_nor_handed_over() -> None:
    async def story() -> None:
        calls, told = Calls(), Told()
        entry = calls.ring(told)
        with pytest.raises(NoSuchCall):
            calls.registry.hang_up(entry.id, calls.us)
        with pytest.raises(NoSuchCall):
            await calls.registry.refer(entry.id, calls.us, "tel:+1")
        calls.registry.reject(entry.id, calls.us, 486)
        assert (entry.state, told.learned) == ("rejected", ["rejected 486"])
        with pytest.raises(NoSuchCall):
            calls.accept(entry.id, calls.us)

    autojump.run(story())


def test_a_call_ends_when_the_destination_answers_and_goes_on_when_it_refuses() -> None:
    async def story() -> None:
        calls, told = Calls(), Told(refuses=403)
        entry = calls.ring(told)
        calls.accept(entry.id, calls.us)
        assert await calls.registry.refer(entry.id, calls.us, "sip:desk@example.com") == 403
        assert (entry.state, entry.transferred_to) == ("open", "")
        told.refuses = None
        assert await calls.registry.refer(entry.id, calls.us, "tel:+14155550100") is None
        assert (entry.state, entry.transferred_to) == ("over", "tel:+14155550100")

    autojump.run(story())


def test_a_caller_who_hangs_up_while_the_destination_rings_is_not_handed_over() -> None:
    class Rings(Told):
        async def on_referred(self, uri: str) -> int | None:
            await asyncio.sleep(20)
            return None

    async def story() -> None:
        calls = Calls()
        entry = calls.ring(Rings())
        running = calls.accept(entry.id, calls.us)
        assert isinstance(running, RunningCall)
        asyncio.get_running_loop().call_later(5, running.hang_up, "caller")
        with pytest.raises(NoSuchCall):
            await calls.registry.refer(entry.id, calls.us, "tel:+1")
        assert (entry.transferred_to, entry.reason) == ("", "hung up by the caller")

    autojump.run(story())


STEPS = ("ring", "accept", "accept", "hang up", "join", "refer", "give up", "reject", "leave", "speak", "stop")


class Wandering:
    """Calls to which one thing after the other happens."""

    def __init__(self) -> None:
        self.calls = Calls(most_sessions=2)
        self.told: dict[CallEntry, Told] = {}
        self.joined: list[tuple[RunningCall, Listener]] = []

    async def step(self, step: str, number: int, team: Team) -> None:
        registry = self.calls.registry
        if step == "ring":
            told = Told()
            self.told[self.calls.ring(told)] = told
        elif step == "stop":
            registry.stop("stopping")
        elif number < len(registry.listed):
            with contextlib.suppress(NoSuchCall, TooManyChannels):
                await self._strike(step, registry.listed[number], team)

    async def _strike(self, step: str, entry: CallEntry, team: Team) -> None:
        registry, running = self.calls.registry, entry.running
        match step:
            case "accept":
                self.calls.accept(entry.id, team)
            case "reject":
                registry.reject(entry.id, team)
            case "hang up":
                registry.hang_up(entry.id, team)
            case "refer":
                await registry.refer(entry.id, team, "tel:+1")
            case "give up":
                registry.end(entry, "caller")
            case "join" if running is not None:
                self.joined.append((running, Listener()))
                running.join(self.joined[-1][1])
            case "leave" if self.joined:
                left, listener = self.joined.pop()
                left.leave(listener)
            case "speak" if running is not None:
                running.receive("hello")
            case _:
                pass

    def check(self) -> None:
        for team in (self.calls.us, self.calls.them):
            assert team.sessions == sum(call.state == "open" and call.team is team for call in self.told) <= 2
        for call, told in self.told.items():
            ends = [line for line in told.learned if line.startswith(("ended", "rejected"))]
            assert len(ends) == (call.state not in ("ringing", "open"))
            assert ("accepted" in told.learned) == bool(call.session)
            assert (call.running is not None) == (call.state == "open")
        for running, listener in self.joined:
            assert (running.over is None) == (listener.ended is None)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 1), st.booleans()), min_size=20, max_size=40))
def test_in_whatever_order_things_happen_sessions_and_ends_add_up(steps: list[tuple[str, int, bool]]) -> None:
    async def story() -> None:
        wandering = Wandering()
        await wandering.step("ring", 0, wandering.calls.us)
        for step, number, ours in steps:
            await wandering.step(step, number, wandering.calls.us if ours else wandering.calls.them)
            wandering.check()
        await asyncio.sleep(1)

    autojump.run(story())


def test_a_call_is_of_the_team_that_accepts_it() -> None:
    async def story() -> None:
        calls = Calls()
        entry, ours = calls.ring(Told()), calls.ring(Told(), calls.us)
        with pytest.raises(NoSuchCall):
            calls.accept(ours.id, calls.them)
        calls.accept(entry.id, calls.us)
        with pytest.raises(NoSuchCall):
            calls.registry.hang_up(entry.id, calls.them)
        assert entry.state == "open"

    autojump.run(story())


def test_a_caller_gives_up_and_a_server_stops() -> None:
    async def story() -> None:
        calls, told = Calls(), Told()
        gone, busy, waiting = calls.ring(Told()), calls.ring(Told()), calls.ring(told)
        calls.registry.give_up(gone)
        calls.registry.give_up(busy, "busy")
        calls.registry.stop("the server is stopping")
        assert [each.state for each in (gone, busy, waiting)] == ["unanswered", "busy", "unanswered"]
        assert told.learned == ["ended: the server is stopping"]

    autojump.run(story())


def test_the_number_of_calls_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "MOST_CALLS", 2)
    monkeypatch.setattr(registry, "MOST_KEPT", 1)
    calls = Calls()
    first, second = calls.ring(Told()), calls.ring(Told())
    with pytest.raises(TooManyCalls):
        calls.ring(Told())
    calls.registry.give_up(first)
    calls.registry.give_up(second)
    third = calls.ring(Told())
    assert calls.registry.listed == [second, third]
