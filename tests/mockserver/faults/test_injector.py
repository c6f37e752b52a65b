"""Faults around a scripted peer: no sockets, invented times."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.dialects.base import Opening
from mockserver.dialects.registry import SERVICES
from mockserver.faults.armed import FaultTarget
from mockserver.faults.fault_set import FaultSet
from mockserver.faults.files import as_text, parse
from mockserver.faults.kinds import KINDS, Fault
from mockserver.protocol.peer import Act, FaultNote, Peer, Trackless
from mockserver.protocol.requests import Request, Result
from replay.cassette.frames import Binary, Close, Frame, Outgoing, Reset, Text

pytestmark = pytest.mark.pure


def event(type: str, **more: object) -> Text:
    return Text(json.dumps({"type": type, **more}).encode())


class Script(Trackless):
    """A peer that says prepared frames at prepared times, and answers each message with an `ack` of its text."""

    def __init__(self, *beats: tuple[float, Frame]) -> None:
        self.beats = sorted(beats, key=lambda beat: beat[0])
        self.heard: list[tuple[float, str | bytes]] = []
        self.out: list[Outgoing] = []

    def receive(self, data: str | bytes, now: float) -> None:
        self.heard.append((now, data))
        self.out.append(Outgoing(now, event("ack")))

    def lost(self, now: float) -> None:
        """As it was going to be."""

    def next_due(self) -> float | None:
        return self.beats[0][0] if self.beats else None

    def take_output(self, now: float) -> list[Outgoing]:
        due = [Outgoing(at, frame) for at, frame in self.beats if at <= now]
        self.beats = self.beats[len(due) :]
        out, self.out = sorted(due + self.out, key=lambda each: each.at), []
        return out

    def take_requests(self) -> list[Request]:
        return []

    def deliver(self, result: Result, now: float) -> None:
        """It asks for nothing."""


def faulty(peer: Peer, faults: str | Sequence[Fault], number: int = 1) -> tuple[Peer, FaultSet]:
    plan = FaultSet(parse(faults).faults if isinstance(faults, str) else faults, "7")
    dialect = SERVICES["xai@2026-07"].open(Opening("7/0", 1_785_214_080.0))
    return plan.fit(peer, 0.0, FaultTarget(number, "session", dialect, None)), plan


def drive(peer: Peer, messages: Sequence[tuple[float, str]] = (), end: float = 1000.0) -> list[Outgoing | Act]:
    """Everything that the peer says, asked as the pump asks."""
    out: list[Outgoing | Act] = []

    def ask(until: float) -> None:
        while (due := peer.next_due()) is not None and due <= until:
            taken = peer.take_output(due)
            out.extend(taken)
            assert taken or peer.next_due() != due, "due, with nothing to say"

    for at, message in messages:
        ask(at)
        peer.receive(message, at)
        out.extend(peer.take_output(at))
    ask(end)
    return out


def shown(out: Sequence[Outgoing | Act]) -> list[tuple[float, str]]:
    """When and what, notes left out."""
    found = []
    for each in out:
        match each.frame:
            case FaultNote():
                continue
            case Text(data):
                found.append((round(each.at, 6), str(json.loads(data)["type"])))
            case frame:
                found.append((round(each.at, 6), type(frame).__name__))
    return found


def beats(*types: str) -> Script:
    return Script(*((float(at), event(type)) for at, type in enumerate(types)))


def test_a_delay_holds_what_comes_after_and_moves_nothing_else():
    peer, _ = faulty(beats("a", "b", "c", "d"), "faults: [{at: b, do: {delay: 1500ms}}]")
    assert shown(drive(peer)) == [(0, "a"), (2.5, "b"), (2.5, "c"), (3, "d")]


def test_positions_are_those_of_the_service_whatever_other_faults_do():
    rules = "faults: [{at: a, nth: 1, do: duplicate}, {at: a, nth: 2, do: drop}, {at: a, nth: 3, do: {close: 4000}}]"
    peer, plan = faulty(beats("a", "a", "a", "a"), rules)
    assert shown(drive(peer)) == [(0, "a"), (0, "a"), (2, "Close")]
    assert [armed.fired for armed in plan.armed] == [1, 1, 1]


def test_an_event_that_nothing_overtakes_comes_a_second_later():
    peer, _ = faulty(beats("a", "b"), "faults: [{at: b, do: reorder}]")
    assert shown(drive(peer)) == [(0, "a"), (2, "b")]


def test_every_event_reordered_is_swapped_pair_by_pair():
    peer, _ = faulty(
        Script(*((0.1 * at, event(type)) for at, type in enumerate("abcd"))), "faults: [{at: '*', do: reorder}]"
    )
    assert [type for _, type in shown(drive(peer))] == ["b", "a", "d", "c"]


def test_a_response_is_counted_in_the_order_of_its_beginning():
    script = Script(
        (0.0, event("response.created", response={"id": "one"})),
        (1.0, event("response.created", response={"id": "two"})),
        (2.0, event("delta", response_id="one")),
        (3.0, event("delta", response_id="two")),
        (4.0, event("delta", response_id="two")),
    )
    peer, _ = faulty(script, "faults: [{at: delta, nth: 2, response: 2, do: reset}]")
    assert shown(drive(peer))[-2:] == [(3, "delta"), (4, "Reset")]


def test_a_client_s_event_is_lost_doubled_or_late_before_the_service_hears_it():
    script = Script()
    rules = "faults: [{at: <a, do: drop}, {at: <b, do: duplicate}, {at: <c, do: {delay: 2s}}]"
    peer, _ = faulty(script, rules)
    drive(peer, [(float(at), f'{{"type":"{type}"}}') for at, type in enumerate("abcd")])
    assert [(at, json.loads(data)["type"]) for at, data in script.heard] == [(1, "b"), (1, "b"), (4, "c"), (4, "d")]


def test_at_a_time_what_needs_an_event_waits_for_the_next():
    peer, _ = faulty(
        Script((1.0, event("a")), (3.0, event("b")), (4.0, event("c"))), "faults: [{at: time: 2s, do: drop}]"
    )
    assert shown(drive(peer)) == [(1, "a"), (4, "c")]


def test_a_stall_for_a_time_is_made_up_for():
    peer, _ = faulty(beats("a", "b", "c", "d"), "faults: [{at: time: 500ms, do: {stall: 2s}}]")
    assert shown(drive(peer)) == [(0, "a"), (2.5, "b"), (2.5, "c"), (3, "d")]


def test_a_stall_ends_when_its_fault_is_removed():
    script = beats("a", "b", "c", "d")
    peer, plan = faulty(script, "faults: [{at: b, do: stall}]")
    out = drive(peer, end=2.0)
    plan.remove()
    plan.fit(peer, 2.0, FaultTarget(1, "session", SERVICES["xai@2026-07"].open(Opening("", 0.0)), None))
    assert shown(out + drive(peer)) == [(0, "a"), (3, "d")]


def test_a_fault_that_is_spent_or_for_another_session_does_nothing():
    rules = "faults: [{at: a, do: drop, times: 1}, {at: b, session: 2, do: drop}]"
    peer, _ = faulty(beats("a", "b", "a", "b"), rules)
    assert [type for _, type in shown(drive(peer))] == ["b", "a", "b"]


def test_what_a_fault_may_hold_back_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mockserver.faults.injector.HELD_CAP", 1000)
    script = Script(*((0.01 * at, event("a", text="x" * 100)) for at in range(50)))
    peer, _ = faulty(script, "faults: [{at: a, nth: 1, do: {bandwidth: 1}}]")
    out = shown(drive(peer, end=10_000))
    assert out[-1][1] == "Reset"
    assert len(out) < 12


def test_what_a_fault_holds_back_of_the_client_s_is_bounded_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mockserver.faults.injector.HELD_CAP", 1000)
    script = Script()
    peer, _ = faulty(script, 'faults: [{at: "<a", do: {delay: 5m}}]')
    message = event("a", text="x" * 100).data.decode()
    out = shown(drive(peer, [(0.01 * at, message) for at in range(50)], end=10_000))
    assert out[-1][1] == "Reset"
    assert script.heard == []


def test_faults_are_noted_before_what_they_do():
    peer, _ = faulty(beats("a"), "faults: [{at: a, do: {close: 4001}}]")
    note, close = drive(peer)
    assert note.frame == FaultNote("{at: a, do: {close: 4001}}", "a")
    assert close.frame == Close(4001)


# What holds for any plan.

PLACES = ("a", "b", "*", "<m", "<*", "time: 1s", "time: 2500ms", "response.output_audio.delta", "binary")
SOCKET = [name for name, kind in KINDS.items() if kind.where not in ("request", "webhook", "webrtc")]


@st.composite
def plans(draw: st.DrawFn) -> list[Fault]:
    found: list[Fault] = []
    for _ in range(draw(st.integers(1, 4))):
        name, at = draw(st.sampled_from(SOCKET)), draw(st.sampled_from(PLACES))
        rule: dict[str, Any] = {"at": at, "do": name, "probability": draw(st.sampled_from([0.3, 1.0]))}
        if not at.startswith("time"):
            rule["nth"] = draw(st.sampled_from([None, 1, 2]))
        if KINDS[name].where == "audio" and at in ("a", "b", "<m"):
            rule["at"] = "*"
        if KINDS[name].where == "client" and not at.startswith("<"):
            rule["at"] = "<m"
            rule["nth"] = None
        found += parse(json.dumps({key: value for key, value in rule.items() if value is not None})).faults
    return found


def script() -> Script:
    sound = event("response.output_audio.delta", delta="AAAAAAAA")
    frames: list[Frame] = [event("a"), event("b"), sound, Binary(b"\0\1\2\3"), event("a"), event("b"), sound]
    return Script(*((0.7 * at, frame) for at, frame in enumerate(frames)))


TALK = [(0.5 * at, '{"type":"m"}') for at in range(6)]


@pytest.mark.slow
@settings(deadline=None)
@given(plans())
def test_any_plan_does_the_same_every_time_and_keeps_to_the_order_of_time(faults: list[Fault]):
    first, again = (drive(faulty(script(), faults)[0], TALK) for _ in range(2))
    assert first == again
    assert [each.at for each in first] == sorted(each.at for each in first)
    ends = [at for at, each in enumerate(first) if isinstance(each.frame, Close | Reset)]
    assert ends in ([], [len(first) - 1]), "nothing comes after the end"


@pytest.mark.slow
@settings(deadline=None)
@given(plans())
def test_how_late_the_pump_asks_changes_nothing(faults: list[Fault]):
    eager = drive(faulty(script(), faults)[0], TALK)
    lazy_peer = faulty(script(), faults)[0]
    for at, message in TALK:
        lazy_peer.receive(message, at)
    assert list(lazy_peer.take_output(1000.0)) == eager


@pytest.mark.slow
@settings(deadline=None)
@given(plans())
def test_a_plan_that_is_written_down_is_the_same_plan(faults: list[Fault]):
    assert list(parse(as_text(faults)).faults) == faults


@pytest.mark.slow
@settings(deadline=None)
@given(plans(), st.integers(1, 3))
def test_without_a_fault_the_others_draw_as_before(faults: list[Fault], number: int):
    seeds = {repr(armed.fault): armed.seed for armed in FaultSet(faults, "7").armed}
    assert all(
        armed.seed == seeds[repr(armed.fault)] or faults.count(armed.fault) > 1
        for armed in FaultSet(faults[1:], "7").armed
    )
