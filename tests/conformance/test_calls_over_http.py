"""The recorded requests about a call, made at the mock: statuses, headers and bodies are those of the service."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from mockserver.testing.mock_server import MockServer
from tests.conformance.recordings import FOLDER, NONE_HERE
from tests.mockserver.server.calls.test_sdp import OFFER

CALLS = "/v1/realtime/calls"
RECORDED = [path for path in sorted(FOLDER.glob("*/*.yaml")) if f"{CALLS}/".encode() in path.read_bytes()]
OF_THE_HOST = {"cf-ray"}
"""Exposed headers that the service's proxy adds."""


def spoken_of(uri: str, call_id: str) -> str:
    """A recorded address from `/v1` on, with the id of the mock's call."""
    return re.sub(r"rtc_\w+", call_id, uri[uri.index("/v1/") :])


def exchanges_in(path: Path) -> list[dict[str, Any]]:
    exchanges: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["interactions"]
    return exchanges


def form_of(body: dict[str, Any]) -> aiohttp.FormData:
    """A recorded multipart body; the offer is ours, since recordings leave it out."""
    form = aiohttp.FormData()
    form.add_field("sdp", OFFER, content_type="application/sdp")
    form.add_field("session", aiohttp.JsonPayload(body["parts"]["session"]), content_type="application/json")
    return form


@pytest.mark.slow
@pytest.mark.parametrize("path", RECORDED or [NONE_HERE], ids=lambda path: path.stem)
async def test_the_answers_are_the_recorded_ones(path: Path):
    pytest.importorskip("aiortc", reason="the extra webrtc is not installed")
    call_id = ""
    async with MockServer(dialect=path.parent.name) as mock, aiohttp.ClientSession() as http:
        key = {"Authorization": f"Bearer {mock.api_key}"}
        for exchange in exchanges_in(path):
            asked, recorded = exchange["request"], exchange["response"]
            url = mock.http_url.removesuffix("/v1") + spoken_of(asked["uri"], call_id)
            body = form_of(asked["body"]) if asked["body"] else None
            async with http.request(asked["method"], url, headers=key, data=body) as answer:
                assert answer.status == recorded["status"], await answer.text()
                for name, value in recorded["headers"].items():
                    told = ", ".join(answer.headers.getall(name, []))
                    if name == "location":
                        call_id = told.rpartition("/")[2]
                        assert re.sub(r"\w{32}$", "", told) == re.sub(r"\w{32}$", "", value)
                    elif name == "access-control-expose-headers":
                        assert {*value.lower().split(", ")} - OF_THE_HOST <= {*told.lower().split(", ")}
                    else:
                        assert told.partition(";")[0] == value.partition(";")[0], name
                if recorded["body"] is None:
                    assert await answer.read() == b""
                elif isinstance(recorded["body"], dict):
                    assert await answer.json() == recorded["body"]
