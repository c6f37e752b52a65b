"""The page at /_mock/: what it may do, who gets it, and what it asks for. A browser shows it in tests/clients."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from mockserver.faults.kinds import KINDS
from mockserver.responders.scenario import Scenario
from mockserver.server import guard, session_views
from mockserver.server.inspector import WEB, page
from mockserver.testing.mock_server import MockServer
from replay.cassette.file import Cassette
from replay.cassette.recording import Recording
from replay.cassette.scrub import Scrubber
from replay.report.verification import faults
from tests.mockserver.server.test_control import KEY, ask, story, turn


async def fetched(mock: MockServer, http: ClientSession, path: str = "/", **headers: str) -> tuple[int, Any, str]:
    async with http.get(mock.control_url + path, headers=headers) as response:
        return response.status, response.headers, await response.text()


@pytest.mark.parametrize("path", ["", "/"])
def test_the_page_is_one_file_that_forbids_itself_all_but_its_own_script_and_style(path: str):
    status, headers, shown = story(lambda mock, http: fetched(mock, http, path))
    assert (status, shown, headers["X-Content-Type-Options"]) == (200, page().html, "nosniff")
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy.keys() >= {"default-src", "base-uri", "form-action", "frame-ancestors"}
    assert (policy["default-src"], policy["connect-src"], policy["media-src"]) == ("'none'", "'self'", "blob:")
    for element in ("script", "style"):
        (inside,) = re.findall(f"<{element}>(.*?)</{element}>", shown, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert policy[f"{element}-src"] == f"'sha256-{digest}'"


@pytest.mark.parametrize("module", sorted(WEB.glob("*.js")), ids=lambda path: path.stem)
def test_no_module_makes_markup_of_what_was_said_or_names_another_address(module: Path):
    text = module.read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|https?://", text)
    assert len(text.splitlines()) < 600


def test_others_than_this_machine_do_not_get_it(monkeypatch: pytest.MonkeyPatch):
    status, _, page = story(lambda mock, http: fetched(mock, http, Host="evil.example"))
    assert status == 403 and "<html" not in page
    monkeypatch.setattr(guard, "is_loopback_address", lambda address: False)
    assert story(lambda mock, http: fetched(mock, http))[0] == 403


def test_with_an_admin_token_it_comes_without_data_and_asks_for_the_token():
    async def tell(mock: MockServer, http: ClientSession) -> list[int]:
        return [(await fetched(mock, http, path))[0] for path in ("/", "/sessions")]

    assert story(tell, admin_token="hush") == [200, 403]
    assert "hush" not in page().html


def test_a_page_that_looks_again_asks_only_for_what_is_new():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            await turn(ws)
        log = mock.sessions[0]
        whole = log.shown()
        for since in (0, 3, len(whole), len(whole) + 5):
            async with http.get(f"{mock.control_url}/journal?session={log.id}&since={since}") as response:
                assert await response.json() == whole[since:]
        log.forget_oldest()
        assert log.shown(since=3) == whole[3:]
        async with http.get(f"{mock.control_url}/journal?session={log.id}&since=-1") as response:
            assert (response.status, await response.json()) == (
                400,
                {"error": "since must be a number of frames, 0 or more, not '-1'"},
            )

    story(tell)


def test_a_session_is_a_document_that_grows_with_it():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            said = await turn(ws, "hello")
            log = mock.sessions[0]
            _, first = await ask(http, mock, f"/sessions/{log.id}/call")
            await turn(ws, "again")
            _, later = await ask(http, mock, f"/sessions/{log.id}/call?since={len(first['frames'])}")
        _, whole = await ask(http, mock, f"/sessions/{log.id}/call")
        _, sound = await ask(http, mock, f"/sessions/{log.id}/sound")
        assert [first["since"], later["since"]] == [0, len(first["frames"])]
        assert (first["frames"] + later["frames"])[: len(whole["frames"]) - 1] == whole["frames"][:-1]
        spoken = [(each["side"], each["text"]) for each in whole["items"] if each["kind"] == "said"]
        assert spoken[:2] == [("caller", "hello"), ("service", said)] and len(spoken) == 4
        assert sum(len(base64.b64decode(each["data"])) / 2 for each in sound["pieces"]) / 24_000 == pytest.approx(
            float(log.ledger.audio_out_s), abs=0.01
        )
        assert (whole["facts"]["state"].startswith("closed"), first["facts"]["state"]) == (True, "open")

    story(tell)


def test_a_session_can_be_saved_as_a_cassette_and_as_a_scenario(tmp_path: Path):
    async def tell(mock: MockServer, http: ClientSession) -> str:
        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            said = await turn(ws, "hello")
        for part in ("tape", "scenario"):
            async with http.get(f"{mock.control_url}/sessions/{mock.sessions[0].id}/{part}") as response:
                (tmp_path / part).write_bytes(await response.read())
        return said

    said = story(tell)
    recording = Recording.read(tmp_path / "tape")
    with Cassette.open(tmp_path / "tape") as cassette:
        assert faults(cassette, Scrubber()) == []
    assert [moment.type for moment in recording.moments() if moment.way == "sent"] == [
        "conversation.item.create",
        "response.create",
        "(close)",
    ]
    assert Scenario.load(tmp_path / "scenario") is not None
    assert said in (tmp_path / "scenario").read_text(encoding="utf-8")


def test_no_key_is_in_what_the_viewer_gets(tmp_path: Path):
    key = "sk-proj-Zk81xQ0vTn2LmYp7WsRb6CdUeHj4GfAi"

    async def tell(mock: MockServer, http: ClientSession) -> list[str]:
        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            await ws.send_json({"type": "session.update", "session": {"instructions": f"The key is {key}."}})
            await turn(ws, f"My key is {key}.")
            await ws.send_str(f"no JSON, but {key}")
        path = f"{mock.control_url}/sessions/{mock.sessions[0].id}"
        found = []
        for part in ("call", "tape", "scenario"):
            async with http.get(f"{path}/{part}") as response:
                assert response.status == 200
                found.append((await response.read()).decode(errors="replace"))
        return found

    for text in story(tell):
        assert key not in text and "My key is" in text


def test_frames_that_the_journal_forgot_are_not_waited_for():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            await turn(ws)
            log = mock.sessions[0]
            _, before = await ask(http, mock, f"/sessions/{log.id}/call")
            while len(log.entries) > 2:
                log.forget_oldest()
            await turn(ws)
            _, kept = await ask(http, mock, f"/sessions/{log.id}/call")
            assert len(kept["frames"]) > len(before["frames"])  # what was read is known, though the journal forgot it
            while log.entries:
                log.forget_oldest()
            await turn(ws)
            log.forget_oldest()
            known = f"since={len(kept['frames'])}&skipped={kept['skipped']}"
            _, late = await ask(http, mock, f"/sessions/{log.id}/call?{known}")
        assert (late["since"], len(late["frames"])) == (0, len(log.entries) - 1)  # without the close frame
        assert kept["skipped"] == 0 and late["skipped"] == log.dropped
        assert "frames are gone" in " ".join(late["notes"])

    story(tell)


def test_a_reader_that_keeps_more_than_the_journal_begins_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(session_views, "MOST_HELD", 1000)

    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            await turn(ws)
            log = mock.sessions[0]
            _, first = await ask(http, mock, f"/sessions/{log.id}/call")
            _, same = await ask(http, mock, f"/sessions/{log.id}/call")
            log.forget_oldest()
            _, again = await ask(http, mock, f"/sessions/{log.id}/call")
        assert len(first["frames"]) == len(same["frames"]) == len(again["frames"]) + log.dropped
        assert again["skipped"] == log.dropped > 0

    story(tell)


def test_limits_in_use_are_those_of_teams_with_open_sessions():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        assert await ask(http, mock, "/limits") == (200, [])
        async with http.ws_connect(mock.ws_url, headers=KEY), http.ws_connect(mock.ws_url, headers=KEY):
            assert await ask(http, mock, "/limits") == (200, [{"team": "", "sessions": 2, "most": 7}])

    story(tell, max_sessions=7)


def test_each_kind_of_fault_has_an_example_that_can_be_switched_on_and_off():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        _, kinds = await ask(http, mock, "/faults/kinds")
        assert {each["kind"] for each in kinds} == set(KINDS)
        for each in kinds:
            status, on = await ask(http, mock, "/faults", "POST", data=each["example"])
            assert (status, len(on["faults"])) == (200, 1), each
            assert each["kind"] in str(on["faults"][0]["fault"]["do"]) and each["about"]
            _, off = await ask(http, mock, f"/faults/{on['faults'][0]['id']}", "DELETE")
            assert off["faults"] == []

    story(tell)
