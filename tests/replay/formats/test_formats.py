"""Other tools' recordings become cassettes, and cassettes become files that other tools open."""

from __future__ import annotations

import json
import re
import tracemalloc
import wave
import zlib
from base64 import b64decode, b64encode
from datetime import date, datetime, timezone
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import realtape
from mockserver.responders.scenario import Scenario
from replay.billing.bill import bill
from replay.cassette.conversation import UnreadableRecording
from replay.cassette.file import Cassette, Writer
from replay.cassette.frames import Binary, Close, Reset, Text
from replay.cassette.recording import Recording
from replay.cassette.records import Dropped, Header, Record, Request, Response, StrippedAudio, StrippedMessage
from replay.cassette.scrub import Scrubber
from replay.formats import detect, har, jsonl, page, wav
from replay.formats.tape import write
from replay.report.soundtrack import LONGEST_S, TooLong, soundtrack
from replay.viewer import assets

CASSETTES = Path(__file__).parents[3] / "cassettes"
AT = datetime(2026, 7, 28, 9, 0, 0, tzinfo=timezone.utc)
HEADER = Header("mock", "ws://127.0.0.1/v1/realtime", "xai@2026-07", "m", "2026-07-28T09:00:00+00:00", "test")
CREATED = {"type": "session.created", "session": {"model": "grok-voice-latest"}}
UPDATE = {"type": "session.update", "session": {"turn_detection": None}}


def imported(tmp_path: Path, name: str, data: bytes | str, **settings):
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return detect.read(path, imported_at=AT, tool="test", **settings)


def archive(messages, started="2026-07-28T09:00:00.125Z", headers=(), url="wss://api.x.ai/v1/realtime?model=m"):
    request = {"method": "GET", "url": url, "headers": [{"name": name, "value": value} for name, value in headers]}
    entry = {
        "startedDateTime": started,
        "time": 40,
        "_resourceType": "websocket",
        "request": request,
        "response": {"status": 101, "headers": []},
        "_webSocketMessages": messages,
    }
    page_entry = {"startedDateTime": started, "time": 1, "request": {"method": "GET", "url": "https://x.ai/"}}
    return json.dumps({"log": {"version": "1.2", "entries": [page_entry, entry]}})


def message(kind, time, data, opcode=1):
    return {"type": kind, "time": time, "opcode": opcode, "data": data if isinstance(data, str) else json.dumps(data)}


text = st.text(max_size=20)
headers = st.lists(st.tuples(text, text), max_size=3).map(tuple)
sounds = st.builds(
    StrippedAudio, st.integers(0, 99), st.binary(min_size=32, max_size=32), st.just("pcm"), st.integers(0, 32767)
)
contents = st.one_of(
    st.builds(Text, st.binary(max_size=40)),
    st.builds(Text, st.sampled_from([b'{"a":1e5}', '{"a":"ä\\ud800"}'.encode()])),
    st.builds(Binary, st.binary(max_size=40)),
    st.builds(Close, st.integers(1000, 4999), text),
    st.builds(Reset),
    st.builds(Request, st.just("GET"), text, headers, st.binary(max_size=9)),
    st.builds(Response, st.integers(100, 599), headers, st.binary(max_size=9)),
    st.builds(
        StrippedMessage, st.just("text"), st.lists(st.one_of(st.binary(max_size=9), sounds), max_size=4).map(tuple)
    ),
    st.builds(Dropped, text, st.integers(0, 99), text),
)
records = st.builds(
    Record, st.integers(0, 10**12), st.integers(0, 65535), st.sampled_from(["sent", "received"]), contents
)


@given(st.lists(records, max_size=8))
@pytest.mark.slow
def test_lines_give_back_exactly_the_records_that_were_written(kept):
    lines = "\n".join(jsonl.lines(HEADER, kept, 77))
    tape = jsonl.parse(lines.encode(), "test")
    assert (tape.header, list(tape.records), tape.end_us) == (HEADER, kept, 77)


@pytest.mark.parametrize("name", ["booking", "resumed-booking", "fully-booked"])
def test_a_cassette_exported_as_lines_and_imported_is_the_same_file(name, tmp_path):
    runner = CliRunner()
    lines, back = tmp_path / "a.jsonl", tmp_path / "b.tape"
    assert (
        runner.invoke(realtape.main, ["export", str(CASSETTES / f"{name}.tape"), "--jsonl", str(lines)]).exit_code == 0
    )
    assert runner.invoke(realtape.main, ["import", str(lines), "--out", str(back)]).exit_code == 0
    assert back.read_bytes() == (CASSETTES / f"{name}.tape").read_bytes()


