"""The call document: what was said and done, where its audio is, how long the caller waited, what went wrong."""

from __future__ import annotations

import json
from array import array
from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from replay.cassette import g711
from replay.cassette.file import Cassette
from replay.cassette.frames import Close
from replay.cassette.recording import Line, Recording
from replay.findings.finding import Finding
from replay.report.soundtrack import Piece, Soundtrack
from replay.viewer import call, loudness
from replay.viewer.call import CallReader
from replay.viewer.loudness import Peaks, sound_of
from replay.viewer.of_recording import document, figures_of, reader_of
from tests.replay.recordings import line

CASSETTES = Path(__file__).parents[3] / "cassettes"
VAD = {"type": "session.update", "session": {"turn_detection": {"type": "server_vad"}}}


def loud(ms, level=8000):
    """Base64 of so much sound at 24 kHz."""
    return b64encode(g711.little_endian(array("h", [level, -level] * int(12 * ms)))).decode()


def append(ms, level=8000):
    return {"type": "input_audio_buffer.append", "audio": loud(ms, level)}


def delta(ms, item="a", response="r"):
    return {"type": "response.output_audio.delta", "delta": loud(ms), "item_id": item, "response_id": response}


def spoken():
    """One turn in real time under server VAD, answered after 500 ms by two seconds of speech that arrive at once."""
    chunks = [(">", 0.1 * n, append(100, 8000 if n < 8 else 0)) for n in range(1, 15)]
    return line(
        ("<", 0.0, {"type": "session.created", "session": {"id": "s1"}}),
        (">", 0.05, VAD),
        *chunks,
        ("<", 1.5, {"type": "input_audio_buffer.speech_started", "item_id": "u", "audio_start_ms": 0}),
        ("<", 1.5, {"type": "input_audio_buffer.speech_stopped", "item_id": "u", "audio_end_ms": 1400}),
        ("<", 1.5, {"type": "input_audio_buffer.committed", "item_id": "u"}),
        ("<", 1.6, {"type": "response.created", "response": {"id": "r"}}),
        ("<", 2.0, delta(1000)),
        ("<", 2.1, {"type": "response.output_audio_transcript.delta", "item_id": "a", "delta": "Hello."}),
        ("<", 2.1, delta(1000)),
        ("<", 2.2, {"type": "response.done", "response": {"id": "r", "status": "completed"}}),
    )


def read(*lines: Line) -> CallReader:
    return reader_of(Recording("call", "xai", "mock", lines))


def told(reader: CallReader, **more):
    return reader.document(title="call", facts={}, figures=[], **more)


def only(found, **wanted):
    (one,) = [each for each in found if all(each.get(name) == value for name, value in wanted.items())]
    return one


def test_each_item_is_where_its_audio_is():
    items = told(read(spoken()))["items"]
    caller, service = (only(items, kind="said", side=side) for side in ("caller", "service"))
    assert (caller["start_s"], caller["end_s"], caller["text"]) == pytest.approx((0.1, 1.5, ""))
    assert (service["start_s"], service["end_s"], service["text"]) == pytest.approx((2.0, 4.0, "Hello."))
    assert [caller["turn"], service["turn"]] == [1, 2]


def test_the_caller_waits_from_the_end_of_the_voice_to_the_first_audio():
    (bracket,) = told(read(spoken()))["brackets"]
    assert (bracket["lane"], bracket["start_s"], bracket["end_s"]) == ("first audio", pytest.approx(0.8, abs=0.02), 2.0)
    assert bracket["ms"] == pytest.approx(1200, abs=20)


def test_a_turn_that_the_client_commits_is_all_that_it_sent_since_the_last_one():
    committed = line(
        (">", 0.0, append(1000)),
        (">", 0.1, append(500, level=0)),
        (">", 0.2, "input_audio_buffer.commit"),
        ("<", 0.2, {"type": "input_audio_buffer.speech_started", "item_id": "u", "audio_start_ms": 200}),
        ("<", 0.3, {"type": "input_audio_buffer.speech_stopped", "item_id": "u", "audio_end_ms": 300}),
        ("<", 0.3, {"type": "response.created", "response": {"id": "r"}}),
        ("<", 0.3, {"type": "input_audio_buffer.committed", "item_id": "u"}),
        ("<", 2.0, delta(100)),
        ("<", 2.1, {"type": "response.done", "response": {"id": "r", "status": "completed"}}),
        (">", 3.0, "response.create"),
        ("<", 3.0, {"type": "response.created", "response": {"id": "r2"}}),
        ("<", 3.4, delta(100, response="r2")),
    )
    document = told(read(committed))
    item = only(document["items"], side="caller")
    assert (item["start_s"], item["end_s"]) == (0.0, 1.5)
    assert [(each["start_s"], each["ms"]) for each in document["brackets"]] == [(1.0, 1000.0), (3.0, 400.0)]


