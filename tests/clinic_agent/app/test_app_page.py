"""What a browser is given: the page, a secret for one call, and the clinic's tools for as long as the call lasts."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from clinic_agent.app.browser import CALL_S, MAX_CALLS, MAX_SECRETS, MAX_TOOL_CALLS, BrowserCalls
from clinic_agent.app.guard import MAX_BODY_BYTES
from clinic_agent.app.problems import Problem
from clinic_agent.app.routes import WEB
from clinic_agent.clinic.clinic import Clinic
from clinic_agent.clinic.safety import CallLock
from clinic_agent.clinic.schedule_sqlite import SqliteSchedule
from clinic_agent.clinic.tools import clinic_tools
from tests.clinic_agent.app_server import ASK, CHOOSE, SLOTS, TODAY, ClinicServer, clinic_server

LOOK_UP = {
    "call_id": "call-1",
    "name": "check_availability",
    "arguments": json.dumps({"service": "dental cleaning", "date": "2026-07-06"}),
}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def a_session(app_server: ClinicServer) -> dict[str, Any]:
    shown: dict[str, Any] = (await app_server.post("/session", json={})).json()
    return shown


async def test_a_page_dials_with_the_secret_alone_and_its_session_is_taken_as_it_is(tmp_path: Path):
    async with clinic_server(tmp_path, mock={"api_keys": ["the-server-s-own"]}, key="the-server-s-own") as app_server:
        shown = await a_session(app_server)
        assert shown["subprotocol"] == f"xai-client-secret.{shown['value']}"
        async with connect(shown["url"], subprotocols=[shown["subprotocol"]]) as socket:
            await socket.send(json.dumps({"type": "session.update", "session": shown["session"]}))
            kinds = [json.loads(await socket.recv())["type"] for _ in range(4)]
    assert kinds == ["session.created", "conversation.created", "ping", "session.updated"]
    assert shown["session"]["turn_detection"]["type"] == "server_vad"
    assert "the-server-s-own" not in json.dumps(shown)


async def test_a_tool_runs_for_its_call_and_once_however_often_it_is_asked(tmp_path: Path):
    book = {"service": "dental cleaning", "date": "2026-07-06", "time": "09:30", "name": "Maria Lopez"}
    words = [{"role": "caller", "text": ASK}, {"role": "caller", "text": CHOOSE}]
    requested = {"call_id": "call-2", "name": "book_appointment", "arguments": json.dumps(book), "transcript": words}
    async with clinic_server(tmp_path) as app_server:
        token = (await a_session(app_server))["token"]
        looked = await app_server.post("/session/tools", json=LOOK_UP, headers=bearer(token))
        first, again = [
            await app_server.post("/session/tools", json=requested, headers=bearer(token)) for _ in range(2)
        ]
    assert looked.json() == {"result": SLOTS}
    assert first.json() == again.json() == {"result": {"reference": "DC-0706-0930", **book}}
    assert len(app_server.schedule.bookings()) == 1


@pytest.mark.parametrize(
    ("headers", "body", "status", "advice"),
    [
        ({}, LOOK_UP, 401, "send the token of POST /session"),
        ({"Authorization": "Basic x"}, LOOK_UP, 401, "send the token"),
        (bearer("made-up"), LOOK_UP, 401, "unknown or has ended; call again"),
        (bearer("made-up"), {"call_id": "c"}, 422, "name: Field required; GET /docs shows examples"),
    ],
)
async def test_without_a_call_s_token_no_tool_runs(
    headers: dict[str, str], body: dict[str, str], status: int, advice: str, tmp_path: Path
):
    async with clinic_server(tmp_path) as app_server:
        answer = await app_server.post("/session/tools", json=body, headers=headers)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert advice in answer.json()["detail"]


async def test_a_tool_s_wrong_arguments_are_a_result_that_the_assistant_can_speak_of(tmp_path: Path):
    async with clinic_server(tmp_path) as app_server:
        token = (await a_session(app_server))["token"]
        answer = await app_server.post("/session/tools", json={**LOOK_UP, "arguments": "{"}, headers=bearer(token))
    assert answer.status_code == 200
    assert answer.json()["result"]["error"].startswith("check_availability: ")


async def test_after_hanging_up_the_token_is_worth_nothing_and_the_words_are_kept(tmp_path: Path):
    said = [{"role": "caller", "text": "A cleaning, please."}]
    async with clinic_server(tmp_path) as app_server:
        token = (await a_session(app_server))["token"]
        await app_server.post("/session/tools", json=LOOK_UP, headers=bearer(token))
        ended = await app_server.post("/session/end", json={"transcript": said}, headers=bearer(token))
        late = await app_server.post("/session/tools", json=LOOK_UP, headers=bearer(token))
    assert (ended.status_code, late.status_code) == (200, 401)
    (kept,) = app_server.state.store.calls()
    (turn,) = kept.turns
    assert (kept.front, turn["heard"]) == ("page", "A cleaning, please.")
    assert [tool["result"] for tool in turn["tools"]] == [SLOTS]
    assert token not in repr(kept)


SOUND = {"type": "response.output_audio.delta", "delta": "AAAA"}


def on_the_page(*events: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"at_ms": 1000.0 * n, "way": "received", "event": event} for n, event in enumerate(events)]


@pytest.mark.parametrize("keep", [False, True])
async def test_the_frames_that_a_page_reports_are_in_the_record_of_its_call(keep: bool, tmp_path: Path):
    async with clinic_server(tmp_path, keep_audio=keep) as app_server:
        given = await a_session(app_server)
        token = bearer(given["token"])
        early = {"frames": on_the_page({"type": "session.created"}, SOUND), "left_out": 2}
        answer = await app_server.post("/session/frames", json=early, headers=token)
        last = {"frames": on_the_page({"type": "response.done"}), "transcript": [{"role": "caller", "text": "Hello."}]}
        await app_server.post("/session/end", json=last, headers=token)
        late = await app_server.post("/session/frames", json=early, headers=token)
    assert (given["keeps_audio"], answer.json(), late.status_code) == (keep, {"kept": 2}, 401)
    (record,) = app_server.state.store.calls()
    assert ([turn["heard"] for turn in record.turns], record.frames_left_out) == (["Hello."], 2)
    events = [event for _, _, event in app_server.state.store.frames(record.id)]
    assert sorted(event["type"] for event in events) == ["response.done", SOUND["type"], "session.created"]
    assert {event["delta"] for event in events if "delta" in event} == {"AAAA" if keep else ""}


async def test_more_frames_than_are_kept_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("clinic_agent.app.routes.MAX_FRAME_BYTES", 100)
    frames = on_the_page(*[{"type": "response.created", "note": "x" * 20}] * 5)
    async with clinic_server(tmp_path) as app_server:
        token = bearer((await a_session(app_server))["token"])
        answer = await app_server.post("/session/frames", json={"frames": frames}, headers=token)
    assert answer.json() == {"kept": 1}
    (record,) = app_server.state.store.calls()
    assert (record.frames_left_out, len(app_server.state.store.frames(record.id))) == (4, 1)


@pytest.mark.parametrize(
    "frame",
    [
        {"at_ms": -1, "way": "received", "event": {"type": "x"}},
        {"at_ms": 1, "way": "up", "event": {"type": "x"}},
        {"at_ms": 1, "way": "sent", "event": {}},
        {"at_ms": 1, "way": "sent", "event": {"type": 7}},
    ],
)
async def test_what_is_no_frame_is_refused(frame: dict[str, Any], tmp_path: Path):
    async with clinic_server(tmp_path) as app_server:
        token = bearer((await a_session(app_server))["token"])
        answer = await app_server.post("/session/frames", json={"frames": [frame]}, headers=token)
    assert (answer.status_code, app_server.state.store.calls()) == (422, [])


def test_a_call_s_tools_are_bounded_in_time_and_number_and_so_are_the_calls():
    now_s = 0.0
    calls = BrowserCalls(lambda: now_s)
    tools, lock = clinic_tools(Clinic(TODAY)), CallLock(TODAY)
    token = calls.begin(tools, lock)
    for number in range(MAX_TOOL_CALLS):
        calls.run(token, str(number), "check_availability", "{}")
    with pytest.raises(Problem, match="has used its 60 tool calls"):
        calls.run(token, "one more", "check_availability", "{}")
    for _ in range(MAX_CALLS - 1):
        calls.begin(tools, lock)
    with pytest.raises(Problem, match="100 calls are in progress") as full:
        calls.begin(tools, lock)
    assert full.value.headers == {"Retry-After": "1800"}
    now_s = CALL_S
    with pytest.raises(Problem, match="has ended"):
        calls.run(token, "0", "check_availability", "{}")
    calls.begin(tools, lock)


async def test_the_page_may_load_nothing_from_elsewhere_and_dial_nobody_but_the_service(tmp_path: Path):
    async with clinic_server(tmp_path) as app_server:
        page = await app_server.http.get("/")
        policy = dict(part.split(" ", 1) for part in page.headers["Content-Security-Policy"].split("; "))
        loaded = [await app_server.http.get(f"/web/{path.name}") for path in WEB.iterdir()]
    assert policy["connect-src"] == f"'self' {app_server.mock.ws_url.removesuffix('/v1/realtime')}"
    assert (policy["default-src"], policy["script-src"]) == ("'none'", "'self'")
    assert "This call is recorded: its text is kept, its audio is not." in page.text
    assert not re.search(r"<script(?![^>]*\bsrc=)|\bon\w+=|style=|{{", page.text)
    assert {answer.status_code for answer in loaded} == {200}
    scripts = [answer for answer in loaded if answer.url.path.endswith(".js")]
    assert {answer.headers["Content-Type"] for answer in scripts} == {"text/javascript; charset=utf-8"}
    assert not [text for text in [page.text, *(answer.text for answer in loaded)] if "https://" in text]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "[::1"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:9999"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Content-Length": str(MAX_BODY_BYTES + 1)}, 413),
        ({"Content-Length": "9" * 5000}, 413),
        ({"Origin": "http://127.0.0.1:8080", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Host": "localhost:1234"}, 200),
    ],
)
async def test_other_sites_other_names_and_too_much_are_turned_away(
    headers: dict[str, str], status: int, tmp_path: Path
):
    async with clinic_server(tmp_path) as app_server:
        answer = await app_server.post("/session", headers=headers)
    assert answer.status_code == status
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in answer.headers
    if status != 200:
        assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.slow
async def test_a_burst_of_requests_is_answered_by_this_server_with_when_to_come_again(tmp_path: Path):
    async with clinic_server(tmp_path) as app_server:
        answers = await asyncio.gather(*(app_server.say(text=ASK) for _ in range(200)))
    assert {answer.status_code for answer in answers} == {200, 429}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers if answer.status_code == 429)
    assert sum(answer.status_code == 200 for answer in answers) >= 8


async def test_a_call_gets_further_secrets_to_resume_it_and_not_any_number(tmp_path: Path):
    async with clinic_server(tmp_path) as app_server:
        token = (await a_session(app_server))["token"]
        answers = [await app_server.post("/session/secret", headers=bearer(token)) for _ in range(MAX_SECRETS + 1)]
        stranger = await app_server.post("/session/secret", headers=bearer("made-up"))
    assert [answer.status_code for answer in answers] == [200] * MAX_SECRETS + [429]
    assert len({answer.json()["value"] for answer in answers[:-1]}) == MAX_SECRETS
    assert stranger.status_code == 401


async def test_a_body_that_does_not_say_how_long_it_is_is_bounded_all_the_same(tmp_path: Path):
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1 << 20)

    async with clinic_server(tmp_path) as app_server:
        answer = await app_server.post("/appointments/voice", content=endless(), headers={"Content-Type": "audio/wav"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (413, "application/problem+json")


async def test_the_documentation_shows_every_route_with_an_example_and_runs_no_script(tmp_path: Path):
    async with clinic_server(tmp_path) as app_server:
        docs = await app_server.http.get("/docs")
        api = (await app_server.http.get("/openapi.json")).json()
    assert [path for path in api["paths"] if path not in docs.text] == []
    assert docs.text.count("curl ") >= len(api["paths"])
    assert "<script" not in docs.text and "script-src" not in docs.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nowhere", 404), ("GET", "/session", 405), ("GET", "/web/../app.py", 404)]
)
async def test_an_address_that_is_not_there_leads_to_the_documentation(
    method: str, path: str, status: int, tmp_path: Path
):
    async with clinic_server(tmp_path) as app_server:
        answer = await app_server.http.request(method, path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert "GET /docs lists" in answer.json()["detail"]


async def test_health_is_good_as_long_as_the_calendar_can_be_read(tmp_path: Path):
    with SqliteSchedule(tmp_path / "clinic.sqlite3") as schedule:
        async with clinic_server(tmp_path, schedule=schedule) as app_server:
            well = await app_server.http.get("/healthz")
            schedule.close()
            ill = await app_server.http.get("/healthz")
    assert well.json() == {"status": "ok", "url": app_server.mock.ws_url, "model": "grok-voice-think-fast-1.0"}
    assert (ill.status_code, "CLINIC_DATA" in ill.json()["detail"]) == (503, True)


async def test_a_mistake_of_the_server_s_own_is_told_to_its_log_and_not_to_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def broken(self: BrowserCalls, tools: object, lock: object) -> str:
        raise RuntimeError("the inside story")

    monkeypatch.setattr(BrowserCalls, "begin", broken)
    async with clinic_server(tmp_path) as app_server:
        app_server.http._transport.raise_app_exceptions = False  # type: ignore[attr-defined]
        answer = await app_server.post("/session")
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/problem+json")
    assert "the inside story" not in answer.text
    assert "the inside story" in caplog.text
