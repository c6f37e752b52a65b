"""A rehearsal of a telephone call: the mock rings and sends the webhook, and the clinic's own server answers.

All three run in one process, in virtual time.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from clinic_agent.app.call_page import Frames
from clinic_agent.app.call_store import CallRecord, utc_now
from clinic_agent.app.routes import create_app
from clinic_agent.app.server import server
from clinic_agent.app.settings import AppSettings
from clinic_agent.app.state import AppState
from clinic_agent.app.webhook import signing_keys
from clinic_agent.clinic.schedule import MemorySchedule
from clinic_agent.config import from_environment
from mockserver.calls.script import Entry
from mockserver.server.virtual_time import run as in_virtual_time
from mockserver.testing.mock_server import MockServer
from mockserver.testing.rung_call import RungCall
from realtape.data import cassettes


@dataclass(frozen=True, slots=True)
class Telephoned:
    """A call: the caller's side, the clinic's record with its frames, and what the mock charged."""

    call: RungCall
    record: CallRecord | None
    frames: Frames
    mock_usd: str


def rehearse(entries: Sequence[Entry], data: Path, **settings: Any) -> Telephoned:
    """Let a caller telephone the clinic, in virtual time. `data`: folder of the records. `settings`: see `_telephone`.

    Raises ValueError and RuntimeError for what cannot be used, and OSError for a file.
    """
    return in_virtual_time(_telephone(entries, data, **settings))


async def _telephone(
    entries: Sequence[Entry],
    data: Path,
    *,
    dialect: str,
    voice: str,
    today: datetime,
    handover: str,
    transfer_status: int | None,
    greeting_s: float,
) -> Telephoned:
    async with MockServer(cassettes() / "scenarios" / "clinic.yaml", dialect=dialect, voice=voice) as mock:
        there = {"XAI_API_KEY": mock.api_key, "XAI_REALTIME_URL": mock.ws_url, "CLINIC_DIALECT": dialect}
        settings = AppSettings(
            from_environment(there),
            data,
            today=today.date(),
            webhook_keys=tuple(signing_keys(mock.webhook_secret)),
            hand_over_to=handover or None,
        )
        async with serving(settings) as (state, url):
            call = mock.ring(
                script=entries,
                webhook=f"{url}/calls/incoming",
                transfer_status=transfer_status,
                greeting=greeting_s,
            )
            await call
            await state.phone_calls.join()
            record = state.store.find(call.id)
            frames = state.store.frames(call.id)
        return Telephoned(call, record, frames, str(mock.ledger.total_usd))


@asynccontextmanager
async def serving(settings: AppSettings) -> AsyncIterator[tuple[AppState, str]]:
    """The clinic's server on a free port: its state and address. Its records follow the loop's clock."""
    app = create_app(settings, MemorySchedule())
    state: AppState = app.state.clinic
    loop, began = asyncio.get_running_loop(), utc_now()
    began_s = loop.time()
    state.store.now = lambda: began + timedelta(seconds=loop.time() - began_s)
    clinic = server(app)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        task = loop.create_task(clinic.serve(sockets=[listening]))
        try:
            yield state, f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            clinic.should_exit = True
            await task
