"""The clinic's HTTP service, call page and demo. `clinic_agent.app:app` is the application, for an ASGI server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

    app: FastAPI


def __getattr__(name: str) -> object:
    """Makes `app` when it is first asked for, from the environment: see `clinic_agent.app.server.from_environment`."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from clinic_agent.app.server import from_environment

    globals()[name] = from_environment()
    return globals()[name]
