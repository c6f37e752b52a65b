from __future__ import annotations

import pytest

from replay.cassette.opus import packet_ms


@pytest.mark.parametrize(
    ("packet", "ms"),
    [
        (b"\x08", 20),
        (b"\xf8", 20),
        (b"\xf9", 40),
        (b"\x18", 60),
        (b"\xe0\x00", 2.5),
        (b"\xfb\x03", 60),
        (b"", 0),
        (b"\xfb", 0),
    ],
)
def test_an_opus_packet_tells_its_duration(packet: bytes, ms: float):
    assert packet_ms(packet) == ms
