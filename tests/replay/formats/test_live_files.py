"""Files that came from a live service: their clocks, their HTTP exchanges, their day, and what they prove."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

import pytest
from click.testing import CliRunner

import realtape
from mockserver.testing.mock_server import MockServer
from replay.cassette.conversation import UnreadableRecording
from replay.cassette.file import Cassette
from replay.cassette.frames import Text
from replay.cassette.recording import Recording
from replay.cassette.records import Request, Response
from replay.formats import detect, jsonl
from replay.formats.evidence import Answer, provenance
from replay.formats.tape import Tape, write

AT = datetime(2026, 12, 1, tzinfo=timezone.utc)
HANG_UP = """
version: 1
interactions:
- request:
    method: POST
    uri: https://api.openai.com/v1/realtime/calls
    headers: {accept: [application/sdp]}
    body: {type: text, content: "v=0"}
  response:
    status: 201
    headers: {location: /v1/realtime/calls/rtc_u1_0123456789, access-control-expose-headers: [X-Request-Id, CF-Ray]}
    body: {type: text, content: "v=0"}
  recorded_at: 2026-09-29T20:01:58+00:00
- request: {method: POST, uri: "https://api.openai.com/v1/realtime/calls/rtc_u1_0123456789/hangup", body: {type: none}}
  response: {status: 404, body: {type: json, content: {error: {code: call_id_not_found}}}}
  recorded_at: 2026-09-29T20:02:06.500000+00:00
"""
TYPED = """
version: 1
interactions:
- {kind: message, direction: received, at: 0, data: {type: session.created, session: {model: grok-voice-3.0}}}
- {kind: message, direction: received, at: 0.25, data: {type: ping, timestamp: 1790724623794}}
- {kind: message, direction: sent, at: 0.568, data: {type: response.create}}
- {kind: close, code: 1000, reason: bye, at: 2.5}
"""
SIDEBAND = """
version: 1
interactions:
- {kind: message, direction: sent, at: 0, data: {type: session.update, session: {type: realtime}}}
- {kind: message, direction: received, at: 0.047, data: {type: session.updated, session:
    {id: sess_u1_0123456789, model: gpt-realtime, expires_at: 1790715718}}}
"""


def read(tmp_path: Path, text: str, **settings: Any) -> Tape:
    path = tmp_path / "file.yaml"
    path.write_text(text, encoding="utf-8")
    return detect.read(path, imported_at=AT, tool="test", **settings)


def test_a_clock_is_kept_and_the_day_is_the_service_s_own(tmp_path: Path):
    tape = read(tmp_path, TYPED)
    assert [record.at_us for record in tape.records] == [0, 0, 0, 250_000, 568_000, 2_500_000]
    assert tape.header.recorded_at == "2026-09-29T23:30:23+00:00"
    assert (tape.header.origin, tape.header.source, tape.header.dialect) == ("hand", None, "xai")


def test_http_exchanges_become_calls_of_their_own(tmp_path: Path):
    tape = read(tmp_path, HANG_UP)
    contents = [record.content for record in tape.records]
    assert [record.connection for record in tape.records] == [0, 0, 1, 1]
    assert tape.records[2].at_us == 8_500_000
    match contents:
        case [Request("POST", target, headers, body), Response(201), Request(), Response(404, _, answer)]:
            assert (target, headers, body) == ("/v1/realtime/calls", (("accept", "application/sdp"),), b"v=0")
            assert json.loads(answer) == {"error": {"code": "call_id_not_found"}}
        case _:
            pytest.fail(str(contents))
    assert tape.header.recorded_at == "2026-09-29T20:01:58+00:00"
    out = tmp_path / "calls.tape"
    assert write(tape, out) == 4
    assert Recording.read(out).lines == ()


def test_a_sideband_joins_the_call_of_its_session(tmp_path: Path):
    tape = read(tmp_path, SIDEBAND)
    opened = tape.records[0].content
    assert isinstance(opened, Request)
    assert opened.target == "/v1/realtime?call_id=rtc_u1_0123456789"
    assert (tape.header.model, tape.header.dialect) == ("gpt-realtime", "openai")
    assert tape.header.recorded_at == "2026-09-29T20:01:57+00:00"
    assert isinstance(tape.records[2].content, Text)


def test_responses_of_the_service_s_network_prove_that_it_answered(tmp_path: Path):
    header = read(tmp_path, HANG_UP).header
    assert (header.origin, header.url) == ("live", "wss://api.openai.com/v1/realtime")
    assert header.source == "the file: HTTP responses of api.openai.com"
    assert read(tmp_path, HANG_UP, origin="hand").header.origin == "hand"


@pytest.mark.parametrize(
    "text",
    [
        HANG_UP.replace(", CF-Ray", ""),
        HANG_UP.replace("https://api.openai.com/v1/realtime/calls/rtc", "https://127.0.0.1:8765/v1/realtime/calls/rtc"),
        HANG_UP.replace("https://", "http://"),
        HANG_UP.replace("api.openai.com", "api.openai.com.example"),
        TYPED,
    ],
)
def test_what_proves_less_is_not_live(text: str, tmp_path: Path):
    assert read(tmp_path, text).header.origin == "hand"


def test_no_response_of_the_mock_has_the_mark_of_a_service_s_network():
    with MockServer(dialect="openai") as mock:
        request = HttpRequest(
            f"{mock.http_url}/realtime/client_secrets",
            data=b'{"session": {"type": "realtime", "model": "gpt-realtime"}}',
            headers={"Authorization": f"Bearer {mock.api_key}", "Content-Type": "application/json"},
        )
        with urlopen(request, timeout=10) as response:
            headers = tuple(response.headers.items())
    answers = [Answer("https://api.openai.com/v1/realtime/client_secrets", headers)]
    assert provenance(None, None, answers, "file").origin == "hand"


def test_live_can_be_stated_with_its_source_unless_the_file_names_another_host(tmp_path: Path):
    url = "https://raw.githubusercontent.com/pydantic/pydantic-ai/main/tests/realtime/cassettes/x.yaml"
    header = read(tmp_path, TYPED, origin="live", source=url).header
    assert (header.origin, header.source, header.url) == ("live", url, "wss://api.x.ai/v1/realtime")
    with pytest.raises(UnreadableRecording, match=r"the file names 127\.0\.0\.1, which is no service's host"):
        read(tmp_path, HANG_UP.replace("api.openai.com", "127.0.0.1"), origin="live")


def test_the_command_keeps_and_prints_the_source(tmp_path: Path):
    path, out = tmp_path / "typed.yaml", tmp_path / "typed.tape"
    path.write_text(TYPED, encoding="utf-8")
    command = ["import", str(path), "--out", str(out), "--origin", "live", "--source", "a colleague"]
    result = CliRunner().invoke(realtape.main, command)
    assert result.output == f"{out}: 6 records, origin live (source: a colleague), dialect xai\n"
    with Cassette.open(out) as cassette:
        assert cassette.header.source == "a colleague"
        rows = "\n".join(jsonl.lines(cassette.header, cassette, 0)).encode()
    assert jsonl.parse(rows, "rows").header.source == "a colleague"
    plain = tmp_path / "plain.tape"
    write(read(tmp_path, TYPED), plain)
    assert b"source" not in plain.read_bytes()


@pytest.mark.parametrize("at", ["-1", "soon", "1e9"])
def test_a_clock_that_is_none_is_refused(at: str, tmp_path: Path):
    with pytest.raises(UnreadableRecording, match="seconds since the socket opened"):
        read(tmp_path, TYPED.replace("at: 0.25", f"at: {at}"))
