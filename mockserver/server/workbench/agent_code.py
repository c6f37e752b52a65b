"""Programs for a described call: an agent with its session and tools, and a pytest test of the call that was kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from math import ceil
from pprint import pformat
from typing import Any, Literal, get_args

from typing_extensions import assert_never

from mockserver.server.workbench.kept_call import KeptCall, Turn
from replay.version import own_requirement

Client = Literal["websockets", "openai-python"]
CLIENTS: tuple[Client, ...] = get_args(Client)
_PACKAGES: Mapping[Client, str] = {"websockets": "websockets>=14.0", "openai-python": "openai[realtime]>=1.99"}

_HEAD = '''\
"""An agent that was described in realtape's workbench. Answer its tools in `run_tool`."""

from __future__ import annotations

import asyncio
import json
IMPORTS

MODEL = "MODEL_NAME"
SESSION = SESSION_VALUE
RESULTS = RESULTS_VALUE
"""What each tool answers. Replace it by your own code in `run_tool`."""
ADDRESSES = ADDRESSES_VALUE
"""Tools that an HTTP address answers."""
HISTORY = HISTORY_VALUE
"""Items with which the conversation begins."""


def run_tool(call_id: str, name: str, arguments: str) -> str:
    """The result of a tool, as the service gets it."""
    if name not in ADDRESSES:
        return RESULTS[name]
    body = json.dumps({"name": name, "call_id": call_id, "arguments": arguments}).encode()
    request = urllib.request.Request(ADDRESSES[name], body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode()


async def converse(lines: list[str]) -> list[str]:
    """What the agent says to each line that the user types. An empty line lets the agent speak first."""
'''
_TAIL = """\


if __name__ == "__main__":
    print(*asyncio.run(converse(sys.argv[1:])), sep="\\n")
"""
_WEBSOCKETS = """\
    ADDRESS_LINES
    async with connect(f"{url}?model={MODEL}", additional_headers=key) as service:

        async def send(event: dict[str, object]) -> None:
            await service.send(json.dumps(event))

        await send({"type": "session.update", "session": SESSION})
        for item in HISTORY:
            await send({"type": "conversation.item.create", "item": item})
        answers = []
        for line in lines:
            if line:
                content = [{"type": "input_text", "text": line}]
                item = {"type": "message", "role": "user", "content": content}
                await send({"type": "conversation.item.create", "item": item})
            await send({"type": "response.create"})
            said: list[str] = []
            results: list[dict[str, str]] = []
            async for frame in service:
                event = json.loads(frame)
                if event["type"] == "error":
                    raise RuntimeError(event["error"]["message"])
                if event["type"] == "response.output_audio_transcript.done":
                    said.append(event["transcript"].strip())
                if event["type"] == "response.function_call_arguments.done":
                    output = run_tool(event["call_id"], event["name"], event["arguments"])
                    results.append({"type": "function_call_output", "call_id": event["call_id"], "output": output})
                if event["type"] == "response.done":
                    if not results:
                        break
                    for item in results:  # results go out once the response that asked for them is over
                        await send({"type": "conversation.item.create", "item": item})
                    results = []
                    await send({"type": "response.create"})
            answers.append(" ".join(said))
    return answers
"""
_OPENAI_PYTHON = """\
    ADDRESS_LINES
    async with client, client.realtime.connect(model=MODEL) as service:
        await service.send({"type": "session.update", "session": SESSION})
        for item in HISTORY:
            await service.send({"type": "conversation.item.create", "item": item})
        answers = []
        for line in lines:
            if line:
                content = [{"type": "input_text", "text": line}]
                item = {"type": "message", "role": "user", "content": content}
                await service.send({"type": "conversation.item.create", "item": item})
            await service.send({"type": "response.create"})
            said: list[str] = []
            results: list[dict[str, str]] = []
            async for event in service:
                if event.type == "error":
                    raise RuntimeError(event.error.message)
                if event.type == "response.output_audio_transcript.done":
                    said.append(event.transcript.strip())
                if event.type == "response.function_call_arguments.done":
                    output = run_tool(event.call_id, event.name, event.arguments)
                    results.append({"type": "function_call_output", "call_id": event.call_id, "output": output})
                if event.type == "response.done":
                    if not results:
                        break
                    for item in results:  # results go out once the response that asked for them is over
                        await service.send({"type": "conversation.item.create", "item": item})
                    results = []
                    await service.send({"type": "response.create"})
            answers.append(" ".join(said))
    return answers
"""
_ADDRESS: Mapping[tuple[Client, str], str] = {
    ("websockets", "xai"): """\
url = os.environ.get("XAI_REALTIME_URL", "wss://api.x.ai/v1/realtime")
    key = {"Authorization": f"Bearer {os.environ['XAI_API_KEY']}"}""",
    ("websockets", "openai"): """\
url = os.environ.get("OPENAI_WEBSOCKET_BASE_URL", "wss://api.openai.com/v1") + "/realtime"
    key = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}""",
    ("openai-python", "xai"): """\
url = os.environ.get("XAI_REALTIME_URL", "wss://api.x.ai/v1/realtime").removesuffix("/realtime")
    client = openai.AsyncOpenAI(api_key=os.environ["XAI_API_KEY"], websocket_base_url=url)""",
    ("openai-python", "openai"): """\
client = openai.AsyncOpenAI()  # reads OPENAI_API_KEY, and OPENAI_BASE_URL for another address""",
}
_TEST = '''\
"""A call that was kept in realtape's workbench, against the mock: no key, no network, no cost."""

from __future__ import annotations

import asyncio
import json

import agent
import pytest

pytestmark = pytest.mark.realtime(
    scenario="scenario.yaml", dialect="DIALECT", pacing="burst", env=True, findings="error", unused="off"
)

TURNS = TURNS_VALUE
"""What the user says, and what the agent answers. An answer that was cut off ends in "…"."""
CALLS = CALLS_VALUE
"""Each function call: its name and arguments."""


def test_the_call_goes_as_it_was_kept(realtime_mock, monkeypatch):
    monkeypatch.setattr(agent, "RESULTS", agent.RESULTS | RECORDED_RESULTS)  # of the call
    monkeypatch.setattr(agent, "ADDRESSES", {})
    answers = asyncio.run(agent.converse([user for user, _ in TURNS]))
    for (user, expected), said in zip(TURNS, answers, strict=True):
        if expected.endswith("…"):
            assert said.startswith(expected[:-1]), user
        else:
            assert said == expected, user
    done = realtime_mock.sessions[0].sent("response.function_call_arguments.done")
    made = [(call["name"], json.loads(call["arguments"])) for call in done]
    COMPARISON
    realtime_mock.assert_no_errors()
    realtime_mock.assert_cost_at_most("COST")
'''


def agent(call: KeptCall, client: Client) -> str:
    """The program of an agent with this session and these tools."""
    functions = [tool for tool in call.tools if tool.get("kind") == "function"]
    results = {str(tool.get("name")): str(tool.get("result")) for tool in functions if tool.get("answer") != "http"}
    addresses = {str(tool.get("name")): str(tool.get("url")) for tool in functions if tool.get("answer") == "http"}
    match client:
        case "websockets":
            imports = "import os\nimport sys\nimport urllib.request\n\nfrom websockets.asyncio.client import connect"
            body = _WEBSOCKETS
        case "openai-python":
            os_line = "import os\n" if call.service == "xai" else ""
            imports = f"{os_line}import sys\nimport urllib.request\n\nimport openai"
            body = _OPENAI_PYTHON
        case _:
            assert_never(client)
    head = _filled(
        _HEAD,
        IMPORTS=imports,
        MODEL_NAME=call.model.replace("\\", "").replace('"', ""),
        SESSION_VALUE=_literal(call.session),
        RESULTS_VALUE=_literal(results),
        ADDRESSES_VALUE=_literal(addresses),
        HISTORY_VALUE=_literal(list(call.history)),
    )
    return head + body.replace("ADDRESS_LINES", _ADDRESS[client, call.service]) + _TAIL


def kept_test(call: KeptCall, turns: Sequence[Turn]) -> str:
    """A test in which that agent has the same call."""
    spoken = [turn for turn in turns if turn.user or (turn is turns[0] and call.greets)]
    rows = [(turn.user, f"{turn.answer}…" if turn.cut else turn.answer) for turn in spoken]
    calls = [(name, _arguments(arguments)) for turn in spoken for name, arguments in turn.calls]
    # Nobody cuts an answer off in the test, so it may have calls that the cut one had not.
    all_made = "assert all(call in made for call in CALLS)"
    return _filled(
        _TEST,
        DIALECT=call.dialect,
        TURNS_VALUE=_literal(rows),
        CALLS_VALUE=_literal(calls),
        RECORDED_RESULTS=_literal(call.results()),
        COMPARISON=all_made if any(turn.cut for turn in spoken) else "assert made == CALLS",
        COST=_bound(call, len(spoken)),
    )


def requirements(client: Client) -> str:
    """The packages of the agent and its test."""
    return f"{own_requirement()}\n{_PACKAGES[client]}\npytest>=8.3\n"


def _filled(template: str, **values: str) -> str:
    """The template with each name replaced once, in the order of the names, so that no value is read as a template."""
    parts = []
    for name, value in values.items():
        before, _, template = template.partition(name)
        parts += [before, value]
    return "".join((*parts, template))


def _literal(value: object) -> str:
    return pformat(value, width=100, sort_dicts=False)


def _arguments(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _bound(call: KeptCall, turns: int) -> str:
    """Twice what the call cost, in whole cents: the test types what was spoken. At least a cent a turn."""
    try:
        spent = Decimal(call.usd or "0")
    except InvalidOperation:
        spent = Decimal(0)
    return f"{max(ceil(spent * 200), turns, 1) / 100:.2f}"
