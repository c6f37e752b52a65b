from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from websockets.sync.client import connect as connect_sync

import realtape
from mockserver.testing.mock_server import MockServer
from replay.cassette.file import Cassette, Writer
from replay.cassette.frames import Binary, Close, Text
from replay.cassette.records import Content, Dropped, Header, Record, Request, Response

ROOT = Path(__file__).resolve().parents[3]
KEY = "xai-Qm7cT2vB9nX4kLp0wZs8RfYh3JdG6aEu1iOq5tVy"
OPEN: list[tuple[str, Content]] = [
    ("sent", Request("GET", "/v1/realtime?model=grok", ())),
    ("received", Response(101, ())),
    ("received", Text(b'{"type":"session.created","session":{"model":"grok"}}')),
]
ANSWER: list[tuple[str, Content]] = [
    ("received", Text(b'{"type":"response.created","response":{"id":"r1"}}')),
    ("received", Text(b'{"type":"response.output_audio.delta","response_id":"r1","delta":"AAAA"}')),
    ("received", Text(b'{"type":"response.output_audio_transcript.delta","response_id":"r1","delta":"Good day"}')),
    ("received", Text(b'{"type":"response.done","response":{"id":"r1"}}')),
]
END: list[tuple[str, Content]] = [("sent", Close(1000, "")), ("received", Close(1000, ""))]


def tape(path: Path, talk: list[tuple[Any, Content]], *, ended: bool = True, **header: Any) -> Path:
    fields = {"origin": "mock", "url": "ws://127.0.0.1:1/v1/realtime", **header}
    writer = Writer(
        path, Header(dialect="xai", model="grok", recorded_at="2026-07-01T09:00:00+00:00", tool="t", **fields)
    )
    for number, (way, content) in enumerate(talk):
        writer.write(Record(number * 250_000, 0, way, content))
    if ended:
        writer.end(len(talk) * 250_000)
    writer.close()
    return path


def realtape_(*arguments: object, env: dict[str, str] | None = None) -> Result:
    return CliRunner(env=env).invoke(realtape.main, [str(argument) for argument in arguments])


def test_show_lists_the_header_a_line_for_each_record_and_the_totals(tmp_path: Path):
    result = realtape_("show", tape(tmp_path / "a.tape", [*OPEN, *ANSWER, *END]))
    lines = result.output.splitlines()
    assert result.exit_code == 0
    assert lines[0].startswith("version: 1  origin: mock  url: ws://127.0.0.1:1/v1/realtime")
    assert lines[1].split() == ["0.000", "0", ">", "(request)", "0", "GET", "/v1/realtime?model=grok"]
    assert lines[6].split() == ["1.250", "0", "<", "response.output_audio_transcript.delta", "87", "Good", "day"]
    assert lines[-1].startswith("9 records, 2.2 s, 1 connections")


def test_show_as_json_says_the_same(tmp_path: Path):
    told = json.loads(realtape_("show", tape(tmp_path / "a.tape", [*OPEN, *ANSWER, *END]), "--json").output)
    assert told["header"]["origin"] == "mock"
    assert told["complete"] is True
    assert told["records"][5]["type"] == "response.output_audio_transcript.delta"
    assert told["records"][5]["text"] == "Good day"
    assert told["totals"]["records"] == 9


def test_show_of_a_recording_that_was_cut_off_ends_with_where(tmp_path: Path):
    result = realtape_("show", tape(tmp_path / "a.tape", OPEN, ended=False))
    assert result.exit_code == 0
    assert result.output.splitlines()[-1].endswith("a.tape: cut off at 0.5 s, no end mark; record it again")


@pytest.mark.parametrize("command", ["show", "check", "scrub"])
def test_a_file_that_is_no_cassette_is_bad_input(command: str, tmp_path: Path):
    (tmp_path / "a.tape").write_bytes(b"version: 1")
    other, missing = realtape_(command, tmp_path / "a.tape"), realtape_(command, tmp_path / "b.tape")
    assert (other.exit_code, missing.exit_code) == (2, 2)
    assert "not a cassette" in other.output
    assert "No such file" in missing.output
    assert [path.name for path in tmp_path.iterdir()] == ["a.tape"]


def test_check_finds_a_good_cassette_fine(tmp_path: Path):
    result = realtape_("check", tape(tmp_path / "a.tape", [*OPEN, *ANSWER, *END]))
    assert (result.exit_code, result.output) == (0, f"{tmp_path}/a.tape: fine\n")


