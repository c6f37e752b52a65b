"""`clinic phone`: a caller telephones the clinic, offline."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import realtape

pytestmark = pytest.mark.slow


def phone(out: Path, *options: str) -> Result:
    return CliRunner().invoke(realtape.main, ["clinic", "phone", "--out", str(out), "--voice", "tone", *options])


def test_without_words_the_caller_books_and_the_call_is_kept_as_sound_and_as_a_page(tmp_path: Path):
    result = phone(tmp_path)
    assert result.exit_code == 0, result.output
    assert "tool       book_appointment" in result.output
    assert "The assistant hung up after" in result.output
    with wave.open(str(tmp_path / "call.wav")) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 8000)
        assert 30 < file.getnframes() / 8000 < 60
    assert "dental cleaning" in (tmp_path / "call.html").read_text(encoding="utf-8")


def test_words_and_keys_go_in_the_order_of_the_command_line(tmp_path: Path):
    result = phone(tmp_path, "--dialect", "openai", "--say", "How much is a dental cleaning?", "--press", "0", "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["turns"][1]["heard"] == "How much is a dental cleaning?"
    assert (record["phone"]["keys"], record["phone"]["ended"]) == ("0", "transfer")
    assert float(record["usd"]) == pytest.approx(float(record["mock_usd"]), rel=0.05)
