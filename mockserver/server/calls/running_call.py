"""One call while it goes on: a peer with two tracks of sound, and with any number of event channels.

Commands of all channels go to one session, and each channel gets all of its events. Sound is no event: the phone, or
WebRTC, hands it over and fetches it in samples.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from typing_extensions import assert_never

from mockserver.audio.formats import Samples
from mockserver.protocol.peer import Act, FaultNote, Mute, Peer, SidebandsLost, Torn
from mockserver.server.clock import Clock, WakeUp
from mockserver.server.connection import HALF_OPEN_S
from mockserver.server.journal import SessionLog
from mockserver.server.pump import Pump
from mockserver.server.requests import RequestRunner
from replay.cassette.frames import TEXT, Binary, Close, Outgoing, Passage, Reset, Sound, Text, header
from replay.cassette.json_text import event_in, event_type
from replay.cassette.json_values import object_at

MOST_CHANNELS = 16
"""Event channels of one call at a time."""
MOST_EARLY = 1_000
"""Events that are kept for a channel that is yet to come."""
End = Literal["caller", "client", "server"]
"""The end of a call that hangs up: the person who calls, a program that uses the service, or the service."""


class CallPeer(Peer, Protocol):
    """A peer with tracks of sound: int16, mono, 24 kHz."""

    def hear(self, samples: Samples, now: float) -> None:
        """The caller's sound, of any length."""

    def press(self, digit: str, now: float) -> None:
        """The caller pressed a key: 0 to 9, *, #, A to D."""

    def play(self, now: float) -> Samples | None:
        """The next 20 ms (480 samples) for the caller; None is silence."""

    def refit(self, fit: Callable[[Peer, float], Peer], now: float) -> None:
        """Replace the peer within by what `fit` makes of it and of `now`."""


class Channel(Protocol):
    """Where a call's events go: a sideband, or the data channel of WebRTC."""

    def send(self, outgoing: Sequence[Outgoing]) -> None:
        """Events that are due, as `Text` frames, oldest first."""

    def end(self, how: Close | Reset) -> None:
        """The call is over. Nothing is sent after this."""

    def lose(self, silent: bool) -> bool:
        """A fault strikes the sidebands: a sideband is reset or, if `silent`, stays open without traffic. Returns
        whether it is one."""


class TooManyChannels(Exception):
    """A call has as many channels as it may have."""


