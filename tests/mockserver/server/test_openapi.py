"""The description at /_mock/openapi.json: exact for each answer, and of use to programs that read such files."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from jsonschema import Draft202012Validator

from mockserver.responders.scenario import Scenario
from mockserver.server import openapi, virtual_time
from mockserver.server.calls.registry import NoEvents
from mockserver.testing.mock_server import MockServer
from tests.mockserver.server.described import check_answer, description, operation, validator

ROOT = Path(__file__).parents[3]
KEY = {"Authorization": "Bearer xai-any"}
SCENARIO = {"name": "one", "turns": [{"when": {"says": "hi"}, "reply": [{"say": "Hello."}]}]}
FAULT = {"at": "response.done", "do": {"close": 1011}, "name": "cut", "times": 1}
NODE_PACKAGES = {"openapi-typescript": "7.13.0", "@redocly/cli": "2.77.0", "typescript": "5.9.3"}


async def turn(http: ClientSession, url: str, advance: Callable[[], Awaitable[Any]]) -> None:
    """A session with a turn that a fault breaks off, and a finding: the result of a call that nobody made."""
    async with http.ws_connect(url, headers=KEY) as ws:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
        await ws.send_json({"type": "conversation.item.create", "item": item})
        await ws.send_str("no JSON")
        await ws.send_bytes(b"\0\0")
        await ws.send_json({"type": "response.create"})
        await advance()
        async for _ in ws:
            pass


async def drive(http: ClientSession, mock: MockServer, model: str) -> set[str]:
    """Ask every route of a namespace, or of the root; the ids of the operations that answered with 200."""
    base, seen = mock.control_url, set()

    async def ask(method: str, path: str, expected: int = 200, **more: Any) -> Any:
        async with http.request(method, base + path, **more) as response:
            text = response.content_type == "application/json"
            body = await response.json() if text else await response.read()
            assert response.status == expected, body
        id = check_answer(method, base + path, expected, body)
        if expected == 200:
            seen.add(id)
        return body

    await ask("PUT", "/scenario", json=SCENARIO)
    await ask("PUT", "/faults", json={"seed": 7, "faults": [FAULT]})
    await ask("POST", "/faults", data="at: GET /v1/models\ndo: {status: 503}")
    async with http.get(f"{mock.http_url}/models") as response:
        assert response.status == 503
    advance = partial(ask, "POST", "/clock/advance", json={"ms": 5000})
    waiting, _ = await asyncio.gather(ask("GET", "/wait?type=fault"), turn(http, mock.ws_url + model, advance))
    assert waiting["frame"]["event"] == "response.done"
    (session,) = await ask("GET", "/sessions")
    for path in ("", "/call", "/sound", "/tape", "/scenario"):
        await ask("GET", f"/sessions/{session['id']}{path}")
    for path in (
        "/metrics",
        "/health",
        "/limits",
        "/journal",
        "/ledger",
        "/findings",
        "/refusals",
        "/unused",
        "/report",
    ):
        await ask("GET", path)
    for path in ("/journal?audio=full&session=", "/ledger?session=", "/findings?level=error&session="):
        await ask("GET", path + session["id"])
    assert (await ask("GET", "/scenario"))["scenario"] == SCENARIO
    assert (await ask("GET", "/faults"))["faults"][0]["where"]
    await ask("GET", "/faults/kinds")
    body = {"script": [{"hang_up": True}], "webhook": "http://127.0.0.1:1/", "webhook_secret": mock.webhook_secret}
    rung = await ask("POST", "/calls", json=body)
    await ask("GET", f"/calls/{rung['id']}/audio")
    await ask("DELETE", f"/calls/{rung['id']}")
    call = ring(mock)
    assert (await ask("GET", "/calls"))[1:] == [await ask("GET", f"/calls/{call}")]
    await ask("DELETE", f"/calls/{call}")
    await ask("DELETE", "/faults/cut")
    await ask("DELETE", "/faults")
    await ask("DELETE", "/scenario")
    await ask("POST", "/reset", json={"to": "start"})
    await ask("GET", "/sessions/none", 404)
    await ask("DELETE", "/calls/none", 404)
    await ask("GET", "/wait?type=x&ms=0", 408)
    await ask("PUT", "/scenario", 400, data="turns: 5")
    return seen


def ring(mock: MockServer) -> str:
    """The id of a call that rings."""
    service = mock._service
    dialect = f"{service.options.dialect.partition('@')[0]}@2026-10"
    return service.calls.announce(dialect, "phone", service.clock.unix(), NoEvents()).id


async def steer(http: ClientSession, mock: MockServer, dialect: str) -> set[str]:
    """Make every request about a call; the ids of the operations that answered with 200."""
    seen: set[str] = set()

    async def ask(id: str, action: str, body: object, status: int = 200) -> None:
        url = f"{mock.http_url}/realtime/calls/{id}/{action}"
        async with http.post(url, json=body, headers=KEY) as response:
            data = await response.read()
            assert response.status == status, data
            operation_id = check_answer("POST", url, status, json.loads(data or b"{}"))
        seen.update({operation_id} if status == 200 else ())

    for end in ("refer", "hangup", "reject"):
        id = ring(mock)
        if dialect == "xai":
            async with http.ws_connect(f"{mock.ws_url}?call_id={id}", headers=KEY):
                if end != "reject":
                    await ask(id, end, {"target_uri": "tel:+14155550100"})
            continue
        if end != "reject":
            await ask(id, "accept", {"type": "transcription"}, 400)
            await ask(id, "accept", {"type": "realtime"})
        await ask(id, end, {"target_uri": "tel:+14155550100"})
        await ask(id, end, {"target_uri": "tel:+14155550100"}, 404)
    return seen


async def register(http: ClientSession, mock: MockServer) -> set[str]:
    """Register a phone number; the ids of the operations that answered with 200."""
    url, seen = f"{mock.origin}/v2/phone-numbers", set[str]()
    webhook = {"name": "hook", "url": "http://127.0.0.1:1/"}
    number = {"origin": "byo_trunk", "phone_number": "+18005550142", "webhook": webhook}
    asked = {**number, "sip_auth": {"allowed_addresses": ["203.0.113.0/24"]}}
    for method, body, status in (("POST", number, 400), ("POST", asked, 200), ("POST", asked, 409), ("GET", None, 200)):
        async with http.request(method, url, json=body, headers=KEY) as response:
            assert response.status == status
            id = check_answer(method, url, status, await response.json())
            seen.update({id} if status == 200 else ())
    return seen


@pytest.mark.parametrize("dialect", ["xai", "openai"])
def test_each_answer_is_exactly_as_described(dialect: str):
    async def tell() -> None:
        async with MockServer(dialect=dialect, clock="manual", pacing="burst") as mock, ClientSession() as http:
            model = "?model=" + ("grok-voice-latest" if dialect == "xai" else "gpt-realtime")
            seen = await drive(http, mock, model)
            url = f"{mock.control_url}/namespaces"
            async with http.post(url, json={"scenario": SCENARIO, "faults": [FAULT]}) as response:
                own = await response.json()
                seen.add(check_answer("POST", url, response.status, own))
            async with http.get(url) as response:
                seen.add(check_answer("GET", url, response.status, await response.json()))
            async with http.delete(own["control"]) as response:
                seen.add(check_answer("DELETE", own["control"], response.status, await response.json()))
            async with mock.isolate() as isolated:
                seen |= await drive(http, isolated, model)
            secrets = f"{mock.http_url}/realtime/client_secrets"
            for headers, status in ((KEY, 200), ({}, 401)):
                async with http.post(secrets, json={}, headers=headers) as response:
                    id = check_answer("POST", secrets, status, await response.json())
                    assert response.status == status
                    seen.add(id)
            seen |= await steer(http, mock, dialect)
            if dialect == "xai":
                seen |= await register(http, mock)
            async with http.get(f"{mock.control_url}/openapi.json") as response:
                told = await response.json()
                seen.add(check_answer("GET", f"{mock.control_url}/openapi.json", response.status, told))
            assert told == json.loads(json.dumps(openapi.description(False, mock.control_url.removesuffix("/_mock"))))
        numbers = {"listPhoneNumbers", "registerPhoneNumber"}
        without = {"acceptCall", "rejectCall"} if dialect == "xai" else numbers
        without = {*without, "createCall"}  # WebRTC runs in real time
        assert {each["operationId"] for _, each in operations()} - without == seen

    virtual_time.run(tell())


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in description()["paths"].items():
        for each in methods.values():
            yield path, each


def test_no_object_of_an_answer_has_keys_that_are_not_described():
    def objects(schema: Any, name: str) -> Iterator[tuple[str, Any]]:
        if isinstance(schema, dict):
            if "properties" in schema and "type" in schema:
                yield name, schema.get("additionalProperties")
            for each in schema.values():
                yield from objects(each, name)
        elif isinstance(schema, list):
            for each in schema:
                yield from objects(each, name)

    requests = {
        "SecretRequest",
        "PhoneNumberRequest",
        "PhoneNumber",
        "PhoneNumbers",
        "PhoneNumberMade",
        "CallSession",
        "CallRejection",
        "CallTransfer",
    }
    elsewhere = {"Call", *requests}  # the viewer's document, and the service's requests
    for name, schema in description()["components"]["schemas"].items():
        assert name in elsewhere or {closed for _, closed in objects(schema, name)} <= {False}, name


def test_each_operation_has_an_id_of_its_own():
    ids = [each["operationId"] for _, each in operations()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("method", "path", "good", "bad"),
    [
        ("put", "/_mock/scenario", SCENARIO, {"turns": [{"reply": [{"shout": "x"}]}]}),
        ("put", "/_mock/faults", [FAULT], [{"at": "response.done", "do": "explode"}]),
        ("post", "/_mock/namespaces", {"scenario": "clinic", "seed": 7, "limits": {"max_sessions": 1}}, {"sede": 7}),
        ("post", "/_mock/reset", {"to": "start"}, {"to": "end"}),
        ("post", "/_mock/clock/advance", {"ms": 5}, {"s": 5}),
    ],
)
def test_bodies_have_schemas(method: str, path: str, good: object, bad: object):
    schema = operation(method, path)["requestBody"]["content"]["application/json"]["schema"]
    assert validator(schema).is_valid(good)
    assert not validator(schema).is_valid(bad)


def test_every_schema_is_one():
    for schema in description()["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_packaged_scenarios_are_shown_as_described():
    played = validator({"$ref": "#/components/schemas/Scenario"})
    for path in sorted((ROOT / "cassettes" / "scenarios").rglob("*.yaml")):
        assert not list(played.iter_errors(Scenario.load(path).document)), path.name


@pytest.fixture(scope="module")
def packages(pytestconfig: pytest.Config) -> Path:
    """A folder with the Node programs that read descriptions. Skips without Node or a network."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node and npm are not installed")
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir("openapi-programs")
    wanted = json.dumps({"private": True, "dependencies": NODE_PACKAGES})
    if not (folder / "node_modules").exists() or (folder / "package.json").read_text(encoding="utf-8") != wanted:
        (folder / "package.json").write_text(wanted, encoding="utf-8")
        quietly = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", "--fetch-retries=0"]
        try:
            done = subprocess.run([npm, "install", *quietly], cwd=folder, capture_output=True, text=True, timeout=240)
        except subprocess.TimeoutExpired:
            pytest.skip("npm did not get the packages in time")
        if done.returncode:
            pytest.skip(f"npm cannot install the packages: {done.stderr.strip()[-200:]}")
    (folder / "openapi.json").write_text(json.dumps(openapi.description(guarded=True)), encoding="utf-8")
    return folder


