"""Sockets that listen, opened before anything slow is loaded: clients that connect meanwhile wait in the backlog."""

from __future__ import annotations

import errno
import socket

BACKLOG = 1024
"""Connections that the kernel keeps until the server takes them."""


def listen(host: str, port: int) -> list[socket.socket]:
    """A listening socket for each address of `host` that this machine has. Port 0 picks a free one. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
        try:
            sockets.append(socket.create_server(address, family=family, backlog=BACKLOG))
        except OSError as problem:
            if problem.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT) and address != found[-1][4]:
                continue  # `localhost` is both 127.0.0.1 and ::1, also where there is no IPv6
            for opened in sockets:
                opened.close()
            raise
    for opened in sockets:
        opened.setblocking(False)
    return sockets
