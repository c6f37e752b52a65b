"""The recordings of a command line, read before the server is loaded. Whatever is wrong with them is Unusable."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mockserver.server.shelf import EmptyLibrary, Shelf
from replay.cassette.conversation import UnreadableRecording
from replay.cassette.file import BadCassette
from replay.cli.usage import Unusable


def read(cassette: Path, verbatim: bool, speed: float, ignore: Iterable[str]) -> Shelf:
    """The recordings in a file or folder. Raises Unusable."""
    try:
        return Shelf(cassette, ignore, verbatim=verbatim, speed=speed)
    except (BadCassette, UnreadableRecording, EmptyLibrary, ValueError) as problem:
        raise Unusable(str(problem)) from problem
    except OSError as problem:
        raise Unusable(f"{cassette}: {problem.strerror}; name a cassette or a folder of cassettes") from problem
