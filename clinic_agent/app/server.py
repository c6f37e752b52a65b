"""Runs the application of routes.py in one process with uvicorn."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from clinic_agent.app.call_page import CallPage
from clinic_agent.app.routes import create_app
from clinic_agent.app.settings import AppSettings, settings_from
from clinic_agent.call.tracing import export_spans
from clinic_agent.clinic.schedule_sqlite import SqliteSchedule
from clinic_agent.config import environment

MAX_CONNECTIONS = 900
"""A bound on open connections, idle ones too, below the 1024 files that a process may usually open.

Requests are bounded in guard.py, where they get an answer that says what to do."""


def run(
    settings: AppSettings, host: str, port: int, ready: Callable[[str], None], call_page: CallPage | None = None
) -> None:
    """Serve until SIGINT or SIGTERM. `ready` is called with the URL when the server listens. Port 0 picks a free one.
    `call_page`: see `create_app`.

    Raises OSError when it cannot listen or the data folder cannot be made, BadDatabase for an unusable calendar,
    Unavailable if other programs keep writing to it, and ValueError as `export_spans` does.
    """
    export_spans()
    listening = _listen(host, port)
    with listening, _calendar(settings) as schedule:
        name = f"[{host}]" if ":" in host else host
        serving = server(create_app(settings, schedule, call_page))
        _end_in_order(serving)
        ready(f"http://{name}:{listening.getsockname()[1]}/")
        serving.run(sockets=[listening])


def _end_in_order(serving: uvicorn.Server) -> None:
    """Let SIGINT and SIGTERM end the server with exit code 0. uvicorn raises them again after it has shut down."""
    if threading.current_thread() is not threading.main_thread():
        return

    def end(number: int, frame: FrameType | None) -> None:
        serving.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)


def server(app: FastAPI) -> uvicorn.Server:
    """The uvicorn server of an application. It does not log requests."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            access_log=False,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=2,
        )
    )


def from_environment() -> FastAPI:
    """The application with the settings of the environment, as `clinic_agent.app:app` has it.

    Raises ConfigError, BadDatabase, Unavailable, ValueError and OSError as `run` does.
    """
    settings = settings_from(environment())
    export_spans()
    return create_app(settings, _calendar(settings))


def _calendar(settings: AppSettings) -> SqliteSchedule:
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    return SqliteSchedule(settings.database)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise OSError(f"cannot listen on {host}:{port} ({reason}); --port 0 picks a free port") from problem
