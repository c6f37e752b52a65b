"""The clinic's server for tests: requests go to the application directly, its calls over sockets to a mock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import httpx2
from fastapi import FastAPI

from clinic_agent.app.call_page import CallPage
from clinic_agent.app.routes import create_app
from clinic_agent.app.settings import AppSettings
from clinic_agent.app.state import AppState
from clinic_agent.clinic.schedule import MemorySchedule, Schedule
from clinic_agent.config import Config
from realtape import MockServer, Scenario

CASSETTES = Path(__file__).parents[2] / "cassettes"
VOICES = CASSETTES / "voices"
SCENARIO = Scenario.load(CASSETTES / "scenarios" / "clinic.yaml")
TODAY = date(2026, 7, 1)
ASK = "I would like a dental cleaning on July sixth."
CHOOSE = "The nine thirty slot, please. My name is Maria Lopez."
SLOTS = {"service": "dental cleaning", "date": "2026-07-06", "slots": ["09:30", "11:00", "14:30"]}


@dataclass
class ClinicServer:
    """The server, the mock that it calls, and the folder that it writes to."""

    http: httpx2.AsyncClient
    mock: MockServer
    schedule: Schedule
    data: Path
    state: AppState

    async def post(self, path: str, **request: Any) -> httpx2.Response:
        return await self.http.post(path, **request)

    async def say(self, **requested: Any) -> httpx2.Response:
        return await self.http.post("/appointments/voice", json=requested)


@asynccontextmanager
async def clinic_server(
    data: Path,
    *,
    key: str | None = None,
    schedule: Schedule | None = None,
    mock: Mapping[str, Any] | None = None,
    call_page: CallPage | None = None,
    **more: Any,
) -> AsyncIterator[ClinicServer]:
    """`more` are further settings of the server, `mock` those of the mock."""
    async with MockServer(SCENARIO, **{"voice": "tone", "pacing": "burst", **(mock or {})}) as service:
        config = Config(service.ws_url, service.http_url, key or service.api_key)
        calendar = schedule or MemorySchedule()
        app = create_app(AppSettings(config, data, today=TODAY, **more), calendar, call_page)
        async with asking(app) as http:
            yield ClinicServer(http, service, calendar, data, app.state.clinic)
        await app.state.clinic.held_calls.close()


@asynccontextmanager
async def asking(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """Requests to an application, as from this machine."""
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url="http://127.0.0.1:8080", timeout=30
    ) as http:
        yield http
