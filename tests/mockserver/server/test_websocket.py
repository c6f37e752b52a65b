from __future__ import annotations

import asyncio
import os
import struct
from itertools import pairwise

import pytest
from aiohttp import WebSocketError
from hypothesis import given
from hypothesis import strategies as st

from mockserver.server.websocket import ClientFrames, Closing, Message, Passed, Ping, unmasked
from mockserver.testing.mock_server import MockServer

MASKS = st.binary(min_size=4, max_size=4)
LENGTHS = st.sampled_from([0, 1, 3, 125, 126, 511, 512, 1023, 65_535, 65_536, 70_001])


def frame(first: int, payload: bytes, mask: bytes | None = b"mask") -> bytes:
    size, bit = len(payload), 0x80 if mask else 0
    head = bytes((first, bit | size)) if size < 126 else struct.pack(">BBH", first, bit | 126, size & 0xFFFF)
    if size > 0xFFFF:
        head = struct.pack(">BBQ", first, bit | 127, size)
    return head + (mask + plainly_masked(payload, mask) if mask else payload)


def plainly_masked(payload: bytes, mask: bytes) -> bytes:
    return bytes(each ^ mask[at % 4] for at, each in enumerate(payload))


def read(data: bytes, cuts: list[int], most: int = 1 << 20) -> list[Message | Ping | Closing]:
    """What is found if the data comes in these pieces."""
    frames, found = ClientFrames(most), []
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        frames.feed(data[start:end])
        while (message := frames.next()) is not None:
            if not isinstance(message, Passed):
                found.append(message)
    assert frames.held == 0
    return found


@given(st.binary(max_size=2000), MASKS)
def test_a_mask_is_removed_byte_by_byte(payload: bytes, mask: bytes):
    assert unmasked(b"head" + mask + payload + b"next", 8, 8 + len(payload)) == plainly_masked(payload, mask)


SENT = st.tuples(LENGTHS, st.booleans(), st.integers(1, 3), st.none() | MASKS, st.booleans())
"""A message: its size, whether it is text, its fragments, their mask, whether control frames are between them."""


@given(st.lists(SENT, max_size=4), st.lists(st.integers(0, 1 << 20), max_size=6))
def test_messages_are_found_however_they_are_cut(
    messages: list[tuple[int, bool, int, bytes | None, bool]], cuts: list[int]
):
    data, said = b"", list[Message | Ping | Closing]()
    for size, text, pieces, mask, controls in messages:
        payload = ("aé€" * size)[:size].encode() if text else bytes(range(256)) * (size // 256 + 1)
        step = len(payload) // pieces + 1
        for number in range(pieces):
            final = 0x80 * (number == pieces - 1)
            piece = payload[number * step : (number + 1) * step]
            data += frame((0 if number else 1 if text else 2) | final, piece, mask)
            if controls and not final:
                data += frame(0x89, b"hm") + frame(0x8A, b"unasked")
                said.append(Ping(b"hm"))
        said.append(payload.decode() if text else payload)
    assert read(data, cuts) == said


def test_bytes_that_come_one_by_one_are_one_message():
    data = frame(0x81, "grüß Gott".encode())
    assert read(data, list(range(len(data)))) == ["grüß Gott"]


@pytest.mark.parametrize(
    ("payload", "closing"),
    [
        (b"", Closing(1005, "")),
        (struct.pack(">H", 1000), Closing(1000, "")),
        (struct.pack(">H", 4999) + "schön".encode(), Closing(4999, "schön")),
    ],
)
def test_a_close_frame_has_a_code_and_a_reason_or_neither(payload: bytes, closing: Closing):
    assert read(frame(0x88, payload), []) == [closing]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(0xC1, b"{}"), 1002),
        (frame(0xA1, b"{}"), 1002),
        (frame(0x83, b""), 1002),
        (frame(0x8B, b""), 1002),
        (frame(0x09, b""), 1002),
        (frame(0x89, bytes(126)), 1002),
        (frame(0x80, b"none began"), 1002),
        (frame(0x01, b"a") + frame(0x81, b"b"), 1002),
        (frame(0x01, b"") + frame(0x02, b""), 1002),
        (frame(0x88, b"\x03"), 1002),
        (frame(0x88, struct.pack(">H", 999)), 1002),
        (frame(0x88, struct.pack(">H", 1005)), 1002),
        (frame(0x88, struct.pack(">H", 1000) + b"\xff"), 1007),
        (frame(0x81, b"\xff"), 1007),
        (frame(0x81, b"\xed\xa0\x80"), 1007),  # half of a surrogate pair
        (frame(0x01, "ä".encode()[:1]) + frame(0x80, b"x"), 1007),
        (frame(0x82, bytes(1000)), 1009),
        (frame(0x02, bytes(600)) + frame(0x00, bytes(400)), 1009),
        (struct.pack(">BBQ", 0x82, 0xFF, 1 << 63), 1009),
    ],
)
def test_frames_that_break_the_rules_are_refused(data: bytes, code: int):
    with pytest.raises(WebSocketError) as refused:
        read(data, [], most=1000)
    assert refused.value.code == code


def test_a_frame_too_long_is_refused_before_its_payload_comes():
    with pytest.raises(WebSocketError):
        read(frame(0x82, bytes(1000))[:4], [], most=1000)


def test_what_comes_with_the_handshake_is_read():
    async def main() -> list[str]:
        async with MockServer(voice="tone") as mock:
            port = int(mock.ws_url.rpartition(":")[2].partition("/")[0])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = (
                "GET /v1/realtime HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                "Authorization: Bearer k\r\n\r\n"
            )
            event = frame(0x81, b'{"type":"input_audio_buffer.clear"}')
            writer.write(head.encode() + event[:5])
            await reader.readuntil(b"\r\n\r\n")
            writer.write(event[5:] + frame(0x88, b""))
            await reader.read(-1)
            writer.close()
            return [each["type"] for each in mock.sessions[0].received()]

    assert asyncio.run(main()) == ["input_audio_buffer.clear"]


@pytest.mark.parametrize(
    "header",
    [
        {"Upgrade": "websocket, other"},
        {"Connection": "close"},
        {"Sec-WebSocket-Version": "12"},
        {"Sec-WebSocket-Key": "short"},
        {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA"},
    ],
)
def test_an_invalid_handshake_is_a_bad_request(header: dict[str, str]):
    async def main() -> bytes:
        valid = {
            "Host": "x",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
            "Authorization": "Bearer k",
        }
        lines = [f"{name}: {value}" for name, value in (valid | header).items()]
        async with MockServer(voice="tone") as mock:
            port = int(mock.ws_url.rpartition(":")[2].partition("/")[0])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write("\r\n".join(("GET /v1/realtime HTTP/1.1", *lines, "", "")).encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            writer.close()
            return answer

    assert asyncio.run(main()).startswith(b"HTTP/1.1 400 ")


def test_masks_of_random_bytes_are_removed_from_long_payloads():
    payload, mask = os.urandom(100_003), os.urandom(4)
    assert unmasked(b"head" + mask + payload + b"next", 8, 8 + len(payload)) == plainly_masked(payload, mask)
