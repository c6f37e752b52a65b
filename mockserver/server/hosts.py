"""The host names of the services, for clients whose address is fixed."""

from __future__ import annotations

SERVICE_HOSTS = ("api.x.ai", "api.openai.com", "openai.azure.com")
"""Hosts that `serve --tls` answers for, with the names one level below each."""
_LOCAL = ("localhost", "127.0.0.1", "::1")


def is_served(host: str) -> bool:
    """Whether `serve --tls` answers for this host."""
    host = host.lower().rstrip(".")
    return host in _LOCAL or any(host == each or host.endswith(f".{each}") for each in SERVICE_HOSTS)