class RunningCall(Pump[CallPeer]):
    """Drives a call by the server's clock, from when it was accepted until one end hangs up."""

    def __init__(
        self,
        id: str,
        peer: CallPeer,
        clock: Clock,
        log: SessionLog,
        requests: RequestRunner | None = None,
        *,
        on_over: Callable[[], None] = lambda: None,
        awaits_channel: bool = False,
    ) -> None:
        """`on_over` is called once, when the call is over. `awaits_channel`: the first events wait for the first
        channel that joins with `early`."""
        super().__init__(peer, clock, log, requests)
        self.id = id
        self.log = log
        self.ended_by: End | None = None
        """Who hung up; None while the call goes on, or if it ended otherwise."""
        self._channels: list[Channel] = []
        self._early: deque[Outgoing] | None = deque(maxlen=MOST_EARLY) if awaits_channel else None
        self._told: Close | Reset | None = None
        """How the channels end, once the call is over."""
        self._on_over = on_over
        self._done = asyncio.Event()
        self._stepping = False
        self._half_open_timer: WakeUp | None = None
        self._flush_soon()

    @property
    def over(self) -> Close | None:
        """How the call ended; None while it goes on."""
        return self._over

    @property
    def busy(self) -> bool:
        """Whether a long message is being read. A channel that brings messages waits for its end."""
        return self._rest is not None

    @property
    def has_channels(self) -> bool:
        """Whether any channel is left."""
        return bool(self._channels)

    def now(self) -> float:
        """Seconds since the call was accepted."""
        return self._now()

    def receive(self, data: str | bytes) -> None:
        """A message of a client, from any channel."""
        self._receive(data)
        if self._rest is not None and not self._stepping:
            self._stepping = True
            self._loop.call_soon(self._step)

    def _step(self) -> None:
        """Do a step of a long message, then let others have their turn."""
        if self._rest is not None:
            self._go_on(self._rest)
        self._stepping = self._rest is not None
        if self._stepping:
            self._loop.call_soon(self._step)

    def hear(self, samples: Samples) -> None:
        """The caller's sound: int16, mono, 24 kHz, of any length."""
        if self._writable():
            self.log.hears(self._now(), samples.astype("<i2", copy=False).tobytes())
            self._tell_peer(lambda now: self._peer.hear(samples, now))

    def press(self, digit: str) -> None:
        """The caller pressed a key: 0 to 9, *, #, A to D."""
        if self._writable():
            self._tell_peer(lambda now: self._peer.press(digit, now))

    def _tell_peer(self, tell: Callable[[float], None]) -> None:
        try:
            tell(self._now())
        except Exception as error:
            self._fail(error)
        self._received = True
        self._flush_soon()

    def play(self) -> Samples | None:
        """The next 20 ms (480 samples, int16, mono, 24 kHz) for the caller; None is silence."""
        if not self._writable():
            return None
        try:
            samples = self._peer.play(self._now())
        except Exception as error:
            self._fail(error)
            return None
        self._flush_soon()
        return samples

    def join(self, channel: Channel, *, early: bool = False) -> None:
        """Send all further events to this channel; with `early`, those that waited for a channel come first.

        Raises TooManyChannels.
        """
        if len(self._channels) >= MOST_CHANNELS:
            raise TooManyChannels(f"a call has at most {MOST_CHANNELS} channels")
        if not early:
            self._flush()  # what is due by now is not for this channel
        if self._told is not None:
            channel.end(self._told)
            return
        self._channels.append(channel)
        if early and self._early is not None:
            waited, self._early = list(self._early), None
            channel.send(waited)

    def leave(self, channel: Channel) -> None:
        """Send nothing more to this channel. The call goes on."""
        if channel in self._channels:
            self._channels.remove(channel)

    def hang_up(self, by: End, reason: str = "") -> None:
        """End the call: each channel is closed with 1000. It is no error if the call is over."""
        if self._over is None:
            self.ended_by = by
            if by != "server":
                self.log.hung_up()
            self._finish(Close(1000, reason or f"hung up by the {by}"), Close(1000))

    async def ended(self) -> None:
        """Wait until the call is over."""
        await self._done.wait()

    def close(self, code: int, reason: str = "") -> None:
        """End the call: each channel is closed with this code."""
        if self._over is None:
            self._finish(Close(code, reason), Close(code, reason))

    def reset(self, reason: str) -> None:
        """End the call as if the line was cut: each channel is reset."""
        if self._over is None:
            self._finish(Close(1006, reason), Reset())

    def refit(self, fit: Callable[[Peer, float], Peer]) -> None:
        """Replace the peer within the call by what `fit` makes of it and of the call's time."""
        self._peer.refit(fit, self._now())
        self._flush_soon()

    def _write(self, outgoing: Sequence[Outgoing | Act]) -> None:
        due: list[Outgoing] = []
        for each in outgoing:
            match each.frame:
                case Text() as text:
                    due.append(Outgoing(each.at, text))
                    if event_type(text.data) in ("session.created", "session.updated"):
                        self._send(due)
                        due = []
                        self.log.declared.read(object_at(event_in(text.data), "session"))
                case Sound() as sound:
                    self._send(due)
                    due = []
                    self.log.plays(each.at, sound)
                case Binary() | Passage():
                    raise AssertionError("a call sends its sound as samples, not as messages")
                case FaultNote() as note:
                    self._send(due)
                    due = []
                    self.log.struck(each.at, note)
                case SidebandsLost(silent):
                    self._send(due)
                    due = []
                    self._channels = [channel for channel in self._channels if not channel.lose(silent)]
                case Close() | Reset() | Torn() | Mute() as how:
                    self._send(due)
                    self._obey(each.at, how)
                    return
                case _:
                    assert_never(each.frame)
        self._send(due)

    def _send(self, due: Sequence[Outgoing]) -> None:
        if not due:
            return
        texts = [each.frame.data for each in due if isinstance(each.frame, Text)]
        self.log.written(due, b"".join(header(TEXT, len(text)) + text for text in texts))
        if self._early is not None:
            self._early.extend(due)
        for channel in tuple(self._channels):
            channel.send(due)

    def _obey(self, at: float, how: Close | Reset | Torn | Mute) -> None:
        """End the call because the peer within says so, or a fault. A call has no socket of its own to tear."""
        match how:
            case Close(code, reason):
                self.log.outbound(at, how)
                self.close(code, reason)
            case Reset():
                self.log.outbound(at, how)
                self.reset("")
            case Torn():
                self.log.outbound(at, Reset())
                self.reset("torn")
            case Mute():
                self._mute = True
                until = self._clock.now() + HALF_OPEN_S
                self._half_open_timer = self._clock.call_at(until, lambda: self.reset("half open for long"))
            case _:
                assert_never(how)

    def _finish(self, over: Close, told: Close | Reset) -> None:
        self._over, self._told = over, told
        for channel in self._channels:
            channel.end(told)
        self._channels.clear()
        self._early = None
        if self._half_open_timer is not None:
            self._half_open_timer.cancel()
        self._end()
        self._done.set()
        self._on_over()
