"""Which realtape this is, for what it writes."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def tool_version() -> str:
    """Of the installed package; `unknown` where none is."""
    try:
        return version("realtape")
    except PackageNotFoundError:
        return "unknown"
