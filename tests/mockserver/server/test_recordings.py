"""A conversation with the mock is recorded, and served again: frame by frame, re-enacted, and from a folder."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import math
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from mockserver.cli import serve as cli
from mockserver.dialects.base import Opening
from mockserver.dialects.registry import SERVICES
from mockserver.responders.base import Turn
from mockserver.responders.recorded import RecordedSession
from mockserver.server.app import Server
from mockserver.server.journal import SessionLog
from mockserver.server.recordings import AdaptiveReplay, VerbatimReplay
from mockserver.server.shelf import EmptyLibrary
from realtape import Call, MockServer, Say, Scenario
from replay.cassette.file import Cassette, Writer
from replay.cassette.frames import Close, Text
from replay.cassette.recording import Moment, Recording, message
from replay.cassette.records import Record, Request, Response
from replay.cassette.strip_audio import strip_audio
from replay.diff.compare import compare, report
from replay.outlets import held
from replay.playback.verbatim import MOST_MISMATCHES
from replay.playback.words import Words
from replay.secrets.named import Secrets
from tests.replay.recordings import HEADER, taped, typed

BOOKING = Scenario(
    sequence=[
        [Say("Let me check."), Call("slots", {"day": "Monday"})],
        Say("Monday at nine is free. Shall I book it?"),
    ]
)
SETTINGS = {"type": "session.update", "session": {"instructions": "You book appointments.", "voice": "ara"}}
Event = dict[str, Any]
Client = Callable[[str], Awaitable[list[Event]]]


async def until_done(socket: ClientConnection, got: list[Event]) -> None:
    while not got or got[-1]["type"] not in ("response.done", "error"):
        got.append(json.loads(await socket.recv()))


async def ask(socket: ClientConnection, got: list[Event], *events: Event) -> None:
    for event in events:
        await socket.send(json.dumps(event))
    got.append(json.loads(await socket.recv()))
    await until_done(socket, got)


WORDS = "-".join(["plainword"] * 9)
"""A secret without a form of its own, longer than what a report quotes."""


def booking(says: str = "A slot on Monday, please.", settings: Event = SETTINGS) -> Client:
    """A client that types, answers the call with the call's own id, and leaves."""

    async def client(url: str) -> list[Event]:
        got: list[Event] = []
        async with connect(url, additional_headers={"Authorization": "Bearer any"}) as socket:
            await ask(socket, got, settings, typed(says), {"type": "response.create"})
            calls = [event["call_id"] for event in got if event["type"] == "response.function_call_arguments.done"]
            for call_id in calls:
                result = {"type": "function_call_output", "call_id": call_id, "output": '{"slots": ["9:00"]}'}
                create = {"type": "conversation.item.create", "item": result}
                await ask(socket, got, create, {"type": "response.create"})
        return got

    return client


async def recorded(path: Path, client: Client, scenario: Scenario = BOOKING) -> list[Event]:
    async with MockServer(scenario, pacing="burst") as mock:
        got = await client(mock.ws_url)
    taped(path, *mock.sessions)
    return got


async def test_verbatim_the_same_client_gets_the_same_frames(tmp_path: Path):
    got = await recorded(tmp_path / "a.tape", booking())
    async with MockServer(cassette=tmp_path / "a.tape", verbatim=True) as mock:
        assert await booking()(mock.ws_url) == got
    assert mock.report == []


@pytest.mark.parametrize("ignore", [["session.instructions"], ["date"], "date"])
async def test_verbatim_what_is_ignored_may_differ(tmp_path: Path, ignore: list[str]):
    then, now = (
        {"type": "session.update", "session": {"instructions": f"Today is {day}."}}
        for day in ("2026-11-29", "2026-11-30")
    )
    got = await recorded(tmp_path / "a.tape", booking(settings=then))
    async with MockServer(cassette=tmp_path / "a.tape", verbatim=True, ignore=ignore) as mock:
        assert await booking(settings=now)(mock.ws_url) == got
        assert (await booking("On Tuesday.", settings=now)(mock.ws_url))[-1]["type"] == "error"
    assert len([line for line in mock.report if "expected" in line]) >= 1


