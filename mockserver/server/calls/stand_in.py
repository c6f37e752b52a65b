"""A call without sound: events cross, the caller hears nothing and is not heard."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mockserver.audio.formats import Samples
from mockserver.protocol.peer import Act, Peer, Rest
from mockserver.protocol.requests import Request, Result
from replay.cassette.frames import Outgoing, Text

_SOUND = (b'{"type":"response.output_audio.delta"', b'{"type":"response.audio.delta"')


class EventsOnly:
    """A peer whose sound is left out."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def receive(self, data: str | bytes, now: float) -> Rest | None:
        return self._peer.receive(data, now)

    def lost(self, now: float) -> None:
        self._peer.lost(now)

    def next_due(self) -> float | None:
        return self._peer.next_due()

    def take_output(self, now: float) -> Sequence[Outgoing | Act]:
        taken: list[Outgoing | Act] = []
        while not taken:
            due = self._peer.next_due()
            taken += [
                each
                for each in self._peer.take_output(now)
                if not (isinstance(each.frame, Text) and each.frame.data.startswith(_SOUND))
            ]
            if (later := self._peer.next_due()) is None or later > now or later == due:
                break
        return taken

    def take_requests(self) -> Sequence[Request]:
        return self._peer.take_requests()

    def deliver(self, result: Result, now: float) -> None:
        self._peer.deliver(result, now)

    def hear(self, samples: Samples, now: float) -> None:
        """Ignored."""

    def press(self, digit: str, now: float) -> None:
        """Ignored."""

    def play(self, now: float) -> Samples | None:
        return None

    def refit(self, fit: Callable[[Peer, float], Peer], now: float) -> None:
        self._peer = fit(self._peer, now)
