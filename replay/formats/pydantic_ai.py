"""Reads the WebSocket recordings of pydantic-ai's tests: YAML, `version: 1`, an ordered list of `interactions`.

Each is `{kind: message, direction: sent|received, data: EVENT}`, `{kind: close, code, reason}`, or an HTTP exchange
with `request` and `response`. Newer files have `at`, the seconds since the socket opened; older ones have no times.
Audio may be shortened. realtape does not write this format.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from replay.cassette.conversation import (
    Closed,
    Conversation,
    ConversationStep,
    HttpExchange,
    Message,
    UnreadableRecording,
)

_MOST_BYTES = 256 * 1024 * 1024
_MOST_VALUES = 5_000_000
_DEEPEST = 64
_LATEST_S = 1e6
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
    steps: list[ConversationStep] = []
    exchanges: list[HttpExchange] = []
    for number, interaction in enumerate(document["interactions"], start=1):
        where = f"{source}: interaction {number}"
        match interaction:
            case {"request": {"method": str(), "uri": str()} as request, "response": {"status": int()} as response}:
                _check_json([request, response], where, left)
                exchanges.append(_exchange(interaction, len(steps)))
            case _:
                steps.append(_step(interaction, where, left))
    return Conversation(name, tuple(steps), tuple(exchanges))


def _exchange(interaction: Mapping[str, Any], after: int) -> HttpExchange:
    request, response = interaction["request"], interaction["response"]
    return HttpExchange(
        request["method"],
        request["uri"],
        _headers(request.get("headers")),
        _body(request.get("body")),
        response["status"],
        _headers(response.get("headers")),
        _body(response.get("body")),
        after,
        None if (at := interaction.get("recorded_at")) is None else str(at).replace(" ", "T"),
    )


def _headers(headers: object) -> tuple[tuple[str, str], ...]:
    """A header of each value: newer files list them."""
    if not isinstance(headers, Mapping):
        return ()
    lists = ((name, value if isinstance(value, list) else [value]) for name, value in headers.items())
    return tuple((str(name), value) for name, values in lists for value in values if isinstance(value, str))


def _body(body: object) -> bytes:
    """The bytes of a body; one that the recorder parsed, as JSON."""
    match body:
        case None | {"type": "none"}:
            return b""
        case {"type": "text" | "json", "content": content}:
            return _body(content)
        case str():
            return body.encode("utf-8", "surrogatepass")
        case {"string": str(text)}:
            return text.encode("utf-8", "surrogatepass")
        case _:
            return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _step(interaction: Any, where: str, left: list[int]) -> ConversationStep:
    match interaction:
        case {"kind": "message", "direction": "sent" | "received" as way, "data": {"type": str()} as event}:
            _check_json(event, where, left)
            return Message(way, event, _at_s(interaction, where))
        case {"kind": "close"}:
            code, reason = interaction.get("code"), interaction.get("reason")
            return Closed(
                code if isinstance(code, int) else 1000,
                reason if isinstance(reason, str) else "",
                _at_s(interaction, where),
            )
        case _:
            raise UnreadableRecording(f"{where}: expected a message with direction and typed data, a close, or HTTP")


def _at_s(interaction: Mapping[str, Any], where: str) -> float | None:
    """Seconds since the socket opened, which newer files have."""
    match interaction.get("at"):
        case None:
            return None
        case int() | float() as at if 0 <= at <= _LATEST_S:
            return float(at)
        case other:
            raise UnreadableRecording(f"{where}: `at` is {other!r}; expected seconds since the socket opened")


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