def test_without_a_cassette_there_is_nothing_to_ignore():
    with pytest.raises(ValueError, match="ignore belongs to cassette"):
        MockServer(ignore=["date"])


async def test_verbatim_a_client_that_says_something_else_is_told_in_the_services_own_shape(tmp_path: Path):
    await recorded(tmp_path / "a.tape", booking())
    async with MockServer(cassette=tmp_path / "a.tape", verbatim=True) as mock:
        got = await booking("On Tuesday.")(mock.ws_url)
    error = got[-1]
    assert list(error) == ["type", "event_id", "error", "previous_item_id"]
    assert error["error"]["param"] == "item.content[0].text"
    assert "expected 'A slot on Monday, please.', got 'On Tuesday.'" in error["error"]["message"]
    (log,) = mock.sessions
    assert log.sent("error")[0] == error
    assert mock.report[0].startswith("a: at ")
    assert "a: never sent by the client: 2 x conversation.item.create, 2 x response.create" in mock.report


async def test_re_enacted_a_changed_client_gets_the_conversation_with_new_ids(tmp_path: Path):
    got = await recorded(tmp_path / "a.tape", booking())
    async with MockServer(cassette=tmp_path / "a.tape", pacing="burst", seed=5) as mock:
        again = await booking("Whatever you say.")(mock.ws_url)
    wording = {("value", "item.content[0].text")}
    assert {(each.kind, each.path) for each in compare(got, again)} == wording
    assert {each["event_id"] for each in got}.isdisjoint(each["event_id"] for each in again)
    assert mock.ledger.text_items == 1


async def test_re_enacted_and_recorded_again_it_does_not_differ(tmp_path: Path):
    await recorded(tmp_path / "a.tape", booking())
    async with MockServer(cassette=tmp_path / "a.tape", pacing="burst", seed=5) as mock:
        await booking()(mock.ws_url)
    taped(tmp_path / "b.tape", *mock.sessions)
    one, other = (Recording.read(tmp_path / name).received() for name in ("a.tape", "b.tape"))
    found = compare(one, other)
    assert found == [], report(found)
    assert sounds(one) == sounds(other)


def sounds(events: Sequence[Mapping[str, Any]]) -> list[str]:
    return [event["delta"] for event in events if event["type"] == "response.output_audio.delta"]


async def test_the_nth_connection_gets_the_nth_recorded_one_refusals_and_ends_included(tmp_path: Path):
    await recorded(tmp_path / "a.tape", booking())
    writer = Writer(tmp_path / "b.tape", HEADER)
    writer.write(Record(0, 0, "sent", Request("GET", "/v1/realtime", ())))
    headers = (("Content-Type", "application/json"), ("Retry-After", "7"), ("Connection", "close"))
    writer.write(Record(1, 0, "received", Response(429, headers, b'{"code": "busy"}')))
    writer.write(Record(2, 1, "received", Close(4001, "come back later")))
    with Cassette.open(tmp_path / "a.tape") as whole:
        for each in whole:
            writer.write(replace(each, connection=2))
    writer.end(10**7)
    async with MockServer(cassette=tmp_path / "b.tape", verbatim=True, speed=math.inf) as mock:
        with pytest.raises(InvalidStatus) as refused:
            await booking()(mock.ws_url)
        with pytest.raises(ConnectionClosedError) as closed:
            await booking()(mock.ws_url)
        assert mock.report == ["b, connection 3: never opened by the client"]
        await booking()(mock.ws_url)
    answer = refused.value.response
    assert (answer.status_code, answer.body, answer.headers["Retry-After"]) == (429, b'{"code": "busy"}', "7")
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "come back later")
    assert mock.report == []


