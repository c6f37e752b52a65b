"""The workbench at /_mock/workbench: who gets it, what its page may do, and what it asks of the server."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from mockserver.cli.document_check import problems_of
from mockserver.server import guard
from mockserver.server.workbench import tool_address
from mockserver.server.workbench.files import WEB
from mockserver.testing.mock_server import MockServer
from tests.mockserver.server.test_control import story, turn

ROOT = Path(__file__).parents[3]
MODULES = sorted(path for path in WEB.glob("*.js"))
WRONG = """\
turns:
  - when: {sais: order}
    reply:
      - sya: "One moment."
"""
RIGHT = "name: orders\nturns:\n  - reply: [{say: Hello.}]\n"


async def fetched(mock: MockServer, http: ClientSession, path: str = "", **headers: str) -> tuple[int, Any, str]:
    async with http.get(f"{mock.control_url}/workbench{path}", headers=headers) as response:
        return response.status, response.headers, await response.text()


async def posted(mock: MockServer, http: ClientSession, path: str, body: object) -> tuple[int, Any]:
    data = body if isinstance(body, str | bytes) else json.dumps(body)
    async with http.post(f"{mock.control_url}/workbench{path}", data=data) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("path", ["", "/", "/web/main.js", "/web/style.css", "/web/vendor/codemirror.js"])
def test_the_page_and_its_modules_forbid_all_but_this_server(path: str):
    status, headers, _ = story(lambda mock, http: fetched(mock, http, path))
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert (status, headers["X-Content-Type-Options"]) == (200, "nosniff")
    assert policy.keys() >= {"default-src", "base-uri", "form-action", "frame-ancestors"}
    assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")


def test_the_modules_make_no_markup_of_texts_and_ask_no_other_server():
    markup = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|\son\w+=\"")
    elsewhere = re.compile(r"(?:fetch|import|WebSocket|src|href)\W{0,3}https?://")
    for path in (*MODULES, WEB / "index.html"):
        text = path.read_text(encoding="utf-8")
        assert not markup.search(text), path.name
        assert not elsewhere.search(text), path.name
        assert text.count("\n") < 600, path.name


@pytest.mark.pure  # it compares files of two packages of the checkout
def test_the_microphone_and_the_loudspeaker_are_those_of_the_clinic():
    theirs = ROOT / "clinic_agent" / "app" / "web"
    for name in ("sound.js", "resampler.js", "microphone-worklet.js", "speaker-worklet.js"):
        assert (WEB / name).read_bytes() == (theirs / name).read_bytes(), name


def test_the_editor_is_small_and_comes_with_the_licence_of_each_package_in_it():
    vendor = WEB / "vendor"
    assert (vendor / "codemirror.js").stat().st_size < 500_000
    lock = json.loads((ROOT / "tools" / "codemirror" / "package-lock.json").read_text(encoding="utf-8"))
    licence = (vendor / "codemirror.LICENSE.txt").read_text(encoding="utf-8")
    bundled = {path.removeprefix("node_modules/"): each for path, each in lock["packages"].items() if path}
    bundled = {name: each for name, each in bundled.items() if not each.get("dev") and not each.get("optional")}
    assert len(bundled) > 10
    for name, each in bundled.items():
        assert f"{name} {each['version']} (MIT)" in licence


@pytest.mark.parametrize("path", ["/web/../routes.py", "/web/nothing.js", "/web/%2e%2e/routes.py", "/nothing"])
def test_no_other_file_is_given(path: str):
    assert story(lambda mock, http: fetched(mock, http, path))[0] == 404


@pytest.mark.parametrize("path", ["", "/web/main.js", "/choices"])
def test_others_than_this_machine_do_not_get_it(path: str, monkeypatch: pytest.MonkeyPatch):
    assert story(lambda mock, http: fetched(mock, http, path, Host="evil.example"))[0] == 403
    monkeypatch.setattr(guard, "is_loopback_address", lambda address: False)
    assert story(lambda mock, http: fetched(mock, http, path))[0] == 403


def test_with_an_admin_token_the_page_comes_without_data_and_the_rest_wants_the_token():
    async def tell(mock: MockServer, http: ClientSession) -> list[int]:
        plain = [(await fetched(mock, http, path))[0] for path in ("", "/web/main.js", "/choices")]
        return [*plain, (await fetched(mock, http, "/choices", Authorization="Bearer hush"))[0]]

    assert story(tell, admin_token="hush") == [200, 200, 403, 200]


def test_a_scenario_has_the_mistakes_that_the_command_reports(tmp_path: Path):
    file = tmp_path / "scenario.yaml"
    file.write_text(WRONG, encoding="utf-8")
    status, found = story(lambda mock, http: posted(mock, http, "/check", WRONG))
    reported = [(each.line, each.column, each.head, list(each.fix)) for each in problems_of(file, "scenario")]
    assert (status, len(reported), found["more"]) == (200, 2, 0)
    assert [(each["line"], each["column"], each["message"], each["fix"]) for each in found["problems"]] == reported


def test_a_scenario_without_mistakes_says_what_it_contains():
    _, found = story(lambda mock, http: posted(mock, http, "/check", RIGHT))
    assert found == {"problems": [], "more": 0, "name": "orders", "rules": 1, "unreachable": []}


def test_a_text_that_is_no_utf_8_is_refused():
    status, found = story(lambda mock, http: posted(mock, http, "/check", b"\xff"))
    assert (status, "UTF-8" in found["error"]) == (400, True)


def test_the_choices_are_those_of_the_server():
    _, _, text = story(lambda mock, http: fetched(mock, http, "/choices"), dialect="openai")
    found = json.loads(text)
    assert (found["dialect"], found["words"], found["mcp"]) == ("openai", "scripted", "scripted")
    xai, openai = found["services"]
    assert ("ara" in xai["voices"], "marin" in openai["voices"]) == (True, True)
    assert (xai["models"][0], openai["models"][0]) == ("grok-voice-3.0", "gpt-realtime-2.1")


@pytest.mark.parametrize("dialect", ["xai", "openai", "xai@2026-07"])
def test_a_call_has_its_own_scenario_and_no_other_client_sees_it(dialect: str):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        status, made = await posted(mock, http, "/calls", {"scenario": RIGHT, "dialect": dialect})
        assert status == 200
        async with http.ws_connect(made["ws"], protocols=made["subprotocols"]) as ws:
            assert await turn(ws) == "Hello."
        assert mock.sessions == []
        async with http.get(f"{made['control']}/sessions") as response:
            assert [each["dialect"] for each in await response.json()] == [made["dialect"]]

    story(tell)


def test_a_call_has_no_faults_and_its_own_clock():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        _, made = await posted(mock, http, "/calls", {"scenario": RIGHT, "dialect": "xai"})
        async with http.ws_connect(made["ws"], protocols=made["subprotocols"]) as ws:
            assert await turn(ws) == "Hello."

    story(tell, faults=[{"at": "handshake", "do": {"status": 503}}], clock="manual")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"scenario": WRONG, "dialect": "xai"}, "did you mean 'says'?"),
        ({"scenario": RIGHT, "dialect": "grok"}, "unknown dialect 'grok'"),
        ({"scenario": 5, "dialect": "xai"}, "the body must be"),
        ("no JSON", "the body is not JSON"),
        ("[]", "must be a JSON object"),
    ],
)
def test_a_call_that_cannot_be_made_says_why(body: object, says: str):
    status, found = story(lambda mock, http: posted(mock, http, "/calls", body))
    assert (status, says in found["error"]) == (400, True)


async def _answering(answer: Any, mock: MockServer, http: ClientSession, **asked: object) -> tuple[int, Any]:
    app = web.Application()
    app.router.add_post("/tool", answer)
    async with TestServer(app) as server:
        url = str(server.make_url("/tool"))
        return await posted(mock, http, "/tool", {"url": url, "name": "look_up", "call_id": "c", **asked})


def test_an_address_answers_a_tool():
    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"got": await request.json()})

    found = story(partial(_answering, answer, arguments='{"n": 1}'))
    assert found[0] == 200
    assert json.loads(found[1]["output"]) == {"got": {"name": "look_up", "call_id": "c", "arguments": '{"n": 1}'}}


def test_an_address_that_gives_no_result_says_why(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tool_address, "MOST_BYTES", 1024)

    async def long(request: web.Request) -> web.Response:
        return web.Response(text="x" * 2000)

    async def broken(request: web.Request) -> web.Response:
        return web.Response(status=500)

    async def elsewhere(request: web.Request) -> web.Response:
        raise web.HTTPFound("http://127.0.0.1:9/")

    for answer, says in ((long, "more than 1 KiB"), (broken, "status 500"), (elsewhere, "status 302")):
        status, found = story(partial(_answering, answer))
        assert (status, says in found["error"]) == (502, True), found
    status, found = story(lambda mock, http: posted(mock, http, "/tool", {"url": "file:///etc/passwd"}))
    assert (status, "http://" in found["error"]) == (502, True)
    status, found = story(lambda mock, http: posted(mock, http, "/tool", {"url": "http://127.0.0.1:9/"}))
    assert (status, "gave no answer" in found["error"]) == (502, True)
