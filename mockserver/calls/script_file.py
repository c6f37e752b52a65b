"""Files with the script of a caller: YAML whose key `script` is a list of words and steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from mockserver.calls.script import Entry, StepSection
from mockserver.documents.problems import Problem
from mockserver.documents.reader import Document, read_document, read_text
from mockserver.documents.validation import validated

EXAMPLE = (
    "script:",
    '  - "I need a cleaning."',
    "  - {interrupt: 800ms}",
    "  - {audio: wait.wav}",
    '  - {press: "1#"}',
)


def read_script(path: Path) -> list[Entry]:
    """The entries of a file; `audio` is the path of a WAV file, relative to it. Raises DocumentError with places."""
    document = read_document(read_text(path), str(path))
    document.refuse(_problems(document, path.parent))
    assert isinstance(document.data, dict)
    return [_entry(each, path.parent) for each in document.data["script"]]


def _problems(document: Document, folder: Path) -> Iterator[Problem]:
    data = document.data
    entries = data.get("script") if isinstance(data, dict) else None
    if not isinstance(entries, list) or not entries:
        yield Problem((), "a caller's file has `script`, a list of what the caller does", EXAMPLE)
        return
    for number, entry in enumerate(entries):
        keys = ("script", number)
        if isinstance(entry, str):
            continue
        if not isinstance(entry, dict):
            yield Problem(keys, "an entry is words, or a step such as {press: 1}")
            continue
        _, problems = validated(Document(dict(entry), "", {}), StepSection)
        yield from (replace(each, keys=(*keys, *each.keys)) for each in problems)
        if isinstance(sound := entry.get("audio"), str) and not (folder / sound).is_file():
            yield Problem((*keys, "audio"), f"there is no file {sound!r} beside this one")


def _entry(entry: str | Mapping[str, object], folder: Path) -> Entry:
    if isinstance(entry, Mapping) and isinstance(sound := entry.get("audio"), str):
        return folder / sound
    return entry
