"""The server's end of a WebSocket (RFC 6455): the handshake, and the client's frames as they come.

aiohttp reads the request and owns the socket. After the handshake it hands every byte to `Inbox.feed_data`, without a
queue or a task. No extension is agreed to, so no frame is compressed.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from aiohttp import WebSocketError, WSCloseCode, hdrs, web
from aiohttp.abc import AbstractStreamWriter

from replay.values import value

Message = str | bytes
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_OPCODES = frozenset((_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG))
_CODES = frozenset(int(code) for code in WSCloseCode)
"""Close codes below 3000 that are taken."""
_WHOLE_TEXT = 0x80 | _TEXT
"""How nearly all frames begin: a text that is not fragmented."""
_MOST_CONTROL = 125
"""Bytes of a control frame's payload."""
_SHORT = 512
"""Bytes of payload from which numpy removes a mask faster than whole numbers do."""
_OCTET = np.dtype(np.uint8)


@dataclass(frozen=True, slots=True)
class Ping:
    """The client asks for a pong with this payload."""

    payload: bytes


class Passed:
    """A frame that brings nothing: a pong, or a part of a message."""


@dataclass(frozen=True, slots=True)
class Closing:
    """The client's close frame. Code 1005 stands for none."""

    code: int
    reason: str


class ClientFrames:
    """Finds the messages in the bytes that a client sends. `most`: from this many bytes on, a message is refused."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._data: bytes | bytearray = b""
        self._at = 0
        """Where the next frame begins in the data."""
        self._needed = 2
        """Bytes of data, from there, without which `next` finds nothing."""
        self._kind = 0
        """The opcode of the message whose fragments are being read; 0 if there is none."""
        self._fragments = bytearray()

    @property
    def held(self) -> int:
        """Bytes that no message was made of yet."""
        return len(self._data) - self._at

    def feed(self, data: bytes) -> None:
        """More bytes came."""
        held = len(self._data) - self._at
        if not held:
            self._data, self._at = data, 0
        elif held + len(data) >= self._needed:
            self._data, self._at = bytes(memoryview(self._data)[self._at :]) + data, 0
        else:  # of a long frame, which is joined once
            if not isinstance(self._data, bytearray):
                self._data, self._at = bytearray(memoryview(self._data)[self._at :]), 0
            self._data += data

    def next(self) -> Message | Ping | Closing | Passed | None:
        """What the next frame brings; None if more bytes are needed. Raises WebSocketError."""
        data, at = self._data, self._at
        held = len(data) - at
        if held < self._needed:
            return None
        first, second = data[at], data[at + 1]
        size, head = second & 0x7F, 2
        if first != _WHOLE_TEXT:
            _check(first, size)
        if size > 125:
            head = 4 if size == 126 else 10
            if held < head:
                self._needed = head
                return None
            size = int.from_bytes(data[at + 2 : at + head], "big")
        opcode = first & 0xF
        if opcode < _CLOSE and (length := size + len(self._fragments)) >= self._most:
            raise WebSocketError(WSCloseCode.MESSAGE_TOO_BIG, f"Message size {length} exceeds limit {self._most}")
        if second >= 0x80:
            head += 4
        if held < (whole := head + size):
            self._needed = whole
            return None
        start, end = at + head, at + whole
        payload = unmasked(data, start, end) if second >= 0x80 else bytes(data[start:end])
        self._needed, self._at = 2, end
        if held == whole:
            self._data, self._at = b"", 0  # memory that an idle session does not need
        if first == _WHOLE_TEXT and not self._kind:
            return _text(payload)
        if opcode == _PING:
            return Ping(payload)
        if opcode == _CLOSE:
            return _closing(payload)
        message = None if opcode == _PONG else self._joined(opcode, first >= 0x80, payload)
        return Passed() if message is None else message

    def _joined(self, opcode: int, final: bool, payload: bytes) -> Message | None:
        """The message that this fragment, or this unfragmented frame, completes."""
        if opcode == _CONTINUATION and not self._kind:
            raise _wrong("Continuation frame for non started message")
        if opcode != _CONTINUATION and self._kind:
            raise _wrong(f"The opcode in non-fin frame is expected to be zero, got {opcode}")
        kind = self._kind or opcode
        if opcode == _CONTINUATION or not final:
            self._kind = kind
            self._fragments += payload
            if not final:
                return None
            payload = bytes(self._fragments)
            self._fragments, self._kind = bytearray(), 0
        return _text(payload) if kind == _TEXT else payload


def _check(first: int, size: int) -> None:
    """Raise WebSocketError for what the first byte of a frame, or the size in the second, may not be."""
    opcode = first & 0xF
    if first & 0x70:
        raise _wrong("Received frame with non-zero reserved bits")
    if opcode not in _OPCODES:
        raise _wrong(f"Unexpected opcode={opcode}")
    if opcode >= _CLOSE:
        if first < 0x80:
            raise _wrong("Received fragmented control frame")
        if size > _MOST_CONTROL:
            raise _wrong("Control frame payload cannot be larger than 125 bytes")


def unmasked(data: bytes | bytearray, start: int, end: int) -> bytes:
    """The payload in `data[start:end]` without its mask, which is before it (RFC 6455 section 5.3)."""
    size, mask = end - start, bytes(data[start - 4 : start])
    if mask == b"\0\0\0\0":
        return bytes(data[start:end])
    keys = mask * (size // 4 + 1)
    if size < _SHORT:
        key = int.from_bytes(keys[:size], "little")
        return (int.from_bytes(data[start:end], "little") ^ key).to_bytes(size, "little")
    return (np.frombuffer(data, _OCTET, size, start) ^ np.frombuffer(keys, _OCTET, size)).tobytes()


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise WebSocketError(WSCloseCode.INVALID_TEXT, "Invalid UTF-8 text message") from None


def _closing(payload: bytes) -> Closing:
    if not payload:
        return Closing(1005, "")
    if len(payload) == 1:
        raise _wrong(f"Invalid close frame: {payload!r}")
    code = int.from_bytes(payload[:2], "big")
    if code < 3000 and code not in _CODES:
        raise _wrong(f"Invalid close code: {code}")
    return Closing(code, _text(payload[2:]))


def _wrong(message: str) -> WebSocketError:
    return WebSocketError(WSCloseCode.PROTOCOL_ERROR, message)


class Inbox(Protocol):
    """Takes what a client sends."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Bytes came. Returns `(over, rest)`; once it is `over`, aiohttp hands on no more."""

    def feed_eof(self) -> None:
        """The connection is lost, or the client sends no more."""