def test_the_figure_is_the_median_of_the_brackets():
    reader = read(spoken())
    (bracket,) = told(reader)["brackets"]
    figure = dict(figures_of(reader, 0))["median time to first audio"]
    assert figure == f"{bracket['ms']:.0f} ms" != "500 ms"  # 500 ms: since the event `speech_stopped`


def test_without_a_voice_the_wait_begins_with_the_request():
    asked = line(
        (">", 1.0, "response.create"),
        ("<", 1.1, {"type": "response.created", "response": {"id": "r"}}),
        ("<", 1.6, delta(20)),
    )
    (bracket,) = told(read(asked))["brackets"]
    assert (bracket["start_s"], bracket["ms"], bracket["detail"]) == (
        1.0,
        600.0,
        "first audio 600 ms after the service's end of speech, or the request",
    )


def test_spans_are_speech_responses_and_what_was_still_to_be_played():
    spans = told(read(spoken()))["spans"]
    assert [(each["lane"], each["start_s"], each["end_s"]) for each in spans] == [
        ("speech", 0.1, 1.5),
        ("response", 1.6, 2.2),
        ("playback", 2.1, 4.0),
    ]
    assert spans[2]["label"] == "1.9 s ahead"


def test_a_tool_call_has_its_time_and_its_failure():
    output = {"type": "function_call_output", "call_id": "c", "output": '{"error": "no"}'}
    called = {"type": "response.function_call_arguments.done", "call_id": "c", "name": "look", "arguments": '{"a": 1}'}
    document = told(read(line(("<", 1.0, called), (">", 1.25, {"type": "conversation.item.create", "item": output}))))
    tool = only(document["items"], kind="tool")
    assert (tool["ms"], tool["alarm"], tool["frame"], tool["result_frame"]) == (250.0, True, 0, 1)
    assert only(document["brackets"], lane="tool")["ms"] == 250.0
    assert only(document["spans"], lane="tool")["label"] == "look"


def test_a_tool_call_of_the_service_itself_is_one_too():
    item = {"id": "m", "type": "mcp_call", "name": "search", "output": "found"}
    arguments = {"type": "response.mcp_call_arguments.done", "item_id": "m", "arguments": "{}"}
    asked = line(("<", 1.0, arguments), ("<", 1.5, {"type": "response.output_item.done", "item": item}))
    tool = only(told(read(asked))["items"], kind="tool")
    assert (tool["text"], tool["result"], tool["ms"]) == ("search", "found", 500.0)


def test_what_an_interruption_cut_off_is_neither_drawn_nor_played():
    calm = spoken()
    reader = read(calm, line(("<", 9.0, "ping")))
    whole = reader.peaks["received"].columns[:]
    reader = CallReader()
    reader.open(0, calm)
    for moment in calm.moments:
        reader.take(0, moment)
    cancel = line((">", 3.0, "response.cancel")).moments[0]
    reader.take(0, cancel)
    item = only(told(reader)["items"], side="service")
    assert (item["end_s"], len(reader.peaks["received"].columns), len(whole)) == (3.0, 300, 400)
    assert sum(len(piece.samples) for piece in reader.sound.pieces if piece.side == "received") == 24_000


def test_findings_errors_and_faults_are_items_with_their_frames():
    reader = CallReader()
    calm = line(
        ("<", 0.0, {"type": "session.created", "session": {"id": "s1"}}),
        (">", 0.5, "nonsense"),
        ("<", 0.6, {"type": "error", "error": {"message": "no such event"}}),
        (">", 2.0, Close(1011, "broke")),
    )
    reader.open(0, Line(10.0, None, None, ()), skipped=5)
    for moment in calm.moments[:2]:
        reader.take(0, moment)
    reader.struck(0.55, "received", "delay 200ms", "error")
    for moment in calm.moments[2:]:
        reader.take(0, moment)
    finding = Finding("unknown-event", "error", 0.5, 6, "nonsense is unknown", "Correct the name.", "s1")
    gone = Finding("late", "warn", 0.1, 2, "was late", "Be early.", "s1")
    items = told(reader, findings=[finding, gone])["items"]
    assert [(each["kind"], each["text"], each["frame"]) for each in items if each["kind"] != "note"] == [
        ("fault", "delay 200ms at error", 2),
        ("error", "no such event", 3),
        ("error", "the caller hung up (1011 broke)", 4),
        ("finding", "was late", None),
        ("finding", "nonsense is unknown", 1),
    ]
    assert only(items, rule="unknown-event")["alarm"] and not only(items, rule="late")["alarm"]


