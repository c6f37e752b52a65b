"""Reading the recordings that commands are given, in any known format."""

from __future__ import annotations

from pathlib import Path

from replay.cassette.conversation import UnreadableRecording
from replay.cassette.file import BadCassette
from replay.cassette.recording import Recording
from replay.cli.files import no_recording
from replay.cli.progress import progress
from replay.cli.usage import Unusable
from replay.formats.detect import read_recording


def read(file: Path) -> Recording:
    """The recording in a file of any known format. Raises Unusable."""
    try:
        return read_recording(file, progress(file))
    except (BadCassette, UnreadableRecording) as problem:
        raise Unusable(no_recording(file) or str(problem)) from problem
    except OSError as problem:
        raise Unusable(f"{file}: {problem.strerror}; give the path of a recording") from problem