@pytest.mark.parametrize(
    ("talk", "fields", "reason"),
    [
        ([*OPEN, *ANSWER, *END], {"ended": False}, "cut off at 2.0 s, no end mark"),
        ([*OPEN, *ANSWER, *END], {"origin": "live"}, "labelled live, but ws://127.0.0.1:1/v1/realtime is not a live"),
        ([*OPEN, ANSWER[1], *END], {}, "orphaned audio: response 'r1' was never created"),
        ([*OPEN, *ANSWER, ANSWER[1], *END], {}, "orphaned audio: response 'r1' is over"),
        ([*OPEN, *ANSWER], {}, "connection 0 has no end"),
        ([*ANSWER, *END], {}, "connection 0, which was never opened"),
        ([*OPEN, ("sent", Text(KEY.encode())), *END], {}, "holds a secret (api-key); run `realtape scrub`"),
        ([*OPEN, ("sent", Dropped("text", 9, "too deep")), *END], {}, "text of 9 bytes was not written: too deep"),
    ],
)
def test_check_says_no_and_why(talk: list[tuple[str, Content]], fields: dict[str, Any], reason: str, tmp_path: Path):
    result = realtape_("check", tape(tmp_path / "a.tape", talk, **fields))
    assert result.exit_code == 1
    assert reason in result.output
    assert KEY not in result.output


def test_check_knows_the_keys_of_the_environment(tmp_path: Path):
    path = tape(tmp_path / "a.tape", [*OPEN, ("sent", Text(b'{"text":"correct-horse-battery"}')), *END])
    assert realtape_("check", path).exit_code == 0
    result = realtape_("check", path, "--json", env={"XAI_API_KEY": "correct-horse-battery"})
    assert result.exit_code == 1
    assert list(json.loads(result.output)) == [str(path)]
    assert "correct-horse" not in result.output


def test_scrub_takes_secrets_out_in_place_and_leaves_the_rest(tmp_path: Path):
    frame = b'{"n":1e5,"text":"' + KEY.encode() + b'"}'
    path = tape(tmp_path / "a.tape", [*OPEN, ("sent", Text(frame)), *END])
    before = list(Cassette.open(path))
    result = realtape_("scrub", path)
    assert result.output == f"{path}: 1 × api-key\n"
    with Cassette.open(path) as cassette:
        after = list(cassette)
    assert after[3].content == Text(b'{"n":1e5,"text":"<scrubbed:api-key>"}')
    assert after[:3] + after[4:] == before[:3] + before[4:]
    assert realtape_("check", path).exit_code == 0
    assert [each.name for each in tmp_path.iterdir()] == ["a.tape"]


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        (["--secret-env", "OF_OURS"], b"zebra crossing"),
        (["--secret-pattern", r"case (\d+-\d+)"], b"2026-117"),
        (["--secret-path", "session.metadata.patient"], b"Anna"),
        (["--secret-path", "$.session.metadata[*].*"], b"Anna"),
    ],
)
def test_secrets_that_the_user_names_are_found_and_removed(
    options: list[str], gone: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OF_OURS", "zebra crossing")
    metadata = b'{"patient":["Anna"],"note":"the zebra crossing, case 2026-117"}'
    path = tape(
        tmp_path / "a.tape",
        [*OPEN, ("sent", Text(b'{"type":"session.update","session":{"metadata":' + metadata + b"}}")), *END],
    )
    assert realtape_("check", path).exit_code == 0
    assert realtape_("check", path, *options).exit_code == 1
    assert realtape_("export", path, "--jsonl", tmp_path / "a.jsonl", *options).exit_code == 0
    assert realtape_("scrub", path, *options).exit_code == 0
    assert realtape_("check", path, *options).exit_code == 0
    assert gone not in path.read_bytes() + (tmp_path / "a.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--secret-env", "NOT_SET_HERE"], "NOT_SET_HERE is not set"),
        (["--secret-pattern", "("], "is not a regular expression"),
        (["--secret-pattern", "a*"], "would match everywhere"),
        (["--secret-path", "a..b"], "keys separated by dots"),
    ],
)
def test_a_secret_that_cannot_be_looked_for_is_refused(options: list[str], says: str, tmp_path: Path):
    path = tape(tmp_path / "a.tape", [*OPEN, *END])
    result = realtape_("check", path, *options)
    assert result.exit_code == 2
    assert says in result.output


def test_a_key_in_the_header_is_found_and_removed(tmp_path: Path):
    path = tmp_path / "a.tape"
    writer = Writer(path, Header("mock", "ws://x/v1/realtime", "xai", KEY, "2026-07-10T09:00:00+00:00", "test"))
    writer.end(0)
    assert "the header holds a secret" in realtape_("check", path).output
    for out in (tmp_path / "a.jsonl", tmp_path / "a.har", tmp_path / "a.html"):
        assert realtape_("export", path, f"--{out.suffix[1:]}", out).exit_code == 0
        assert KEY not in out.read_text(encoding="utf-8")
    assert realtape_("scrub", path).exit_code == 0
    assert realtape_("check", path).exit_code == 0
    assert KEY.encode() not in path.read_bytes()


def test_scrub_elsewhere_leaves_the_file_and_a_cut_one_stays_cut(tmp_path: Path):
    path = tape(tmp_path / "a.tape", [*OPEN, ("sent", Binary(b"\x00" + KEY.encode()))], ended=False)
    before = path.read_bytes()
    assert realtape_("scrub", path, "--out", tmp_path / "b.tape", "--json").exit_code == 0
    assert path.read_bytes() == before
    assert KEY.encode() not in (tmp_path / "b.tape").read_bytes()
    with Cassette.so_far(tmp_path / "b.tape") as cassette:
        assert cassette.end_us is None
    assert realtape_("scrub", path, "--out", tmp_path / "b.tape").exit_code == 2


