"""The seam by which code outside a session watches its facts, and may end a response early."""

from __future__ import annotations

from typing import Protocol

from mockserver.protocol.facts import Fact
from replay.cassette.frames import Frame, Sound


class FactObserver(Protocol):
    """Sees each fact of a session while it is rendered. It ends a response by setting `Response.early_end`."""

    def before(self, fact: Fact, at: float) -> None:
        """Called before `fact` is rendered. `at` is seconds since the connection opened."""

    def after(self, fact: Fact, frame: Frame | Sound, at: float) -> None:
        """Called for each frame that `fact` was rendered as."""


class Observable(Protocol):
    """A session, as far as an observer needs to know it."""

    observer: FactObserver | None
    """None, the default, costs one comparison a fact."""
