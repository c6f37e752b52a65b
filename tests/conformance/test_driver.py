"""The driver does what the recorded client did, on an endpoint that plays the recorded service with ids of its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve

from replay.cassette.conversation import Closed, Conversation, Message
from replay.diff.compare import compare
from replay.formats import pydantic_ai
from tests.conformance.driver import drive
from tests.conformance.scenario import scenario_from
from tests.replay.planted_faults import renamed

CALL = ("response.created", "response.function_call_arguments.done")
TALK = pydantic_ai.read(Path(__file__).parents[1] / "replay" / "talk.yaml")


class Tape:
    """An endpoint that sends a recording's server events and takes a client event wherever the recording has one."""

    def __init__(self, recording: Conversation) -> None:
        self.queries: list[dict[str, list[str]]] = []
        self.heard: list[Any] = []
        self._connections = recording.connections()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        async with serve(self._play, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            yield f"ws://{host}:{port}/v1/realtime"

    async def _play(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.queries.append(parse_qs(urlsplit(socket.request.path).query))
        for step in next(self._connections):
            match step:
                case Message(way="received"):
                    await socket.send(json.dumps(renamed([step.event])[0]))
                case Message():
                    self.heard.append(json.loads(await socket.recv()))
        await socket.wait_closed()


async def test_the_client_events_arrive_in_order_and_name_the_ids_of_this_endpoint():
    tape = Tape(TALK)
    async with tape.serving() as url:
        result = await drive(TALK, url, "any-key")
    assert tape.heard == renamed(TALK.sent()) != TALK.sent()
    assert result.overdue == []
    assert compare(TALK.received(), result.received) == []


async def test_a_lost_connection_is_resumed_with_the_conversation_of_this_endpoint():
    greeting = [step for step in TALK.steps if isinstance(step, Message)][:3]
    twice = Conversation("twice", (*greeting, Closed(1011, "lost"), *greeting, Closed()))
    tape = Tape(twice)
    async with tape.serving() as url:
        await drive(twice, url, "any-key")
    created = renamed(TALK.received())[1]["conversation"]["id"]
    assert tape.queries == [{"model": ["m"]}, {"model": ["m"], "conversation_id": [created]}]


def test_arguments_that_an_object_would_not_give_back_stay_text():
    odd = '{  \n "day": "Monday" }'
    called = [event for event in TALK.received() if event["type"] in CALL]
    oddly = tuple(Message("received", {**event, "arguments": odd}) for event in called)
    assert scenario_from(Conversation("odd", oddly))["sequence"][0]["reply"][0]["call"]["arguments"] == odd


async def test_what_never_comes_is_told_and_the_client_goes_on(monkeypatch):
    monkeypatch.setattr("tests.conformance.driver.PATIENCE_S", 0.01)
    silent = Conversation("silent", tuple(step for step in TALK.steps if getattr(step, "way", "") != "received"))
    async with Tape(silent).serving() as url:
        result = await drive(TALK, url, "any-key")
    assert result.received == []
    assert result.overdue[0] == "ping (1.)"


def test_a_recording_becomes_a_scenario_by_rule():
    assert scenario_from(TALK) == {
        "name": "talk",
        "hearing": "script",
        "sequence": [
            {
                "heard": "Find a room, please.",
                "reply": [
                    {"say": "One moment. Let me look."},
                    {"call": {"name": "find_room", "arguments": {"day": "Monday"}}},
                ],
            },
            {"reply": [{"say": "Room four."}]},
        ],
    }
