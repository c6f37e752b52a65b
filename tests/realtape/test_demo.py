"""The demo from outside, in virtual time where it would take half a minute."""

from __future__ import annotations

import json
import sys
import wave
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import realtape
from mockserver.server import virtual_time as autojump
from realtape.demo import live_line
from replay.version import install_command


def demo(out: Path, *options: str) -> Result:
    command = ["demo", "--out", str(out), "--voice", "tone", *options]
    return CliRunner().invoke(realtape.main, command, obj=autojump.run)


def seconds(path: Path) -> tuple[float, int]:
    with wave.open(str(path)) as file:
        return file.getnframes() / file.getframerate(), file.getnchannels()


def test_the_demo_books_an_appointment_and_keeps_both_sides(tmp_path: Path):
    result = demo(tmp_path)
    assert result.exit_code == 0, result.output
    assert "Your reference is D, C; zero, seven" in " ".join(result.output.split())
    assert "The mock counted 0." in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"turn-{number}-{who}.wav" for number in (1, 2) for who in ("assistant", "caller")
    ]


@pytest.mark.slow
def test_with_an_open_microphone_the_caller_interrupts_and_the_call_is_kept_in_sound_and_picture(tmp_path: Path):
    pytest.importorskip("PIL")
    result = demo(tmp_path, "--vad")
    assert result.exit_code == 0, result.output
    assert "interrupted   the caller heard" in result.output
    assert "Your reference is D, C; zero, seven" in " ".join(result.output.split())
    length_s, channels = seconds(tmp_path / "call.wav")
    assert 15 < length_s < 40
    assert channels == 2
    assert (tmp_path / "call.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "turn-2-assistant.wav").exists()


@pytest.mark.slow
def test_as_json_it_is_one_object_with_both_bills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    result = demo(tmp_path, "--vad", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["turns"][0]["heard_ms"] > 1000
    assert report["turns"][1]["heard_ms"] is None
    assert Decimal(report["mock_usd"]) == pytest.approx(Decimal(report["usd"]), abs=Decimal("0.00005"))
    assert report["out"] == str(tmp_path)


def test_without_pillow_the_sound_is_kept_and_one_line_says_how_to_get_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "PIL", None)
    result = demo(tmp_path, "--vad")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == f"No picture: Pillow is not installed; {install_command('picture')}"
    assert (tmp_path / "call.wav").exists()
    assert not (tmp_path / "call.png").exists()


def test_a_folder_that_cannot_be_made_is_told_before_the_call(tmp_path: Path):
    (tmp_path / "file").touch()
    result = demo(tmp_path / "file" / "demo")
    assert result.exit_code == 2
    assert "Error: " in result.output


def test_the_lines_of_a_call_that_goes_on():
    heard = {"type": "conversation.item.input_audio_transcription.completed", "transcript": "Hello."}
    assert live_line("received", heard) == "caller     Hello."
    assert live_line("received", heard | {"status": "in_progress"}) is None
    said = {"type": "response.output_audio_transcript.done", "transcript": "Hi."}
    assert live_line("received", said) == "assistant  Hi."
    called = {"type": "response.function_call_arguments.done", "name": "look", "arguments": "{}"}
    assert live_line("received", called) == "tool       look {}"
    item = {"type": "function_call_output", "output": "9:00"}
    assert live_line("sent", {"type": "conversation.item.create", "item": item}) == "result     9:00"
    assert live_line("received", {"type": "ping"}) is None