@pytest.mark.parametrize("verbatim", [True, False])
async def test_a_recording_is_prepared_before_anybody_connects(
    verbatim: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    await side_by_side(tmp_path / "a.tape", (booking(), BOOKING), (booking("Tuesday."), BOOKING))
    looked_at = list[Moment]()

    def take(words: Words, sent: Moment) -> None:
        looked_at.append(sent)
        taken(words, sent)

    taken = Words.take
    monkeypatch.setattr(Words, "take", take)
    mock = MockServer(cassette=tmp_path / "a.tape", verbatim=verbatim)
    recorded = len(looked_at)
    assert recorded > 4
    async with mock:
        await booking("Tuesday.")(mock.ws_url)
    assert len(looked_at) <= recorded + recorded // 2, "later only what the client says itself"


async def test_after_the_last_connection_the_first_is_played_again(tmp_path: Path):
    got = await recorded(tmp_path / "a.tape", booking())
    async with MockServer(cassette=tmp_path / "a.tape", verbatim=True) as mock:
        assert [await booking()(mock.ws_url) for _ in range(2)] == [got, got]


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Two conversations that begin with different words, one of other settings."""
    settings = {"type": "session.update", "session": {"instructions": "You are rude.", "voice": "ara"}}
    await recorded(tmp_path / "monday.tape", booking())
    await recorded(
        tmp_path / "parking.tape", booking("Where do I park?"), Scenario(sequence=[Say("Behind the house.")])
    )
    await recorded(tmp_path / "rude.tape", booking("Where?", settings), Scenario(sequence=[Say("Find out yourself.")]))
    return tmp_path


def transcripts(events: list[Event]) -> list[str]:
    return [event["transcript"] for event in events if event["type"] == "response.output_audio_transcript.done"]


async def test_of_a_folder_the_recording_that_begins_alike_is_re_enacted(folder: Path):
    rude = {"type": "session.update", "session": {"instructions": "You are rude.", "voice": "ara"}}
    async with MockServer(cassette=folder, pacing="burst") as mock:
        assert transcripts(await booking("Where can I park?")(mock.ws_url)) == ["Behind the house."]
        assert transcripts(await booking("Where can I park?", rude)(mock.ws_url)) == ["Find out yourself."]
        assert transcripts(await booking("A slot on a Monday please")(mock.ws_url))[0] == "Let me check."


async def test_of_a_folder_the_recording_that_begins_alike_is_played_verbatim(folder: Path):
    async with MockServer(cassette=folder, verbatim=True) as mock:
        got = await booking("Where do I park?")(mock.ws_url)
    assert transcripts(got) == ["Behind the house."]
    assert [event["type"] for event in got].count("session.created") == 1
    assert mock.report == []


async def test_responses_that_were_recorded_or_asked_for_in_vain_are_told(
    tmp_path: Path,
):
    await recorded(tmp_path / "a.tape", booking())
    async with MockServer(cassette=tmp_path / "a.tape", pacing="burst") as mock:
        assert mock.unused == ["a never began"]
        async with connect(mock.ws_url, additional_headers={"Authorization": "Bearer any"}) as socket:
            await ask(socket, [], typed("A slot, please."), {"type": "response.create"})
            assert mock.unused == ["a: 1 of 2 recorded responses were never requested"]
            for _ in range(3):
                await ask(socket, [], {"type": "response.create"})
        assert mock.unused == ["a: 2 more responses were requested than recorded"]


async def test_of_a_folder_only_what_was_begun_is_told(folder: Path):
    async with MockServer(cassette=folder, pacing="burst") as mock:
        await booking("Where can I park?")(mock.ws_url)
        assert mock.unused == []


async def test_verbatim_the_report_tells_what_was_not_used(tmp_path: Path):
    await recorded(tmp_path / "a.tape", booking())
    async with MockServer(cassette=tmp_path / "a.tape", verbatim=True) as mock:
        assert mock.unused == mock.report == ["a: never opened by the client"]


async def test_recordings_that_begin_alike_are_reported(folder: Path, caplog: pytest.LogCaptureFixture):
    (folder / "zz.tape").write_bytes((folder / "monday.tape").read_bytes())
    for verbatim in (False, True):
        caplog.clear()
        async with MockServer(cassette=folder, verbatim=verbatim, pacing="burst") as mock:
            with caplog.at_level(logging.WARNING, "mockserver.server.recordings"):
                await booking()(mock.ws_url)
        assert caplog.messages == [
            "monday is replayed, though zz begins in the same way: give them different session settings"
        ]


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["--verbatim"], "--cassette FILE"),
        (["--cassette", "nowhere.tape"], "name a cassette"),
        (["--cassette", "nowhere.tape", "--speed", "2"], "--pacing"),
        (["--cassette", "nowhere.tape", "--verbatim", "--speed", "0"], "inf at once"),
        (["--cassette", "nowhere.tape", "--scenario", "x.yaml"], "leave out one"),
        (["--cassette", __file__], "test_recordings.py: "),
        (["--cassette", str(Path(__file__).parent.parent)], "record one"),
    ],
)
def test_a_cassette_that_cannot_be_served_ends_with_2_and_a_line_that_says_what_to_do(
    arguments: list[str], advice: str
):
    result = CliRunner().invoke(cli.serve, arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert advice in result.stderr


@pytest.mark.parametrize(("answered", "code"), [(True, 0), (False, 1)])
async def test_the_command_ends_with_1_and_says_why_when_a_client_did_something_else(
    answered: bool, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    await recorded(tmp_path / "a.tape", booking())

    async def one_client(assemble: Callable[[], Server], host: str, *_: object) -> Server:
        server = assemble()
        await server.start(host, 0)
        if answered:
            await booking()(f"ws://{host}:{server.port}/v1/realtime")
        await server.stop()
        return server

    monkeypatch.setattr(cli, "_serve", one_client)
    result = await asyncio.to_thread(
        CliRunner().invoke, cli.serve, ["--cassette", str(tmp_path / "a.tape"), "--verbatim", "--speed", "inf"]
    )
    assert result.exit_code == code
    assert ("error: a: never opened by the client\n" in result.stderr) is not answered


async def test_the_command_says_where_a_client_left_the_recorded_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    await recorded(tmp_path / "a.tape", booking("Hours?"), HOURS)

    async def one_client(assemble: Callable[[], Server], host: str, *_: object) -> Server:
        server = assemble()
        await server.start(host, 0)
        await booking("Cancel it.")(f"ws://{host}:{server.port}/v1/realtime")
        await server.stop()
        return server

    monkeypatch.setattr(cli, "_serve", one_client)
    result = await asyncio.to_thread(CliRunner().invoke, cli.serve, ["--cassette", str(tmp_path / "a.tape")])
    assert result.exit_code == 0
    assert "the client said 'Cancel it.', recorded is 'Hours?' before response 1 of 1 in a" in result.stderr


async def test_sound_that_was_left_out_comes_back_as_long_as_it_was(tmp_path: Path):
    got = await recorded(tmp_path / "a.tape", booking())
    writer = Writer(tmp_path / "b.tape", HEADER)
    with Cassette.open(tmp_path / "a.tape") as whole:
        for each in whole:
            fit = strip_audio(each.content, "pcm") if isinstance(each.content, Text) else each.content
            writer.write(replace(each, content=fit))
    writer.end(10**7)
    for settings in ({"verbatim": True}, {"pacing": "burst"}):
        async with MockServer(cassette=tmp_path / "b.tape", **settings) as mock:
            again = await booking()(mock.ws_url)
        assert compare(got, again) == []
        assert seconds(again) == seconds(got)
        assert sounds(again) != sounds(got)


def seconds(events: Sequence[Mapping[str, Any]]) -> list[float]:
    return [event["usage"]["output_audio_seconds"] for event in events if event["type"] == "response.done"]


def test_a_recording_of_refusals_only_cannot_be_re_enacted(tmp_path: Path):
    writer = Writer(tmp_path / "a.tape", HEADER)
    writer.write(Record(0, 0, "sent", Request("GET", "/v1/realtime", ())))
    writer.write(Record(1, 0, "received", Response(401, (), b"")))
    writer.end(2)
    with pytest.raises(EmptyLibrary, match="--verbatim"):
        MockServer(cassette=tmp_path / "a.tape")
    (tmp_path / "b.tape").write_bytes((tmp_path / "a.tape").read_bytes())
    with pytest.raises(EmptyLibrary, match="one file"):
        MockServer(cassette=tmp_path, verbatim=True)


def test_a_cassette_and_a_scenario_are_one_too_many(tmp_path: Path):
    with pytest.raises(ValueError, match="leave out one"):
        MockServer(BOOKING, cassette=tmp_path)
    with pytest.raises(EmptyLibrary, match="realtape record"):
        MockServer(cassette=tmp_path)


def test_what_may_be_left_over_is_the_users_to_say():
    tape = Path(__file__).parents[3] / "cassettes" / "booking.tape"
    left = {}
    for allow in ((), ("session.updated",)):
        verbatim = VerbatimReplay(tape, allow=allow)
        verbatim.peer(SERVICES["xai@2026-07"].open(Opening("0/0", 0.0)))
        left[allow] = "\n".join(verbatim.report())
    assert "session.updated" in left[()]
    assert "session.updated" not in left["session.updated",]
    assert "response.done" in left["session.updated",]


@pytest.mark.parametrize(
    ("origin", "dialect", "unix_s", "played"),
    [
        ("live", "xai", 1_785_214_080, "xai@2026-07"),
        ("live", "xai", 1_790_640_000, "xai@2026-09"),
        ("live", "xai@2026-08", 1_790_640_000, "xai@2026-08"),
        ("live", "xai", 10**20, "xai"),
        ("mock", "xai", 1_785_214_080, "xai"),
        ("live", "openai", 1_785_214_080, "openai"),
    ],
)
def test_a_live_session_of_xai_is_played_as_of_its_day(
    origin: Any, dialect: str, unix_s: int, played: str, tmp_path: Path
):
    file = tmp_path / "a.tape"
    url = "wss://api.x.ai/v1/realtime" if origin == "live" else HEADER.url
    writer = Writer(file, replace(HEADER, origin=origin, url=url, dialect=dialect))
    ping = {"type": "ping", "event_id": "e", "timestamp": unix_s * 1000, "previous_item_id": None}
    writer.write(Record(0, 0, "received", Text(json.dumps(ping).encode())))
    writer.end(1000)
    assert AdaptiveReplay(file).dialect == VerbatimReplay(file).dialect == played


HOURS, CANCEL = Scenario(sequence=[Say("We open at eight.")]), Scenario(sequence=[Say("It is cancelled.")])


async def side_by_side(path: Path, *clients: tuple[Client, Scenario]) -> Path:
    """A cassette with a connection of each client."""
    sessions: list[SessionLog] = []
    for client, scenario in clients:
        async with MockServer(scenario, pacing="burst", seed=len(sessions)) as mock:
            await client(mock.ws_url)
        sessions += mock.sessions
    return taped(path, *sessions)


async def opened(url: str) -> tuple[ClientConnection, list[Event]]:
    socket = await connect(url, additional_headers={"Authorization": "Bearer any"})
    return socket, []


@pytest.mark.parametrize("options", [{"pacing": "burst"}, {"verbatim": True, "speed": math.inf}])
async def test_parallel_sessions_of_a_cassette_are_matched_by_what_they_say(options: Any, tmp_path: Path):
    tape = await side_by_side(tmp_path / "a.tape", (booking("Hours?"), HOURS), (booking("Cancel it."), CANCEL))
    async with MockServer(cassette=tape, **options) as mock:
        (second, seconds), (first, firsts) = await opened(mock.ws_url), await opened(mock.ws_url)
        await ask(second, seconds, SETTINGS, typed("Cancel it."), {"type": "response.create"})
        await ask(first, firsts, SETTINGS, typed("Hours?"), {"type": "response.create"})
        await second.close()
        await first.close()
    assert transcripts(seconds) == ["It is cancelled."]
    assert transcripts(firsts) == ["We open at eight."]
    assert mock.report == mock.unused == []


@pytest.mark.parametrize("options", [{"pacing": "burst"}, {"verbatim": True, "speed": math.inf}])
async def test_sessions_that_begin_in_the_same_way_part_where_the_clients_do(options: Any, tmp_path: Path):
    async def hold(url: str, *texts: str) -> list[Event]:
        socket, got = await opened(url)
        for text in texts:
            await ask(socket, got, typed(text), {"type": "response.create"})
        await socket.close()
        return got

    talks = [("Hello.", each) for each in ("Hours?", "Cancel it.", "Where?")]
    answers = [Scenario(sequence=[Say("Hello."), Say(f"To {each}")]) for _, each in talks]

    def holding(*talk: str) -> Client:
        return lambda url: hold(url, *talk)

    clients = [(holding(*talk), answer) for talk, answer in zip(talks, answers, strict=True)]
    tape = await side_by_side(tmp_path / "a.tape", *clients)
    async with MockServer(cassette=tape, **options) as mock:
        for talk in reversed(talks):
            got = await hold(mock.ws_url, *talk)
            assert transcripts(got) == ["Hello.", f"To {talk[1]}"]
            assert len({event["session"]["id"] for event in got if event["type"].startswith("session.")}) == 1
    assert mock.report == mock.unused == []


async def test_re_enacted_a_client_that_leaves_the_recorded_words_is_a_finding(tmp_path: Path):
    await recorded(tmp_path / "a.tape", booking("Today is the 3rd."), HOURS)
    async with MockServer(cassette=tmp_path / "a.tape", pacing="burst") as mock:
        await booking("today is the 3rd")(mock.ws_url)
        assert (mock.findings, mock.report) == ([], [])
        await booking("Tomorrow is the 4th.")(mock.ws_url)
    (finding,) = mock.findings
    assert finding.rule == "unrecorded-turn"
    assert finding.message == mock.report[0]
    assert mock.report == [
        "the client said 'Tomorrow is the 4th.', recorded is 'Today is the 3rd.' before response 1 of 1 in a"
    ]


async def test_what_left_the_recorded_words_is_reported_without_secrets(tmp_path: Path):
    await recorded(tmp_path / "a.tape", booking("Today is the 3rd."), HOURS)
    with held(Secrets((WORDS,))):
        async with MockServer(cassette=tmp_path / "a.tape", pacing="burst") as mock:
            await booking(f"Mine is {WORDS}.")(mock.ws_url)
        assert [each.message for each in mock.findings] == mock.report
    (left,) = mock.report
    assert left.startswith("the client said 'Mine is <scrubbed:key>.', recorded is")


async def test_of_a_session_that_is_over_the_first_lines_of_its_report_remain(tmp_path: Path):
    await recorded(tmp_path / "a.tape", booking("Hours?"), Scenario(sequence=150 * [Say("Eight.")]))
    replay = AdaptiveReplay(tmp_path / "a.tape")
    session = replay.responder()
    assert isinstance(session, RecordedSession)
    for number in range(2 * MOST_MISMATCHES):
        for each in (SETTINGS, typed(f"Cancel {number}.")):
            session.take(message(json.dumps(each), 0.0))
        session.reply(Turn(number, None))
        assert session.source.unrecorded
    assert session._narrowing.live.settings == []
    told, unused, gone = replay.report(), replay.unused(), weakref.ref(session)
    del session
    gc.collect()
    assert gone() is None
    assert replay.report() == told
    assert len(told) == MOST_MISMATCHES
    assert replay.unused() == unused == ["a: 199 more responses were requested than recorded"]


async def test_re_enacted_more_responses_than_recorded_are_a_finding(tmp_path: Path):
    await recorded(tmp_path / "a.tape", booking(), HOURS)
    async with MockServer(cassette=tmp_path / "a.tape", pacing="burst") as mock:
        socket, got = await opened(mock.ws_url)
        await ask(socket, got, typed("A slot on Monday, please."), {"type": "response.create"})
        await ask(socket, got, typed("And on Tuesday?"), {"type": "response.create"})
        await socket.close()
    assert [each.message for each in mock.findings] == mock.report
    assert mock.report == ["a has 1 responses; the client asked for response 2"]


@pytest.mark.parametrize("last", ["Cancel it.", f"Mine is {WORDS}."])
async def test_responses_that_nobody_asked_for_are_named_by_what_they_answer(tmp_path: Path, last: str):
    async def two(url: str) -> list[Event]:
        socket, got = await opened(url)
        for text in ("Hours?", last):
            await ask(socket, got, typed(text), {"type": "response.create"})
        await socket.close()
        return got

    await recorded(tmp_path / "a.tape", two, Scenario(sequence=[Say("Eight."), Say("Done.")]))
    async with MockServer(cassette=tmp_path / "a.tape", pacing="burst") as mock:
        socket, got = await opened(mock.ws_url)
        await ask(socket, got, typed("Hours?"), {"type": "response.create"})
        await socket.close()
        with held(Secrets((WORDS,))):
            unused = mock.unused
    shown = last.replace(WORDS, "<scrubbed:key>")
    assert unused == [f"a: 1 of 2 recorded responses were never requested, from that to '{shown}' on"]


async def test_verbatim_a_reconnect_that_was_never_recorded_is_reported(tmp_path: Path):
    await recorded(tmp_path / "a.tape", booking())
    async with MockServer(cassette=tmp_path / "a.tape", verbatim=True) as mock:
        await booking()(mock.ws_url)
        assert mock.report == []
        await booking()(mock.ws_url)
    assert mock.report == ["a: opened 2 times by the client, recorded once"]


async def test_a_reset_forgets_what_was_played(tmp_path: Path):
    tape = await side_by_side(tmp_path / "a.tape", (booking("Hi."), HOURS), (booking("Hi."), CANCEL))
    async with MockServer(cassette=tape, pacing="burst") as mock:
        said = []
        for _ in range(2):
            said += [transcripts(await booking("Hi.")(mock.ws_url)) for _ in range(2)]
            async with aiohttp.ClientSession() as http, http.post(f"{mock.control_url}/reset") as reset:
                assert reset.ok
    assert said == 2 * [["We open at eight."], ["It is cancelled."]]


async def test_verbatim_the_result_of_a_tool_decides_and_names_the_call_that_the_client_got(tmp_path: Path):
    def caller(slots: str) -> Client:
        async def client(url: str) -> list[Event]:
            socket, got = await opened(url)
            await ask(socket, got, typed("A slot, please."), {"type": "response.create"})
            (call,) = (event for event in got if event["type"] == "response.function_call_arguments.done")
            result = {"type": "function_call_output", "call_id": call["call_id"], "output": slots}
            await ask(socket, got, {"type": "conversation.item.create", "item": result}, {"type": "response.create"})
            await socket.close()
            return got

        return client

    talks = [(caller(slots), Scenario(sequence=[Call("slots", {}), Say(f"At {slots}.")])) for slots in ("nine", "ten")]
    tape = await side_by_side(tmp_path / "a.tape", *talks)
    async with MockServer(cassette=tape, verbatim=True, speed=math.inf) as mock:
        ten, nine = await asyncio.gather(talks[1][0](mock.ws_url), talks[0][0](mock.ws_url))
    assert (transcripts(ten), transcripts(nine)) == (["At ten."], ["At nine."])
    assert mock.report == []
