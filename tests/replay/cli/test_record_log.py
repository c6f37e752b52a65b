"""The lines that `record` writes to stderr."""

from __future__ import annotations

import json
import threading

import click
import pytest

from replay.cli import record_log
from replay.cli.record_log import RecordLog
from replay.outlets import Held
from replay.secrets.named import Secrets


def test_lines_of_json_hold_no_secret(capsys: pytest.CaptureFixture[str]):
    held = Held(Secrets(values=("hush-hush-hush",)))
    log = RecordLog("json")
    log.warn("hush-hush-hush came up")
    log.line({"event": "turn", "at": 1.5, "client": "hush-hush-hush"})
    log.close()
    held.close()
    out, err = capsys.readouterr()
    warned, turn = map(json.loads, err.splitlines())
    assert out == ""
    assert (warned["event"], warned["level"], turn["event"], turn["at"]) == ("log", "warning", "turn", 1.5)
    assert "hush" not in err
    assert "came up" in warned["message"]


def test_text_has_no_lines_for_machines(capsys: pytest.CaptureFixture[str]):
    log = RecordLog("text")
    log.warn("careful")
    log.say("done")
    log.close()
    assert capsys.readouterr().err.splitlines() == ["warning: careful", "done"]


def test_a_reader_that_stops_reading_stops_nothing(monkeypatch: pytest.MonkeyPatch):
    written: list[str] = []
    stuck = threading.Event()

    def echo(line: str, err: bool) -> None:
        stuck.wait(10)
        written.append(line)

    monkeypatch.setattr(click, "echo", echo)
    monkeypatch.setattr(record_log, "WAITING", 3)
    log = RecordLog("json")
    for number in range(10):
        log.line({"number": number})
    stuck.set()
    log.close()
    assert 3 <= len(written) <= 5
    assert "lines were dropped" in json.loads(written[-1])["message"]
