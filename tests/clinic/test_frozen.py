"""A read-only copy of the agent runs as a program against a mock, and against a relay in front of another mock.

Only the URL and the key differ, so the reports have to be equal.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from clinic_agent.clinic.schedule_sqlite import SqliteSchedule
from mockserver.testing.mock_server import MockServer
from replay.cassette.file import Cassette
from replay.relay.relay import Relay, Settings
from replay.relay.upstream import Upstream
from replay.secrets.named import Secrets
from tests.clinic.phone import ASK, CASSETTES, CHOOSE

ROOT = Path(__file__).parents[2]
KEYS = ("first-key-of-the-one", "second-key-of-the-other")
SAME = ("turns", "failure", "model", "audio_in_s", "audio_out_s", "text_items", "usd")
"""What a report says of a call, apart from whose it was."""
NEVER_SAME = ("first_audio_ms", "total_ms", "ms")

PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path(__file__).parent))
for name in ("mockserver", "replay", "realtape"):
    sys.modules[name] = None  # importing one fails, wherever it may be installed
from clinic_agent.cli import clinic
clinic()
"""


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the agent alone, which nobody may write to."""
    folder = tmp_path_factory.mktemp("frozen")
    shutil.copytree(ROOT / "clinic_agent", folder / "clinic_agent", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "call.py").write_text(PROGRAM)
    return folder


def seal(folder: Path) -> str:
    """One digest of every source file."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


async def call(frozen: Path, url: str, key: str, database: Path, words: list[str]) -> dict[str, Any]:
    """Run the sealed agent. Its whole world is an address, a key, and a file for the bookings."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("XAI_", "CLINIC_", "PYTHON"))}
    environ |= {"XAI_REALTIME_URL": url, "XAI_API_KEY": key, "PYTHONDONTWRITEBYTECODE": "1"}
    arguments = [sys.executable, str(frozen / "call.py"), "call", "--fast", "--json", "--today", "2026-07-01"]
    arguments += ["--database", str(database), *words]
    done = await asyncio.to_thread(
        subprocess.run, arguments, env=environ, cwd=frozen, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    return {name: _timeless(report[name]) for name in SAME}


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(each) for name, each in value.items() if name not in (*NEVER_SAME, "usage")}
    return [_timeless(each) for each in value] if isinstance(value, list) else value


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["--text", ASK, "--text", CHOOSE],
        ["--wav", str(CASSETTES / "voices" / "booking-1.wav"), "--wav", str(CASSETTES / "voices" / "booking-2.wav")],
    ],
    ids=["typed", "spoken"],
)
async def test_the_sealed_agent_makes_the_same_call_whatever_is_at_the_other_end(frozen, tmp_path, words):
    sealed = seal(frozen)
    assert sealed == seal_of_sources(frozen)
    mocks = [
        MockServer(CASSETTES / "scenarios" / "clinic.yaml", pacing="burst", voice="tone", api_keys=[key])
        for key in KEYS
    ]
    at = datetime(2026, 7, 1, tzinfo=timezone.utc)
    async with mocks[0] as one, mocks[1] as other:
        relay = Relay(
            await Upstream.find(other.ws_url), Settings(tmp_path / "call.tape", at, "test", secrets=Secrets(KEYS))
        )
        await relay.start()
        try:
            relayed_url = f"ws://127.0.0.1:{relay.port}/v1/realtime"
            direct = await call(frozen, one.ws_url, KEYS[0], tmp_path / "one.sqlite3", words)
            relayed = await call(frozen, relayed_url, KEYS[1], tmp_path / "other.sqlite3", words)
        finally:
            await relay.stop()
        charged = [str(mock.ledger.total_usd) for mock in (one, other)]
    assert direct == relayed
    assert charged[0] == charged[1]
    for name in ("one", "other"):
        with SqliteSchedule(tmp_path / f"{name}.sqlite3") as schedule:
            assert [booking.reference for booking in schedule.bookings()] == ["DC-0706-0930"]
    with Cassette.open(tmp_path / "call.tape") as cassette:
        assert cassette.header.origin == "mock"
    assert seal(frozen) == sealed


def seal_of_sources(frozen: Path) -> str:
    """What the copy has to be: the agent as it is here, and the program that starts it."""
    digest = hashlib.sha256()
    originals = {path.relative_to(ROOT): path for path in (ROOT / "clinic_agent").rglob("*.py")}
    originals[Path("call.py")] = frozen / "call.py"
    for _, path in sorted(originals.items()):
        digest.update(path.read_bytes())
    return digest.hexdigest()
