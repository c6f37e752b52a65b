"""What may differ from a cassette: noted in its header, changed by a command, and valid wherever it is compared."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from websockets.sync.client import connect

import realtape
from mockserver.testing.mock_server import MockServer
from realtape import Say, Scenario
from replay.cassette.file import Cassette, rewrite_header
from tests.replay.recordings import taped, typed

HELLO = Scenario(sequence=[Say("Hello."), Say("Bye.")])


def run(*arguments: object) -> Result:
    return CliRunner().invoke(realtape.main, list(map(str, arguments)))


def call(mock: MockServer, day: str, *texts: str) -> list[dict[str, Any]]:
    got: list[dict[str, Any]] = []
    with connect(mock.ws_url, additional_headers={"Authorization": "Bearer any"}) as ws:
        session = {"instructions": f"Today is {day}. Be kind."}
        ws.send(json.dumps({"type": "session.update", "session": session}))
        for text in texts:
            ws.send(json.dumps(typed(text)))
            ws.send('{"type": "response.create"}')
            while not got or got[-1]["type"] not in ("response.done", "error"):
                got.append(json.loads(ws.recv(timeout=10)))
            got.append({"type": "asked"})
    return got


def recorded(out: Path, day: str = "2026-11-29", *texts: str) -> Path:
    with MockServer(HELLO, pacing="burst") as mock:
        call(mock, day, *texts or ("Hi.",))
        return taped(out, *mock.sessions)


def ignored_by(tape: Path) -> tuple[str, ...]:
    with Cassette.open(tape) as cassette:
        return cassette.header.ignore


def test_the_list_of_each_cassette_is_shown_and_changed(tmp_path: Path):
    one, other = recorded(tmp_path / "one.tape"), recorded(tmp_path / "other.tape")
    assert run("ignore", one, other, "--add", "date", "--add", "session.voice").exit_code == 0
    assert run("ignore", one, "--remove", "date", "--add", "/build [0-9]+/").exit_code == 0
    assert (ignored_by(one), ignored_by(other)) == (("session.voice", "/build [0-9]+/"), ("date", "session.voice"))
    assert run("ignore", other).output == f"{other}: date, session.voice\n"
    assert json.loads(run("ignore", one, other, "--json").output)[str(one)] == ["session.voice", "/build [0-9]+/"]
    assert run("show", other).output.splitlines()[0].endswith("ignore: date, session.voice")
    assert run("show", other, "--stable").output.splitlines()[1:3] == ["ignore: date", "ignore: session.voice"]


def test_what_stands_for_nothing_is_refused_and_no_file_changes(tmp_path: Path):
    tape = recorded(tmp_path / "a.tape")
    before = tape.read_bytes()
    for wrong, advice in (("--add", "none of date, time, id"), ("--remove", "ignored is nothing")):
        result = run("ignore", tape, wrong, "the date")
        assert (result.exit_code, result.stdout) == (2, "")
        assert advice in result.stderr
    assert tape.read_bytes() == before


def test_each_of_several_cassettes_has_its_own(tmp_path: Path):
    recorded(tmp_path / "dated.tape", "2026-11-29", "Hi.")
    recorded(tmp_path / "strict.tape", "2026-11-29", "Bye.")
    assert run("ignore", tmp_path / "dated.tape", "--add", "date").exit_code == 0
    with MockServer(cassette=tmp_path, verbatim=True, speed=math.inf) as mock:
        assert "error" not in [event["type"] for event in call(mock, "2026-11-30", "Hi.")]
        assert mock.report == []
    with MockServer(cassette=tmp_path / "strict.tape", verbatim=True, speed=math.inf) as mock:
        assert call(mock, "2026-11-30", "Bye.")[-2]["type"] == "error"
        assert "session.instructions: expected" in mock.report[0]


def test_a_text_that_may_differ_is_no_finding_in_adaptive_replay(tmp_path: Path):
    tape = recorded(tmp_path / "a.tape", "2026-11-29", "On 2026-11-29, please.")
    for ignore in ([], ["date"], ["item.content"]):
        with MockServer(cassette=tape, pacing="burst", ignore=ignore) as mock:
            call(mock, "2026-11-29", "On 2026-12-24, please.")
            assert [finding.rule for finding in mock.findings] == ([] if ignore else ["unrecorded-turn"])


@pytest.mark.parametrize("pattern", ["/(a+)+b/", "/(/"])
def test_a_header_with_a_pattern_that_cannot_be_used_is_refused(pattern: str, tmp_path: Path):
    with MockServer(HELLO) as mock:
        call(mock, "2026-11-29", "Hi.")
    with pytest.raises(ValueError, match="ignore: "):
        MockServer(cassette=recorded(tmp_path / "a.tape"), ignore=[pattern])


def test_a_header_that_names_what_stands_for_nothing_is_found(tmp_path: Path):
    tape = recorded(tmp_path / "a.tape")
    with Cassette.open(tape) as cassette:
        rewrite_header(tape, replace(cassette.header, ignore=("the date",)))
    assert "a.tape: ignore: 'the date' is none of date" in run("check", tape).output
    with pytest.raises(ValueError, match="a: ignore: 'the date' is none of date"):
        MockServer(cassette=tape)


def test_diff_leaves_out_what_may_differ(tmp_path: Path):
    one, other = recorded(tmp_path / "one.tape"), recorded(tmp_path / "other.tape", "2026-11-30")
    assert run("diff", one, other, "--words").exit_code == 1
    assert run("diff", one, other, "--words", "--ignore", "date").output == "no differences\n"
    assert run("diff", one, other, "--words", "--ignore", "session.instructions").exit_code == 0
    assert run("ignore", one, "--add", "date").exit_code == 0
    assert run("diff", one, other, "--words").exit_code == 0
    assert run("diff", one, other, "--ignore", "/(/").exit_code == 2
