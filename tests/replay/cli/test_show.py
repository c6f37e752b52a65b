"""What `show`, `scenario` and `import` make of what users have: re-recorded calls, foreign encodings, zip archives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from websockets.sync.client import ClientConnection, connect

import realtape
from mockserver.testing.mock_server import MockServer
from realtape import Scenario
from replay.cassette.file import Writer
from replay.cassette.frames import Text
from replay.cassette.records import Header, Record
from tests.replay.recordings import sound, taped, typed

CASSETTES = Path(__file__).parents[3] / "cassettes"
HEADER = Header("mock", "ws://127.0.0.1/v1/realtime", "xai", None, "2026-07-06T09:00:00Z", "realtape test")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(realtape.main, list(map(str, arguments)))


def until(ws: ClientConnection, kind: str) -> None:
    while json.loads(ws.recv(timeout=10))["type"] != kind:
        pass


def recorded(out: Path, seed: int, pacing: str) -> Path:
    """A call to the mock, recorded with other ids and other times."""
    scenario = Scenario.parse("turns: [{reply: [{say: 'We open at eight. See you soon.'}]}]")
    with MockServer(scenario, seed=seed, pacing=pacing, voice="tone") as mock:
        with connect(f"{mock.ws_url}", additional_headers={"Authorization": f"Bearer {mock.api_key}"}) as ws:
            until(ws, "conversation.created")
            ws.send(json.dumps(typed("Hours?")))
            until(ws, "conversation.item.added")
            ws.send('{"type": "response.create"}')
            until(ws, "response.done")
        return taped(out, mock.sessions[0])


def test_two_recordings_of_the_same_call_show_the_same_stable_lines(tmp_path: Path):
    one, other = recorded(tmp_path / "one.tape", 1, "burst"), recorded(tmp_path / "other.tape", 2, "burst")
    assert one.read_bytes() != other.read_bytes()
    stable = run("show", one, "--stable").output
    assert stable == run("show", other, "--stable").output
    assert " 0 < response.done" in stable
    assert "We open at eight. See you soon." in stable
    assert stable.count("response.output_audio.delta") == 1


def test_appends_that_follow_one_another_are_one_line(tmp_path: Path):
    path = tmp_path / "a.tape"
    writer = Writer(path, HEADER)
    events = [sound(20), sound(20), sound(40), {"type": "input_audio_buffer.commit"}, sound(20)]
    sizes = [len(json.dumps(event)) for event in events]
    for number, event in enumerate(events):
        writer.write(Record(number * 100_000, 0, "sent", Text(json.dumps(event).encode())))
    writer.end(10**6)
    _, run_of_three, commit, alone, totals = run("show", path).output.splitlines()
    assert f"{sum(sizes[:3])}  3 messages until 0.200 s" in run_of_three
    assert "input_audio_buffer.commit" in commit
    assert alone.endswith(str(sizes[4]))
    assert totals.startswith("5 records")


@pytest.mark.parametrize("command", ["show", "scenario", "diff"])
@pytest.mark.slow
def test_output_survives_an_encoding_that_lacks_its_characters(command: str, tmp_path: Path):
    path = tmp_path / "tooth.tape"
    writer = Writer(path, HEADER)
    writer.write(Record(0, 0, "sent", Text(json.dumps(typed("Записал вас 🦷"), ensure_ascii=False).encode())))
    writer.end(1000)
    files = [path, CASSETTES / "booking.tape"] if command == "diff" else [path]
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    arguments = [sys.executable, "-m", "realtape", command, *map(str, files)]
    done = subprocess.run(arguments, env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == (command == "diff"), done.stderr
    if command == "scenario":
        assert yaml.safe_load(done.stdout.decode("cp1252"))["name"] == "tooth"


def zipped(out: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_", "."), data)
    return out


def test_a_zipped_har_of_playwright_is_imported(tmp_path: Path):
    har = tmp_path / "har.har"
    run("export", CASSETTES / "booking.tape", "--har", har)
    archive = zipped(tmp_path / "call.zip", har_har=har.read_bytes(), body_bin=b"\0")
    result = run("import", archive, "--out", tmp_path / "a.tape")
    assert result.exit_code == 0, result.output
    assert run("diff", tmp_path / "a.tape", CASSETTES / "booking.tape").exit_code == 0


@pytest.mark.parametrize(
    ("members", "says"),
    [({}, "a zip archive with 0 HAR files"), ({"a_har": b"{}", "b_har": b"{}"}, "a zip archive with 2 HAR files")],
)
def test_another_zip_archive_is_refused_by_name(members: dict[str, bytes], says: str, tmp_path: Path):
    archive = zipped(tmp_path / "call.zip", **{"note_txt": b"", **members})
    result = run("import", archive, "--out", tmp_path / "a.tape")
    assert result.exit_code == 2
    assert says in result.output


def test_a_broken_zip_archive_is_refused(tmp_path: Path):
    archive = zipped(tmp_path / "call.zip", a_har=b"{}" * 100)
    archive.write_bytes(archive.read_bytes()[:60])
    result = run("import", archive, "--out", tmp_path / "a.tape")
    assert result.exit_code == 2
    assert "a zip archive that cannot be read" in result.output


@pytest.mark.parametrize("command", [("show",), ("show", "--stable"), ("lint",)], ids=" ".join)
def test_nothing_of_a_tape_moves_the_cursor_of_a_terminal(command: tuple[str, ...], tmp_path: Path):
    hostile, lines, tape = "a\x1b[31mb\x07", tmp_path / "call.jsonl", tmp_path / "call.tape"
    events = [
        ("server", {"type": "session.created", "session": {"id": hostile, "model": hostile}}),
        ("client", typed(hostile)),
        ("client", {"type": "session.update", "session": {"tools": [{"function": {"name": hostile}}]}}),
        ("client", {"type": hostile}),
        ("server", {"type": "error", "error": {"message": hostile}}),
    ]
    written = (json.dumps({"t": t, "dir": way, "ev": event}) for t, (way, event) in enumerate(events))
    lines.write_text("\n".join(written))
    assert run("import", lines, "--out", tape).exit_code == 0
    shown = run(*command, tape).output
    assert "a [31mb" in shown
    assert all(line.isprintable() for line in shown.split("\n"))
