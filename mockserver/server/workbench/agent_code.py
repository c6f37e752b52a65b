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

Client = Literal["websockets", "openai-python", "ws"]
CLIENTS: tuple[Client, ...] = get_args(Client)
_PACKAGES: Mapping[Client, str] = {"websockets": "websockets>=14.0", "openai-python": "openai[realtime]>=1.99"}
_HIGHEST_USD = 1000
"""A call that cost more is taken for one whose cost is unknown."""
_NODE_PACKAGE = {"private": True, "type": "module", "dependencies": {"ws": "^8.18.0"}}

_HEAD = '''\
"""An agent that was described in realtape's workbench. Answer its tools in `run_tool`."""

from __future__ import annotations

import asyncio
import json
IMPORTS

MODEL = MODEL_VALUE
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
_WS = """\
// An agent that was described in realtape's workbench. Answer its tools in `runTool`.

import { on, once } from "node:events";
import WebSocket from "ws";

const MODEL = MODEL_VALUE;
const SESSION = SESSION_VALUE;
// What each tool answers. Replace it by your own code in `runTool`.
const RESULTS = RESULTS_VALUE;
// Tools that an HTTP address answers.
const ADDRESSES = ADDRESSES_VALUE;
// Items with which the conversation begins.
const HISTORY = HISTORY_VALUE;

// The result of a tool, as the service gets it. A test gives other results in TOOL_RESULTS.
async function runTool(call_id, name, args) {
  const results = { ...RESULTS, ...JSON.parse(process.env.TOOL_RESULTS ?? "{}") };
  if (name in results) return results[name];
  const body = JSON.stringify({ name, call_id, arguments: args });
  const headers = { "Content-Type": "application/json" };
  return (await fetch(ADDRESSES[name], { method: "POST", headers, body })).text();
}

// Resolves to what the agent says to each line that the user types. An empty line lets the agent speak first.
async function converse(lines) {
  ADDRESS_LINES
  const socket = new WebSocket(`${url}?model=${MODEL}`, { headers: { Authorization: `Bearer ${key}` } });
  const frames = on(socket, "message", { close: ["close"] });
  const send = (event) => socket.send(JSON.stringify(event));
  await once(socket, "open");
  send({ type: "session.update", session: SESSION });
  for (const item of HISTORY) send({ type: "conversation.item.create", item });
  const answers = [];
  for (const line of lines) {
    const content = [{ type: "input_text", text: line }];
    if (line) send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
    send({ type: "response.create" });
    answers.push(await answer(frames, send));
  }
  socket.close(1000);
  return answers;
}

async function answer(frames, send) {
  const said = [];
  let results = [];
  for (;;) {
    const { value, done } = await frames.next();
    if (done) throw new Error("The service closed the connection.");
    const event = JSON.parse(String(value[0]));
    if (event.type === "error") throw new Error(event.error.message);
    if (event.type === "response.output_audio_transcript.done") said.push(event.transcript.trim());
    if (event.type === "response.function_call_arguments.done") {
      const { call_id, name } = event;
      results.push({ type: "function_call_output", call_id, output: await runTool(call_id, name, event.arguments) });
    }
    if (event.type === "response.done") {
      if (!results.length) return said.join(" ");
      // Results go out once the response that asked for them is over.
      for (const item of results) send({ type: "conversation.item.create", item });
      results = [];
      send({ type: "response.create" });
    }
  }
}

console.log(JSON.stringify(await converse(process.argv.slice(2))));
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
    ("ws", "xai"): """\
const url = process.env.XAI_REALTIME_URL ?? "wss://api.x.ai/v1/realtime";
  const key = process.env.XAI_API_KEY;""",
    ("ws", "openai"): """\
const url = `${process.env.OPENAI_WEBSOCKET_BASE_URL ?? "wss://api.openai.com/v1"}/realtime`;
  const key = process.env.OPENAI_API_KEY;""",
    ("openai-python", "openai"): """\
client = openai.AsyncOpenAI()  # reads OPENAI_API_KEY, and OPENAI_BASE_URL for another address""",
}
_TEST = '''\
"""A call that was kept in realtape's workbench, against the mock: no key, no network, no cost."""

from __future__ import annotations

IMPORT_LINES

pytestmark = pytest.mark.realtime(
    scenario="scenario.yaml", dialect="DIALECT", pacing="burst", env=True, findings="error", unused="off"
)

TURNS = TURNS_VALUE
"""What the user says, and what the agent answers. An answer that was cut off ends in "…"."""
CALLS = CALLS_VALUE
"""Each function call: its name and arguments."""


