"""Client frames, spoilt: a seeded stream of mutations of frames that clients really send.

The corpus is what clients send in the cassettes kept here, and each form of event once more. Not a test: see
parsers.py, which runs it, and test_parsers.py.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from replay.cassette.file import Cassette
from replay.cassette.frames import Text

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 4_000
"""Bytes of a frame of the corpus, and a quarter of those of a spoilt one."""
SOUND = 64
"""Characters that are left of sound: a parser sees nothing in it."""

_NAMES = """
type session item item_id role content text audio input output format rate transport turn_detection threshold
idle_timeout_ms silence_duration_ms tools function name arguments call_id response metadata instructions replace model
response_id voice content_index audio_end_ms previous_item_id event_id id message speed reasoning resumption enabled
conversation output_modalities max_output_tokens tool_choice eagerness transcription language keyterms
""".split()
_VALUES = """
null true false 0 -1 1.5 1e308 1e999 NaN Infinity 9223372036854775808 -0.0 "" "x" "root" "auto" "none" "inf" [] {} [[]]
"server_vad" "semantic_vad" "audio/pcm" "audio/pcmu" "audio/opus" "AAAA" "AAA" "====" "\\ud800" "\\u0000" "realtime"
""".split()
_VALUE = re.compile(r'"(?:[^"\\]|\\.)*"(?=\s*[,}\]])|-?\d+(?:\.\d+)?|true|false|null')
_KEY = re.compile(r'"(\w+)"(?=\s*:)')

_FORMS: tuple[dict[str, Any], ...] = (
    {"type": "input_audio_buffer.append", "audio": "AAAAAAAA"},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear", "event_id": "mine"},
    {"type": "response.cancel", "response_id": "r"},
    {"type": "response.create", "response": {"instructions": "Be brief.", "metadata": {"a": "b"}}},
    {"type": "response.create", "response": {"conversation": "none", "input": [{"type": "item_reference", "id": "i"}]}},
    {"type": "response.create", "response": {"output_modalities": ["text"], "max_output_tokens": 5, "tools": []}},
    {"type": "conversation.item.delete", "item_id": "i"},
    {"type": "conversation.item.retrieve", "item_id": "i"},
    {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 100},
    {
        "type": "conversation.item.create",
        "previous_item_id": "root",
        "item": {"id": "i", "type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAAA"}]},
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "force_message", "interruptible": False, "content": [{"type": "output_text", "text": "Hm."}]},
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "function_call", "name": "look", "arguments": "{}", "call_id": "c"},
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "function_call_output", "call_id": "c", "output": "[1]"},
    },
    {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "voice": "ara",
            "turn_detection": {"type": "server_vad", "threshold": 0.5, "idle_timeout_ms": 6000},
            "resumption": {"enabled": True},
            "replace": {"a": "b"},
            "tools": [{"type": "mcp", "server_label": "s", "server_url": "https://x", "allowed_tools": ["t"]}],
            "audio": {"output": {"format": {"type": "audio/pcm", "rate": 16000}, "transport": "binary", "speed": 1.1}},
        },
    },
    {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "output_modalities": ["text"],
            "max_output_tokens": "inf",
            "tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}],
            "audio": {
                "input": {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}, "noise_reduction": None},
                "output": {"voice": "marin"},
            },
        },
    },
)


@cache
def corpus() -> tuple[bytes, ...]:
    """Frames as bytes, each once, in a fixed order."""
    sent = [frame for path in sorted((ROOT / "cassettes").glob("*.tape")) for frame in _sent(path)]
    forms = [json.dumps(form).encode() for form in _FORMS]
    return tuple(dict.fromkeys(frame for frame in [*forms, *sent] if len(frame) <= LONGEST))


def _sent(path: Path) -> Iterator[bytes]:
    sounds = 0
    for record in Cassette.open(path):
        if record.way == "sent" and isinstance(record.content, Text):
            event = json.loads(record.content.data)
            sounds += "audio" in event
            if "audio" in event:
                event["audio"] = event["audio"][:SOUND]
            if sounds < 3 or "audio" not in event:
                yield json.dumps(event).encode()


def spoilt(seed: str) -> Iterator[str | bytes]:
    """Frames without end; the same seed gives the same ones. Most are nearly right, for those go deepest."""
    rng = random.Random(seed)
    frames = corpus()
    while True:
        frame = rng.choice(frames)
        for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
            frame = rng.choice(_MUTATIONS)(frame, rng)[: 4 * LONGEST]
        yield frame if rng.random() < 0.05 else frame.decode(errors="replace" if rng.random() < 0.5 else "ignore")


Mutation = Callable[[bytes, random.Random], bytes]


def _flip(frame: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(frame) or 1)
    return frame[:at] + bytes((rng.randrange(256),)) + frame[at + 1 :]


def _cut(frame: bytes, rng: random.Random) -> bytes:
    begin, end = sorted(rng.randrange(len(frame) + 1) for _ in range(2))
    return frame[:begin] + frame[end:]


def _repeat(frame: bytes, rng: random.Random) -> bytes:
    begin, end = sorted(rng.randrange(len(frame) + 1) for _ in range(2))
    return frame[:end] + frame[begin:end] * rng.randint(1, 20) + frame[end:]


def _splice(frame: bytes, rng: random.Random) -> bytes:
    other = rng.choice(corpus())
    return frame[: rng.randrange(len(frame) + 1)] + other[rng.randrange(len(other) + 1) :]


def _nest(frame: bytes, rng: random.Random) -> bytes:
    depth = rng.choice((5, 100, 1_500))
    opening, closing = rng.choice((("[", "]"), ('{"a":', "}")))
    return _replaced(_VALUE, frame, rng, opening * depth + "1" + closing * depth)


def _value(frame: bytes, rng: random.Random) -> bytes:
    return _replaced(_VALUE, frame, rng, rng.choice(_VALUES))


def _key(frame: bytes, rng: random.Random) -> bytes:
    return _replaced(_KEY, frame, rng, json.dumps(rng.choice(_NAMES)))


def _add_key(frame: bytes, rng: random.Random) -> bytes:
    return _replaced(_KEY, frame, rng, f"{json.dumps(rng.choice(_NAMES))}: {rng.choice(_VALUES)}, " + r'"type"')


def _replaced(what: re.Pattern[str], frame: bytes, rng: random.Random, by: str) -> bytes:
    text = frame.decode(errors="surrogateescape")
    found = list(what.finditer(text))
    if not found:
        return frame
    chosen = rng.choice(found)
    return (text[: chosen.start()] + by + text[chosen.end() :]).encode(errors="surrogateescape")


_MUTATIONS: tuple[Mutation, ...] = (_value, _value, _value, _key, _add_key, _flip, _cut, _repeat, _splice, _nest)
