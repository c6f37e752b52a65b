"""Sessions that the mock records as cassettes, and events that it looks at before they leave."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import ClientSession
from click.testing import CliRunner

from mockserver.cli.serve import serve
from mockserver.dialects.openai.dialect import OpenAI
from mockserver.dialects.schema import SchemaMismatch
from mockserver.server import virtual_time as autojump
from mockserver.testing.mock_server import MockServer
from replay.cassette.file import Cassette
from replay.cassette.frames import Close, Reset, Text
from replay.cassette.records import Request, Response
from tests import served

KEY = "sk-very-secret-key-of-somebody-0123456789"


async def talk(mock: MockServer, *, end: int | None = 1000, turns: int = 1) -> None:
    """Typed turns on one connection; `end` None breaks it off."""
    async with ClientSession() as http, http.ws_connect(f"{mock.ws_url}?model=gpt-realtime", headers=bearer()) as ws:
        for _ in range(turns):
            await ws.send_json({"type": "response.create", "event_id": "mine"})
            while (await ws.receive_json())["type"] != "response.done":
                pass
        if end is None:
            ws._response.connection.transport.abort()  # type: ignore[union-attr]
            while mock.sessions[-1].close_code is None:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0)
        else:
            await ws.close(code=end, message=b"bye")


def bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {KEY}"}


def recorded(folder: Path, **settings: object) -> list[Path]:
    async def main() -> list[Path]:
        async with MockServer(record=folder, dialect="xai@2026-07", voice="tone", pacing="burst", **settings) as mock:  # type: ignore[arg-type]
            await talk(mock, turns=2)
            await talk(mock, end=None)
        return mock.cassettes

    return autojump.run(main())


def test_each_session_becomes_a_whole_cassette_made_by_the_mock(tmp_path: Path):
    files = recorded(tmp_path / "new" / "folder", api_keys=[KEY])
    assert sorted((tmp_path / "new" / "folder").iterdir()) == sorted(files) and len(files) == 2
    with Cassette.open(files[0]) as cassette:
        records = list(cassette)
        assert (cassette.header.origin, cassette.header.dialect, cassette.header.model) == (
            "mock",
            "xai@2026-07",
            "gpt-realtime",
        )
    assert isinstance(records[0].content, Request) and isinstance(records[1].content, Response)
    assert (records[-1].way, records[-1].content) == ("sent", Close(1000, "bye"))
    assert [record.at_us for record in records] == sorted(record.at_us for record in records)
    assert KEY.encode() not in files[0].read_bytes()


def test_what_is_in_it_is_what_crossed_the_wire(tmp_path: Path):
    async def main() -> tuple[list[object], Path]:
        async with MockServer(record=tmp_path, voice="tone") as mock:
            await talk(mock)
            return [entry.event for entry in mock.sessions[0].entries if entry.event], mock.cassettes[0]

    crossed, file = autojump.run(main())
    with Cassette.open(file) as cassette:
        assert [json.loads(each.content.data) for each in cassette if isinstance(each.content, Text)] == crossed


def test_a_connection_that_was_lost_ends_so_in_its_cassette(tmp_path: Path):
    with Cassette.open(recorded(tmp_path)[1]) as cassette:
        assert (cassette[-1].way, cassette[-1].content) == ("sent", Reset())


def test_a_recorded_session_can_be_given_again_without_a_difference(tmp_path: Path):
    (first, _) = recorded(tmp_path)

    async def main() -> list[str]:
        async with MockServer(cassette=first, verbatim=True, speed=1e9) as mock:
            await talk(mock, turns=2)
        return mock.report

    assert autojump.run(main()) == []


def test_no_cassette_is_written_over(tmp_path: Path):
    def again() -> Path:
        async def main() -> Path:
            async with MockServer(record=tmp_path, voice="tone", pacing="burst", seed=3) as mock:
                await talk(mock)
            return mock.cassettes[0]

        return autojump.run(main())

    assert len({again() for _ in range(3)}) == 3


@pytest.mark.skipif(os.name == "nt", reason="folders are not made unwritable so there")
def test_a_folder_that_cannot_be_made_is_refused_in_one_line(tmp_path: Path):
    (tmp_path / "file").write_text("")
    asked = CliRunner().invoke(serve, ["--record", str(tmp_path / "file" / "below"), "--port", "0"])
    assert asked.exit_code == 2
    assert asked.output.startswith("Error: ") and "name a folder that can be written to" in asked.output


@pytest.mark.slow
def test_a_server_that_is_killed_leaves_what_was_said(tmp_path: Path):
    command = [sys.executable, "-m", "realtape", "serve", "--port", "0", "--json", "--record", str(tmp_path)]
    with subprocess.Popen([*command, "--voice", "tone", "--pacing", "burst"], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["ws"]
        from websockets.sync.client import connect

        with connect(url, additional_headers=bearer()) as ws:
            ws.send('{"type": "response.create"}')
            while json.loads(ws.recv())["type"] != "response.done":
                pass
            file = next(tmp_path.glob("*.tape"))
            while b'"response.done"' not in file.read_bytes():
                pass  # a thread of the server writes it
            server.kill()
    with Cassette.so_far(file) as cassette:
        assert cassette.end_us is None and len(cassette) > 10


# Looking at what leaves.


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The mock forgets a key in one event."""
    usual = OpenAI.event

    def without(self: OpenAI, at: float, type: str, **fields: object) -> object:
        if type == "response.output_audio.done":
            fields.pop("output_index")
        return usual(self, at, type, **fields)

    monkeypatch.setattr(OpenAI, "event", without)
    yield
    served.complaints.clear()


@pytest.mark.usefixtures("broken")
def test_an_event_that_its_dialect_does_not_know_is_a_bug_of_the_mock(caplog: pytest.LogCaptureFixture):
    async def main() -> None:
        async with MockServer(dialect="openai", check=True, voice="tone", pacing="burst") as mock:
            async with (
                ClientSession() as http,
                http.ws_connect(f"{mock.ws_url}?model=gpt-realtime", headers=bearer()) as ws,
            ):
                await ws.send_json({"type": "response.create"})
                while (await ws.receive_json())["type"] != "response.done":
                    pass

    with pytest.raises(SchemaMismatch, match=r"^response\.output_audio.done: output_index: missing$"):
        autojump.run(main())
    assert "a bug of the mock: response.output_audio.done" in caplog.text


@pytest.mark.parametrize("dialect", ["xai", "xai@2026-04", "openai"])
def test_what_is_as_it_should_be_is_not_told_of(dialect: str):
    async def main() -> None:
        async with MockServer(dialect=dialect, check=True, voice="tone", pacing="burst") as mock:
            async with (
                ClientSession() as http,
                http.ws_connect(f"{mock.ws_url}?model=gpt-realtime", headers=bearer()) as ws,
            ):
                await ws.send_json({"type": "response.create"})
                while (await ws.receive_json())["type"] != "response.done":
                    pass
            assert mock.errors == []

    autojump.run(main())
