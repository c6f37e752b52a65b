"""A call: a peer around a peer, whose sound is on two tracks and whose events have none in them. No I/O.

It is outside everything else, faults and recordings included: what reaches it is what the service's far end sends. The
caller's track goes in as samples, and the service's track comes out on the clock of the call.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pybase64

from mockserver.audio.codecs import decoder_for, resample
from mockserver.audio.formats import PCM_24K, Samples
from mockserver.calls.playout import RATE, Playout, PlayoutFact
from mockserver.faults.audio import format_in
from mockserver.protocol.facts import Fact
from mockserver.protocol.peer import Act, Peer, Quiet, Rest
from mockserver.protocol.requests import Request, Result
from replay.cassette.frames import Binary, Frame, Outgoing, Sound, Text
from replay.cassette.json_text import event_in, event_type

KEYS = "0123456789*#ABCD"
"""The keys of a telephone."""
_READ = frozenset(
    {
        "response.output_audio.delta",
        "response.created",
        "response.done",
        "session.created",
        "session.updated",
        "output_audio_buffer.cleared",
    }
)


class Call:
    """A peer's call. `now` is seconds since the call began.

    `take_output` returns the events for the channels, and the sound that the service sends as `Sound` frames: those are
    for the journal alone. The sound to be played comes from `play`, 20 ms at a time.
    """

    def __init__(self, peer: Peer, render: Callable[[Fact, float], Iterable[Frame | Sound]] | None) -> None:
        """`render` makes the events about what is played, as `Dialect.render`; None if the peer sends them itself."""
        self._peer = peer
        self._render = render
        self._playout = Playout()
        self._out: list[Outgoing | Act] = []
        self._format = PCM_24K
        self._decoder = decoder_for(PCM_24K)
        self._response_id = ""

    def refit(self, fit: Callable[[Peer, float], Peer], now: float) -> None:
        """Replace the peer inside by what `fit` makes of it and of the instant."""
        self._peer = fit(self._peer, now)

    # The tracks.

    def hear(self, samples: Samples, now: float) -> None:
        """The caller's track brought samples: 16-bit, mono, 24 kHz, any number of them."""
        self._peer.hear(samples, now)

    def press(self, digit: str, now: float) -> None:
        """The caller pressed a key. Raises ValueError for what is none of KEYS."""
        if len(digit) != 1 or digit not in KEYS:
            raise ValueError(f"{digit!r} is no key of a telephone; use one of {KEYS}")
        self._peer.press(digit, now)

    def play(self, now: float) -> Samples | None:
        """The next 20 ms for the caller: 480 samples; None is silence. To be called 50 times a second."""
        self._collect(now)
        return self._playout.play()

    # The methods of a peer.

    def receive(self, data: str | bytes, now: float) -> Rest | Quiet | None:
        """An event arrived on any channel."""
        return self._peer.receive(data, now)

    def lost(self, now: float) -> None:
        """The call is over."""
        self._playout.clear()
        self._peer.lost(now)

    def next_due(self) -> float | None:
        """When an event is due."""
        if self._out:
            return self._out[0].at
        dues = (self._peer.next_due(), self._playout.next_due())
        return min((due for due in dues if due is not None), default=None)

    def take_output(self, now: float) -> Sequence[Outgoing | Act]:
        """The events and sound up to and including `now`, oldest first, each once."""
        self._collect(now)
        out, self._out = self._out, []
        return out

    def take_requests(self) -> Sequence[Request]:
        """What the peer inside asks for."""
        return self._peer.take_requests()

    def deliver(self, result: Result, now: float) -> None:
        """A result of a request arrived."""
        self._peer.deliver(result, now)

    def truncate(self, item_id: str, played_ms: int, now: float) -> None:
        """Truncate what the peer inside said."""
        self._peer.truncate(item_id, played_ms, now)

    # What the peer sends.

    def _collect(self, now: float) -> None:
        self._take(self._peer.take_output(now))
        self._advance(now)

    def _take(self, sent: Sequence[Outgoing | Act]) -> None:
        for each in sent:
            self._advance(each.at)
            match each.frame:
                case Sound() as sound if sound.cuts:
                    self._cut(each.at)
                case Sound() as sound:
                    self._queue(sound, each.at)
                case Binary(data):
                    self._queue(Sound(self._pcm(data), self._response_id), each.at)
                case Text(data):
                    self._read(each, data)
                case _:
                    self._out.append(each)

    def _read(self, sent: Outgoing | Act, data: bytes) -> None:
        """Take an event. Sound in it, as the recording of a WebSocket has it, goes on the track."""
        type = event_type(data)
        if type not in _READ:
            self._out.append(sent)
            return
        event = event_in(data) or {}
        response = event.get("response")
        response_id = str(response.get("id")) if isinstance(response, dict) else ""
        match type:
            case "response.output_audio.delta":
                pcm = self._pcm(_decoded(event.get("delta")))
                self._queue(Sound(pcm, str(event.get("response_id")), str(event.get("item_id"))), sent.at)
                return
            case "response.created":
                self._response_id = response_id
            case "response.done":
                self._playout.complete(response_id)
            case "session.created" | "session.updated":
                self._format = format_in(event.get("session") or {}, "output")
                self._decoder = decoder_for(self._format)
            case _:
                if self._render is None:
                    self._playout.clear()
        self._out.append(sent)

    def _pcm(self, data: bytes) -> bytes:
        """Recorded sound as the track has it."""
        return resample(self._decoder.push(data), self._format.rate, RATE).astype("<i2", copy=False).tobytes()

    # What is played.

    def _queue(self, sound: Sound, at: float) -> None:
        self._out.append(Outgoing(at, sound))
        samples = np.frombuffer(sound.data, "<i2")
        for fact in self._playout.add(sound.response_id, sound.item_id, samples, at):
            self._tell(fact, at)

    def _advance(self, now: float) -> None:
        for at, fact in self._playout.advance(now):
            self._tell(fact, at)

    def _cut(self, at: float) -> None:
        """Stop playing, and truncate what was not played. The order is a guess: `cleared`, `truncated`, then the end of
        a response that speech cuts."""
        facts, unheard = self._playout.clear()
        for fact in facts:
            self._tell(fact, at)
        for item_id, played_ms in unheard:
            self._peer.truncate(item_id, played_ms, at)
        if unheard:
            self._take(self._peer.take_output(at))

    def _tell(self, fact: PlayoutFact, at: float) -> None:
        if self._render is not None:
            self._out += [Outgoing(at, frame) for frame in self._render(fact, at)]


def _decoded(delta: object) -> bytes:
    """The bytes of a delta; none of one that a fault has broken."""
    try:
        return pybase64.b64decode(delta, validate=True) if isinstance(delta, str) else b""
    except (binascii.Error, ValueError):
        return b""
