"""Every row of docs/faults.md: its example is run on a real socket, and its last column is what a client saw."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import ClientError, ClientSession, WSMsgType, WSServerHandshakeError

from mockserver.faults.files import parse
from mockserver.faults.kinds import KINDS
from mockserver.server import virtual_time as autojump
from mockserver.testing.mock_server import MockServer

PAGE = Path(__file__).resolve().parents[3] / "docs" / "faults.md"
ROW = re.compile(r"^\| `(\w+)` \| .*? \| `(\{at.*\})` \| (.*) \|$", re.MULTILINE)
ROWS = {kind: (example, seen) for kind, example, seen in ROW.findall(PAGE.read_text(encoding="utf-8"))}
WORDS = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello there"}]}
DELTA = "response.output_audio.delta"


@dataclass
class Seen:
    """What a client saw of two turns, until they were over or nothing came for half a minute."""

    texts: list[str] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    opened_s: float = 0.0
    end: str = ""
    pong: bool = False

    @property
    def events(self) -> list[dict[str, Any]]:
        return [
            json.loads(text) if text.endswith("}") and text.count('"') % 2 == 0 else {"type": ""} for text in self.texts
        ]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    def time_of(self, type: str) -> float:
        return self.at[self.types.index(type)]

    def sound(self, number: int) -> np.ndarray[Any, Any]:
        deltas = [event["delta"] for event in self.events if event["type"] == DELTA]
        return np.frombuffer(base64.b64decode(deltas[number - 1]), "<i2")

    @property
    def deltas(self) -> str:
        count = self.types.count(DELTA)
        return f"{count} delta{'s' if count != 1 else ''}"


async def converse(mock: MockServer, http: ClientSession, seen: Seen) -> None:
    loop = asyncio.get_running_loop()
    http._retry_connection = False  # aiohttp's clients would try a second time
    try:
        ws = await http.ws_connect(mock.ws_url, headers={"Authorization": "Bearer k"}, autoclose=False, autoping=False)
    except WSServerHandshakeError as refusal:
        assert refusal.headers is not None
        seen.end = f"HTTP {refusal.status}, Retry-After {refusal.headers.get('Retry-After')}"
        return
    except ClientError:
        seen.end = f"no answer; lost after {loop.time():g} s"
        return
    seen.opened_s = loop.time()
    over, asked = 0, 0
    while over < 2:
        if asked == over:
            await ws.send_json({"type": "conversation.item.create", "item": WORDS})
            await ws.send_json({"type": "response.create"})
            asked += 1
        try:
            message = await ws.receive(timeout=30)
        except asyncio.TimeoutError:
            seen.end = "then nothing"
            break
        if message.type is WSMsgType.CLOSE:
            seen.end = f"close {message.data} {message.extra}"
            break
        if message.type is not WSMsgType.TEXT:
            seen.end = "lost without a close frame"
            break
        seen.texts.append(message.data)
        seen.at.append(loop.time())
        over += "response.done" in message.data
    if seen.end == "then nothing":
        await ws.ping(b"?")
        try:
            seen.pong = (await ws.receive(timeout=5)).type is WSMsgType.PONG
        except asyncio.TimeoutError:
            seen.pong = False
    ws._response.close()  # a half open server would not answer a close frame


def run(faults: str | None) -> Seen:
    seen = Seen()

    async def main() -> None:
        given = parse(faults).faults if faults else ()
        async with MockServer(dialect="xai@2026-07", voice="tone", faults=list(given)) as mock, ClientSession() as http:
            await converse(mock, http, seen)
            assert [armed.fired > 0 for armed in mock.faults] == [True] * len(given)

    autojump.run(main())
    return seen


CLEAN = run(None)


def glitch(seen: Seen) -> str:
    clean, sound = CLEAN.sound(2).astype(int), seen.sound(2).astype(int)
    others = all(np.array_equal(CLEAN.sound(number), seen.sound(number)) for number in (1, 3, 4))
    assert others
    if len(sound) == len(clean):
        assert np.array_equal(sound, np.clip(clean * 16, -32768, 32767)) or not sound.any()
        return f"delta 2 as long, and {'clipped' if sound.any() else 'silent'}"
    assert abs(len(sound) - len(clean) * 2 / 3) < 2
    return "delta 2 two thirds as long"


def broken(seen: Seen) -> str:
    (bad,) = (at for at, type in enumerate(seen.types) if not type)
    with pytest.raises(json.JSONDecodeError):
        json.loads(seen.texts[bad])
    share = len(seen.texts[bad]) / len(CLEAN.texts[bad])
    return "a message that is no JSON" + (", half as long" if 0.49 < share < 0.51 else "")


def ended(seen: Seen) -> str:
    done = seen.types.index("response.done")
    assert seen.types[done - 1] in ("response.output_item.done", "error")
    return f"{seen.types[:done].count(DELTA)} deltas, response.done {seen.events[done]['response']['status']}"


def late(seen: Seen) -> str:
    by_ms = 1000 * (seen.time_of("response.done") - CLEAN.time_of("response.done"))
    assert 0 < by_ms < 200 or round(by_ms) == 500
    return f"response.done {'up to 200' if by_ms < 200 else round(by_ms)} ms late"


def told(seen: Seen) -> str:
    at = seen.types.index("error")
    error = seen.events[at]["error"]
    assert error["message"] == "Too fast."
    return f"error {error['type']} {error['code']} before {seen.types[at + 1]}"


def paced(seen: Seen) -> str:
    bits = zip(seen.texts, seen.at, strict=True)
    total, fastest = 0, 0.0
    for text, at in bits:
        total += len(text)
        fastest = max(fastest, total / at)
    assert 15_000 < fastest
    return f"at most {fastest:.0f} bytes a second"


def swapped(seen: Seen) -> str:
    at = seen.types.index("response.created")
    assert seen.types[:at] + seen.types[at + 1 :] == [type for i, type in enumerate(CLEAN.types) if i != at - 1]
    return f"{seen.types[at - 1]} before response.created"


def pressed(seen: Seen) -> str:
    type = "input_audio_buffer.dtmf_event_received"
    return f"{type} {' '.join(event['event'] for event in seen.events if event['type'] == type)}"


SAYS: dict[str, Callable[[Seen], str]] = {
    "status": lambda seen: seen.end,
    "hang": lambda seen: seen.end,
    "slow": lambda seen: f"open after {seen.opened_s:g} s",
    "reset": lambda seen: f"{seen.deltas}, {seen.end}",
    "close": lambda seen: f"{seen.deltas}, {seen.end}",
    "tear": lambda seen: f"{seen.deltas}, {seen.end}",
    "half_open": lambda seen: f"{seen.deltas}, {seen.end}, {'a' if seen.pong else 'no'} pong",
    "stall": lambda seen: f"{seen.deltas}, {seen.end}, {'but a' if seen.pong else 'no'} pong",
    "drop": lambda seen: seen.deltas,
    "duplicate": lambda seen: f"response.created twice, {seen.types.count('response.created') - 2} times",
    "reorder": swapped,
    "delay": late,
    "late": late,
    "jitter": late,
    "bandwidth": paced,
    "corrupt": broken,
    "truncate": broken,
    "error": told,
    "refuse": told,
    "fail": ended,
    "incomplete": ended,
    "gap": glitch,
    "clip": glitch,
    "wrong_rate": glitch,
    "press": pressed,
    "hang_up": lambda seen: f"{seen.deltas}, {seen.end}",
    "lose_sidebands": lambda seen: seen.deltas,  # a connection that is no call has none
}


def test_every_fault_has_its_row():
    elsewhere = [name for name, kind in KINDS.items() if kind.where in ("webhook", "webrtc")]
    assert [*ROWS, *elsewhere] == list(KINDS)  # these are in the tables of calls


def test_without_a_fault_there_are_four_deltas_and_a_done_each_turn():
    assert (CLEAN.types.count(DELTA), CLEAN.types.count("response.done"), CLEAN.end) == (8, 2, "")


@pytest.mark.parametrize("kind", ROWS)
def test_a_client_sees_what_the_page_says(kind: str):
    example, seen = ROWS[kind]
    assert SAYS[kind](run(example)) == seen


@pytest.mark.parametrize("kind", ["close", "corrupt", "jitter", "error"])
def test_an_example_goes_the_same_every_time(kind: str):
    example, _ = ROWS[kind]
    assert run(example) == run(example)