@pytest.mark.parametrize(
    ("mode", "exit_code", "says"),
    [
        ([], 2, "--mode all"),
        (["--mode", "once"], 0, "nothing is recorded"),
        (["--mode", "none"], 0, "nothing is recorded"),
    ],
)
def test_record_does_not_touch_a_cassette_that_is_there(mode: list[str], exit_code: int, says: str, tmp_path: Path):
    path = tape(tmp_path / "a.tape", OPEN)
    before = path.read_bytes()
    result = realtape_("record", "--upstream", "ws://127.0.0.1:1", "--out", path, *mode)
    assert result.exit_code == exit_code
    assert says in result.output
    assert path.read_bytes() == before


def test_record_with_mode_none_and_no_cassette_says_no(tmp_path: Path):
    result = realtape_("record", "--upstream", "ws://127.0.0.1:1", "--out", tmp_path / "a.tape", "--mode", "none")
    assert result.exit_code == 1
    assert "is missing" in result.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--upstream", "http://x", "--out", "a.tape"], "not a WebSocket address"),
        (["--upstream", "wss://api.x.ai", "--out", "no/such/a.tape"], "not a folder that may be written to"),
        (
            ["--upstream", "ws://127.0.0.1:9", "--out", "a.tape", "--max-usd", "1"],
            "cannot be reached",
        ),
        (["--upstream", "wss://api.x.ai", "--out", "a.tape", "--max-usd", "0"], "Invalid value"),
        (["--upstream", "wss://api.x.ai", "--out", "a.tape", "--origin", "live"], "Invalid value"),
    ],
)
def test_record_refuses_what_it_cannot_do(arguments: list[str], says: str, tmp_path: Path, monkeypatch: Any):
    monkeypatch.chdir(tmp_path)
    result = realtape_("record", *arguments, "--port", 0)
    assert result.exit_code == 2
    assert says in result.output
    assert list(tmp_path.iterdir()) == []


@contextmanager
def recording(out: Path, upstream: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, which does not outlive the test."""
    command = [sys.executable, "-m", "realtape", "record", "--upstream", upstream, "--out", str(out), "--port", "0"]
    with subprocess.Popen(
        [*command, *options], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_record_is_ready_relays_and_ends_cleanly_when_interrupted(tmp_path: Path):
    with MockServer(voice="tone", pacing="burst") as mock, recording(tmp_path / "a.tape", mock.ws_url) as process:
        assert process.stdout is not None
        ready, arrow, to = process.stdout.readline().split(" ", 1)[1].split()
        assert (arrow, to) == ("->", mock.ws_url)
        with connect_sync(ready, additional_headers={"Authorization": f"Bearer {KEY}"}) as ws:
            assert json.loads(ws.recv())["type"] == "session.created"
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=10)
        assert process.returncode == 0
        assert f"recorded {tmp_path / 'a.tape'}: 1 connection" in told
    assert KEY.encode() not in (tmp_path / "a.tape").read_bytes()
    result = realtape_("check", tmp_path / "a.tape")
    assert result.output.endswith("fine\n")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_recording_has_what_had_crossed(tmp_path: Path):
    with MockServer(voice="tone") as mock, recording(tmp_path / "a.tape", mock.ws_url, "--json") as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["upstream"] == mock.ws_url
        with connect_sync(ready["ws"], additional_headers={"Authorization": "Bearer k"}) as ws:
            assert [json.loads(ws.recv())["type"] for _ in range(3)][-1] == "ping"
            tape = tmp_path / "a.tape"  # it gets this name when there is a call
            while not tape.exists() or b'"ping"' not in tape.read_bytes():
                assert process.poll() is None  # the ping is on its way from one process to the other
            process.kill()
            process.communicate(timeout=10)
    result = realtape_("show", tmp_path / "a.tape")
    assert " < ping " in result.output
    assert "no end mark" in result.output.splitlines()[-1]


@pytest.mark.slow
def test_record_ends_by_itself_at_the_time_limit(tmp_path: Path):
    options = ("--max-seconds", "0.2", "--log-format", "json")
    with MockServer(voice="tone") as mock, recording(tmp_path / "a.tape", mock.ws_url, *options) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[1]
        with connect_sync(url, additional_headers={"Authorization": "Bearer k"}) as ws:
            assert [json.loads(frame)["type"] for frame in ws][:1] == ["session.created"]
            assert ws.close_reason == "realtape: the limit of 0.2 s is reached"
        _, told = process.communicate(timeout=10)
    assert process.returncode == 0
    lines = [json.loads(line) for line in told.splitlines()]
    assert [line["event"] for line in lines][:3] == ["started", "opened", "closed"]
    assert lines[1]["session"] == lines[2]["session"] != ""
    assert "the limit of 0.2 s is reached" in lines[2]["reason"]
    assert "the limit of 0.2 s is reached" in lines[3]["message"]
