"""The page of `run.py app` in Chromium, whose microphone hears what the scenario does not know."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import urllib.request
import wave
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.devtools import BROWSER, MICROPHONE, Page, browsing
from tests.clinic_agent.callers_nobody_expects import (
    AGREES,
    ALL_AT_ONCE,
    BOOKED,
    NOT_UNDERSTOOD,
    RATE,
    g711_as_pcm,
    known,
    needs_ears,
    spoken,
)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")
ROOT = Path(__file__).parents[2]
APP = """
import sys
from pathlib import Path
import run
sys.exit(run.call_a_mock(Path(sys.executable), ["-m", "realtape", "clinic", "serve", "--port", "0"]))
"""
"""What `run.py app` does once its environment is made."""


@dataclass(frozen=True)
class App:
    """The page's address, the control plane of its mock, and the calendar's file."""

    url: str
    control: str
    calendar: Path

    def heard_by(self) -> list[str]:
        """What decided the words of each spoken turn."""
        sessions = [self._get(f"sessions/{each['id']}") for each in self._get("sessions")]
        return [turn["heard_by"] for session in sessions for turn in session["heard"]]

    def bookings(self) -> list[tuple[str, ...]]:
        with closing(sqlite3.connect(self.calendar)) as calendar:
            return calendar.execute("SELECT service, day, start, name FROM bookings").fetchall()

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.control}/{path}", timeout=20) as answer:
            return json.load(answer)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("XAI_", "CLINIC_"))}
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environ |= {"PYTHONPATH": path, "CLINIC_DATA": str(tmp_path / "data"), "REALTAPE_SERVE_VOICE": "tone"}
    with subprocess.Popen(
        [sys.executable, "-c", APP],
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            # The mock may warn first that no transcriber is installed.
            lines = (re.search(r"ws://(\S+?)/v1", line) for line in process.stderr)
            mock = next(found[1] for found in lines if found)
            url = process.stdout.readline().split()[1]
            yield App(url, f"http://{mock}/_mock", tmp_path / "data" / "clinic.sqlite3")
        finally:
            process.terminate()


@contextmanager
def calling(app: App, folder: Path, *parts: bytes | float) -> Iterator[Page]:
    """The page in a call, whose microphone hears sounds, and silence of so many seconds, once."""
    with wave.open(str(folder / "mic.wav"), "wb") as sound:
        sound.setparams((1, 2, RATE, 0, "NONE", ""))
        for part in (1.0, *parts, 90.0):
            sound.writeframes(part if isinstance(part, bytes) else bytes(2 * round(RATE * part)))
    heard = f"--use-file-for-fake-audio-capture={folder / 'mic.wav'}%noloop"
    with browsing(app.url, folder / "profile", *MICROPHONE, heard) as page:
        page.click("#call")
        yield page
        assert page.errors == []


def shows(text: str) -> str:
    return f"document.querySelector('main').innerText.includes({json.dumps(text)})"


@needs_ears
def test_another_sentence_of_another_voice_is_heard_and_booked(app: App, tmp_path: Path):
    with calling(app, tmp_path, spoken(ALL_AT_ONCE), 20.0, spoken(AGREES)) as page:
        assert "Spoken words are recognised on this machine." in page.text("body")
        page.until(shows("You are booked, Emily Brown"))
    assert app.bookings() == [BOOKED]
    assert app.heard_by() == ["transcriber", "transcriber"]


def test_an_emergency_is_handed_over(app: App, tmp_path: Path):
    with calling(app, tmp_path, known("emergency")) as page:
        page.until(shows("the nurse on duty"))
        assert "Please dial the emergency number now." in page.text("#transcript")
    assert app.bookings() == []
    assert app.heard_by() == ["clip"]


def test_another_encoding_is_not_understood(app: App, tmp_path: Path):
    with calling(app, tmp_path, g711_as_pcm("booking-1"), 1.0, g711_as_pcm("booking-2")) as page:
        page.until(shows(NOT_UNDERSTOOD))
    assert app.bookings() == []
    assert set(app.heard_by()) == {"nobody"}


def test_silence_is_no_turn(app: App, tmp_path: Path):
    with calling(app, tmp_path) as page:
        page.until("document.querySelector('#state').innerText === 'Listening'")
        page.run("new Promise((done) => setTimeout(done, 5000))")
        assert page.text("#transcript").strip() == ""
    assert app.bookings() == []
    assert app.heard_by() == []
