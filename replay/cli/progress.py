"""A bar on the terminal for what takes longer than two seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import click

PATIENCE_S = 2.0
"""Seconds without a bar."""
_STEP = 256
"""Records between two looks at the clock."""


class Progress:
    """The part of a file that was read. It is called with the number of records read, and of all."""

    def __init__(self, label: str, clock: Callable[[], float] = monotonic) -> None:
        self._label = label
        self._clock = clock
        self._begun_s = clock()
        self._bar: Any = None  # the type that click's function returns has no public name

    def __call__(self, number: int, of: int) -> None:
        if number % _STEP and number != of:
            return
        if self._bar is not None:
            self._bar.update(number - self._bar.pos)
            if number == of:
                self.close()
        elif number != of and self._clock() - self._begun_s >= PATIENCE_S:
            self._bar = click.progressbar(length=of, label=self._label, file=sys.stderr)
            self._bar.update(number)

    def close(self) -> None:
        """End the bar, and begin a new line."""
        if self._bar is not None:
            self._bar.render_finish()
            self._bar = None


def progress(file: Path) -> Progress | None:
    """The progress of the command that runs in reading a file; None if nobody looks."""
    if not sys.stderr.isatty() or (context := click.get_current_context(silent=True)) is None:
        return None
    shown = Progress(file.name)
    context.call_on_close(shown.close)
    return shown
