"""The clinic's HTTP service, call page and playground. `clinic_agent.app:app` is the application for an ASGI server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

    app: FastAPI


def __getattr__(name: str) -> object:
    """Make `app` from the environment at its first use, see `clinic_agent.app.server.from_environment`."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from clinic_agent.app.server import from_environment

    globals()[name] = from_environment()
    return globals()[name]
