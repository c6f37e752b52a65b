"""Plays a recording's client at an endpoint: the same frames, each as late as the recorded client had reason to wait.

It knows no dialect and judges nothing. A client event goes out once the last thing the recorded client had seen has
been seen here too: counted in events that always come, not in deltas. Ids of the service are those of this endpoint.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from replay.cassette.conversation import Closed, Conversation, ConversationStep, Message
from replay.diff.milestones import milestones

Event = Mapping[str, Any]
PATIENCE_S = 2.0
PLAYED_S = 60.0
"""How long an answer to a call may be played."""
QUIET_S = 0.03


@dataclass(frozen=True)
class Joined:
    """A call that goes on: its id, empty for the recorded one, and what lets its caller speak."""

    id: str
    speak: Callable[[], Awaitable[None]]


async def _silent() -> None:
    """Nobody speaks besides the client."""


@dataclass
class Drive:
    """What came back, over all connections, and what was waited for in vain."""

    received: list[Event] = field(default_factory=list)
    overdue: list[str] = field(default_factory=list)


async def drive(recording: Conversation, url: str, api_key: str, call: Joined | None = None) -> Drive:
    """Connect as often as the recorded client did and do what it did. `url` has no query. `call`: what a sideband
    joins."""
    result = Drive()
    recorded: list[Event] = []
    for steps in recording.connections():
        query = query_of(steps, recorded, result.received)
        if "call_id" in query:
            del query["model"]  # the call has one
            query["call_id"] = call.id if call is not None and call.id else query["call_id"]
        headers = {"Authorization": f"Bearer {api_key}"}
        async with connect(f"{url}?{urlencode(query)}", additional_headers=headers, compression=None) as socket:
            await _Line(socket, recorded, result).follow(steps, call.speak if call is not None else _silent)
    return result


class _Line:
    """One connection: what the recorded client saw on it so far, and what has come here."""

    def __init__(self, socket: ClientConnection, recorded: list[Event], result: Drive) -> None:
        self._socket = socket
        self._recorded = recorded
        self._result = result
        self._begin = len(recorded), len(result.received)

    async def follow(self, steps: Sequence[ConversationStep], speak: Callable[[], Awaitable[None]]) -> None:
        code, reason = 1000, ""
        for step in steps:
            match step:
                case Message(way="received", event=event):
                    if event["type"] == "input_audio_buffer.speech_started":
                        await self._catch_up()
                        await speak()
                    self._recorded.append(event)
                case Message(way="sent", event=event):
                    await self._catch_up()
                    live = with_live_ids(event, self._recorded, self._result.received)
                    await self._socket.send(json.dumps(live))
                case Closed():
                    code, reason = step.code, step.reason
        await self._catch_up(everything=True)
        await self._until_quiet()
        await self._socket.close(code, reason)

    async def _catch_up(self, everything: bool = False) -> None:
        """Until as many of the last milestone's kind have come as the recorded client had seen; at the end, of each."""
        passed = list(milestones(self._recorded[self._begin[0] :]))
        for kind in dict.fromkeys(reversed(passed) if everything else passed[-1:]):
            due = passed.count(kind)
            try:
                while Counter(milestones(self._result.received[self._begin[1] :]))[kind] < due:
                    await self._receive(PLAYED_S if kind == "output_audio_buffer.stopped" else PATIENCE_S)
            except (asyncio.TimeoutError, ConnectionClosed):  # asyncio's own name for it until Python 3.11
                self._result.overdue.append(f"{kind} ({due}.)")
                return

    async def _until_quiet(self) -> None:
        """What nobody waits for shows itself too."""
        try:
            while True:
                await self._receive(QUIET_S)
        except (asyncio.TimeoutError, ConnectionClosed):
            return

    async def _receive(self, within_s: float) -> None:
        self._result.received.append(json.loads(await asyncio.wait_for(self._socket.recv(), within_s)))


def call_of(steps: Iterable[ConversationStep]) -> Mapping[str, Any] | None:
    """The session of the call that a connection is the sideband of, as its first event shows it; None for another."""
    first = next((step for step in steps if isinstance(step, Message) and step.way == "received"), None)
    match first:
        case Message(event={"type": "session.updated", "session": Mapping() as session}):
            return session
        case _:
            return None


def call_id(session: Mapping[str, Any]) -> str:
    """The call's id: that of its session with another prefix (recordings)."""
    return f"rtc{session['id'].removeprefix('sess')}"


def query_of(steps: Sequence[ConversationStep], recorded: Sequence[Event], live: Sequence[Event]) -> dict[str, str]:
    """What the recorded client asked for, as its service's first events tell: the model, the conversation resumed."""
    query: dict[str, str] = {}
    for step in steps:
        if not isinstance(step, Message):
            continue
        match step.event:
            case {"type": "session.created", "session": {"model": str() as model}}:
                query["model"] = model
            case {"type": "session.updated", "session": {"model": str() as model}} if not query:
                query |= {"model": model, "call_id": call_id(step.event["session"])}
            case {"type": "conversation.created", "conversation": {"id": str() as known}}:
                resumed = _live_id(known, recorded, live)
                if resumed is not None:
                    query["conversation_id"] = resumed
    return query


def with_live_ids(event: Event, recorded: Sequence[Event], live: Sequence[Event]) -> Any:
    """A client event that names this endpoint's ids in place of the recorded ones."""

    def here(value: Any, key: str) -> Any:
        match value:
            case Mapping():
                return {name: here(part, name) for name, part in value.items()}
            case list():
                return [here(part, key) for part in value]
            case str() if key.endswith("id"):
                return _live_id(value, recorded, live) or value
            case _:
                return value

    return here(event, "")


def _live_id(known: str, recorded: Sequence[Event], live: Sequence[Event]) -> str | None:
    """The id at the place where the recorded one first stood: the same event type, the same ordinal, the same path."""
    seen: Counter[str] = Counter()
    for event in recorded:
        seen[event["type"]] += 1
        for path, value in _strings(event):
            if value != known:
                continue
            same = [other for other in live if other["type"] == event["type"]]
            found = dict(_strings(same[seen[event["type"]] - 1])) if len(same) >= seen[event["type"]] else {}
            return found.get(path)
    return None


def _strings(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    if isinstance(value, str):
        yield path, value
    parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from _strings(part, (*path, key))