def test_a_har_keeps_order_direction_time_and_bytes(tmp_path):
    raw = '{"type":"session.update",  "session":{}}'
    begin = datetime(2026, 7, 28, 9, tzinfo=timezone.utc).timestamp()
    messages = [
        message("receive", begin + 0.2, CREATED),
        message("send", begin + 0.25, raw),
        message("send", begin + 0.5, b64encode(b"\1\2").decode(), opcode=2),
        message("receive", begin + 0.6, "ping", opcode=9),
        message("error", begin + 0.75, "reset", opcode=-1),
    ]
    tape = imported(tmp_path, "a.har", archive(messages))
    assert [record.content for record in tape.records[3:]] == [Text(raw.encode()), Binary(b"\1\2"), Reset()]
    assert [record.way for record in tape.records] == ["sent", "received", "received", "sent", "sent", "received"]
    assert [record.at_us for record in tape.records[2:]] == pytest.approx([75_000, 125_000, 375_000, 625_000], abs=2)
    assert (tape.header.url, tape.header.model) == ("wss://api.x.ai/v1/realtime", "grok-voice-latest")


def test_a_har_of_another_clock_begins_with_its_handshake(tmp_path):
    messages = [message("receive", 5071.5, CREATED), message("send", 5071.75, UPDATE)]
    tape = imported(tmp_path, "a.har", archive(messages))
    assert [record.at_us for record in tape.records[:4]] == [0, 40_000, 40_000, 290_000]


def test_a_compressed_har_is_unpacked(tmp_path):
    data = zlib.compress(archive([message("receive", 1.0, CREATED)]).encode())
    assert len(imported(tmp_path, "a.zhar", data).records) == 4


def test_a_key_in_a_har_does_not_reach_the_cassette(tmp_path):
    key = "xai-ABCDEFGHIJKLMNOPQRSTUVWX"
    tape = imported(
        tmp_path, "a.har", archive([message("receive", 1, CREATED)], headers=[("Authorization", f"Bearer {key}")])
    )
    write(tape, tmp_path / "a.tape")
    assert key.encode() not in (tmp_path / "a.tape").read_bytes()


def test_a_cassette_comes_back_from_a_har_with_its_messages(tmp_path):
    with Cassette.open(CASSETTES / "resumed-booking.tape") as cassette:
        whole = "\n".join(har.lines(cassette.header, cassette, "1", Scrubber()))
    assert whole == json.dumps(json.loads(whole), ensure_ascii=True, indent=1)
    tape = imported(tmp_path, "a.har", whole, origin="mock")
    write(tape, tmp_path / "b.tape")
    before, after = Recording.read(CASSETTES / "resumed-booking.tape"), Recording.read(tmp_path / "b.tape")
    assert [each.frame for each in after.moments()] == [each.frame for each in before.moments()]
    for one, other in zip(before.moments(), after.moments(), strict=True):
        assert other.at_s == pytest.approx(one.at_s, abs=1e-5)


YAML = """\
version: 1
interactions:
- {kind: message, direction: received, data: {type: session.created, session: {model: grok-voice-latest}}}
- {kind: message, direction: received, data: {type: conversation.created, conversation: {id: c-1}}}
- {kind: message, direction: sent, data: {type: response.create}}
- {kind: close, code: 1011, reason: gone}
- {kind: message, direction: received, data: {type: session.created, session: {model: grok-voice-latest}}}
- {kind: message, direction: received, data: {type: conversation.created, conversation: {id: c-1}}}
"""


def test_a_yaml_recording_becomes_connections_with_the_handshakes_they_must_have_had(tmp_path):
    tape = imported(tmp_path, "a.yaml", YAML)
    asked = [record.content.target for record in tape.records if isinstance(record.content, Request)]
    model = "/v1/realtime?model=grok-voice-latest"
    assert asked == [model, f"{model}&conversation_id=c-1"]
    assert Close(1011, "gone") in [record.content for record in tape.records]
    assert (tape.header.origin, tape.header.dialect) == ("hand", "xai")


