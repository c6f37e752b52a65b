"""The bar of a command that takes long."""

from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path

import pytest

from replay.cli.progress import PATIENCE_S, Progress, progress


class Terminal(StringIO):
    """A terminal in the place of stderr."""

    def isatty(self) -> bool:
        return True


def test_a_bar_comes_after_two_seconds_and_ends_with_the_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    now_s = [10.0]
    bar = Progress("call.tape", lambda: now_s[0])
    for number in range(1, 5001):
        bar(number, 10_000)
    assert terminal.getvalue() == ""
    now_s[0] += PATIENCE_S
    for number in range(5001, 10_001):
        bar(number, 10_000)
    shown = terminal.getvalue()
    assert "call.tape" in shown
    assert "51%" in shown
    assert "100%" in shown
    assert shown.count("\n") == 1


def test_a_bar_that_is_interrupted_leaves_the_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    bar = Progress("call.tape", iter([0.0, 5.0]).__next__)
    bar(256, 1000)
    assert "25%" in terminal.getvalue()
    bar.close()
    bar.close()
    assert terminal.getvalue().count("\n") == 1


def test_nobody_gets_a_bar_who_is_no_terminal():
    assert progress(Path("call.tape")) is None
