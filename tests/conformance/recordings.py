"""The recordings that the mock is compared with, and what may be changed in them by rule.

The folder is `$REALTAPE_RECORDINGS`, or `../shared/recordings` beside the checkout; in it, one folder for each dialect.
Where it is missing, the golden skeletons of this repository take its place.
"""

from __future__ import annotations

import base64
import os
import wave
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from replay.cassette.conversation import Conversation, ConversationStep, Message
from replay.formats import pydantic_ai

FOLDER = Path(os.environ.get("REALTAPE_RECORDINGS") or Path(__file__).parents[3] / "shared" / "recordings")
GOLDEN = Path(__file__).parent / "golden"
FRAMES = Path(
    os.environ.get("REALTAPE_CLIENT_FRAMES") or Path(__file__).parents[3] / "shared" / "clients" / "client_frames"
)
GOLDEN_FRAMES = GOLDEN / "clients"
NONE_HERE = pytest.param(None, marks=pytest.mark.skip(f"no recordings in {FOLDER}"), id="none")
"""In place of the recordings, for tests that skeletons cannot serve."""
_HEARD = "conversation.item.input_audio_transcription."
COMMITTED = "input_audio_buffer.committed"
_CLIP = Path(__file__).parents[2] / "cassettes" / "voices" / "booking-1.wav"
_PIECE_BYTES = 4800  # 100 ms of 24 kHz PCM16
_SILENT_PIECES = 15  # enough for every recorded turn detection to find the end of a turn
_LEAST_SOUND_BYTES = 480  # 10 ms of 24 kHz PCM16: no client sends less, a recorder that cuts keeps less


NOT_REPRODUCED: Mapping[str, str] = {}
"""What the mock does not do yet, by recording (`dialect/stem`). No other test plays these.

test_not_reproduced.py fails when the mock reproduces one: take its row out then.
"""


NEED_SOUND = ("xai/push_to_talk_2026_09", "xai/push_to_talk_three_turns_2026_09")
"""Recordings whose skeletons do not play like them: whether the caller has stopped speaking at the commit decides the
order of events, and a skeleton has no sound."""


def recorded(dialect: str) -> list[Path]:
    """The recordings of a dialect (`*`: of all) that the mock reproduces, by name. Empty if there are none here.
    Requests over HTTP without a session are in test_calls_over_http.py."""
    files = [path for path in sorted(FOLDER.glob(f"{dialect}/*.yaml")) if b"kind: message" in path.read_bytes()]
    return [path for path in files if f"{path.parent.name}/{path.stem}" not in NOT_REPRODUCED]


def golden(dialect: str) -> list[Path]:
    """The golden skeletons of a dialect (`*`: of all), by name: see golden.py."""
    return sorted(GOLDEN.glob(f"{dialect}/*.yaml"))


def recordings(dialect: str) -> list[Path]:
    """The recordings of a dialect; where there are none, their golden skeletons."""
    return recorded(dialect) or golden(dialect)


def played_whole(dialect: str) -> list[Path]:
    """The recordings of a dialect that can be played to the end; of skeletons, not those of NEED_SOUND."""
    missing = () if recorded(dialect) else NEED_SOUND
    return [path for path in recordings(dialect) if f"{path.parent.name}/{path.stem}" not in missing]


@cache
def read(path: Path) -> Conversation:
    """The conversation in a file."""
    return pydantic_ai.read(path)


def is_audio(event: Any) -> bool:
    """Whether a client's event carries audio."""
    return bool(event["type"] == "input_audio_buffer.append")


def is_spoken(recording: Conversation) -> bool:
    """Whether the client sends audio."""
    return any(is_audio(event) for event in recording.sent())


def is_whole(recording: Conversation) -> bool:
    """Whether the sent audio is all there: recorders cut payloads to a few dozen bytes."""
    return all(
        len(base64.b64decode(event["audio"])) >= _LEAST_SOUND_BYTES for event in recording.sent() if is_audio(event)
    )


def anonymous(recording: Conversation) -> Conversation:
    """The recording with the client's own words replaced, everywhere, by the order in which it first used them.

    Two clients that do the same with other words are then the same.
    """
    words = {text: f"(words {number})" for number, text in enumerate(dict.fromkeys(_words(recording)), start=1)}

    def other(value: Any) -> Any:
        match value:
            case dict():
                return {key: other(part) for key, part in value.items()}
            case list():
                return [other(part) for part in value]
            case str():
                return words.get(value, value)
            case _:
                return value

    steps = (replace(step, event=other(step.event)) if isinstance(step, Message) else step for step in recording.steps)
    return replace(recording, steps=tuple(steps))


def _words(recording: Conversation) -> list[str]:
    found = []
    for event in recording.sent():
        item = event.get("item", {})
        texts = [
            event.get("session", {}).get("instructions"),
            item.get("output"),
            *(part.get("text") for part in item.get("content", [])),
        ]
        found += [text for text in texts if text]
    return found


@cache
def voice() -> list[Any]:
    """The audio events of a spoken turn: of the first xAI recording that has them whole, else of a clip kept here."""
    whole = [path for path in recorded("xai") if is_spoken(read(path)) and is_whole(read(path))]
    if whole:
        return [event for event in read(whole[0]).sent() if is_audio(event)]
    with wave.open(str(_CLIP)) as clip:
        sound = clip.readframes(clip.getnframes()) + bytes(_PIECE_BYTES * _SILENT_PIECES)
    pieces = (sound[at : at + _PIECE_BYTES] for at in range(0, len(sound), _PIECE_BYTES))
    return [{"type": "input_audio_buffer.append", "audio": base64.b64encode(piece).decode()} for piece in pieces]


def playable(path: Path) -> Conversation:
    """The recording, with a voice where its sound was cut or left out."""
    recording = read(path)
    return recording if not is_spoken(recording) or is_whole(recording) else with_sound(recording, voice())


def while_recorded(recording: Conversation, events: list[Any]) -> list[Any]:
    """What came until the recorder of an OpenAI recording left: most left with the last `response.done`.

    What was heard is transcribed beside the answer, so its events stay, however late they come here.
    """
    if recording.received()[-1]["type"] != "response.done" and not recording.received()[-1]["type"].startswith(_HEARD):
        return events
    last = max(at for at, event in enumerate(events) if event["type"] == "response.done")
    known = {event["type"] for event in recording.received() if event["type"].startswith(_HEARD)}
    return events[: last + 1] + [event for event in events[last + 1 :] if event["type"] in known]


def with_sound(recording: Conversation, sound: list[Any]) -> Conversation:
    """The recording with each of its spoken turns, cut by the recorder, spoken with another recording's sound.

    A turn lasts until the service has committed it. Its first piece of audio is replaced by all the others'.
    """
    steps: list[ConversationStep] = []
    speaking = False
    for step in recording.steps:
        if not isinstance(step, Message) or not is_audio(step.event):
            speaking = speaking and not (isinstance(step, Message) and step.event["type"] == COMMITTED)
            steps.append(step)
        elif not speaking:
            speaking = True
            steps += [Message("sent", event) for event in sound]
    return replace(recording, steps=tuple(steps))