def test_only_who_imports_can_vouch_for_a_live_recording(tmp_path):
    tape = imported(tmp_path, "a.yaml", YAML, origin="live")
    assert (tape.header.origin, tape.header.url) == ("live", "wss://api.x.ai/v1/realtime")


@pytest.mark.parametrize("times", [(0, 0.5), (1785229200.0, 1785229200.5), (1785229200000, 1785229200500)])
def test_lines_written_by_hand_may_count_seconds_of_the_call_or_of_the_clock(times, tmp_path):
    lines = [{"dir": "in", "t": times[0], "ev": CREATED}, {"dir": "out", "t": times[1], "ev": UPDATE}]
    tape = imported(tmp_path, "a.jsonl", "\n".join(map(json.dumps, lines)))
    assert [(record.at_us, record.way) for record in tape.records[2:4]] == [(0, "received"), (500_000, "sent")]


def test_a_connection_whose_end_nobody_exported_ends_in_a_close_that_says_so(tmp_path):
    tape = imported(tmp_path, "a.har", archive([message("receive", 1.0, CREATED)]))
    assert tape.records[-1].content == Close(1005)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("", "it is empty"),
        ("hello", "not a recording that realtape knows"),
        ('{"log": {"entries": []}}', "holds no WebSocket messages"),
        ('{"log": {}}', "expected `log.entries`"),
        ('{"log": {"version": "1.2", "entries": [{"req', "a HAR that is cut off or damaged; export it again"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n", "run `git lfs pull`"),
        (
            '{"dir": "in", "t": 0, "ev": {}}\n{"dir": "up?", "t": 1, "ev": {}}',
            "a.jsonl:2: not a recording: JSON lines need `dir`",
        ),
        ('{"dir": "in", "t": "soon", "ev": {}}', "a.jsonl:1: expected `t`"),
        ('{"realtape":1,"origin":"mock"}', "not a cassette's header"),
        ('{"realtape":9}', "version 9 is unknown"),
    ],
)
def test_what_cannot_be_imported_is_told_with_its_place(data, told, tmp_path):
    with pytest.raises(UnreadableRecording, match=re.escape(told)):
        imported(tmp_path, "a.jsonl", data)


def test_lines_that_were_cut_off_are_not_a_cassette(tmp_path):
    whole = list(jsonl.lines(HEADER, [Record(1, 0, "sent", Text(b"{}"))], 2))
    with pytest.raises(UnreadableRecording, match="cut off after 1 records"):
        imported(tmp_path, "a.jsonl", "\n".join(whole[:-1]))


def spoken(tmp_path: Path, *moments) -> Recording:
    """A cassette of (seconds, way, event)."""
    writer = Writer(tmp_path / "spoken.tape", HEADER)
    writer.write(Record(0, 0, "received", Response(101, ())))
    for at_s, way, event in moments:
        writer.write(Record(round(at_s * 1e6), 0, way, Text(json.dumps(event).encode())))
    writer.end(10_000_000)
    return Recording.read(tmp_path / "spoken.tape")


def append(ms: int, level: int = 1000):
    pcm = level.to_bytes(2, "little", signed=True) * (24 * ms)
    return {"type": "input_audio_buffer.append", "audio": b64encode(pcm).decode()}


def delta(ms: int, level: int = 2000, response: str = "r1"):
    pcm = level.to_bytes(2, "little", signed=True) * (24 * ms)
    return {"type": "response.output_audio.delta", "response_id": response, "delta": b64encode(pcm).decode()}