@value
class WebSocket:
    """A WebSocket after its handshake."""

    response: web.StreamResponse
    """The answer to the handshake, for the handler to return once the connection is over."""
    writer: AbstractStreamWriter
    transport: asyncio.Transport | None
    """None if the client is gone already."""
    most: int
    """From this many bytes on, a message is refused."""
    _request: web.Request

    def listen(self, inbox: Inbox) -> None:
        """Hand on to `inbox` what came since the handshake, and all that comes. Call it once."""
        self._request.protocol.set_parser(cast(Any, inbox))


async def accept(request: web.Request, subprotocol: str | None, most: int) -> WebSocket:
    """Answer the handshake with 101. Raises HTTPBadRequest for one that is invalid (RFC 6455 section 4.2)."""
    headers = request.headers
    if headers.get(hdrs.UPGRADE, "").lower().strip() != "websocket":
        raise web.HTTPBadRequest(text=f"Upgrade is {headers.get(hdrs.UPGRADE)!r}, not 'websocket'")
    if "upgrade" not in (each.strip().lower() for each in headers.get(hdrs.CONNECTION, "").split(",")):
        raise web.HTTPBadRequest(text=f"Connection is {headers.get(hdrs.CONNECTION)!r}, not 'Upgrade'")
    if (version := headers.get(hdrs.SEC_WEBSOCKET_VERSION, "")) not in ("13", "8", "7"):
        raise web.HTTPBadRequest(text=f"Unsupported version: {version}")
    key = headers.get(hdrs.SEC_WEBSOCKET_KEY, "")
    try:
        valid = len(base64.b64decode(key)) == 16
    except (binascii.Error, ValueError):
        valid = False
    if not valid:
        raise web.HTTPBadRequest(text=f"Handshake error: {key!r}")
    answer = {
        hdrs.UPGRADE: "websocket",
        hdrs.CONNECTION: "upgrade",
        hdrs.SEC_WEBSOCKET_ACCEPT: base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode(),
    }
    if subprotocol:
        answer[hdrs.SEC_WEBSOCKET_PROTOCOL] = subprotocol
    response = web.StreamResponse(status=101, headers=answer)
    response.force_close()
    writer = await response.prepare(request)
    assert writer is not None  # None is for an answer that was sent before
    request.protocol.keep_alive(False)
    return WebSocket(response, writer, request.transport, most, request)
