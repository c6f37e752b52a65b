"""What faults do to the network of a WebRTC call: to datagrams on their way, and to its parts as time passes.

Packets of sound are lost or delayed in both directions. The rest of the traffic is not: its protocols repeat what is
lost, so that only the setup would take longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from random import Random

from typing_extensions import assert_never

from mockserver.faults.kinds import (
    CloseChannel,
    DtlsHang,
    LateIce,
    NetworkFault,
    PacketJitter,
    PacketLoss,
    StopSound,
)

Send = Callable[[bytes], None]
MOST_HELD = 1_000
"""Datagrams that wait for their time at once; further ones are lost."""


class Network:
    """The network of one call. Equal seeds lose and delay equal packets."""

    def __init__(self, faults: Iterable[NetworkFault] = (), seed: str = "") -> None:
        self._rng = Random(seed)
        self._lost = self._jitter_s = self._ice_s = 0.0
        self._dtls = True
        self._held = 0
        self.channel_s: float | None = None
        """Seconds after which the data channel is closed; None is never."""
        self.sound_s: float | None = None
        """Seconds of the server's sound after which no more comes; None is never."""
        for fault in faults:
            match fault:
                case PacketLoss(share=share):
                    self._lost = share
                case PacketJitter(seconds=seconds):
                    self._jitter_s = seconds
                case LateIce(seconds=seconds):
                    self._ice_s = seconds
                case DtlsHang():
                    self._dtls = False
                case CloseChannel(seconds=seconds):
                    self.channel_s = seconds
                case StopSound(seconds=seconds):
                    self.sound_s = seconds
                case _:
                    assert_never(fault)
        self._deaf_until: float | None = None
        self.faulty = bool(self._lost or self._jitter_s or self._ice_s or not self._dtls)
        """Whether datagrams must be carried here."""

    def carry(self, data: bytes, send: Send) -> None:
        """Carry a datagram, which `send` hands on; or lose it."""
        first = data[0] if data else 0
        if first < 4:  # STUN (RFC 7983)
            now = asyncio.get_running_loop().time()
            self._deaf_until = now + self._ice_s if self._deaf_until is None else self._deaf_until
            if now >= self._deaf_until:
                send(data)
        elif 20 <= first < 64:
            if self._dtls:
                send(data)
        elif self._lost and self._rng.random() < self._lost:
            return
        elif self._jitter_s:
            self._delay(data, send)
        else:
            send(data)

    def _delay(self, data: bytes, send: Send) -> None:
        if self._held >= MOST_HELD:
            return
        self._held += 1

        def arrive() -> None:
            self._held -= 1
            send(data)

        asyncio.get_running_loop().call_later(self._rng.uniform(0, self._jitter_s), arrive)
