"""The WebSocket protocol to the letter: frames as bytes, after the sections of Autobahn's test suite.

Sections: 1 framing, 2 pings, 3 reserved bits, 4 opcodes, 5 fragments, 6 UTF-8, 7 closing, 9 limits, 10 fragments in a
row. An event of an unknown type stands for a message that arrived: the server answers it with an `error` that quotes
the type.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from mockserver.testing.mock_server import MockServer

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
MASK = b"\x11\x22\x33\x44"


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    size = len(payload)
    if size < 126:
        length = bytes([size])
    else:
        length = b"\x7e" + struct.pack(">H", size) if size < 65536 else b"\x7f" + struct.pack(">Q", size)
    head = bytes([(fin << 7) | (rsv << 4) | opcode, length[0] | 0x80]) + length[1:]
    key = MASK * (size // 4 + 1)
    mixed = (int.from_bytes(payload, "big") ^ int.from_bytes(key[:size], "big")).to_bytes(size, "big")
    return head + MASK + mixed


def event(name: str = "no.such", size: int = 0) -> bytes:
    return b'{"type":"' + name.encode() + b'","pad":"' + b"x" * size + b'"}'


def closing(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack(">H", code) + reason)


def pieces(payload: bytes, size: int, opcode: int = TEXT) -> bytes:
    """The payload in fragments of this size."""
    parts = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
    return b"".join(frame(0 if n else opcode, part, fin=n == len(parts) - 1) for n, part in enumerate(parts))


ANSWERED, KEPT = "answered", "open"
"""The message arrived; the connection stays open. A number is the code of the server's close frame."""
UTF8 = "Hello-µ@ßöäüàá-UTF-8!!".encode()
CASES: dict[str, tuple[bytes, object]] = {
    **{f"1.1 text of {n} bytes": (frame(TEXT, event(size=n)), ANSWERED) for n in (0, 90, 91, 200, 65_000, 65_536)},
    "1.1 empty text": (frame(TEXT) + frame(TEXT, event()), ANSWERED),
    "2.1 ping without payload": (frame(PING), ("pong", b"")),
    "2.2 ping with payload": (frame(PING, b"Hello"), ("pong", b"Hello")),
    "2.3 ping of bytes": (frame(PING, b"\x00\xff\xfe"), ("pong", b"\x00\xff\xfe")),
    "2.4 ping of 125 bytes": (frame(PING, b"\xfe" * 125), ("pong", b"\xfe" * 125)),
    "2.5 ping of 126 bytes": (frame(PING, b"\xfe" * 126), 1002),
    "2.7 unasked pong": (frame(PONG) + frame(TEXT, event()), ANSWERED),
    "2.9 unasked pong and ping": (frame(PONG, b"a") + frame(PING, b"b"), ("pong", b"b")),
    **{f"3.{n} reserved bits {n}": (frame(TEXT, event(), rsv=n), 1002) for n in range(1, 8)},
    "3.5 reserved bit on a ping": (frame(PING, rsv=1), 1002),
    **{f"4.1 opcode {n}": (frame(n), 1002) for n in (3, 4, 5, 6, 7)},
    **{f"4.2 opcode {n}": (frame(n), 1002) for n in (11, 12, 13, 14, 15)},
    "5.1 ping in fragments": (frame(PING, b"a", fin=False) + frame(0, b"b"), 1002),
    "5.2 pong in fragments": (frame(PONG, b"a", fin=False) + frame(0, b"b"), 1002),
    "5.3 text in two fragments": (pieces(event(), 20), ANSWERED),
    "5.6 ping between fragments": (
        frame(TEXT, event()[:9], fin=False) + frame(PING, b"x") + frame(0, event()[9:]),
        ANSWERED,
    ),
    "5.9 continuation of nothing": (frame(0, b"x"), 1002),
    "5.12 continuation of nothing, not final": (frame(0, b"x", fin=False), 1002),
    "5.15 text, then a continuation of nothing": (pieces(event(), 20) + frame(0, b"x", fin=False), 1002),
    "5.18 text within fragments": (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    "6.1 empty fragments": (frame(TEXT, fin=False) + frame(0, fin=False) + frame(0, event()), ANSWERED),
    "6.2 UTF-8": (frame(TEXT, b'{"type":"' + UTF8 + b'"}'), ANSWERED),
    "6.2 UTF-8, each byte a fragment": (pieces(b'{"type":"' + UTF8 + b'"}', 1), ANSWERED),
    "6.3 invalid UTF-8": (frame(TEXT, UTF8 + b"\xed\xa0\x80edited"), 1007),
    "6.4 invalid UTF-8 in fragments": (pieces(UTF8 + b"\xf4\x90\x80\x80edited", 4), 1007),
    **{
        f"6.{name} invalid": (frame(TEXT, data), 1007)
        for name, data in {
            "8 first of two": b"\xc0",
            "10 continuation alone": b"\x80",
            "11 0xff": b"\xff",
            "12 0xfe": b"\xfe",
            "14 lonely start": b"\xe0 ",
            "16 overlong slash": b"\xc0\xaf",
            "18 overlong of three": b"\xe0\x80\xaf",
            "20 surrogate": b"\xed\xa0\x80",
            "21 surrogates": b"\xed\xad\xbf\xed\xb0\x80",
            "9 above the last": b"\xf4\x90\x80\x80",
        }.items()
    },
    "7.1 close": (closing(1000), 1000),
    "7.1 close, then a message": (closing(1000) + frame(TEXT, event()), 1000),
    "7.3 close without code": (frame(CLOSE), 1005),
    "7.3 close with one byte": (frame(CLOSE, b"a"), 1002),
    "7.3 close with a reason": (closing(1000, b"Hello"), 1000),
    "7.3 close with a reason of 123 bytes": (closing(1000, b"*" * 123), 1000),
    "7.3 close with 126 bytes": (frame(CLOSE, struct.pack(">H", 1000) + b"*" * 124), 1002),
    "7.5 close with a reason that is no UTF-8": (closing(1000, b"\xce\xba\xff"), 1007),
    **{
        f"7.7 code {code}": (closing(code), code)
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    },
    **{
        f"7.9 code {code}": (closing(code), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    },
    "9.1 a megabyte": (frame(TEXT, event(size=1 << 20)), ANSWERED),
    "9.3 a megabyte in fragments of 1 KiB": (pieces(event(size=1 << 20), 1024), ANSWERED),
    "9.7 a hundred messages": (b"".join(frame(TEXT, event(f"n{n}")) for n in range(100)), ANSWERED),
    "10.1 64 KiB in fragments of 1300": (pieces(event(size=65_536), 1300), ANSWERED),
}


@dataclass
class Client:
    """A socket after its handshake."""

    socket: socket.socket
    data: bytes = b""

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """The server's frames until it closes."""
        while True:
            while len(self.data) < 2:
                if not self._more():
                    return
            size, at = self.data[1] & 127, 2
            at = {126: 4, 127: 10}.get(size, 2)
            while len(self.data) < at and self._more():
                pass
            size = size if at == 2 else int.from_bytes(self.data[2:at], "big")
            while len(self.data) < at + size:
                if not self._more():
                    return
            opcode, payload = self.data[0] & 15, self.data[at : at + size]
            self.data = self.data[at + size :]
            yield opcode, payload

    def _more(self) -> bool:
        try:
            got = self.socket.recv(65536)
        except ConnectionError:
            return False
        self.data += got
        return bool(got)


@contextmanager
def client(mock: MockServer) -> Iterator[Client]:
    host, _, port = mock.http_url.partition("//")[2].partition("/")[0].partition(":")
    with socket.create_connection((host, int(port)), 10) as opened:
        opened.sendall(
            f"GET /v1/realtime?model=grok-voice-latest HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer k\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        data = b""
        while b"\r\n\r\n" not in data:
            data += opened.recv(65536)
        yield Client(opened, data.partition(b"\r\n\r\n")[2])


@pytest.fixture(scope="module")
def mock() -> Iterator[MockServer]:
    with MockServer(findings="off", voice="tone") as server:
        yield server


@pytest.mark.parametrize("name", CASES)
def test_a_frame_gets_what_the_protocol_says(name: str, mock: MockServer):
    sent, due = CASES[name]
    with client(mock) as ours:
        ours.socket.sendall(sent)
        for opcode, payload in ours.frames():
            if opcode == CLOSE:
                assert due == (struct.unpack(">H", payload[:2])[0] if payload else 1005)
                return
            if opcode == PONG and due == ("pong", payload):
                return
            if opcode == TEXT and due == ANSWERED and b'"error"' in payload and b"nknown event type" in payload:
                return
        raise AssertionError(f"the connection ended without a close frame; due was {due}")