RUN_LINES
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
_PYTHON_IMPORTS = "import asyncio\nimport json\n\nimport agent\nimport pytest"
_PYTHON_RUN = """\
def test_the_call_goes_as_it_was_kept(realtime_mock, monkeypatch):
    monkeypatch.setattr(agent, "RESULTS", agent.RESULTS | RECORDED_RESULTS)  # of the call
    monkeypatch.setattr(agent, "ADDRESSES", {})
    answers = asyncio.run(agent.converse([user for user, _ in TURNS]))"""
_NODE_IMPORTS = "import json\nimport os\nimport subprocess\nfrom pathlib import Path\n\nimport pytest"
_NODE_RUN = """\
def test_the_call_goes_as_it_was_kept(realtime_mock, realtime_env):
    results = RECORDED_RESULTS  # of the call
    environment = {**os.environ, **realtime_env, "TOOL_RESULTS": json.dumps(results)}
    command = ["node", str(Path(__file__).with_name("agent.mjs")), *(user for user, _ in TURNS)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, timeout=60)
    answers = json.loads(done.stdout)"""


def programs(call: KeptCall, client: Client) -> Mapping[str, str]:
    """The agent, and what names its packages, by file name."""
    if client == "ws":
        return {
            "agent.mjs": _node_agent(call),
            "package.json": _json(_NODE_PACKAGE),
            "requirements.txt": f"{own_requirement()}\npytest>=8.3\n",
        }
    packages = f"{own_requirement()}\n{_PACKAGES[client]}\npytest>=8.3\n"
    return {"agent.py": agent(call, client), "requirements.txt": packages}


def _node_agent(call: KeptCall) -> str:
    results, addresses = _answers(call)
    return _filled(
        _WS,
        MODEL_VALUE=_json(call.model),
        SESSION_VALUE=_json(call.session),
        RESULTS_VALUE=_json(results),
        ADDRESSES_VALUE=_json(addresses),
        HISTORY_VALUE=_json(list(call.history)),
        ADDRESS_LINES=_ADDRESS["ws", call.service],
    )


def _answers(call: KeptCall) -> tuple[dict[str, str], dict[str, str]]:
    """The results of the scripted functions, and the addresses of the others, by name."""
    functions = [tool for tool in call.tools if tool.get("kind") == "function"]
    results = {str(tool.get("name")): str(tool.get("result")) for tool in functions if tool.get("answer") != "http"}
    return results, {str(tool.get("name")): str(tool.get("url")) for tool in functions if tool.get("answer") == "http"}


def agent(call: KeptCall, client: Literal["websockets", "openai-python"]) -> str:
    """The program of an agent in Python, with this session and these tools."""
    results, addresses = _answers(call)
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
        MODEL_VALUE=_literal(call.model),
        SESSION_VALUE=_literal(call.session),
        RESULTS_VALUE=_literal(results),
        ADDRESSES_VALUE=_literal(addresses),
        HISTORY_VALUE=_literal(list(call.history)),
    )
    return head + body.replace("ADDRESS_LINES", _ADDRESS[client, call.service]) + _TAIL


def kept_test(call: KeptCall, client: Client, turns: Sequence[Turn]) -> str:
    """A test in which that agent has the same call."""
    spoken = [turn for turn in turns if turn.user or (turn is turns[0] and call.greets)]
    rows = [(turn.user, f"{turn.answer}…" if turn.cut else turn.answer) for turn in spoken]
    calls = [(name, _arguments(arguments)) for turn in spoken for name, arguments in turn.calls]
    # Nobody cuts an answer off in the test, so it may have calls that the cut one had not.
    all_made = "assert all(call in made for call in CALLS)"
    node = client == "ws"
    run = _filled(_NODE_RUN if node else _PYTHON_RUN, RECORDED_RESULTS=_literal(call.results()))
    return _filled(
        _TEST,
        IMPORT_LINES=_NODE_IMPORTS if node else _PYTHON_IMPORTS,
        DIALECT=call.dialect,
        TURNS_VALUE=_literal(rows),
        CALLS_VALUE=_literal(calls),
        RUN_LINES=run,
        COMPARISON=all_made if any(turn.cut for turn in spoken) else "assert made == CALLS",
        COST=_bound(call, len(spoken)),
    )


def _filled(template: str, **values: str) -> str:
    """The template with each name replaced once, in the order of the names, so that no value is read as a template."""
    parts = []
    for name, value in values.items():
        before, _, template = template.partition(name)
        parts += [before, value]
    return "".join((*parts, template))


def _literal(value: object) -> str:
    return pformat(value, width=100, sort_dicts=False)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _arguments(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _bound(call: KeptCall, turns: int) -> str:
    """Twice what the call cost, in whole cents: the test types what was spoken. At least a cent a turn."""
    try:
        spent = Decimal(call.usd or "0")
        spent = spent if 0 <= spent < _HIGHEST_USD else Decimal(0)
    except InvalidOperation:  # no number, or the one that is named so
        spent = Decimal(0)
    return f"{max(ceil(spent * 200), turns, 1) / 100:.2f}"
