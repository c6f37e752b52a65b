"""OpenAI's realtime models on Azure: the same session behind another door, with parts that come twice."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from mockserver.dialects.names import dialect_for
from mockserver.responders.base import Say
from realtape import MockServer
from tests.mockserver.talk import Script, Talk, kinds

DEPLOYMENT = "front-desk"


def answered(dialect: str) -> Talk:
    talk = Talk(Script([Say("Good morning.")]), dialect=dialect, model="gpt-realtime-2.1")
    talk.say("Hello.")
    talk.rest()
    return talk


def test_a_part_comes_twice_as_part_and_as_content():
    talk = answered("azure")
    for type in ("response.content_part.added", "response.content_part.done"):
        (event,) = talk.of(type)
        assert list(event)[-2:] == ["part", "content"]
        assert event["part"] == event["content"]
        assert "content" not in answered("openai").of(type)[0]


def test_all_else_is_as_at_openai_but_that_reasoning_shows_even_if_there_was_none():
    there, here = answered("openai"), answered("azure")
    assert kinds(there.events) == kinds(here.events)
    details = [talk.of("response.done")[0]["response"]["usage"]["output_token_details"] for talk in (there, here)]
    assert "reasoning_tokens" not in details[0]
    assert details[1] == {**details[0], "reasoning_tokens": 0}


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/openai/v1/realtime", {"api-key": "resource-key"}),
        ("/openai/v1/realtime", {"Authorization": "Bearer entra-token"}),
        ("/v1/realtime", {"api-key": "resource-key"}),
    ],
)
@pytest.mark.parametrize("dialect", ["auto", "azure"])
async def test_a_deployment_answers_at_its_address_and_by_either_credential(path: str, headers: Any, dialect: str):
    async with MockServer(dialect=dialect) as mock:
        url = mock.ws_url.removesuffix("/v1/realtime") + path
        async with connect(f"{url}?model={DEPLOYMENT}", additional_headers=headers) as socket:
            created = json.loads(await socket.recv())
        assert (created["type"], created["session"]["model"]) == ("session.created", DEPLOYMENT)
        assert mock.sessions[0].ledger.total_usd == 0  # of which model a deployment is, is not known


@pytest.mark.parametrize(
    ("query", "headers", "status", "code"),
    [
        ("model=x", {"api-key": "wrong"}, 401, "401"),
        ("model=x", {}, 401, "401"),
        ("", {"api-key": "right"}, 400, "missing_model"),
        ("api-version=2025-04-01-preview&deployment=x", {"api-key": "right"}, 400, "BadRequest"),
        ("intent=transcription&model=x", {"api-key": "right"}, 400, "invalid_model"),
        ("call_id=rtc_u0_1", {"api-key": "right"}, 404, None),
    ],
)
async def test_refusals_come_over_http(query: str, headers: Any, status: int, code: str | None):
    async with MockServer(dialect="azure", api_keys=["right"]) as mock:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{mock.ws_url}?{query}", additional_headers=headers)
        response = refused.value.response
        assert response.status_code == status
        assert (json.loads(response.body)["error"]["code"] if code else len(response.body)) == (code or 0)


def minted(mock: MockServer, body: Any, headers: dict[str, str]) -> Any:
    root = mock.ws_url.replace("ws", "http", 1).removesuffix("/v1/realtime") + "/openai/v1/realtime/client_secrets"
    request = urllib.request.Request(root, json.dumps(body).encode(), {"Content-Type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.loads(answer.read())


def test_a_browser_is_given_a_secret_in_a_first_step_and_connects_with_it_in_a_second():
    with MockServer(dialect="auto") as mock:
        secret = minted(mock, {"session": {"type": "realtime", "model": DEPLOYMENT}}, {"api-key": "resource-key"})
        assert secret["value"].startswith("ek_") and secret["session"]["model"] == DEPLOYMENT
        with pytest.raises(urllib.error.HTTPError) as refused:
            minted(mock, {"session": {"type": "realtime", "voice": "alloy"}}, {"api-key": "resource-key"})
        error = json.loads(refused.value.read())["error"]
        assert (refused.value.code, error["param"]) == (400, "session.voice")


def test_auto_knows_azure_by_its_path_or_its_header_alone():
    assert dialect_for("gpt-realtime", "sk-1", None, {}, azure=True) == "azure@2026-10"
    assert dialect_for("gpt-realtime", "sk-1", None, {}) == "openai@2026-10"
