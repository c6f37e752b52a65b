"""The suite of six is what one command makes of it, on every machine and every day."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import realtape
from mockserver.testing.mock_server import MockServer
from realtape.data import cassettes
from realtape.suite import SUITE
from replay.cassette.file import Cassette
from replay.cassette.recording import Recording
from replay.report.transcript import transcript_of

CASSETTES = cassettes()
NAMES = [scripted.name for scripted in SUITE]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_recording_again_gives_the_committed_cassette_byte_for_byte(name, tmp_path: Path):
    result = CliRunner().invoke(realtape.main, ["record-suite", "--out", str(tmp_path), "--only", name])
    assert result.exit_code == 0, result.output
    assert (tmp_path / f"{name}.tape").read_bytes() == (CASSETTES / f"{name}.tape").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_cassette_of_the_suite_is_a_mock_s_and_has_its_scenario(name):
    with Cassette.open(CASSETTES / f"{name}.tape") as cassette:
        assert cassette.header.origin == "mock"
    assert (CASSETTES / "scenarios" / f"{name}.yaml").exists()
    assert CliRunner().invoke(realtape.main, ["check", str(CASSETTES / f"{name}.tape")]).exit_code == 0


@pytest.mark.parametrize(
    ("name", "last", "tools"),
    [
        ("booking", "Your reference is DC-0706-0930. See you then!", 2),
        ("resumed-booking", "Your reference is DC-0706-0930. See you then!", 2),
        ("fully-booked", "You are welcome. Goodbye!", 1),
        ("tool-failure", "May somebody call you back today?", 2),
        ("medical-escalation", "Please stay on the line.", 1),
        ("unclear-audio", "Which one suits you, and what is your name?", 1),
    ],
)
def test_each_conversation_comes_to_its_own_end(name, last, tools):
    transcript = transcript_of(Recording.read(CASSETTES / f"{name}.tape"))
    assert transcript.utterances[-1].text.endswith(last)
    assert [call.result is not None for call in transcript.tool_calls] == [True] * tools


def test_the_lost_connection_is_on_tape_and_the_conversation_taken_up_again():
    notes = [note.text for note in transcript_of(Recording.read(CASSETTES / "resumed-booking.tape")).notes]
    assert notes[:3] == [
        "connection 0 opened",
        "the connection was lost",
        "connection 1 resumed the conversation",
    ]


@pytest.mark.slow
def test_each_conversation_is_a_line_with_its_cost(tmp_path: Path):
    """Of a mock as upstream, as of the live service; the costs are those of the cassettes."""
    only = ("--only", "medical-escalation", "--only", "unclear-audio")
    result = CliRunner().invoke(realtape.main, ["record-suite", "--out", str(tmp_path), *only])
    assert result.exit_code == 0
    costs = {}
    for row in result.output.splitlines():
        file, _, cost = row.rpartition(": ")
        costs[Path(file).stem] = float(cost.removesuffix(" USD"))
    assert sorted(costs) == ["medical-escalation", "unclear-audio"]
    for name, usd in costs.items():
        bill = CliRunner().invoke(realtape.main, ["bill", str(tmp_path / f"{name}.tape"), "--json"])
        assert float(json.loads(bill.stdout)["usd"]) == pytest.approx(usd, abs=1e-4)


@pytest.mark.slow
def test_the_limit_is_that_of_all_conversations_together(tmp_path: Path):
    only = ("--only", "medical-escalation", "--only", "unclear-audio")
    result = CliRunner().invoke(realtape.main, ["record-suite", "--out", str(tmp_path), *only, "--max-usd", "0.012"])
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{tmp_path / 'medical-escalation.tape'}: 0.0101 USD")
    assert result.stderr.startswith("Error: unclear-audio: ")
    assert [path.name for path in tmp_path.iterdir()] == ["medical-escalation.tape"]


@pytest.mark.slow
def test_a_conversation_that_costs_too_much_leaves_the_old_cassette(tmp_path: Path):
    old = tmp_path / "booking.tape"
    old.write_bytes(b"old")
    command = ["record-suite", "--out", str(tmp_path), "--only", "booking", "--max-usd", "0.004"]
    result = CliRunner().invoke(realtape.main, command)
    assert result.exit_code == 1
    assert "the limit of 0.004 USD" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["booking.tape"]
    assert old.read_bytes() == b"old"


@pytest.mark.slow
def test_a_service_given_as_upstream_is_recorded_in_its_own_time_and_without_its_key(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("XAI_API_KEY", "planted-key-planted")
    scenario = CASSETTES / "scenarios" / "medical-escalation.yaml"
    with MockServer(scenario, voice="tone", pacing="burst", api_keys=["planted-key-planted"]) as mock:
        command = ["record-suite", "--upstream", mock.ws_url, "--out", str(tmp_path), "--only", "medical-escalation"]
        result = CliRunner().invoke(realtape.main, command)
        assert result.exit_code == 0, result.output
        requested = mock.ws_url
    with Cassette.open(tmp_path / "medical-escalation.tape") as cassette:
        assert cassette.header.origin == "mock"
        assert requested not in cassette.header.url
    assert b"planted-key" not in (tmp_path / "medical-escalation.tape").read_bytes()


@pytest.mark.slow
def test_without_out_the_cassettes_go_to_a_folder_of_the_current_one(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(realtape.main, ["record-suite", "--only", "medical-escalation"])
    assert result.exit_code == 0, result.output
    assert [path.name for path in (tmp_path / "cassettes").iterdir()] == ["medical-escalation.tape"]


def test_an_upstream_without_a_key_is_refused_before_anything_is_dialled(tmp_path: Path, monkeypatch):
    monkeypatch.delenv("XAI_API_KEY", raising=False)
    command = ["record-suite", "--upstream", "wss://api.x.ai/v1/realtime", "--out", str(tmp_path)]
    result = CliRunner().invoke(realtape.main, command)
    assert result.exit_code == 2
    assert "XAI_API_KEY is not set" in result.output
    assert list(tmp_path.iterdir()) == []