def test_the_call_lies_on_the_time_axis_with_the_caller_on_the_left(tmp_path):
    recording = spoken(
        tmp_path,
        (1.0, "sent", append(100)),
        (1.01, "sent", append(100)),
        (1.3, "sent", {"type": "input_audio_buffer.commit"}),
        (2.0, "received", delta(500)),
    )
    written = wav.write(recording, tmp_path / "out")
    assert [path.name for path in written] == ["call.wav", "turn-01-caller.wav", "turn-02-service.wav"]
    with wave.open(str(written[0])) as call:
        assert (call.getnchannels(), call.getframerate(), call.getnframes()) == (2, 24_000, 60_000)
        frames = call.readframes(60_000)
    at = {s: (frames[s * 96_000 // 10 :][:2], frames[s * 96_000 // 10 + 2 :][:2]) for s in (5, 11, 13, 22)}
    loud, answer, quiet = (1000).to_bytes(2, "little"), (2000).to_bytes(2, "little"), b"\0\0"
    assert at == {5: (quiet, quiet), 11: (loud, quiet), 13: (quiet, quiet), 22: (quiet, answer)}


@pytest.mark.parametrize("at_s", [600.0, 10.0**6])
def test_a_call_that_claims_to_be_long_takes_little_memory(tmp_path, at_s: float):
    recording = spoken(tmp_path, (at_s, "received", delta(100)))
    tracemalloc.start()
    try:
        if at_s > LONGEST_S:
            with pytest.raises(TooLong, match="is too long for one file"):
                wav.write(recording, tmp_path / "out")
            assert not list((tmp_path / "out").iterdir())
        else:
            with wave.open(str(wav.write(recording, tmp_path / "out")[0])) as call:
                assert call.getnframes() == round((at_s + 0.1) * 24_000)
        assert tracemalloc.get_traced_memory()[1] < 30 << 20
    finally:
        tracemalloc.stop()


def test_what_the_caller_spoke_over_is_not_heard_in_the_call_but_whole_in_its_turn(tmp_path):
    manual_off = {"type": "session.update", "session": {"turn_detection": {"type": "server_vad"}}}
    recording = spoken(
        tmp_path,
        (0.0, "sent", manual_off),
        (1.0, "received", delta(4000)),
        (2.0, "received", {"type": "input_audio_buffer.speech_started", "item_id": "i", "audio_start_ms": 0}),
    )
    sound = soundtrack(recording)
    assert [round(piece.end_s, 3) for piece in sound.pieces] == [2.0]
    assert [len(turn.samples) for turn in sound.turns] == [96_000]


def shown(html: str) -> str:
    """The page without its own script and style."""
    return html.replace(assets.script("page"), "").replace(assets.style(), "")


def test_the_page_is_one_file_that_asks_nobody_and_holds_the_call(tmp_path):
    with Cassette.open(CASSETTES / "booking.tape") as cassette:
        recording = Recording.read(CASSETTES / "booking.tape")
        html = page.render(cassette.header, recording, title="booking", tape=b"tape")
    cost = f"${bill(recording, date(2026, 7, 1)).usd:.4f}"
    assert "default-src 'none'" in html and "connect-src" not in html
    assert not re.search(r"\bsrc=|href=|url\(|style=\"|@import", shown(html))
    for told in ("Maria Lopez", "check_availability", "DC-0706-0930", cost, "grok-voice-think-fast-1.0"):
        assert told in shown(html)
    files = json.loads(re.findall(r'id="extras">(.*?)</script>', html)[0])["downloads"]
    assert [(each["name"], each.get("base64")) for each in files] == [
        ("booking.tape", "dGFwZQ=="),
        ("booking.yaml", None),
    ]
    assert Scenario.parse(files[1]["text"]) is not None


def test_the_page_of_a_cassette_gives_the_cassette_back(tmp_path):
    original, out = CASSETTES / "booking.tape", tmp_path / "call.html"
    assert CliRunner().invoke(realtape.main, ["show", str(original), "--html", str(out)]).exit_code == 0
    html = out.read_text(encoding="utf-8")
    (file, _) = json.loads(re.findall(r'id="extras">(.*?)</script>', html)[0])["downloads"]
    (tmp_path / file["name"]).write_bytes(b64decode(file["base64"]))
    assert (tmp_path / "booking.tape").read_bytes() == original.read_bytes()


def test_what_was_said_cannot_become_part_of_the_page(tmp_path):
    nasty = "<script>alert(1)</script>\"'&"
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": nasty}]}
    call = {"type": "response.function_call_arguments.done", "call_id": "c", "name": nasty, "arguments": nasty}
    error = {"type": "error", "error": {"message": nasty}}
    recording = spoken(
        tmp_path,
        (0.0, "sent", {"type": "conversation.item.create", "item": item}),
        (0.1, "received", call),
        (0.2, "received", error),
    )
    html = page.render(HEADER, recording, title=nasty)
    assert [tag for tag in re.findall(r"<script[^>]*>", shown(html)) if "application/json" not in tag] == ["<script>"]
    assert "alert(1)</" not in html and html.count("\\u003cscript\\u003ealert(1)") >= 4
