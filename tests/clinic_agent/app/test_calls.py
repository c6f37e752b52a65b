"""The records of the calls: who may look, what they hold, how they end."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from clinic_agent.app.call_store import CallRecord, CallStore, utc_now
from clinic_agent.app.settings import settings_from
from clinic_agent.config import ConfigError
from realtape.cli import main as realtape
from realtape.clinic_page import call_page
from replay.cassette.recording import Recording
from tests.clinic_agent.app_server import ASK, CHOOSE, ClinicServer, clinic_server

TOKEN = "a-login-token-for-tests"
LOGIN = {"Authorization": f"Bearer {TOKEN}"}
PAGE = {"Accept": "text/html"}
NOW = datetime(2026, 7, 1, 12, tzinfo=timezone.utc)


async def a_call(app_server: ClinicServer, *words: str) -> str:
    """A call of one request a turn; gives its conversation id."""
    known: dict[str, Any] = {}
    for each in words:
        answer = (await app_server.say(text=each, **known)).json()
        known = {"conversation_id": answer["conversation_id"]}
    return str(known["conversation_id"])


def record(call_id: str, began: datetime = NOW, **more: Any) -> CallRecord:
    given: dict[str, Any] = {
        "turns": [{"heard": ASK, "said": "One moment.", "tools": []}],
        "usd": "0.01",
        "failure": None,
    }
    given |= {"emergency": None}
    given |= {"front": "api", "model": "m", "conversation_id": call_id, "ended": began} | more
    return CallRecord(id=call_id, began=began, **given)


async def test_a_call_of_two_requests_is_one_record_with_words_tools_latencies_and_cost(tmp_path: Path):
    async with clinic_server(tmp_path, token=TOKEN) as app_server:
        call_id = await a_call(app_server, ASK, CHOOSE)
        charged = app_server.mock.ledger.total_usd
        (listed,) = (await app_server.http.get("/calls", headers=LOGIN)).json()
        shown = (await app_server.http.get(f"/calls/{call_id}", headers=LOGIN)).json()
    assert listed["id"] == listed["conversation_id"] == call_id
    assert (listed["turns"], listed["tools"]) == (2, ["check_availability", "book_appointment"])
    assert float(listed["usd"]) == pytest.approx(float(charged), abs=1e-6)
    first, second = shown["turns"]
    assert (first["heard"], second["heard"]) == (ASK, CHOOSE)
    assert second["tools"][0]["arguments"]["name"] == "Maria Lopez"
    assert second["tools"][0]["result"]["reference"] == "DC-0706-0930"
    assert 0 < first["first_audio_ms"] < first["total_ms"]


@pytest.mark.parametrize("keep", [False, True])
async def test_sound_is_kept_only_if_that_is_asked_for_and_the_export_becomes_a_cassette(keep: bool, tmp_path: Path):
    async with clinic_server(tmp_path, token=TOKEN, keep_audio=keep) as app_server:
        call_id = await a_call(app_server, ASK, CHOOSE)
        answer = await app_server.http.get(f"/calls/{call_id}/export", headers=LOGIN)
        page = await app_server.http.get("/")
    assert answer.headers["Content-Type"].startswith("application/x-ndjson")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{call_id}.jsonl"'
    assert ("its audio is not" in page.text) is not keep
    (tmp_path / "call.jsonl").write_text(answer.text, encoding="utf-8")
    realtape(["import", str(tmp_path / "call.jsonl"), "--out", str(tmp_path / "call.tape")], standalone_mode=False)
    events = list(Recording.read(tmp_path / "call.tape").received())
    said = "".join(event["delta"] for event in events if event["type"] == "response.output_audio_transcript.delta")
    assert "See you then!" in said
    deltas = [event["delta"] for event in events if event["type"] == "response.output_audio.delta"]
    assert any(deltas) is keep
    if os.name == "posix":
        assert (tmp_path / "calls.sqlite3").stat().st_mode & 0o077 == 0


ROUTES = [("GET", "/calls"), ("GET", "/calls/x"), ("GET", "/calls/x/export"), ("POST", "/calls/x/release")]
ROUTES += [("DELETE", "/calls/x"), ("POST", "/calls/x/delete")]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_without_the_token_there_is_nothing(method: str, path: str, tmp_path: Path):
    for token, status in ((None, 403), (TOKEN, 401)):
        async with clinic_server(tmp_path, token=token) as app_server:
            app_server.state.store.put(record("x", utc_now()))
            wrong = [{}, {"Authorization": "Bearer "}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}]
            wrong += [{"Cookie": "clinic_login="}, {"Cookie": f"clinic_login={TOKEN}"}]
            if token is None:
                wrong.append(LOGIN)
            for headers in wrong:
                answer = await app_server.http.request(method, path, headers=headers)
                assert answer.status_code == status, (headers, answer.text)
                assert ASK not in answer.text
            assert app_server.state.store.find("x") is not None


async def test_a_browser_logs_in_once_and_sees_the_list_the_call_and_its_timeline(tmp_path: Path):
    async with clinic_server(tmp_path, token=TOKEN) as app_server:
        call_id = await a_call(app_server, ASK, "<script>alert(1)</script>")
        form = await app_server.http.get("/calls", headers=PAGE)
        wrong = await app_server.http.post("/calls/login", data={"token": "wrong"}, headers=PAGE)
        logged = await app_server.http.post("/calls/login", data={"token": TOKEN}, headers=PAGE)
        listed = await app_server.http.get("/calls", headers=PAGE)
        shown = await app_server.http.get(f"/calls/{call_id}", headers=PAGE)
        await app_server.http.post("/calls/logout", headers=PAGE)
        after = await app_server.http.get("/calls", headers=PAGE)
    assert (form.status_code, wrong.status_code, logged.status_code, after.status_code) == (401, 403, 303, 401)
    cookie = logged.headers["Set-Cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Max-Age=43200"))
    assert TOKEN not in cookie
    assert ASK in listed.text and f'href="calls/{call_id}"' in listed.text
    assert "check_availability" in shown.text and "<svg" in shown.text and "response.done" in shown.text
    for page in (listed, shown):
        assert "<script" not in page.text and "script-src" not in page.headers["Content-Security-Policy"]


async def test_a_page_that_is_handed_in_shows_the_call_and_keeps_its_buttons(tmp_path: Path):
    hostile = "</script><script>alert(1)</script>"
    async with clinic_server(tmp_path, token=TOKEN, call_page=call_page) as app_server:
        call_id = await a_call(app_server, ASK, hostile)
        shown = await app_server.http.get(f"/calls/{call_id}", headers=LOGIN | PAGE)
        plain = await app_server.http.get(f"/calls/{call_id}", headers=LOGIN)
    policy = dict(part.split(" ", 1) for part in shown.headers["Content-Security-Policy"].split("; "))
    assert (policy["form-action"], policy["frame-ancestors"], policy["default-src"]) == ("'self'", "'none'", "'none'")
    assert policy["script-src"].startswith("'sha256-") and shown.headers["Referrer-Policy"] == "same-origin"
    blocks = dict(re.findall(r'<script type="application/json" id="(\w+)">(.*?)</script>', shown.text))
    document, extras = json.loads(blocks["call"]), json.loads(blocks["extras"])
    said = [item["text"] for item in document["items"] if item["kind"] == "said"]
    assert ASK in said and hostile in said and "<script>alert" not in shown.text
    assert [(each["label"], each["address"]) for each in extras["actions"]] == [
        ("All calls", "../calls"),
        ("Export", f"{call_id}/export"),
        ("Delete this call", f"{call_id}/delete"),
    ]
    assert {"name": "tool calls", "value": "1"} in document["figures"]
    assert plain.headers["Content-Type"] == "application/json"


async def test_the_command_hands_the_viewer_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    handed: list[object] = []
    monkeypatch.setattr("clinic_agent.app.server.run", lambda *given: handed.append(given[-1]))
    monkeypatch.setenv("XAI_API_KEY", "key")
    realtape(["clinic", "serve", "--data", str(tmp_path)], standalone_mode=False)
    assert handed == [call_page]


async def test_a_person_releases_a_call_after_an_emergency_and_nobody_else_does(tmp_path: Path):
    async with clinic_server(tmp_path, token=TOKEN) as app_server:
        call_id = await a_call(app_server, "I have chest pain.", ASK, CHOOSE)
        (listed,) = (await app_server.http.get("/calls", headers=LOGIN)).json()
        assert (listed["emergency"], app_server.schedule.bookings()) == ("chest pain", [])
        shown = await app_server.http.get(f"/calls/{call_id}", headers=LOGIN | PAGE)
        assert "Release the calendar" in shown.text
        assert (await app_server.post(f"/calls/{call_id}/release")).status_code == 401
        await app_server.say(text=CHOOSE, conversation_id=call_id)
        assert app_server.schedule.bookings() == []
        answer = await app_server.post(f"/calls/{call_id}/release", headers=LOGIN)
        assert answer.json() == {"released": True}
        await app_server.say(text=CHOOSE, conversation_id=call_id)
    assert [booking.name for booking in app_server.schedule.bookings()] == ["Maria Lopez"]


async def test_a_locked_call_stays_locked_in_another_process_and_its_words_still_confirm(tmp_path: Path):
    async with clinic_server(tmp_path, token=TOKEN) as app_server:
        locked = await a_call(app_server, "I have chest pain.", ASK)
        calm = await a_call(app_server, ASK)
        config = app_server.state.settings.config
        await app_server.state.held_calls.close()
        app_server.state.locks.clear()
        again = [await app_server.say(text=CHOOSE, conversation_id=known) for known in (locked, calm)]
        assert config is app_server.state.settings.config
    errors = [answer.json()["tool_calls"][0]["result"].get("error", "") for answer in again]
    assert "until a person releases it" in errors[0]
    assert errors[1] == ""


async def test_an_emergency_on_the_page_is_seen_while_the_call_lasts_and_can_be_released(tmp_path: Path):
    words = [{"role": "caller", "text": "I have chest pain."}, {"role": "caller", "text": f"{ASK} {CHOOSE}"}]
    book = {"service": "dental cleaning", "date": "2026-07-06", "time": "09:30", "name": "Maria Lopez"}
    async with clinic_server(tmp_path, token=TOKEN) as app_server:
        token = {"Authorization": f"Bearer {(await app_server.post('/session')).json()['token']}"}

        async def run(call_id: str) -> dict[str, Any]:
            asked = {"call_id": call_id, "name": "book_appointment", "arguments": json.dumps(book), "transcript": words}
            result: dict[str, Any] = (await app_server.post("/session/tools", json=asked, headers=token)).json()[
                "result"
            ]
            return result

        assert "emergency" in (await run("1"))["error"]
        (listed,) = (await app_server.http.get("/calls", headers=LOGIN)).json()
        assert (listed["front"], listed["emergency"]) == ("page", "chest pain")
        await app_server.post(f"/calls/{listed['id']}/release", headers=LOGIN)
        assert (await run("2"))["reference"] == "DC-0706-0930"


async def test_a_deleted_call_is_gone_from_the_file_too(tmp_path: Path):
    secret = "An unusual word: quokka."
    async with clinic_server(tmp_path, token=TOKEN) as app_server:
        call_id = await a_call(app_server, secret)
        assert b"quokka" in (tmp_path / "calls.sqlite3").read_bytes()
        answer = await app_server.http.delete(f"/calls/{call_id}", headers=LOGIN)
        again = await app_server.http.delete(f"/calls/{call_id}", headers=LOGIN)
    assert (answer.json(), again.status_code) == ({"deleted": True}, 404)
    assert not [path for path in sorted(Path(tmp_path).glob("*")) if b"quokka" in path.read_bytes()]  # noqa: ASYNC240


def test_a_record_is_deleted_after_the_days_that_are_set_and_by_its_conversation(tmp_path: Path):
    store = CallStore(tmp_path, keep_days=30, now=lambda: NOW)
    store.put(record("old", NOW - timedelta(days=31)))
    store.put(record("young", NOW - timedelta(days=29)))
    store.put(record("page-1", conversation_id="conversation"))
    assert [each.id for each in store.calls()] == ["page-1", "young"]
    assert store.delete("conversation")
    assert [each.id for each in store.calls()] == ["young"]


def test_turns_are_added_to_a_call_and_its_cost_is_the_sum(tmp_path: Path):
    store = CallStore(tmp_path, now=lambda: NOW)
    for minutes, usd in ((0, "0.012345"), (2, "0.000005")):
        store.add(record("a", NOW + timedelta(minutes=minutes), usd=usd))
    (kept,) = store.calls()
    assert (len(kept.turns), kept.usd, kept.began, kept.ended) == (2, "0.01235", NOW, NOW + timedelta(minutes=2))


async def test_records_that_cannot_be_written_cost_nobody_the_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    async with clinic_server(tmp_path) as app_server:
        monkeypatch.setattr(CallStore, "add", broken)
        answer = await app_server.say(text=ASK)
    assert answer.status_code == 200
    assert "could not be written" in caplog.text


@pytest.mark.parametrize(
    ("name", "value"), [("CLINIC_TOKEN", "short"), ("CLINIC_TOKEN", "é" * 20), ("CLINIC_KEEP_DAYS", "0")]
)
def test_a_setting_of_the_records_that_cannot_work_is_named(name: str, value: str):
    with pytest.raises(ConfigError, match=name):
        settings_from({"XAI_API_KEY": "key", name: value})


def test_the_token_is_in_no_text_about_the_settings():
    settings = settings_from({"XAI_API_KEY": "key", "CLINIC_TOKEN": TOKEN})
    assert settings.token == TOKEN
    assert TOKEN not in repr(settings)
