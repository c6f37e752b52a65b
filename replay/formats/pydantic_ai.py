"""Reads the WebSocket recordings of pydantic-ai's tests: YAML, `version: 1`, an ordered list of `interactions`.

Each is `{kind: message, direction: sent|received, data: EVENT}` or `{kind: close, code, reason}`. The files have no
times, and their audio may be shortened. realtape does not write this format.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from replay.cassette.conversation import Closed, Conversation, ConversationStep, Message, UnreadableRecording

_MOST_BYTES = 256 * 1024 * 1024
_MOST_VALUES = 5_000_000
_DEEPEST = 64
_LOADER: Any = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # the C loader is ten times faster, and not always available


def read(path: Path) -> Conversation:
    """The recording in a file. Raises UnreadableRecording for any other content, OSError if the file cannot be read."""
    if path.stat().st_size > _MOST_BYTES:
        raise UnreadableRecording(f"{path}: more than {_MOST_BYTES} bytes; split the recording")
    return parse(path.read_bytes(), name=path.stem, source=str(path))


def parse(data: bytes | str, *, name: str = "recording", source: str = "recording") -> Conversation:
    """The recording in YAML text. `source` is named in errors. Raises UnreadableRecording."""
    try:
        document = yaml.load(data, _LOADER)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: undecodable bytes
        raise UnreadableRecording(f"{source}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(document, Mapping) or not isinstance(document.get("interactions"), list):
        raise UnreadableRecording(f"{source}: expected a mapping with a list `interactions`")
    if document.get("version", 1) != 1:
        raise UnreadableRecording(f"{source}: version {document['version']!r} is unknown; this reads version 1")
    left = [_MOST_VALUES]
    steps = tuple(
        _step(interaction, f"{source}: interaction {number}", left)
        for number, interaction in enumerate(document["interactions"], start=1)
    )
    return Conversation(name, steps)


def _step(interaction: Any, where: str, left: list[int]) -> ConversationStep:
    match interaction:
        case {"kind": "message", "direction": "sent" | "received" as way, "data": {"type": str()} as event}:
            _check_json(event, where, left)
            return Message(way, event)
        case {"kind": "close"}:
            code, reason = interaction.get("code"), interaction.get("reason")
            return Closed(code if isinstance(code, int) else 1000, reason if isinstance(reason, str) else "")
        case _:
            raise UnreadableRecording(f"{where}: expected a message with direction and typed data, or a close")


def _check_json(value: Any, where: str, left: list[int], depth: int = 0) -> None:
    """YAML has values that JSON has not: dates, and aliases that expand without limit. No event contains them."""
    left[0] -= 1
    if left[0] < 0 or depth > _DEEPEST:
        raise UnreadableRecording(f"{where}: too large or too deep for an event")
    match value:
        case None | bool() | int() | float() | str():
            return
        case list():
            for part in value:
                _check_json(part, where, left, depth + 1)
        case dict():
            for key, part in value.items():
                if not isinstance(key, str):
                    raise UnreadableRecording(f"{where}: key {key!r} is not a string; quote it")
                _check_json(part, where, left, depth + 1)
        case _:
            raise UnreadableRecording(f"{where}: {value!r} is no JSON value; quote it")
