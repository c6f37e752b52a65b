"""Opus packets: how long one lasts. Opus is not decoded here."""

from __future__ import annotations


def packet_ms(packet: bytes) -> float:
    """Milliseconds of audio in one Opus packet (RFC 6716, section 3.1). Its first two bytes are enough."""
    if not packet:
        return 0.0
    config, count = packet[0] >> 3, packet[0] & 3
    if config < 12:
        frame_ms: float = (10, 20, 40, 60)[config % 4]
    elif config < 16:
        frame_ms = (10, 20)[config % 2]
    else:
        frame_ms = (2.5, 5, 10, 20)[config % 4]
    frames = (1, 2, 2, packet[1] & 63 if len(packet) > 1 else 0)[count]
    return frame_ms * frames
