"""The sound of a call as RTP packets (RFC 3550): samples at 24 kHz in and out, in Opus or G.711. No sockets."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from typing_extensions import assert_never

from mockserver.audio.codecs import decode, encode
from mockserver.audio.formats import AudioFormat, Samples
from mockserver.audio.opus import FRAME, RATE, OpusDecoder, OpusEncoder
from mockserver.server.calls.sdp import Codec, CodecName

FRAME_S = FRAME / RATE
"""Seconds of sound in a packet that is made here."""
REORDERED = 3
"""Packets that may overtake one before it counts as lost. That is 60 ms of a browser's sound."""
MOST_LOST = 50
"""Lost packets in a row that are replaced by silence. After a longer gap the sound goes on without one."""
TAIL = 2
"""Packets of silence in which the encoder ends what it was saying."""
_HEAD = struct.Struct(">BBHII")
_SEQUENCES, _TIMES = 1 << 16, 1 << 32
_UNITS: dict[CodecName, int] = {"opus": 960, "PCMU": 160, "PCMA": 160}
"""Of the RTP timestamp in 20 ms: Opus counts at 48 kHz (RFC 7587)."""
_NARROW_FRAME = 160
"""Samples of a packet at 8 kHz."""
_PCMU, _PCMA = AudioFormat("pcmu", 8000), AudioFormat("pcma", 8000)
_SILENCE: Samples = np.zeros(FRAME, np.int16)


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """A packet without its extensions and padding."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def read_packet(data: bytes) -> RtpPacket | None:
    """A packet from its bytes; None if they are none."""
    if len(data) < _HEAD.size or data[0] >> 6 != 2:
        return None
    first, second, sequence, timestamp, ssrc = _HEAD.unpack_from(data)
    begin, end = _HEAD.size + 4 * (first & 15), len(data)
    if first & 0x10:  # one extension
        if end < begin + 4:
            return None
        begin += 4 + 4 * int.from_bytes(data[begin + 2 : begin + 4], "big")
    if first & 0x20:  # padding: its last byte is its length
        end -= data[-1]
    return RtpPacket(second & 0x7F, sequence, timestamp, ssrc, data[begin:end]) if begin <= end else None


class RtpReceiver:
    """The caller's track. Packets are put in order; one that stays missing becomes 20 ms of silence."""

    def __init__(self, codecs: Sequence[Codec]) -> None:
        """`codecs`: what the client may send, by payload type."""
        self._codecs = {each.payload_type: each.name for each in codecs}
        self._opus = OpusDecoder()
        self._wide = _Resampler(8000, RATE)
        self._ssrc: int | None = None
        self._next = 0
        self._early: dict[int, RtpPacket] = {}
        self.lost = 0
        """Packets that never came, since the beginning."""

    def push(self, packet: RtpPacket) -> list[Samples]:
        """The sound that this packet completes, at 24 kHz, oldest first."""
        if packet.payload_type not in self._codecs:
            return []
        if packet.ssrc != self._ssrc:
            self._ssrc, self._next, self._early = packet.ssrc, packet.sequence, {}
        ahead = (packet.sequence - self._next) % _SEQUENCES
        if ahead >= _SEQUENCES // 2:  # it was given up, or it comes twice
            return []
        self._early[packet.sequence] = packet
        heard: list[Samples] = []
        if ahead and len(self._early) > REORDERED:
            missing = min((each - self._next) % _SEQUENCES for each in self._early)
            self.lost += missing
            heard += [_SILENCE] * (missing if missing <= MOST_LOST else 0)
            self._next = (self._next + missing) % _SEQUENCES
        while (ready := self._early.pop(self._next, None)) is not None:
            heard.append(self._decoded(ready))
            self._next = (self._next + 1) % _SEQUENCES
        return heard

    def _decoded(self, packet: RtpPacket) -> Samples:
        match self._codecs[packet.payload_type]:
            case "opus":
                return self._opus.push(packet.payload)
            case "PCMU":
                return self._wide.push(decode(packet.payload, _PCMU))
            case "PCMA":
                return self._wide.push(decode(packet.payload, _PCMA))


class RtpSender:
    """The server's track: a packet for each 20 ms, also of silence."""

    def __init__(self, codec: Codec, ssrc: int, sequence: int, timestamp: int) -> None:
        """`sequence`, `timestamp`: of the first packet."""
        self._codec = codec
        self._ssrc = ssrc
        self._sequence = sequence
        self._timestamp = timestamp
        self._encoder = OpusEncoder()
        self._narrow = _Resampler(RATE, 8000)
        self._waiting: Samples = np.zeros(0, np.int16)
        ((self._silence, _),) = OpusEncoder().push(_SILENCE)  # a stream that begins silent says so in 3 bytes
        self._quiet = TAIL
        """Frames of silence in a row so far."""

    def packet(self, samples: Samples | None) -> bytes:
        """The next packet, with 20 ms of sound at 24 kHz; None is silence."""
        payload = self._payload(samples)
        head = _HEAD.pack(0x80, self._codec.payload_type, self._sequence, self._timestamp, self._ssrc)
        self._sequence = (self._sequence + 1) % _SEQUENCES
        self._timestamp = (self._timestamp + _UNITS[self._codec.name]) % _TIMES
        return head + payload

    def _payload(self, samples: Samples | None) -> bytes:
        self._quiet = self._quiet + 1 if samples is None else 0
        match self._codec.name:
            case "opus":
                if self._quiet > TAIL:
                    return self._silence
                ((data, _),) = self._encoder.push(_SILENCE if samples is None else samples)
                return data
            case "PCMU":
                return encode(self._narrowed(samples), _PCMU)
            case "PCMA":
                return encode(self._narrowed(samples), _PCMA)
            case _:
                assert_never(self._codec.name)

    def _narrowed(self, samples: Samples | None) -> Samples:
        """20 ms at 8 kHz. The filter's delay is silence at the beginning."""
        self._waiting = np.concatenate([self._waiting, self._narrow.push(_SILENCE if samples is None else samples)])
        frame, self._waiting = self._waiting[:_NARROW_FRAME], self._waiting[_NARROW_FRAME:]
        return np.pad(frame, (_NARROW_FRAME - len(frame), 0))


class _Resampler:
    """A stream of samples at another rate (Hz)."""

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32")

    def push(self, samples: Samples) -> Samples:
        floats = self._stream.resample_chunk(samples.astype(np.float32))
        rounded: Samples = np.rint(floats).clip(-32768, 32767).astype(np.int16)
        return rounded
