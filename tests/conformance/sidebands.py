"""Recordings of a call's sideband: one without a `session.created`, whose sound is on tracks that nobody recorded."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256

import numpy as np
from aiohttp import ClientSession

from mockserver.audio.formats import Samples
from mockserver.calls.playout import RATE
from mockserver.dialects.names import ALIASES
from mockserver.server.calls.registry import NoEvents
from realtape import MockServer
from replay.cassette.conversation import Conversation, ConversationStep, Message
from tests.conformance.driver import Joined, call_id, call_of
from tests.conformance.recordings import voice


def is_sideband(recording: Conversation) -> bool:
    """Whether it is the sideband of a call."""
    return call_of(recording.steps) is not None


@asynccontextmanager
async def joined(recording: Conversation, mock: MockServer) -> AsyncIterator[Joined | None]:
    """The call of a sideband's recording, which is made here unless the mock plays it itself; None for another."""
    session, service, id = call_of(recording.steps), mock._service, ""
    if session is None:
        yield None
        return
    if service.factory.recordings is None:
        dialect = service.options.dialect
        name = dialect if "@" in dialect else ALIASES[dialect]
        id = service.calls.announce(name, "phone", service.clock.unix(), NoEvents()).id
        asked = {"type": "realtime", "model": session["model"]}
        headers = {"Authorization": f"Bearer {mock.api_key}"}
        url = f"{mock.http_url}/realtime/calls/{id}/accept"
        async with ClientSession() as http, http.post(url, json=asked, headers=headers) as answer:
            assert answer.status == 200, await answer.text()

    async def speak() -> None:
        entry = service.calls.get(id or call_id(session))
        assert entry is not None and entry.running is not None
        for samples in caller():
            await asyncio.sleep(len(samples) / RATE)
            entry.running.hear(samples)

    yield Joined(id, speak)


def caller() -> list[Samples]:
    """What somebody says on the track, a tenth of a second each, with silence behind it."""
    return [np.frombuffer(base64.b64decode(event["audio"]), "<i2") for event in voice()]


def as_sideband(recording: Conversation) -> Conversation:
    """The sideband of a call that goes as this recording of a WebSocket does: no greeting and no sound, but what was
    played (the fact sheet's order)."""
    steps: list[ConversationStep] = []
    response = ""
    for step in recording.steps:
        if not isinstance(step, Message):
            steps.append(step)
            continue
        match step.event:
            case {"type": "session.created" | "input_audio_buffer.append"}:
                continue
            case {"type": "response.output_audio.delta", "response_id": str(id)}:
                if id != response:
                    steps.append(_played("started", id))
                response = id
                continue
            case {"type": "session.updated"}:
                session = step.event["session"]
                known = {**session, "id": session["id"].replace("sess_", "sess_u1_")}
                steps.append(replace(step, event={**step.event, "session": known}))
                continue
            case _:
                steps.append(step)
    return replace(recording, steps=(*steps, _played("stopped", response)) if response else tuple(steps))


def _played(what: str, response_id: str) -> Message:
    event_id = "event_" + sha256(f"{what} {response_id}".encode()).hexdigest()[:16]
    return Message(
        "received", {"type": f"output_audio_buffer.{what}", "event_id": event_id, "response_id": response_id}
    )
