"""The recordings that a server plays, read and checked: all that can be wrong with them is found here.

Nothing here loads what sessions need, so that `serve` can say early whether it can play them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path

from mockserver.dialects.names import dialect_on
from replay.cassette.file import SUFFIX
from replay.cassette.json_values import number_at
from replay.cassette.may_differ import Ignored, ignored
from replay.cassette.recording import Recording, typed
from replay.formats import detect

_FAR_MS = 4e12
"""Milliseconds since 1970, in the year 2096."""


class EmptyLibrary(Exception):
    """There is nothing to play. The message names the place."""


class Shelf:
    """One recording, or all cassettes of a folder in order of their names.

    `verbatim`: they are to be played frame by frame, at `speed`. `ignore`: what may differ in the client's messages;
    see `ignored`. Raises ValueError for speed or ignore, EmptyLibrary, BadCassette, UnreadableRecording and OSError.
    """

    def __init__(
        self, path: str | os.PathLike[str], ignore: Iterable[str] = (), *, verbatim: bool = False, speed: float = 1.0
    ) -> None:
        if not speed > 0:
            raise ValueError(f"speed {speed} is not above 0; 1 is as recorded, inf at once")
        path = Path(path)
        self.name = path.name
        """Of the file or folder."""
        self.speed = speed
        files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
        found = [each for each in map(detect.read_recording, files) if each.lines]
        if not found:
            raise EmptyLibrary(f"{path}: there is no recorded connection; record one with `realtape record`")
        accepted = [each for each in found if not all(line.refused for line in each.lines)]
        if not accepted and not verbatim:
            raise EmptyLibrary(f"{path}: the service refused every connection in it; play that with --verbatim")
        if not accepted and len(found) > 1:
            raise EmptyLibrary(f"{path}: the service refused every connection in it; play one file of it alone")
        self.recordings = found if verbatim else accepted
        self.is_folder = len(self.recordings) > 1
        by_user = ignored([ignore] if isinstance(ignore, str) else list(ignore))
        self.may_differ = [_may_differ(each, by_user) for each in self.recordings]
        """Of each recording: what may differ from it, by its header and by the user."""
        self.dialect = _dialect_of(self.recordings[0])
        """The dialect of the recorded service, if it is known."""


def _may_differ(recording: Recording, by_user: Ignored) -> Ignored:
    try:
        return ignored(recording.ignore).and_(by_user)
    except ValueError as problem:
        raise ValueError(f"{recording.name}: {problem}") from problem


def _dialect_of(recording: Recording) -> str | None:
    """The dialect of a recording: what it says, else its service. A session of xAI that no mock made has that of its
    day."""
    service = recording.service
    if service != "xai" or recording.origin == "mock":
        return service
    found = (moment for line in recording.lines for _, moment in typed(line.moments, "ping".__eq__))
    instants = (number_at(each.event, "timestamp") for each in found if (each.way, each.type) == ("received", "ping"))
    unix_ms = next((each for each in instants if each is not None and 0 < each < _FAR_MS), None)
    if unix_ms is None:
        return service
    return dialect_on("xai", datetime.fromtimestamp(unix_ms / 1000, timezone.utc).date())
