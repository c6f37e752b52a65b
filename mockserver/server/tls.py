"""A port that speaks TLS, plain HTTP, and that of a proxy (`CONNECT`), told apart by the first byte.

A client whose address is fixed gets here by an entry in its hosts file, or by `HTTPS_PROXY`: then it asks this port to
connect to the service, and speaks TLS with the mock. Nothing is forwarded to any other host.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Callable, Sequence

from mockserver.server.hosts import SERVICE_HOSTS, is_served
from replay.connections import FIRST_REQUEST_S, most_idle
from replay.outlets import logger

_TLS = b"\x16"
"""The first byte of a TLS handshake (RFC 8446 section 5.1)."""
_MOST_HEADER = 8192
"""Bytes of a CONNECT request."""
_CONNECT = re.compile(rb"CONNECT \[?([^\s\]]+)\]?:(\d+) HTTP/1\.[01]\r\n")
_LOG = logger(__name__)


class TlsPort:
    """Takes connections from sockets that listen, and hands each to a protocol of `factory`.

    Raises NotImplementedError on an event loop that cannot watch sockets.
    """

    def __init__(self, factory: Callable[[], asyncio.Protocol], context: ssl.SSLContext) -> None:
        self._factory = factory
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._listeners: Sequence[socket.socket] = ()
        self._opening: set[asyncio.Task[None]] = set()
        self._most = most_idle()

    def start(self, sockets: Sequence[socket.socket]) -> None:
        """Take connections from now on."""
        self._listeners = sockets
        for listener in sockets:
            self._loop.add_reader(listener.fileno(), self._accept, listener)

    def close(self) -> None:
        """Take no more connections, and drop those that have sent nothing."""
        for listener in self._listeners:
            self._loop.remove_reader(listener.fileno())
            listener.close()
        for task in self._opening:
            task.cancel()

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        if len(self._opening) >= self._most:
            connection.close()
            return
        task = self._loop.create_task(self._open(connection))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket) -> None:
        try:
            secure = await asyncio.wait_for(self._is_secure(connection), FIRST_REQUEST_S)
            await self._loop.connect_accepted_socket(
                self._factory,
                connection,
                ssl=self._context if secure else None,
                ssl_handshake_timeout=_patience(secure),
            )
        except ssl.SSLError as problem:
            _LOG.warning("a client broke off the TLS handshake (%s): does it trust the CA?", problem.reason or problem)
        except (OSError, ValueError, asyncio.TimeoutError):
            connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise

    async def _is_secure(self, connection: socket.socket) -> bool:
        """Whether the client speaks TLS, at once or after it has asked for a connection. Raises ValueError if not even
        HTTP may follow."""
        await self._readable(connection)
        first = connection.recv(1, socket.MSG_PEEK)
        if not first:
            raise ValueError("closed")
        if first != b"C":  # no other method of HTTP begins like CONNECT
            return first == _TLS
        asked = b""
        while b"\r\n\r\n" not in asked:
            more = await self._loop.sock_recv(connection, _MOST_HEADER)
            asked += more
            if not more or len(asked) > _MOST_HEADER:
                raise ValueError("no CONNECT request")
        found = _CONNECT.match(asked)
        if found is None or not is_served(found[1].decode("ascii", errors="replace")):
            served = ", ".join(SERVICE_HOSTS)
            body = f"realtape answers for {served} and this machine, and forwards nothing to other hosts\n"
            head = f"HTTP/1.1 403 Forbidden\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            await self._loop.sock_sendall(connection, f"{head}{body}".encode())
            if found is not None:
                _LOG.warning("refused to connect to %r: realtape forwards nothing", found[1].decode(errors="replace"))
            raise ValueError("refused")
        await self._loop.sock_sendall(connection, b"HTTP/1.1 200 Connection established\r\n\r\n")
        await self._readable(connection)
        return connection.recv(1, socket.MSG_PEEK) == _TLS

    async def _readable(self, connection: socket.socket) -> None:
        """Wait for bytes, without taking them."""
        ready, descriptor = asyncio.Event(), connection.fileno()
        self._loop.add_reader(descriptor, ready.set)
        try:
            await ready.wait()
        finally:
            self._loop.remove_reader(descriptor)


def _patience(secure: bool) -> float | None:
    return FIRST_REQUEST_S if secure else None
