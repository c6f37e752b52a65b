"""Addresses that only this machine reaches: all of 127.0.0.0/8, ::1, their IPv6 forms, and `localhost`.

The agent imports nothing from here, so clinic_agent/config.py has a rule of its own; a test holds both together.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""The usual ones, for settings that take names and no networks."""


def is_loopback_url(url: str) -> bool:
    """Whether a URL names this machine; no proxy of the environment is used for it then."""
    try:
        return is_loopback_host(urlsplit(url).hostname or "")
    except ValueError:
        return False


def is_loopback_host(host: str) -> bool:
    """Whether a host, by name or address, is this machine."""
    return host == "localhost" or is_loopback_address(host)


def is_loopback_address(address: str) -> bool:
    """Whether an IP address is a loopback address; `::ffff:127.0.0.1` is one too."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback
