"""What whoever starts the application may give it: something that makes the page of one recorded call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from clinic_agent.call.turn import Event

Frames = Sequence[tuple[float, str, Event]]
"""Seconds since the beginning of the call, `sent` or `received`, event."""


class Action(NamedTuple):
    """A link on the page of a call, or, if it `posts`, a button that sends an empty form there."""

    label: str
    address: str
    posts: bool = False


class CallPage(Protocol):
    """Makes the page of a call from its frames. Returns the HTML and its Content-Security-Policy.

    `facts`, `figures`: names and values that are known of the call, words and numbers. `alerts`: sentences that the
    reader must see.
    """

    def __call__(
        self,
        *,
        title: str,
        facts: Mapping[str, str],
        figures: Mapping[str, str],
        alerts: Sequence[str],
        actions: Sequence[Action],
        frames: Frames,
    ) -> tuple[str, str]: ...
