"""Addresses that only this machine reaches."""

from __future__ import annotations

from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine; no proxy of the environment is used for it then."""
    try:
        return urlsplit(url).hostname in LOOPBACK
    except ValueError:
        return False
