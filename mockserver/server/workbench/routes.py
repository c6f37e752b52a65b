"""The routes of the workbench, below /_mock/workbench: its page, and what the page asks for.

Its sessions run in a namespace for each call, so that it disturbs no other client of the server.
"""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Iterable
from typing import Literal, get_args

import orjson
from aiohttp import hdrs, web
from typing_extensions import assert_never

from mockserver.server.guard import Problem, guarded, page_guarded
from mockserver.server.http import BODY_S, body_of
from mockserver.server.namespaces import Namespaces, TooManyNamespaces
from mockserver.server.workbench import agent_code, files, kept_call
from mockserver.server.workbench.calls import begin
from mockserver.server.workbench.choices import choices
from mockserver.server.workbench.kept_call import KeptCall, NotKept
from mockserver.server.workbench.opened_call import NotOpened, opened
from mockserver.server.workbench.scenario_text import checked
from mockserver.server.workbench.tool_address import NoResult, result_of
from replay.cassette.file import CannotRecord

Form = Literal["files", "zip", "tape", "html"]
"""What is made of a call that is kept."""
_FORMS: tuple[Form, ...] = get_args(Form)
ROOT = "/_mock/workbench"
MOST_CALL = 128 << 20
"""Bytes of a call that is kept or opened. The page keeps a little less."""


def routes(namespaces: Namespaces) -> Iterable[web.RouteDef]:
    """Every route of the workbench. The page and its modules hold no data; the rest is guarded as the control plane."""
    token = namespaces.root.options.admin_token
    bench = _Workbench(namespaces)
    for path in (ROOT, f"{ROOT}/"):
        yield web.get(path, page_guarded(lambda request: files.answer("index.html"), token))
    yield web.get(
        f"{ROOT}/web/{{name:.+}}", page_guarded(lambda request: files.answer(request.match_info["name"]), token)
    )
    for method, path, answer in (
        (hdrs.METH_GET, "/choices", bench.choices),
        (hdrs.METH_POST, "/check", bench.check),
        (hdrs.METH_POST, "/calls", bench.call),
        (hdrs.METH_POST, "/tool", bench.tool),
        (hdrs.METH_POST, "/keep", bench.keep),
        (hdrs.METH_POST, "/open", bench.open),
    ):
        yield web.route(method, f"{ROOT}{path}", guarded(answer, token))


class _Workbench:
    """One method for each route, from a request to JSON."""

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces

    async def choices(self, request: web.Request) -> object:
        """What a call may be made of at this server: dialects, models, voices, and what the server was started with."""
        return choices(self._namespaces.root)

    async def check(self, request: web.Request) -> object:
        """The mistakes of a scenario, each with its place and the lines that would be right."""
        return checked(await _text(request))

    async def call(self, request: web.Request) -> object:
        """Makes the namespace of one call: `{"scenario": TEXT, "dialect": NAME}`."""
        asked = await _object(request)
        scenario, dialect = asked.get("scenario"), asked.get("dialect")
        if not isinstance(scenario, str) or not isinstance(dialect, str):
            raise Problem(400, 'the body must be {"scenario": TEXT, "dialect": NAME}')
        try:
            return await begin(self._namespaces, scenario, dialect, request.host, request.secure)
        except ValueError as problem:
            raise Problem(400, str(problem)) from problem
        except TooManyNamespaces as problem:
            raise Problem(429, str(problem)) from problem

    async def tool(self, request: web.Request) -> object:
        """The result of a tool that an HTTP address answers."""
        try:
            return {"output": await result_of(await _object(request))}
        except NoResult as problem:
            raise Problem(502, str(problem)) from problem

    async def keep(self, request: web.Request) -> object:
        """What is kept of a call: with `?as=files` texts by their names, with `?as=zip` these and the cassette, with
        `?as=tape` the cassette, with `?as=html` the viewer. `?client=NAME` is the library of the agent."""
        form, client = request.query.get("as", "files"), request.query.get("client", agent_code.CLIENTS[0])
        library = next((each for each in agent_code.CLIENTS if each == client), None)
        kept = next((each for each in _FORMS if each == form), None)
        if kept is None or library is None:
            clients = " or ".join(agent_code.CLIENTS)
            raise Problem(400, f"as is {', '.join(_FORMS[:-1])} or {_FORMS[-1]}; client is {clients}")
        unix = self._namespaces.root.clock.unix()
        try:
            call = kept_call.read(await _large_body(request))
            return await asyncio.to_thread(_kept, call, kept, library, unix)
        except NotKept as problem:
            raise Problem(400, str(problem)) from problem
        except RecursionError as problem:
            raise Problem(400, "the description is nested too deeply; make it flatter") from problem
        except (CannotRecord, OSError) as problem:
            raise Problem(503, f"this machine cannot write the call to a temporary file: {problem}") from problem

    async def open(self, request: web.Request) -> object:
        """A recorded call as a description, its turns, and the history before `?turn=N`, counted from 0. `?dialect=`:
        that of a recording which does not tell its own."""
        turn, dialect = request.query.get("turn", "0"), request.query.get("dialect", "")
        if not turn.isdecimal() or len(turn) > 6:
            raise Problem(400, f"turn must be a number from 0, not {turn[:20]!r}")
        try:
            return await asyncio.to_thread(opened, await _large_body(request), int(turn), dialect)
        except NotOpened as problem:
            raise Problem(400, str(problem)) from problem
        except RecursionError as problem:
            raise Problem(400, "the recording is nested too deeply; it is no call of a service") from problem
        except OSError as problem:
            raise Problem(503, f"this machine cannot write the call to a temporary file: {problem}") from problem


