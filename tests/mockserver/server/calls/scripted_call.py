"""Calls without a session: what they say is written down beforehand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from mockserver.audio.formats import Samples
from mockserver.billing.ledger import Ledger
from mockserver.protocol.peer import Act, Peer, Rest
from mockserver.protocol.requests import Request, Result
from mockserver.server.calls.running_call import RunningCall
from mockserver.server.clock import Clock
from mockserver.server.journal import Journal, SessionLog
from replay.billing.prices import PriceTable
from replay.cassette.frames import Close, Frame, Outgoing, Reset, Text

FREE = PriceTable("xai", date(2026, 7, 1), "nowhere")


@dataclass
class ScriptedCall:
    """A peer that says prepared frames at prepared times, and answers each message with a text."""

    beats: list[tuple[float, Frame]]
    received: list[tuple[float, str | bytes]] = field(default_factory=list)
    heard: int = 0
    pressed: str = ""
    lost_at: float | None = None
    out: list[Outgoing] = field(default_factory=list)
    steps: int = 0
    """The steps in which each message is read."""

    def receive(self, data: str | bytes, now: float) -> Rest | None:
        self.received.append((now, data))
        if self.steps:
            return self._read(str(data), now)
        self.out.append(Outgoing(now, Text(b"answer to " + str(data).encode())))
        return None

    def _read(self, data: str, now: float) -> Rest:
        for _ in range(self.steps):
            yield
        self.out.append(Outgoing(now, Text(b"answer to " + data.encode())))

    def lost(self, now: float) -> None:
        self.lost_at = now

    def next_due(self) -> float | None:
        return self.beats[0][0] if self.beats else None

    def take_output(self, now: float) -> Sequence[Outgoing | Act]:
        due = [Outgoing(at, frame) for at, frame in self.beats if at <= now]
        self.beats = self.beats[len(due) :]
        out, self.out = due + self.out, []
        return out

    def take_requests(self) -> Sequence[Request]:
        return ()

    def deliver(self, result: Result, now: float) -> None:
        """It asks for nothing."""

    def hear(self, samples: Samples, now: float) -> None:
        self.heard += len(samples)

    def press(self, digit: str, now: float) -> None:
        self.pressed += digit

    def truncate(self, item_id: str, played_ms: int, now: float) -> None:
        """It plays nothing."""

    def play(self, now: float) -> Samples | None:
        return np.full(480, 7, np.int16)

    def refit(self, fit: Callable[[Peer, float], Peer], now: float) -> None:
        """It has no faults."""


class Listener:
    """A channel that writes down what comes."""

    def __init__(self) -> None:
        self.got: list[tuple[float, str]] = []
        self.ended: Close | Reset | None = None

    def send(self, outgoing: Sequence[Outgoing]) -> None:
        assert self.ended is None
        self.got += [(each.at, each.frame.data.decode()) for each in outgoing if isinstance(each.frame, Text)]

    def end(self, how: Close | Reset) -> None:
        self.ended = how

    def lose(self, silent: bool) -> bool:
        """It is no sideband."""
        return False


@dataclass
class Hosted:
    call: RunningCall
    peer: ScriptedCall
    log: SessionLog


def scripted(
    id: str = "rtc_1",
    *beats: tuple[float, Frame],
    steps: int = 0,
    on_over: Callable[[], None] = lambda: None,
    awaits_channel: bool = False,
) -> Hosted:
    """A call that says these frames at these seconds. A loop must run."""
    peer = ScriptedCall(list(beats), steps=steps)
    log = Journal().open("session", "conversation", 0.0, Ledger(FREE, "free"))
    call = RunningCall(id, peer, Clock(), log, on_over=on_over, awaits_channel=awaits_channel)
    return Hosted(call, peer, log)
