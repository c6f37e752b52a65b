"""A folder of recordings, and the choice among them: the one whose beginning is most similar to the client's.

A beginning is the first `session.update` and the first turn: what was typed, or how long the user spoke. verbatim.py
plays one recording.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from typing_extensions import Never

from replay.cassette.file import SUFFIX
from replay.cassette.frames import Close, Outgoing, Reset
from replay.cassette.json_values import objects, text_at, value_at
from replay.cassette.recording import Line, Moment, Recording, message
from replay.formats import detect
from replay.playback.matching import ClientIds, SoundClock, field_differences, is_sound
from replay.playback.verbatim import Player

PATIENCE_S = 1.0
"""Seconds without audio after which the first turn counts as ended."""
_COMMITTED = "input_audio_buffer.committed"
_COMPARED = 2_000  # characters of a typed text


class EmptyLibrary(Exception):
    """There is nothing to play. The message names the place."""


def recordings(path: str | os.PathLike[str]) -> list[Recording]:
    """One recording, or all cassettes of a folder in order of their names.

    Raises EmptyLibrary, BadCassette, UnreadableRecording and OSError.
    """
    path = Path(path)
    files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    found = [recording for recording in map(detect.read_recording, files) if recording.lines]
    if not found:
        raise EmptyLibrary(f"{path}: there is no recorded connection; record one with `realtape record`")
    return found


class Beginning:
    """How a conversation began: `session` of the first session.update, then the first turn. `typed`: its text, None if
    spoken.
    """

    def __init__(self) -> None:
        self.session: Any = None
        self.typed: str | None = None
        self.over = False
        """The first turn has ended, as far as the client's messages show it."""
        self._clock = SoundClock()

    @property
    def sound_ms(self) -> float:
        """Milliseconds of audio that the client sent in its first turn."""
        return self._clock.ms

    def take(self, moment: Moment) -> None:
        """A client's message."""
        if self.over:
            return
        self._clock.take(moment)
        if moment.type == "session.update":
            self.session = self.session or (moment.event or {}).get("session")
        elif not is_sound(moment):
            texts = [text_at(part, "text") for part in objects(value_at(moment.event, "item", "content"))]
            self.typed = ("".join(texts) or None) if not self.sound_ms else None
            self.over = True


def beginning(line: Line) -> Beginning:
    """The beginning of a recorded connection."""
    found = Beginning()
    for moment in line.moments:
        if moment.way == "sent" and not isinstance(moment.frame, Close | Reset):
            found.take(moment)
        elif moment.type == _COMMITTED:
            found.over = True
    return found


@dataclass(frozen=True, slots=True, order=True)
class Distance:
    """Distance of two beginnings: the number of differing settings, then the distance of the first turns from 0
    to 2.
    """

    settings: int
    turn: float


def distance(recorded: Beginning, live: Beginning) -> Distance:
    """Smaller is nearer. What the client has not sent yet does not count."""
    settings = 0
    if live.session is not None:
        theirs, ours = ({"type": "", "session": each.session} for each in (recorded, live))
        settings = len(field_differences(theirs, ours, ClientIds(())))
    return Distance(settings, round(_between_turns(recorded, live), 2))


def _between_turns(recorded: Beginning, live: Beginning) -> float:
    if not live.over and not live.sound_ms:
        return 0.0
    if recorded.typed is not None and live.typed is not None:
        ours, theirs = recorded.typed[:_COMPARED], live.typed[:_COMPARED]
        return 1 - SequenceMatcher(None, ours, theirs, autojunk=False).ratio()
    if recorded.typed is not None or live.typed is not None:
        return 2.0
    return abs(recorded.sound_ms - live.sound_ms) / max(recorded.sound_ms, live.sound_ms, 1.0)


def nearest(recorded: Sequence[Beginning], live: Beginning) -> list[int]:
    """The indices of all nearest beginnings, in order. More than one means that they cannot be distinguished so far."""
    distances = [distance(each, live) for each in recorded]
    return [index for index, each in enumerate(distances) if each == min(distances)]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A recorded connection to choose from. `player` makes a new player for it."""

    name: str
    begins: Beginning
    player: Callable[[], Player]


class Chooser:
    """A Peer that chooses among several recorded connections and plays the chosen one.

    Until the choice is clear it plays the first of the nearest. Frames sent by then, at least the greeting, come from
    that one. Audio is held back until the first turn has ended, because its length distinguishes recordings of speech.
    `chosen` is called with the name of the choice, and with the names of others that were as near.
    """

    def __init__(self, candidates: Sequence[Candidate], chosen: Callable[[str, list[str]], None]) -> None:
        self._candidates = candidates
        self._chosen = chosen
        self._live = Beginning()
        self._taken: list[tuple[str | bytes, float]] = []
        self._held: list[tuple[str | bytes, float]] = []
        self._sent = 0
        self._at = 0
        self._decided = False
        self.player = candidates[0].player()
        """The player in use."""

    def receive(self, data: str | bytes, now: float) -> None:
        """Take a client's message."""
        if self._decided:
            self.player.receive(data, now)
            return
        self._live.take(message(data, now))
        self._held.append((data, now))
        longest_ms = max(candidate.begins.sound_ms for candidate in self._candidates)
        if self._live.over or not self._live.sound_ms or self._live.sound_ms > longest_ms:
            self._go_on()

    def lost(self, now: float) -> None:
        """The client has disconnected."""
        self.player.lost(now)

    def next_due(self) -> float | None:
        """When the next frame leaves, or the first turn counts as ended."""
        patience = [self._held[-1][1] + PATIENCE_S] if self._held else []
        due = self.player.next_due()
        return min(patience if due is None else [*patience, due], default=None)

    def take_requests(self) -> Sequence[Never]:
        """It asks for nothing."""
        return ()

    def deliver(self, result: object, now: float) -> None:
        """It waits for nothing."""

    def take_output(self, now: float) -> list[Outgoing]:
        """All frames up to and including `now`."""
        if self._held and now >= self._held[-1][1] + PATIENCE_S:
            self._live.over = True
            self._go_on()
        out = self.player.take_output(now)
        self._sent += len(out)
        return out

    def _go_on(self) -> None:
        """Pass on what was held back, to the recording that is nearest by now."""
        near = nearest([candidate.begins for candidate in self._candidates], self._live)
        if self._at not in near:
            self._at, self.player = near[0], self._candidates[near[0]].player()
            for data, now in self._taken:
                self.player.receive(data, now)
            self.player.skip(self._sent)  # the client has these frames already
        for data, now in self._held:
            self.player.receive(data, now)
        self._taken, self._held = [*self._taken, *self._held], []
        if self._live.over or self._live.sound_ms:
            self._decided = True
            self._chosen(self.player.name, [self._candidates[at].name for at in near if at != self._at])
