"""MCP servers are really asked: a server made with the official package, over streamable HTTP on loopback."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from mockserver.protocol.commands import ToolServer
from mockserver.protocol.conversation import ToolError
from mockserver.protocol.requests import CallTool, ListTools
from mockserver.responders.scenario import Scenario
from mockserver.testing.mock_server import MockServer
from replay.formats import detect
from tests.mockserver.chat_server import Answer, chat_server
from tests.mockserver.server.test_chat import SAID, ask
from tests.mockserver.session.test_heard_in_calls import event

pytest.importorskip("mcp", reason="needs the extra `mcp`", exc_type=ImportError)
from mockserver.server.mcp_client import LARGEST, MOST_BYTES, McpClient
from tests.mockserver.mcp_server import TOKEN, RunningServer, mcp_server

RULES = """
turns:
  - when: {says: invoice}
    reply:
      - hosted: {tool: mcp, server: billing, name: find_invoice, arguments: {number: 7}}
      - say: "{% if result.error %}It failed: {{ result.error }}{% else %}It is {{ result.usd }}.{% endif %}"
"""


@pytest.fixture(scope="module")
def billing() -> Iterator[RunningServer]:
    with mcp_server() as server:
        yield server


def tool(server: RunningServer, **changes: object) -> dict[str, Any]:
    declared = {"type": "mcp", "server_label": "billing", "server_url": server.url, "authorization": TOKEN}
    return {**declared, "require_approval": "never", **changes}


def at(server: RunningServer, **changes: Any) -> ToolServer:
    return ToolServer("billing", **{"url": server.url, "authorization": TOKEN, **changes})


async def called(server: RunningServer, name: str, arguments: str = "{}", **changes: Any) -> str | ToolError:
    answer = await McpClient().call(CallTool("1", at(server, **changes), name, arguments))
    return answer.error or answer.output


@pytest.mark.parametrize("dialect", ["xai", "openai"])
async def test_a_session_lists_and_calls_the_tools_of_a_server(dialect: str, billing: RunningServer, tmp_path: Path):
    billing.calls.clear()
    query, kind = ("?model=gpt-realtime", {"type": "realtime"}) if dialect == "openai" else ("", {})
    async with MockServer(
        Scenario.parse(RULES), dialect=dialect, mcp="live", pacing="burst", record=tmp_path, check=True
    ) as mock:
        async with ClientSession() as http:
            async with http.ws_connect(mock.ws_url + query, headers={"Authorization": "Bearer k"}) as ws:
                server = tool(billing, allowed_tools=["find_invoice"])
                await ws.send_json({"type": "session.update", "session": {**kind, "tools": [server]}})
                await event(ws, "mcp_list_tools.completed")
                await ask(ws, "How much is the invoice?")
                await event(ws, "response.mcp_call.completed")
                if dialect == "openai":
                    await ws.send_json({"type": "response.create"})
                assert (await event(ws, SAID))["transcript"] == "It is 12.5."
        shown = json.dumps([row for log in mock.sessions for row in log.shown()])
        assert mock.errors == []
    assert billing.calls == [("find_invoice", 7)]
    assert TOKEN not in shown
    assert TOKEN.encode() not in mock.cassettes[0].read_bytes()
    recorded = detect.read_recording(mock.cassettes[0]).received()
    assert "response.mcp_call.completed" in [each["type"] for each in recorded]


async def test_a_model_calls_the_tools_of_a_server(billing: RunningServer):
    look, tell = Answer(calls=[("find_invoice", {"number": 7})]), Answer(("It is twelve fifty.",))
    async with chat_server(look, tell) as model, ClientSession() as http:
        async with MockServer(chat=model.url, chat_model="tiny", mcp="live", pacing="burst") as mock:
            async with http.ws_connect(mock.ws_url, headers={"Authorization": "Bearer k"}) as ws:
                await ws.send_json({"type": "session.update", "session": {"tools": [tool(billing)]}})
                await event(ws, "mcp_list_tools.completed")
                await ask(ws, "How much is the invoice?")
                assert (await event(ws, SAID))["transcript"] == "It is twelve fifty."
    names = [each["function"]["name"] for each in model.asked[0]["tools"]]
    assert names == ["find_invoice", "fail", "wait", "large", "huge"]
    assert json.loads(model.asked[1]["messages"][-1]["content"]) == {"number": 7, "usd": 12.5}


async def test_a_server_that_refuses_is_logged_and_told(billing: RunningServer, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING)
    async with MockServer(mcp="live") as mock, ClientSession() as http:
        async with http.ws_connect(mock.ws_url, headers={"Authorization": "Bearer k"}) as ws:
            wrong = tool(billing, authorization="secret-but-wrong")
            await ws.send_json({"type": "session.update", "session": {"tools": [wrong]}})
            failed = await event(ws, "mcp_list_tools.failed")
    assert failed["error"] == {"type": "http_error", "message": "MCP server 'billing': it answered 401"}
    assert "a list of tools: MCP server 'billing': it answered 401" in caplog.text
    assert "secret-but-wrong" not in caplog.text


async def test_the_client_chooses_the_headers_but_not_those_of_the_protocol(billing: RunningServer):
    billing.headers.clear()
    headers = (("X-Team", "7"), ("Host", "elsewhere.example"), ("Content-Length", "3"))
    found = await McpClient().list(ListTools("1", at(billing, authorization=f"Bearer {TOKEN}", headers=headers)))
    assert found.error is None
    (find, *_) = found.tools
    assert (find.name, find.description, find.annotations) == (
        "find_invoice",
        "Finds an invoice.",
        {"readOnlyHint": True},
    )
    assert {each["x-team"] for each in billing.headers} == {"7"}
    assert {each["host"] for each in billing.headers} == {billing.url.split("/")[2]}


async def test_the_older_transport_is_spoken_where_the_address_says_so(billing: RunningServer):
    url = billing.url.replace("/mcp", "/sse")
    found = await McpClient().list(ListTools("1", at(billing, url=url)))
    assert [tool.name for tool in found.tools][:1] == ["find_invoice"]
    assert json.loads(str(await called(billing, "find_invoice", '{"number": 3}', url=url))) == {
        "number": 3,
        "usd": 12.5,
    }


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("fail", '{"why": "closed"}', ToolError("Error executing tool fail: closed (secret)")),
        ("large", "{}", ToolError(f"the result of 'large' has more than {LARGEST} characters", "protocol_error")),
        ("huge", "{}", ToolError(f"it sent more than {MOST_BYTES} bytes", "protocol_error")),
        ("find_invoice", "[7]", ToolError("the arguments of 'find_invoice' are no JSON object", "protocol_error")),
    ],
)
async def test_what_goes_wrong_with_a_tool_is_an_error(
    name: str, arguments: str, error: ToolError, billing: RunningServer
):
    found = await called(billing, name, arguments)
    assert isinstance(found, ToolError)
    assert (found.type, found.message.removeprefix("MCP server 'billing': ")) == (error.type, error.message)


@pytest.mark.parametrize(
    ("changes", "type", "told"),
    [
        ({"url": "http://127.0.0.1:1/mcp"}, "connection_error", "it cannot be reached: "),
        ({"url": "http://127.0.0.1:1/sse"}, "connection_error", "it cannot be reached: "),
        ({"url": "file:///etc/passwd"}, "protocol_error", "its server_url is no http or https address"),
        ({"url": ""}, "protocol_error", "it has no server_url; connectors and tunnels are not asked"),
        ({"url": "http://me:hush@127.0.0.1/mcp"}, "protocol_error", "its server_url has a credential"),
        ({"authorization": "a\r\nb"}, "protocol_error", "a header has a character that HTTP does not allow"),
        ({"headers": (("X-Long", "x" * 5000),)}, "protocol_error", "it has more than 32 headers, or one of more than"),
    ],
)
async def test_a_server_that_cannot_be_asked_is_an_error(
    changes: dict[str, Any], type: str, told: str, billing: RunningServer
):
    error = await called(billing, "find_invoice", **changes)
    assert isinstance(error, ToolError)
    assert (error.type, error.message.startswith(f"MCP server 'billing': {told}")) == (type, True), error
    assert "hush" not in error.message


async def test_a_server_that_does_not_answer_in_time_is_an_error(billing: RunningServer):
    answer = await McpClient(timeout_s=0.1).call(CallTool("1", at(billing), "wait", "{}"))
    assert answer.error == ToolError("MCP server 'billing': no answer within 0.1 s", "connection_error")
