"""The version of realtape, for the files it writes."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def tool_version() -> str:
    """The version of the installed package; `unknown` if it is not installed."""
    try:
        return version("realtape")
    except PackageNotFoundError:
        return "unknown"
