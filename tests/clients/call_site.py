"""The clinic's call page, served on a free port, and the sound that a browser's false microphone hears."""

from __future__ import annotations

import socket
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from threading import Thread
from typing import Any

from clinic_agent.app.call_page import CallPage
from clinic_agent.app.routes import create_app
from clinic_agent.app.server import server
from clinic_agent.app.settings import AppSettings
from clinic_agent.clinic.schedule_sqlite import SqliteSchedule
from clinic_agent.config import Config
from mockserver.testing.mock_server import MockServer

VOICES = Path(__file__).parents[2] / "cassettes" / "voices"
TODAY = date(2026, 7, 1)


@contextmanager
def call_site(mock: MockServer, data: Path, call_page: CallPage | None = None, **more: Any) -> Iterator[str]:
    """The page's address. It calls `mock` and keeps its things in `data`; `more` are further settings."""
    settings = AppSettings(Config(mock.ws_url, mock.http_url, mock.api_key), data, today=TODAY, **more)
    with SqliteSchedule(settings.database) as schedule, socket.create_server(("127.0.0.1", 0)) as listening:
        serving = server(create_app(settings, schedule, call_page))
        thread = Thread(target=serving.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            serving.should_exit = True
            thread.join()


def microphone(path: Path, *parts: str | float) -> str:
    """The browser's flag for a microphone that hears clips by name, and silence of so many seconds, once."""
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 24_000, 0, "NONE", ""))
        for part in parts:
            sound.writeframes(clip(part) if isinstance(part, str) else bytes(2 * round(24_000 * part)))
    return f"--use-file-for-fake-audio-capture={path}%noloop"


def clip(name: str) -> bytes:
    """The samples of one of the caller's clips."""
    with wave.open(str(VOICES / f"{name}.wav")) as sound:
        samples: bytes = sound.readframes(sound.getnframes())
    return samples