def node(folder: Path, program: str, *arguments: str) -> str:
    path = folder / "node_modules" / ".bin" / program
    done = subprocess.run(
        [str(path), *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.slow
def test_types_are_made_of_it_that_a_program_uses(packages: Path):
    node(packages, "openapi-typescript", "openapi.json", "--output", "types.ts")
    program = """
    import type { components, operations } from "./types";
    type Schemas = components["schemas"];
    const rule: Schemas["FindingRule"] = "tool-result-unanswered";
    const fault: Schemas["Fault"] = { at: "handshake", do: { status: 503 } };
    const asked: Schemas["NamespaceRequest"] = { scenario: "clinic", faults: [fault] };
    declare const made: operations["openNamespace"]["responses"]["200"]["content"]["application/json"];
    const key: string = made.api_key, url: string = made.ws;
    // @ts-expect-error: there is no such rule
    const wrong: Schemas["FindingRule"] = "no-such-rule";
    export { asked, key, rule, url, wrong };
    """
    (packages / "program.ts").write_text(program, encoding="utf-8")
    node(packages, "tsc", "--noEmit", "--strict", "--skipLibCheck", "program.ts")


@pytest.mark.slow
def test_redocly_finds_nothing(packages: Path):
    told = node(packages, "redocly", "lint", "openapi.json", "--format", "json", "--max-problems", "1000")
    found = json.loads(told[told.index("{") : told.rindex("}") + 1])
    assert [(each["ruleId"], each["message"], each["location"][0].get("pointer")) for each in found["problems"]] == []
