"""What `replay --to` says: of one recording its differences, of a folder a table; and its exit codes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from websockets.sync.client import connect

import realtape
from mockserver.testing.mock_server import MockServer
from realtape import Call, Say, Scenario
from replay.cassette.file import Cassette, Writer, rewrite_header
from replay.cassette.frames import Text
from replay.cassette.records import Header, Record
from tests.replay.recordings import taped, typed

HELLO = Scenario(sequence=[Say("Hello."), Say("Bye.")])
CALLS = Scenario(sequence=[Call("look", {}), Say("Bye.")])
HEADER = Header("mock", "ws://127.0.0.1/v1/realtime", "xai", None, "2026-07-06T09:00:00Z", "realtape test")


def run(*arguments: object) -> Result:
    command = ["replay", *map(str, arguments), "--speed", "1000"]
    return CliRunner(env={"XAI_API_KEY": "", "OPENAI_API_KEY": ""}).invoke(realtape.main, command)


def recorded(out: Path, *texts: str, dialect: str = "xai@2026-09", instructions: str = "Be kind.") -> Path:
    out.parent.mkdir(parents=True, exist_ok=True)
    with MockServer(HELLO, pacing="burst", dialect=dialect) as mock:
        model = "?model=gpt-realtime" if dialect == "openai" else ""
        with connect(f"{mock.ws_url}{model}", additional_headers={"Authorization": "Bearer any"}) as ws:
            ws.send(json.dumps({"type": "session.update", "session": {"instructions": instructions}}))
            for text in texts or ("Hi.",):
                ws.send(json.dumps(typed(text)))
                ws.send('{"type": "response.create"}')
                while json.loads(ws.recv(timeout=10))["type"] != "response.done":
                    pass
        header = Header("mock", mock.ws_url, dialect, None, "2026-07-06T09:00:00Z", "realtape test")
        return taped(out, *mock.sessions, header=header)


@pytest.fixture
def upstream() -> Iterator[str]:
    """A service that behaves as recorded."""
    with MockServer(HELLO, pacing="burst", dialect="xai@2026-09", seed=7) as mock:
        yield mock.ws_url


@pytest.fixture
def drifted() -> Iterator[str]:
    """A service that calls a tool where it spoke."""
    with MockServer(CALLS, pacing="burst", dialect="xai@2026-09", seed=7) as mock:
        yield mock.ws_url


def test_of_one_recording_nothing_differs(upstream: str, tmp_path: Path):
    result = run(recorded(tmp_path / "a.tape"), "--to", upstream)
    assert result.exit_code == 0
    first, last = result.output.splitlines()
    assert first == "no differences"
    assert re.fullmatch(r"\d+ events received, \d+ recorded; the number of deltas may differ", last)


def test_of_one_recording_each_difference_is_a_line(drifted: str, tmp_path: Path):
    result = run(recorded(tmp_path / "a.tape"), "--to", drifted)
    assert result.exit_code == 1
    assert re.match(r"\d+ differences\n#\d+ ", result.output)
    assert "response.function_call_arguments.done" in result.output


def test_one_recording_as_json(upstream: str, tmp_path: Path):
    result = run(recorded(tmp_path / "a.tape"), "--to", upstream, "--json", "--out", tmp_path / "b.tape")
    told = json.loads(result.output)
    assert (told["same"], told["drift"], told["overdue"], told["stopped"]) == (True, [], [], None)
    assert told["out"] == str(tmp_path / "b.tape")
    assert told["seconds"] > 0 < told["usd"]
    assert run("--to", upstream, tmp_path / "b.tape").exit_code == 0


def test_a_folder_is_a_table_with_a_line_for_each_recording(upstream: str, tmp_path: Path):
    for name in ("one/a.tape", "one/b.tape", "two.tape"):
        recorded(tmp_path / name)
    recorded(tmp_path / ".hidden" / "c.tape")
    result = run(tmp_path, "--to", upstream)
    assert result.exit_code == 0
    head, *rows, last = result.output.splitlines()
    assert head.split() == ["verdict", "differences", "seconds", "USD", "recording"]
    assert [(row.split()[0], row.split()[1], row.split()[-1]) for row in rows] == [
        ("same", "0", str(tmp_path / name)) for name in ("one/a.tape", "one/b.tape", "two.tape")
    ]
    assert re.fullmatch(r"3 recordings: 3 same; \d+\.\d s, 0\.0[1-9]\d\d USD", last)


def test_what_differs_and_what_cannot_be_replayed_is_said_of_each(drifted: str, tmp_path: Path):
    recorded(tmp_path / "a.tape")
    (tmp_path / "b.tape").write_bytes(b"no cassette")
    writer = Writer(tmp_path / "c.tape", HEADER)
    writer.write(Record(0, 0, "received", Text(b'{"type": "session.created"}')))
    writer.end(1)
    result = run(tmp_path, "--to", drifted)
    assert result.exit_code == 1
    assert re.search(r"(?m)^failed .*b\.tape: not a cassette", result.output)
    assert "c.tape: the recording has no frame of a client; record a call" in result.output
    assert re.search(r"(?m)^    .*response\..*: expected", result.output)
    assert re.search(r"(?m)^    and \d+ more; --json has them all$", result.output)
    assert re.search(r"(?m)^3 recordings: 1 differs, 2 failed; ", result.output)


def test_a_folder_as_json(drifted: str, tmp_path: Path):
    recorded(tmp_path / "in" / "a.tape")
    (tmp_path / "in" / "b.tape").write_bytes(b"no cassette")
    result = run(tmp_path / "in", "--to", drifted, "--json", "--out", tmp_path / "out")
    told = json.loads(result.output)
    one, other = told["recordings"]
    assert (result.exit_code, told["same"], one["verdict"], other["verdict"]) == (1, False, "differs", "failed")
    assert one["drift"][0].keys() == {"kind", "event", "path", "at", "text"}
    assert "not a cassette" in other["reason"]
    assert told["usd"] == pytest.approx(one["usd"])
    with Cassette.open(one["out"]) as cassette:
        assert len(cassette) > 10


def test_the_limit_is_that_of_all_together(upstream: str, tmp_path: Path):
    for name in "abc":
        recorded(tmp_path / f"{name}.tape")
    result = run(tmp_path, "--to", upstream, "--max-usd", "0.006", "--json")
    told = json.loads(result.output)
    assert result.exit_code == 1
    assert [each["verdict"] for each in told["recordings"]] == ["same", "stopped", "stopped"]
    assert told["recordings"][2]["reason"].startswith("not replayed: ")
    assert told["usd"] < 0.012


def test_recordings_of_another_service_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Nothing is sent to the live service: the only recording is of the other one."""
    recorded(tmp_path / "a.tape", dialect="openai")
    monkeypatch.setenv("MINE", "any")
    result = run(tmp_path, "--to", "wss://api.x.ai/v1/realtime", "--key-env", "MINE")
    assert result.exit_code == 0
    assert "a.tape: recorded from openai" in result.output
    assert result.output.splitlines()[-1] == "1 recording: 1 skipped; 0.0 s, 0.0000 USD"


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["--to", "ws://127.0.0.1:1/v1/realtime"], "start that server"),
        (["--to", "http://127.0.0.1/"], "not a WebSocket address"),
        (["--to", "wss://api.x.ai/v1/realtime"], "XAI_API_KEY is not set"),
        (["--to", "ws://127.0.0.1:1/v1/realtime", "--ignore", "/(/"], "no regular expression"),
    ],
)
def test_a_replay_that_cannot_start_ends_with_2(arguments: list[str], advice: str, tmp_path: Path):
    recorded(tmp_path / "a.tape")
    for path in (tmp_path, tmp_path / "a.tape"):
        result = run(path, *arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert advice in result.stderr


def test_a_folder_without_cassettes_is_bad_input(tmp_path: Path):
    result = run(tmp_path, "--to", "ws://127.0.0.1:1/v1/realtime")
    assert result.exit_code == 2
    assert "there is no cassette; record one" in result.stderr


def test_new_recordings_replace_nothing(upstream: str, tmp_path: Path):
    tape = recorded(tmp_path / "in" / "a.tape")
    for paths in ([tape], [tmp_path / "in"]):
        out = tape if paths == [tape] else tape.parent
        result = run(*paths, "--to", upstream, "--out", out)
        assert result.exit_code == 2
        assert "is there already" in result.stderr


def test_what_may_differ_is_no_drift(tmp_path: Path):
    tape = recorded(tmp_path / "a.tape", instructions="Today is 2026-11-29.")

    def drift(url: str, *options: str) -> list[Any]:
        found: list[Any] = json.loads(run(tape, "--to", url, "--json", *options).output)["drift"]
        return found

    with MockServer(CALLS, pacing="burst", dialect="xai@2026-09") as mock:
        all_of_it = drift(mock.ws_url)
        with Cassette.open(tape) as cassette:
            header = cassette.header
        assert any(each["path"].startswith("response") for each in all_of_it)
        assert len(drift(mock.ws_url, "--ignore", "response")) < len(all_of_it)
        rewrite_header(tape, Header(**{**{n: getattr(header, n) for n in header.__slots__}, "ignore": ("response",)}))
        assert len(drift(mock.ws_url)) < len(all_of_it)
