"""Which web pages may open sessions: what the header Origin of a browser tells.

A page of this machine may do what any client may. A page of another origin may open a session with a secret in the
subprotocol, as the services let it; the headers that only programs can set do not count for it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from replay.addresses import is_loopback_url


def is_foreign(origin: str | None, host: str, allowed: Collection[str]) -> bool:
    """Whether a request comes from a page of another origin. `origin`, `host`: its headers. `allowed`: origins that
    count as own; `*` allows all.
    """
    if origin is None or "*" in allowed or origin.lower() in allowed:
        return False
    # Under an address, unlike a name, no other site can pretend to be this one.
    return not (is_loopback_url(origin) or (_host(origin) == _host(f"//{host}") and _is_address(_host(origin))))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