def test_frames_have_no_audio_and_no_endless_text():
    long = {"type": "session.update", "session": {"instructions": "x" * 9000}}
    document = told(read(line((">", 0.0, append(1000)), (">", 0.1, long), ("<", 0.2, delta(1000)))))
    audio, update, spoken_ = document["frames"]
    assert audio["body"]["audio"].endswith("… (64000 characters)") and spoken_["body"]["delta"].endswith("characters)")
    assert update["body"]["session"]["instructions"].endswith("… (9000 characters)")
    assert max(len(json.dumps(frame)) for frame in document["frames"]) < 5000


def test_a_later_document_leaves_out_the_frames_that_are_known():
    reader = read(spoken())
    assert told(reader)["frames"][5:] == told(reader, since=5)["frames"]
    assert told(reader, since=5)["since"] == 5


def test_frames_and_their_bodies_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(call, "MOST_FRAMES", 3)
    monkeypatch.setattr(call, "MOST_BODIES", 30)
    document = told(read(line(*[("<", float(at), "ping") for at in range(5)])))
    assert ([each["body"] for each in document["frames"]], document["frames_left_out"]) == (
        [{"type": "ping"}, None, None],
        2,
    )


def test_peaks_are_bounded_however_long_the_call_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loudness, "MOST_COLUMNS", 100)
    peaks = Peaks()
    for start_s in (0.0, 5.0, 1e9):
        peaks.add(Piece("sent", start_s, 8000, array("h", [32000, -32768] * 400)))
    assert len(peaks.columns) <= 101 and peaks.per_s < 1e-6
    assert max(peaks.columns) == 255


def test_silence_has_no_end_of_voice():
    peaks = Peaks()
    peaks.add(Piece("sent", 0.0, 8000, array("h", [1] * 8000)))
    assert peaks.voice_end(0.0, 1.0) is None


@pytest.mark.parametrize(("limit", "encoding"), [(1 << 20, "pcm"), (7, "pcmu")])
def test_much_audio_is_played_from_mu_law(limit: int, encoding: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loudness, "MOST_PCM", limit)
    samples = array("h", [0, 1000, -1000, 32000])
    (played,) = sound_of(Soundtrack([Piece("sent", 0.0, 24_000, samples)]))["pieces"]
    used, data = played["encoding"], b64decode(played["data"])
    heard = g711.from_little_endian(data) if encoding == "pcm" else g711.decode(data, "pcmu")
    assert used == encoding
    assert list(heard) == pytest.approx(list(samples), rel=0.05, abs=8)


def test_more_audio_than_a_page_holds_is_not_played(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loudness, "MOST_SOUND", 7)
    assert sound_of(Soundtrack([Piece("sent", 0.0, 24_000, array("h", [1] * 4))]))["pieces"] == []


@pytest.mark.parametrize("name", ["booking", "resumed-booking", "tool-failure", "unclear-audio"])
def test_the_document_of_a_cassette_can_be_drawn(name: str):
    recording = Recording.read(CASSETTES / f"{name}.tape")
    with Cassette.open(CASSETTES / f"{name}.tape") as cassette:
        found = document(cassette.header, recording, reader_of(recording), name)
    assert len(found["frames"]) == sum(len(line.moments) for line in recording.lines)
    assert [frame["at_s"] for frame in found["frames"]] == sorted(frame["at_s"] for frame in found["frames"])
    assert all(
        0 <= each["start_s"] <= each["end_s"] < found["seconds"] + 0.001
        for each in [*found["spans"], *found["brackets"]]
    )
    for item in found["items"]:
        assert item.get("end_s", 0) < found["seconds"] + 0.001
        if item["kind"] == "said":
            assert item["end_s"] > item["start_s"], item
            assert found["frames"][item["frame"]]["key"] == item["key"]
    for channel in found["channels"]:
        assert 0 < len(b64decode(channel["columns"])) <= found["seconds"] * channel["per_s"] + 1
