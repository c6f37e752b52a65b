"""Arguments with which connections to a server are opened."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

from websockets.asyncio.client import connect

from replay.addresses import is_loopback_url

_DIRECT: Mapping[str, Any] = {"proxy": None} if "proxy" in signature(connect).parameters else {}


def direct(url: str) -> Mapping[str, Any]:
    """The arguments by which no proxy of the environment is used for this machine. Releases of websockets before 15 use
    none."""
    return _DIRECT if is_loopback_url(url) else {}
