from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import subprocess
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from mockserver.server import virtual_time as autojump
from mockserver.testing.mock_server import MockServer
from replay.cassette.file import BadCassette, CannotRecord, Cassette
from replay.cassette.frames import Binary, Close, Reset, Text
from replay.cassette.records import (
    Content,
    Dropped,
    Header,
    Record,
    Request,
    Response,
    StrippedAudio,
    StrippedMessage,
    provable_origin,
)
from replay.relay.relay import Relay, Settings, whether_to_record
from replay.relay.upstream import BadUpstream, Upstream
from replay.relay.writer import BackgroundWriter
from replay.secrets.named import Secrets

KEY = "a-key-without-any-form"
AT = datetime(2026, 7, 10, 9, tzinfo=timezone.utc)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def service(answer: Handler) -> AsyncIterator[str]:
    """A service of one handler, and its realtime address."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/v1/realtime"
    finally:
        await runner.cleanup()


@dataclass
class Tap:
    """A relay in front of a service, and how to get through it."""

    relay: Relay
    warnings: list[str]

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.relay.port}/v1/realtime"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.relay.port}/v1/realtime"

    def dial(self, query: str = "?model=grok-voice-latest", **kwargs: Any) -> connect:
        headers = {"Authorization": f"Bearer {KEY}", **kwargs.pop("headers", {})}
        return connect(self.ws + query, additional_headers=headers, compression=None, **kwargs)


@asynccontextmanager
async def tap(url: str, out: Path, **settings: Any) -> AsyncIterator[Tap]:
    warnings: list[str] = []
    plain = Settings(out=out, recorded_at=AT, tool="test")
    relay = Relay(await Upstream.find(url), replace(plain, **settings), warnings.append)
    await relay.start()
    try:
        yield Tap(relay, warnings)
    finally:
        await relay.stop()


def story(tell: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await tell()

    autojump.run(main())


def contents(out: Path, way: str | None = None) -> list[Content]:
    with Cassette.open(out) as cassette:
        return [record.content for record in cassette if way in (None, record.way)]


async def events_until(ws: ClientConnection, type: str) -> list[str]:
    frames: list[str] = []
    while not frames or json.loads(frames[-1])["type"] != type:
        frame = await ws.recv()
        assert isinstance(frame, str)
        frames.append(frame)
    return frames


async def typed_turn(ws: ClientConnection, text: str = "hello") -> list[str]:
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    await ws.send(json.dumps({"type": "conversation.item.create", "item": item}))
    await ws.send('{"type":"response.create"}')
    return await events_until(ws, "response.done")


def mock(**settings: Any) -> MockServer:
    return MockServer(voice="tone", pacing="burst", **settings)


def test_a_call_through_the_relay_is_the_call_and_the_cassette_has_its_bytes(tmp_path: Path):
    out = tmp_path / "a.tape"

    async def tell() -> None:
        async with mock() as server:
            async with tap(server.ws_url, out) as through, through.dial() as ws:
                got = await typed_turn(ws)
            (log,) = server.sessions
            assert log.received("response.create")
        with Cassette.open(out) as cassette:
            assert cassette.header.origin == "mock"
            assert cassette.header.dialect == "xai"  # of a date that the model decides
            assert cassette.header.model == "grok-voice-latest"
            assert cassette.header.recorded_at == "2026-07-10T09:00:00+00:00"
        request, create, turn, goodbye = contents(out, "sent")
        assert isinstance(request, Request)
        assert request.target == "/v1/realtime?model=grok-voice-latest"
        assert isinstance(create, Text)
        assert b'"text": "hello"' in create.data, "with the client's own spaces"
        assert turn == Text(b'{"type":"response.create"}')
        assert goodbye == Close(1000, "")
        frames = [content.data.decode() for content in contents(out, "received") if isinstance(content, Text)]
        assert frames == got

    story(tell)


def test_the_header_has_what_may_differ_and_what_the_replaced_one_had(tmp_path: Path):
    out = tmp_path / "a.tape"

    async def tell() -> None:
        async with mock() as server:
            for ignore in (("date",), ("session.voice", "date"), ()):
                async with tap(server.ws_url, out, ignore=ignore, overwrite=True) as through, through.dial() as ws:
                    await typed_turn(ws)

    story(tell)
    with Cassette.open(out) as cassette:
        assert cassette.header.ignore == ("date", "session.voice")


def test_time_counts_in_microseconds_from_the_first_connection(tmp_path: Path):
    async def slow(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await asyncio.sleep(1.5)
        await ws.send_str("late")
        await ws.close()
        return ws

    async def tell() -> None:
        async with service(slow) as url, tap(url, tmp_path / "a.tape") as through, through.dial() as ws:
            await asyncio.sleep(0)
            assert await ws.recv() == "late"
        with Cassette.open(tmp_path / "a.tape") as cassette:
            assert [record.at_us for record in cassette if record.content == Text(b"late")] == [1_500_000]

    story(tell)


@pytest.mark.parametrize("who", ["client", "service"])
@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "going"), (1011, "internal – error"), (4321, "own")])
def test_close_codes_and_reasons_pass_both_ways(who: str, code: int, reason: str, tmp_path: Path):
    heard: list[object] = []

    async def closing(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(autoclose=False)
        await ws.prepare(request)
        if who == "service":
            await ws.close(code=code, message=reason.encode())
        else:
            message = await ws.receive()
            heard.extend((message.data, message.extra))
            await ws.close(code=4999, message=b"echo")
        return ws

    async def tell() -> None:
        async with service(closing) as url, tap(url, tmp_path / "a.tape") as through, through.dial() as ws:
            if who == "client":
                await ws.close(code, reason)
                assert heard == [code, reason]
                assert (ws.protocol.close_rcvd.code, ws.protocol.close_rcvd.reason) == (4999, "echo")  # type: ignore[union-attr]
            else:
                with pytest.raises(ConnectionClosed):
                    await ws.recv()
                assert (ws.close_code, ws.close_reason) == (code, reason)
        with Cassette.open(tmp_path / "a.tape") as cassette:
            closes = [(record.way, record.content) for record in cassette][2:]
        if who == "client":
            assert closes == [("sent", Close(code, reason)), ("received", Close(4999, "echo"))]
        else:
            assert closes[0] == ("received", Close(code, reason))

    story(tell)


@pytest.mark.parametrize("who", ["client", "service"])
def test_a_connection_that_breaks_breaks_on_the_other_side_too(who: str, tmp_path: Path):
    codes: list[int | None] = []

    async def breaking(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.send_str("hello")
        if who == "service":
            assert request.transport is not None
            request.transport.abort()
        else:
            await ws.receive()
        codes.append(ws.close_code)
        return ws

    async def tell() -> None:
        async with service(breaking) as url, tap(url, tmp_path / "a.tape") as through, through.dial() as ws:
            assert await ws.recv() == "hello"
            if who == "client":
                ws.transport.abort()
                await asyncio.sleep(1)
            else:
                with pytest.raises(ConnectionClosed):
                    await ws.recv()
                assert ws.close_code == 1006
        assert codes == [1006] or who == "service"
        with Cassette.open(tmp_path / "a.tape") as cassette:
            last = cassette[len(cassette) - 1]
        assert (last.way, last.content) == ("sent" if who == "client" else "received", Reset())

    story(tell)


def test_binary_frames_subprotocol_path_query_and_headers_pass_unchanged(tmp_path: Path):
    seen: list[web.Request] = []

    async def echo(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        ws = web.WebSocketResponse(protocols=("b.two",))
        ws.headers["X-Request-Id"] = "r-1"
        await ws.prepare(request)
        await ws.send_bytes((await ws.receive()).data)
        await ws.receive()
        return ws

    async def tell() -> None:
        query = "?model=a%2Fb&reasoning.effort=none&x=%7E+1"
        offered = [Subprotocol("a.one"), Subprotocol("b.two")]
        async with service(echo) as url, tap(url, tmp_path / "a.tape") as through:
            async with through.dial(query, subprotocols=offered, headers={"X-Own": "1"}) as ws:
                assert ws.subprotocol == "b.two"
                assert ws.response is not None
                assert ws.response.headers["X-Request-Id"] == "r-1"
                await ws.send(bytes(range(256)))
                assert await ws.recv() == bytes(range(256))
        _health, request = seen
        assert request.raw_path == "/v1/realtime" + query
        assert request.headers["X-Own"] == "1"
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        assert request.headers.getall("User-Agent") == [request.headers["User-Agent"]]
        assert request.headers["Sec-WebSocket-Protocol"].replace(" ", "") == "a.one,b.two"
        noted = contents(tmp_path / "a.tape")
        assert isinstance(noted[0], Request)
        assert noted[0].target == "/v1/realtime" + query
        assert dict(noted[0].headers)["Authorization"] == "<scrubbed:header>"
        assert noted[2:4] == [Binary(bytes(range(256)))] * 2

    story(tell)


@pytest.mark.parametrize("status", [301, 400, 401, 403, 429, 503])
def test_a_refused_handshake_passes_with_its_body_and_is_recorded(status: int, tmp_path: Path):
    body = json.dumps({"code": "x", "error": f"Incorrect API key provided: {KEY}"}).encode()

    async def refuse(request: web.Request) -> web.StreamResponse:
        headers = {"Retry-After": "7", "X-Why": "z", "Location": "/elsewhere"}
        return web.Response(status=status, body=body, headers=headers, content_type="application/json")

    async def tell() -> None:
        async with service(refuse) as url, tap(url, tmp_path / "a.tape", keep_refused=True) as through:
            async with aiohttp.ClientSession() as http:
                upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Authorization": f"Bearer {KEY}"}
                upgrade |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
                async with http.get(through.http, headers=upgrade, allow_redirects=False) as answer:
                    assert answer.status == status
                    assert await answer.read() == body
                    assert answer.headers["Retry-After"] == "7"
                    assert answer.headers["X-Why"] == "z"
        response = contents(tmp_path / "a.tape")[1]
        assert isinstance(response, Response)
        assert response.status == status
        assert response.body == body.replace(KEY.encode(), b"<scrubbed:key>")
        assert dict(response.headers)["Retry-After"] == "7"

    story(tell)


def test_a_client_secret_is_passed_on_and_never_written(tmp_path: Path):
    async def tell() -> None:
        async with mock(api_keys=[KEY]) as server, tap(server.ws_url, tmp_path / "a.tape") as through:
            async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as http:
                async with http.post(
                    through.http + "/client_secrets", json={"expires_after": {"seconds": 60}}
                ) as answer:
                    secret = (await answer.json())["value"]
            offered = [Subprotocol(f"xai-client-secret.{secret}")]
            async with connect(through.ws, subprotocols=offered) as ws:
                await typed_turn(ws, f"my secret is {secret}")
        assert len(server.sessions) == 1
        data = (tmp_path / "a.tape").read_bytes()
        assert secret.encode() not in data
        assert secret.removeprefix("xai-realtime-client-secret-").encode() not in data
        assert KEY.encode() not in data
        with Cassette.open(tmp_path / "a.tape") as cassette:
            assert {record.connection for record in cassette} == {0, 1}

    story(tell)


def test_several_calls_make_one_cassette_each_under_its_number(tmp_path: Path):
    async def tell() -> None:
        async with mock() as server, tap(server.ws_url, tmp_path / "a.tape") as through:
            for _ in range(2):
                async with through.dial() as ws:
                    await typed_turn(ws)
        with Cassette.open(tmp_path / "a.tape") as cassette:
            ends = [record.connection for record in cassette if record.content == Close(1000, "")]
            assert sorted(ends) == [0, 0, 1, 1]

    story(tell)


def test_an_outlined_recording_holds_no_sound_but_its_length(tmp_path: Path):
    sound = bytes(range(1, 241)) * 20

    async def tell() -> None:
        async with mock() as server, tap(server.ws_url, tmp_path / "a.tape", audio="outline") as through:
            async with through.dial() as ws:
                append = {"type": "input_audio_buffer.append", "audio": b64encode(sound).decode(), "n": 1e5}
                await ws.send(json.dumps(append))
                got = await typed_turn(ws)
        payloads = [json.loads(frame)["delta"] for frame in got if json.loads(frame)["type"].endswith("audio.delta")]
        data = (tmp_path / "a.tape").read_bytes()
        assert payloads
        assert not any(payload[:200].encode() in data for payload in [*payloads, append["audio"]])
        outlines = [content for content in contents(tmp_path / "a.tape") if isinstance(content, StrippedMessage)]
        lengths = [part.length for each in outlines for part in each.parts if isinstance(part, StrippedAudio)]
        assert lengths[0] == len(sound)
        assert lengths[1:] == [len(b64decode(payload)) for payload in payloads]

    story(tell)


def test_the_call_goes_on_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    written = 0

    def full(writer: object, record: Record) -> None:
        nonlocal written
        written += 1
        if written > 3:
            raise CannotRecord("a.tape: No space left on device; the recording ends after 3 records")

    monkeypatch.setattr("replay.cassette.file.Writer.write", full)

    async def tell() -> None:
        async with mock() as server, tap(server.ws_url, tmp_path / "a.tape") as through, through.dial() as ws:
            await typed_turn(ws)
            assert (await typed_turn(ws))[-1]
        assert through.relay.failure == "a.tape: No space left on device; the recording ends after 3 records"
        (warning,) = through.warnings
        assert warning.endswith("Calls go on without being recorded")
        with pytest.raises(BadCassette, match="no end mark"):
            Cassette.open(tmp_path / "a.tape")

    story(tell)


def test_a_disk_that_does_not_keep_up_ends_the_recording_not_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("replay.relay.writer.QUEUE_RECORDS", 2)
    reasons: list[str] = []
    header = Header("mock", "ws://x/v1/realtime", "unknown", None, AT.isoformat(timespec="seconds"), "t", "keep")
    writer = BackgroundWriter(tmp_path / "a.tape", header, secrets=Secrets(), failed=reasons.append)
    for _ in range(10_000):
        writer.put(Record(0, 0, "sent", Text(b'{"a":"' + b"x" * 5000 + b'"}')), "pcm")
    writer.finish(1)
    (reason,) = reasons
    assert "writing does not keep up" in reason
    with Cassette.so_far(tmp_path / "a.tape") as cassette:
        assert cassette.end_us is None


def test_the_spending_limit_ends_the_call_with_a_reason(tmp_path: Path):
    minute = b64encode(bytes(24_000 * 2 * 6)).decode()  # 6 s at 0.05 USD a minute: half a cent

    async def tell() -> None:
        limit = Fraction("0.02")
        async with mock() as server, tap(server.ws_url, tmp_path / "a.tape", max_usd=limit) as through:
            async with through.dial("?model=grok-voice-think-fast-1.0") as ws:
                sent = 0
                with pytest.raises(ConnectionClosed):
                    for sent in range(1, 10):  # noqa: B007
                        await ws.send(json.dumps({"type": "input_audio_buffer.append", "audio": minute}))
                        await asyncio.sleep(0.1)
                assert sent == 5, "the fourth reaches the limit, the fifth finds the door closed"
                assert (ws.close_code, ws.close_reason) == (1000, "realtape: the limit of 0.02 USD is reached")
            await through.relay.until_limit()
            with pytest.raises(InvalidStatus, match="429"):
                await through.dial()
        (log,) = server.sessions
        assert log.close_code == 1000
        with Cassette.open(tmp_path / "a.tape") as cassette:
            assert cassette[len(cassette) - 1].content == Close(1000, "realtape: the limit of 0.02 USD is reached")

    story(tell)


def test_the_time_limit_counts_from_the_first_connection(tmp_path: Path):
    async def tell() -> None:
        async with mock() as server, tap(server.ws_url, tmp_path / "a.tape", max_seconds=30.0) as through:
            await asyncio.sleep(100)
            async with through.dial() as ws:
                started = asyncio.get_running_loop().time()
                with pytest.raises(ConnectionClosed):
                    while True:
                        await ws.recv()
                assert ws.close_reason == "realtape: the limit of 30 s is reached"
                assert asyncio.get_running_loop().time() - started == pytest.approx(30, abs=0.1)

    story(tell)


def test_a_service_whose_prices_are_unknown_takes_no_spending_limit():
    settings = Settings(out=Path("a.tape"), recorded_at=AT, tool="t", max_usd=Fraction(1))
    with pytest.raises(ValueError, match=r"no prices are known for wss://voice\.example"):
        Relay(Upstream("wss://voice.example/v1/realtime"), settings)
    with pytest.raises(ValueError, match=r"ws://127\.0\.0\.1:9/v1/realtime cannot be reached \(refused\)"):
        Relay(Upstream("ws://127.0.0.1:9/v1/realtime", unreachable="refused"), settings)


def test_a_service_that_cannot_be_reached_is_told_and_recorded(tmp_path: Path):
    async def tell() -> None:
        async with tap("ws://127.0.0.1:9/v1/realtime", tmp_path / "a.tape", keep_refused=True) as through:
            with pytest.raises(InvalidStatus, match="502"):
                await through.dial()
            (warning,) = through.warnings
            assert "ws://127.0.0.1:9/v1/realtime cannot be reached" in warning
        assert contents(tmp_path / "a.tape")[1] == Reset()

    story(tell)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
def test_a_certificate_that_nobody_vouches_for_is_not_accepted(tmp_path: Path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    ask = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*ask.split(), *names], check=True, capture_output=True)
    served, trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=certificate)
    served.load_cert_chain(certificate, key)

    async def hello(connection: ServerConnection) -> None:
        await connection.send("hello")

    async def tell() -> None:
        async with serve(hello, "127.0.0.1", 0, ssl=served) as server:
            url = f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/realtime"
            async with connect(url, ssl=trusted) as ws:
                assert await ws.recv() == "hello", "who trusts it gets through"
            async with tap(url, tmp_path / "a.tape") as through:
                with pytest.raises(InvalidStatus, match="502"):
                    await through.dial()
                (warning,) = through.warnings
                assert "certificate verify failed" in warning

    story(tell)


def test_stopping_hangs_up_and_writes_the_end_mark(tmp_path: Path):
    async def tell() -> None:
        async with mock() as server, tap(server.ws_url, tmp_path / "a.tape") as through, through.dial() as ws:
            await events_until(ws, "ping")
            await through.relay.stop()
            with pytest.raises(ConnectionClosed):
                await ws.recv()
            assert (ws.close_code, ws.close_reason) == (1001, "realtape: the recording was ended")
        assert contents(tmp_path / "a.tape")[-1] == Close(1001, "realtape: the recording was ended")

    story(tell)


def test_what_is_encoded_is_passed_on_and_dropped_from_the_cassette(tmp_path: Path):
    async def zipped(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"\x1f\x8bnot really", headers={"Content-Encoding": "gzip"})

    async def tell() -> None:
        async with service(zipped) as url, tap(url, tmp_path / "a.tape") as through:
            async with aiohttp.ClientSession(auto_decompress=False) as http, http.get(through.http + "/x") as answer:
                assert await answer.read() == b"\x1f\x8bnot really"
        dropped = contents(tmp_path / "a.tape")[1]
        assert isinstance(dropped, Dropped)
        assert "cannot be checked" in dropped.reason

    story(tell)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://api.x.ai", "not a WebSocket address"),
        ("ws://", "not a WebSocket address"),
        ("wss://me:pw@api.x.ai/v1/realtime", "leave user, query and fragment out"),
        ("wss://api.x.ai/v1/realtime?model=x", "leave user, query and fragment out"),
    ],
)
def test_an_address_that_cannot_be_dialled_is_refused(url: str, problem: str):
    with pytest.raises(BadUpstream, match=problem) as told:
        asyncio.run(Upstream.find(url))
    assert "pw" not in str(told.value)


@pytest.mark.parametrize(
    ("url", "origin", "dialect"),
    [("wss://api.x.ai", "live", "xai"), ("wss://eu.api.openai.com/v1/realtime", "live", "openai")],
)
def test_a_services_own_host_under_tls_is_live(url: str, origin: str, dialect: str):
    found = asyncio.run(Upstream.find(url))
    assert (found.origin, found.dialect) == (origin, dialect)
    assert found.target("/v1/realtime/client_secrets?a=b").endswith("/v1/realtime/client_secrets?a=b")


@pytest.mark.parametrize(
    "url", ["ws://api.x.ai/v1/realtime", "wss://127.0.0.1:1/v1/realtime", "wss://api.x.ai.invalid"]
)
def test_nothing_else_is_called_live(url: str):
    assert provable_origin(url) == "mock"


def test_an_origin_is_only_ever_lowered():
    live, mocked = Upstream("wss://api.x.ai", "xai", "live"), Upstream("ws://127.0.0.1")
    assert (live.lowered(None), live.lowered("mock"), live.lowered("hand")) == ("live", "mock", "hand")
    assert (mocked.lowered(None), mocked.lowered("live"), mocked.lowered("hand")) == ("mock", "mock", "hand")


@pytest.mark.parametrize(
    ("mode", "missing", "there"),
    [
        (None, "record", "refuse"),
        ("none", "missing", "keep"),
        ("once", "record", "keep"),
        ("all", "record", "overwrite"),
    ],
)
def test_modes(mode: Any, missing: str, there: str):
    assert whether_to_record(False, mode) == missing
    assert whether_to_record(True, mode) == there