def _kept(call: KeptCall, form: Form, client: agent_code.Client, unix: float) -> object:
    match form:
        case "files":
            return _files(call, client, unix)
        case "zip":
            return web.Response(body=_zipped(call, client, unix))
        case "tape":
            return web.Response(body=call.cassette(unix))
        case "html":
            return web.Response(text=call.viewer(unix), headers={"Content-Disposition": "attachment"})
        case _:
            assert_never(form)


def _zipped(call: KeptCall, client: agent_code.Client, unix: float) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in _files(call, client, unix).items():
            archive.writestr(name, text)
        if call.frames:
            archive.writestr("call.tape", call.cassette(unix))
    return packed.getvalue()


def _files(call: KeptCall, client: agent_code.Client, unix: float) -> dict[str, str]:
    update = {"type": "session.update", "session": call.session}
    made = {
        **agent_code.programs(call, client),
        "scenario.yaml": call.scenario,
        "session.json": json.dumps(update, ensure_ascii=False, indent=2),
    }
    if turns := call.turns():
        made |= {"test_call.py": agent_code.kept_test(call, client, turns), "as-spoken.yaml": call.spoken(unix)}
    return made


async def _large_body(request: web.Request) -> bytes:
    """A body that holds the sound of a call. Raises Problem for one that is too large or too slow."""
    parts, size = [], 0
    try:
        while part := await asyncio.wait_for(request.content.readany(), BODY_S):
            parts.append(part)
            if (size := size + len(part)) > MOST_CALL:
                raise Problem(
                    413,
                    f"a call may have {MOST_CALL >> 20} MiB; keep a shorter one, or record it with `serve --record`",
                )
    except asyncio.TimeoutError as slow:
        raise Problem(408, f"the body did not go on within {BODY_S:g} s") from slow
    return b"".join(parts)


async def _text(request: web.Request) -> str:
    try:
        return (await body_of(request)).decode()
    except UnicodeDecodeError as problem:
        raise Problem(400, f"the body is not UTF-8 ({problem.reason}); send the scenario as text") from problem


async def _object(request: web.Request) -> dict[str, object]:
    try:
        found = orjson.loads(await body_of(request))
    except orjson.JSONDecodeError as problem:
        raise Problem(400, f"the body is not JSON: {problem}") from problem
    if not isinstance(found, dict):
        raise Problem(400, "the body must be a JSON object")
    return found
