from __future__ import annotations

from pathlib import Path

import pytest

from mockserver.dialects.base import Opening
from mockserver.dialects.registry import SERVICES
from mockserver.server import recordings as server_recordings
from mockserver.server.recordings import VerbatimReplay
from replay.cassette import file
from replay.cassette.file import Writer
from replay.cassette.frames import Text
from replay.cassette.records import Record, Way
from tests.replay.recordings import HEADER


def test_the_report_names_a_cassette_that_was_shortened_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    writer = Writer(tmp_path / "a.tape", HEADER)
    for at_us in range(100):
        way: Way = "sent" if at_us == 10 else "received"
        writer.write(Record(at_us, 0, way, Text(b'{"type":"x","y":"' + b"a" * 4000 + b'"}')))
    writer.end(100)
    monkeypatch.setattr(file, "MOST_HELD", 0)
    monkeypatch.setattr(server_recordings, "READ_AHEAD", 5)
    played = VerbatimReplay(tmp_path / "a.tape")
    played.peer(SERVICES["xai@2026-07"].open(Opening("0/0", 0.0)))
    with (tmp_path / "a.tape").open("r+b") as cut:
        cut.truncate(1000)
    (line,) = played.report()
    assert "a.tape: shortened since it was opened; record" in line
