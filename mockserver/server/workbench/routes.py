"""The routes of the workbench, below /_mock/workbench: its page, and what the page asks for.

Its sessions run in a namespace for each call, so that it disturbs no other client of the server.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson
from aiohttp import hdrs, web

from mockserver.server.guard import Problem, guarded, page_guarded
from mockserver.server.http import body_of
from mockserver.server.namespaces import Namespaces, TooManyNamespaces
from mockserver.server.workbench import files
from mockserver.server.workbench.calls import begin
from mockserver.server.workbench.choices import choices
from mockserver.server.workbench.scenario_text import checked
from mockserver.server.workbench.tool_address import NoResult, result_of

ROOT = "/_mock/workbench"


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
