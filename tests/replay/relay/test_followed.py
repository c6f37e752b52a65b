"""What a relay tells of its sessions: one trace with the agent and the mock, headers to a live service, the log."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Mapping
from datetime import date, datetime, timezone
from typing import Any

import orjson
import pytest
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from clinic_agent.call import tracing as agent_tracing
from clinic_agent.call.retry import RetryPolicy
from clinic_agent.clinic.assistant import clinic_assistant, run_call
from clinic_agent.clinic.clinic import Clinic
from clinic_agent.config import Config
from mockserver.responders.scenario import Scenario
from mockserver.server import virtual_time
from replay.cassette.frames import Text
from replay.relay.followed import FollowedSession, Following
from replay.relay.relay import Relay, Settings
from replay.relay.upstream import Upstream
from tests.replay.relay.test_relay import mock, service, typed_turn
from tests.spans import Spans

TODAY = date(2026, 7, 1)
AT = datetime(2026, 7, 1, tzinfo=timezone.utc)
OPENED = 1_780_000_000.0
PARENT = {
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "tracestate": "team=a",
    "baggage": "x=1",
}
KEY = {"Authorization": "Bearer any"}
LOOKS_UP = """
turns:
  - when: {tool: check_availability}
    reply: [{say: At half past nine.}]
  - reply: [{call: {name: check_availability, arguments: {service: dental cleaning, date: "2026-07-06"}}}]
