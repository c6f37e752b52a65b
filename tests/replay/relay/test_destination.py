from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from aiohttp import web
from websockets.exceptions import InvalidStatus

from replay import connections
from replay.cassette.file import CannotRecord, Cassette, Writer
from replay.cassette.frames import Text
from replay.cassette.records import Header, Record
from replay.relay.destination import Destination
from tests.replay.relay.test_relay import contents, mock, service, story, tap, typed_turn


async def refuse(request: web.Request) -> web.StreamResponse:
    return web.Response(status=401)


@pytest.mark.parametrize("replaces", [True, False])
def test_a_recording_of_refusals_alone_is_not_kept(replaces: bool, tmp_path: Path):
    out = tmp_path / "a.tape"
    if replaces:
        out.write_bytes(b"a good cassette")

    async def tell() -> None:
        async with service(refuse) as url, tap(url, out, overwrite=replaces) as through:
            with pytest.raises(InvalidStatus, match="401"):
                await through.dial()
        assert not through.relay.kept

    story(tell)
    assert [each.read_bytes() for each in tmp_path.iterdir()] == ([b"a good cassette"] if replaces else [])


def test_a_cassette_is_replaced_once_the_new_one_is_complete(tmp_path: Path):
    out = tmp_path / "a.tape"
    out.write_bytes(b"the old cassette")

    async def tell() -> None:
        async with mock() as service, tap(service.ws_url, out, overwrite=True) as through:
            async with through.dial() as ws:
                await typed_turn(ws)
                assert out.read_bytes() == b"the old cassette"
        assert through.relay.kept

    story(tell)
    assert len(contents(out)) > 5
    assert [each.name for each in tmp_path.iterdir()] == ["a.tape"]


def test_what_a_killed_recording_left_is_kept_under_a_name_of_its_own(tmp_path: Path):
    out = tmp_path / "a.tape"
    out.write_bytes(b"the old cassette")
    killed = Destination(out, replaces=True)
    header = Header("mock", "ws://x", "xai", None, "2026-07-01", "t")
    writer = Writer(out, header, file=killed.file)
    for n in range(4):
        writer.write(Record(n, 0, "received", Text(b"{}")))
    writer.close()
    after = Destination(out, replaces=True)
    assert after.rescued == tmp_path / "a.cut1.tape"
    after.give_up()
    with Cassette.so_far(tmp_path / "a.cut1.tape") as cassette:
        assert len(cassette) == 4
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.cut1.tape", "a.tape"]


@pytest.mark.skipif(sys.platform == "win32", reason="links and long names are those of POSIX")
def test_a_place_that_cannot_be_written_to_is_refused_at_once(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "a.tape")
    for out in (tmp_path / "file" / "a.tape", tmp_path / "link", tmp_path / ("n" * 300), tmp_path):
        with pytest.raises(CannotRecord):
            Destination(out, replaces=True)
    with pytest.raises(CannotRecord, match="there already"):
        Destination(tmp_path / "file", replaces=False)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")
@pytest.mark.parametrize("published", [True, False])
def test_a_second_recorder_of_the_same_cassette_is_refused(published: bool, tmp_path: Path):
    out = tmp_path / "a.tape"
    first = Destination(out, replaces=False)
    if published:
        first.publish()
    with pytest.raises(CannotRecord, match="being written by another recording"):
        Destination(out, replaces=published)
    first.file.close()


def test_a_cassette_that_is_cut_while_it_is_written_ends_the_recording(tmp_path: Path):
    path = tmp_path / "a.tape"
    writer = Writer(path, Header("mock", "ws://x", "xai", None, "2026-07-01", "t"))
    for n in range(3):
        writer.write(Record(n, 0, "received", Text(b"{}")))
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(CannotRecord, match="was cut while it was written"):
        writer.write(Record(3, 0, "received", Text(b"{}")))
    writer.close()
    with Cassette.so_far(path) as cassette:
        assert len(cassette) == 2


def test_the_proxy_bounds_silent_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connections, "most_idle", lambda: 5)

    async def tell() -> None:
        async with mock() as service, tap(service.ws_url, tmp_path / "a.tape") as through:
            crowd = [await asyncio.open_connection("127.0.0.1", through.relay.port) for _ in range(20)]
            async with through.dial() as ws:
                await typed_turn(ws)
            dropped = 0
            for reader, _ in crowd:
                dropped += reader.at_eof() or reader.exception() is not None
            assert dropped >= 14
            for _, writer in crowd:
                writer.close()

    story(tell)
