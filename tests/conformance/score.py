"""Scores of the mock on recordings: `python -m tests.conformance.score [NAME…]`. See README.md.

NAME is a recording (`xai/text_turn`), a service (`xai`), or the path of another recording in a folder of its service.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from replay.cassette.conversation import Conversation, Message
from replay.diff.compare import Comparison, compared
from tests.conformance.play import Played, dialect_of, play, shared
from tests.conformance.recordings import FOLDER, golden, playable, read
from tests.conformance.sidebands import is_sideband

WORST = 12
"""Kinds of differences that are printed of a recording."""


def scored(path: Path) -> tuple[Comparison, Played]:
    """The mock on one recording."""
    recording = playable(path)
    played = play(recording, dialect_of(recording, path.parent.name))
    basis = shared(read(path))
    if path in golden("*"):
        basis -= {"words"}  # a skeleton has other words, and the numbers of the words that were said
    return compared(recording.received(), played.received, basis), played


def report(path: Path) -> str:
    """A line with the score, and the kinds of differences below it, the most frequent first."""
    name = f"{path.parent.name}/{path.stem}"
    recording = read(path)
    if not is_dialogue(recording):
        return f"  -    {name}: not played (no session from its opening on)"
    found, played = scored(path)
    dialect = dialect_of(recording, path.parent.name)
    basis = ", ".join(sorted(shared(recording)))
    lines = [f"{found.shown_score} {name} as {dialect}: {found.values} values, same {basis}"]
    lines += [f"        waited in vain for {kind}" for kind in played.overdue]
    lines += [f"        {line}" for line in _kinds(found)]
    return "\n".join(lines)


def _kinds(found: Comparison) -> Iterator[str]:
    counted = Counter((each.event, each.kind, each.path) for each in found.differences)
    for (event, kind, path), times in counted.most_common(WORST):
        first = next(each for each in found.differences if (each.event, each.kind, each.path) == (event, kind, path))
        yield f"{times:3} x {event}: {first}"
    if len(counted) > WORST:
        yield f"… and {len(counted) - WORST} more kinds"


def is_dialogue(recording: Conversation) -> bool:
    """Whether it is a session from its opening on, or the sideband of a call; no exchange over HTTP."""
    first = next((step for step in recording.steps if isinstance(step, Message) and step.way == "received"), None)
    return first is not None and (first.event["type"] == "session.created" or is_sideband(recording))


def _chosen(names: Sequence[str]) -> list[Path]:
    files = sorted(FOLDER.glob("*/*.yaml")) or golden("*")
    if not names:
        return files
    found = [path for path in files if {path.parent.name, f"{path.parent.name}/{path.stem}"} & set(names)]
    return [*found, *(Path(name) for name in names if name.endswith(".yaml"))]


if __name__ == "__main__":
    for chosen in _chosen(sys.argv[1:]):
        print(report(chosen), flush=True)  # noqa: T201  # the output of a command