"""


async def relay_to(url: str, following: Following | None, origin: str = "mock", **settings: Any) -> Relay:
    upstream = await Upstream.find(url)
    upstream = Upstream(upstream.url, upstream.dialect, "live" if origin == "live" else "mock")
    relay = Relay(upstream, Settings(None, AT, "test", **settings), following=following)
    await relay.start()
    return relay


def test_agent_relay_and_mock_make_one_trace(monkeypatch: pytest.MonkeyPatch):
    agent, relayed, mocked = Spans(), Spans(), Spans()
    monkeypatch.setattr(agent_tracing, "_tracer", lambda: agent.tracing.tracer)

    async def call() -> None:
        async with mock(scenario=Scenario.parse(LOOKS_UP), dialect="xai@2026-07") as server:
            server._service.tracing = mocked.tracing
            relay = await relay_to(server.ws_url, Following(lambda: OPENED, relayed.tracing))
            config = Config(f"ws://127.0.0.1:{relay.port}/v1/realtime", server.http_url, "any")
            retry = RetryPolicy(attempts=1, resumptions=0)
            assistant = clinic_assistant(Clinic(TODAY))
            report = await run_call(config, ["A cleaning?"], assistant, priced_on=TODAY, retry=retry, plays=False)
            assert report.failure is None
            await relay.stop()

    virtual_time.run(call())
    (root,) = [each for each in agent.ended if each.parent is None]
    middle, inner = relayed.one("realtime"), mocked.one("realtime")
    assert root.name == "invoke_agent clinic"
    assert middle.parent.span_id == root.context.span_id
    assert inner.parent.span_id == middle.context.span_id
    assert {each.context.trace_id for spans in (agent, relayed, mocked) for each in spans.ended} == {
        root.context.trace_id
    }
    for spans in (agent, relayed, mocked):
        names = [each.name.partition(" ")[0] for each in spans.ended]
        assert names.count("chat") == 2
        assert names.count("execute_tool") == 1
    assert middle.start_time == OPENED * 1e9
    assert middle.kind.name == "CLIENT"
    assert middle.attributes["realtape.session.id"] == inner.attributes["realtape.session.id"]
    assert middle.attributes["gen_ai.conversation.id"] == inner.attributes["gen_ai.conversation.id"]


@pytest.mark.parametrize(
    ("origin", "settings", "passed"),
    [("mock", {}, set(PARENT)), ("live", {}, set()), ("live", {"trace_live": True}, set(PARENT))],
)
def test_a_live_service_gets_no_trace_context_unless_it_is_wanted(
    origin: str, settings: dict[str, Any], passed: set[str]
):
    seen: list[Mapping[str, str]] = []

    async def refuses(request: web.Request) -> web.StreamResponse:
        seen.append(dict(request.headers))
        return web.Response(status=401)

    async def tell() -> None:
        async with service(refuses) as url:
            relay = await relay_to(url, None, origin, **settings)
            there = f"ws://127.0.0.1:{relay.port}/v1/realtime"
            with pytest.raises(InvalidStatus):
                await connect(there, additional_headers={**KEY, **PARENT, "X-Mine": "1"})
            await relay.stop()

    virtual_time.run(tell())
    assert set(PARENT) & {name.lower() for name in seen[-1]} == passed
    assert seen[-1]["X-Mine"] == "1"
    assert all(seen[-1].get(name, value) == value for name, value in PARENT.items())


def test_a_session_is_told_in_lines_with_its_ids():
    spans, lines = Spans(), list[Mapping[str, object]]()

    async def tell() -> None:
        async with mock(dialect="xai@2026-07") as server:
            relay = await relay_to(server.ws_url, Following(lambda: OPENED, spans.tracing, lines.append))
            there = f"ws://127.0.0.1:{relay.port}/v1/realtime?model=grok-voice-latest"
            async with connect(there, additional_headers={**KEY, **PARENT}, user_agent_header="me") as ws:
                await typed_turn(ws)
                await ws.send('{"type":"responze"}')
                while json.loads(await ws.recv())["type"] != "error":
                    pass
            await relay.stop()
            assert server.sessions[0].id == lines[0]["session"]

    virtual_time.run(tell())
    session, response = spans.one("realtime"), spans.one("chat")
    trace = {"trace_id": PARENT["traceparent"][3:35], "span_id": format(session.context.span_id, "016x")}
    opened, turn, error, closed = lines
    known = {"call": 1, "session": opened["session"], **trace}
    assert {
        "event": "opened",
        "dialect": "xai@2026-07",
        "model": "grok-voice-latest",
        "client": "me",
        **known,
    }.items() <= opened.items()
    assert {"event": "turn", "number": 1, "status": "completed", "reason": "", "call": 1}.items() <= turn.items()
    assert turn["response"] == response.attributes["gen_ai.response.id"]
    assert turn["span_id"] == format(response.context.span_id, "016x")
    assert {"event": "error", "code": "invalid_event", **known}.items() <= error.items()
    assert {"event": "closed", "code": 1000, "by_client": True, "turns": 1, **known}.items() <= closed.items()
    assert OPENED <= float(str(opened["at"])) <= float(str(closed["at"])) < OPENED + 60


def test_a_refusal_and_a_service_that_is_gone_are_told():
    lines: list[Mapping[str, object]] = []

    async def refuses(request: web.Request) -> web.StreamResponse:
        return web.Response(status=401)

    async def tell() -> None:
        async with service(refuses) as url:
            relay = await relay_to(url, Following(lambda: OPENED, None, lines.append))
        gone = await relay_to("ws://127.0.0.1:1/v1/realtime", Following(lambda: OPENED, None, lines.append))
        async with service(refuses) as url:
            relay.upstream = Upstream(url)
            for each in (relay, gone):
                with pytest.raises(InvalidStatus):
                    await connect(f"ws://127.0.0.1:{each.port}/v1/realtime", additional_headers=KEY)
                await each.stop()

    virtual_time.run(tell())
    assert [each["event"] for each in lines] == ["handshake_refused", "opened", "closed"]
    assert (lines[0]["status"], lines[2]["code"], "trace_id" in lines[0]) == (401, 1006, False)


def test_what_a_service_never_ends_is_kept_in_bounds():
    spans = Spans()
    session = FollowedSession(Following(lambda: OPENED, spans.tracing), 1, OPENED, "xai", "m", {}, {})

    def came(event: dict[str, Any]) -> None:
        session.note(1.0, "received", Text(orjson.dumps(event)))

    tracemalloc.start()
    for number in range(300):
        came({"type": "response.created", "response": {"id": f"r{number}"}})
        came({"type": "conversation.item.added", "item": {"role": "user", "content": [{"text": "x" * 100_000}]}})
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 10 << 20  # 30 MB of texts came
    assert [each.attributes["error.type"] for each in spans.ended] == ["cut_off"] * 100
    session.ended(2.0)
    assert len(spans.ended) == 301
