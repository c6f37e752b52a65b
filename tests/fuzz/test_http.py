"""The HTTP routes are what /_mock/openapi.json says, whatever is asked of them: schemathesis makes the requests."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from itertools import product
from typing import Any
from urllib.request import urlopen

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable

from mockserver.server import openapi
from mockserver.testing.mock_server import MockServer

schemathesis = pytest.importorskip("schemathesis")

FRAMING = frozenset({"content-length", "transfer-encoding"})
"""Headers that say where a body ends: where they are wrong, a request is none of HTTP, and no route is asked."""


@pytest.fixture(scope="module", params=["xai", "openai"])
def mock(request: pytest.FixtureRequest) -> Iterator[MockServer]:
    logging.getLogger("mockserver").setLevel(logging.ERROR)  # noqa: TID251  # only its level
    with MockServer(voice="tone", dialect=request.param, clock="manual") as server:
        yield server
    logging.getLogger("mockserver").setLevel(logging.NOTSET)  # noqa: TID251  # only its level


def test_every_route_is_described_and_no_other():
    with MockServer() as server:
        app = server._server._runner.app  # type: ignore[union-attr]
        served = {(route.resource.canonical, route.method.lower()) for route in app.router.routes() if route.resource}
    described = {(path, method) for path, methods in openapi.PATHS.items() for method in methods}
    pages_and_the_socket = {("/_mock", "get"), ("/_mock/", "get"), ("/v1/realtime", "get")}
    pages_and_the_socket.add(("/v1/realtime", "post"))  # an offer of the beta's form: always refused
    pages_and_the_socket.add(("/healthz", "get"))  # for health checks, outside of the control plane
    served = {
        (path, method) for path, method in served if not path.startswith("/{namespace}/")
    }  # the same routes again
    pages_and_the_socket |= {(path, method) for path, method in served if path.startswith("/_mock/workbench")}
    pages_and_the_socket |= {(f"/openai{path}", method) for path, method in served if path.startswith("/v1/")}  # Azure
    assert {(path, method) for path, method in served - described if method != "head"} <= pages_and_the_socket
    assert described <= served


def test_it_is_served_and_names_the_admin_token_where_there_is_one():
    with MockServer() as server, urlopen(server.control_url + "/openapi.json", timeout=5) as response:
        told = orjson.loads(response.read())
    assert told == orjson.loads(orjson.dumps(openapi.description(False, server.control_url.removesuffix("/_mock"))))
    assert openapi.description(guarded=True)["security"] == [{"admin": []}]


def checks() -> list[Any]:
    names = (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    )
    return [getattr(schemathesis.checks, name) for name in names]


@pytest.mark.slow
def test_no_request_brings_an_answer_that_is_not_described(mock: MockServer):
    schema = schemathesis.openapi.from_url(mock.control_url + "/openapi.json")
    base = mock.control_url.removesuffix("/_mock")
    # A namespace's routes are the root's: the same functions answer them. One route waits as long as it is asked to.
    found_all = [each for each in schema.get_all_operations() if not re.search(r"\{namespace\}/|/wait", each.ok().path)]
    for found, mode in product(found_all, schemathesis.GenerationMode):
        strategy = found.ok().as_strategy(generation_mode=mode)  # as described, and as not

        @settings(max_examples=20, suppress_health_check=list(HealthCheck))
        @given(case=strategy)
        def ask(case: Any) -> None:
            for name in [each for each in case.headers if each.lower() in FRAMING]:
                del case.headers[name]
            case.call_and_validate(base_url=base, checks=checks(), headers={"Authorization": "Bearer any"})

        with contextlib.suppress(Unsatisfiable):  # where nothing can be wrong
            ask()
    assert mock.errors == []


@pytest.mark.slow
def test_an_answer_that_is_not_described_would_be_noticed(monkeypatch: pytest.MonkeyPatch):
    answers = openapi.PATHS["/_mock/scenario"]["put"]["responses"]
    monkeypatch.delitem(answers, "400")
    with MockServer(voice="tone") as mock:
        schema = schemathesis.openapi.from_url(mock.control_url + "/openapi.json")
        case = schema["/_mock/scenario"]["PUT"].Case(body="turns: 5", media_type="text/plain")
        with pytest.raises(BaseException, match=r"[Uu]ndocumented"):
            case.call_and_validate(base_url=mock.control_url.removesuffix("/_mock"), checks=checks())
