"""Every distinct frame that real clients were seen to send: understood by the dialect, and taken by a session.

The folder is `$REALTAPE_CLIENT_FRAMES`, or `../shared/clients/client_frames` beside the checkout; a file
each client and dialect. Where it is missing, the golden files of this repository take its place: see golden.py.
"""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import pybase64
import pytest

from mockserver.protocol.commands import Rejected
from mockserver.responders.base import Call, Say
from tests.conformance.recordings import FRAMES, GOLDEN_FRAMES
from tests.mockserver.talk import Script, Talk

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(FRAMES.glob("*.json")) or sorted(GOLDEN_FRAMES.glob("*.json"))
UNKNOWN = {"openai": {"no.such.event"}, "xai": {"no.such.event", "conversation.item.retrieve"}}
"""Types that the services do not know: of xAI, what is not in its list."""
EXPECTED = ("no active response", "already has an active response", "item_does_not_exist")
"""What a client is told that cancels, asks or deletes too late. Frames here come in another rhythm than live."""


def talk_of(path: Path) -> Talk:
    slots = Call("check_availability", {"service": "cleaning", "date": "2026-12-01"})
    return Talk(Script([Say("One moment."), slots], [Say("Ten o'clock.")]), dialect=service(path))


def service(path: Path) -> str:
    """A file is named for its client and its dialect."""
    return path.stem.rsplit(".", 1)[1]


def frames_of(path: Path) -> list[dict[str, Any]]:
    """A client's frames, with sound where the file tells of sound."""
    frames: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return [{**frame, "audio": heard()} if "audio" in frame else frame for frame in frames]


def heard() -> str:
    """100 ms of a caller's voice, as base64."""
    with wave.open(str(ROOT / "cassettes" / "voices" / "booking-1.wav")) as clip:
        clip.setpos(clip.getframerate())
        return pybase64.b64encode(clip.readframes(2400)).decode()


def fitted(frame: dict[str, Any], talk: Talk) -> dict[str, Any]:
    """The frame with ids of this conversation in place of those of its own."""
    here = {item.id: item for item in talk.session.conversation}
    said = [item.id for item in here.values() if item.kind == "message" and item.role == "assistant"]
    called = [item.call_id for item in here.values() if item.kind == "call"]
    frame = json.loads(json.dumps(frame))
    if frame.get("previous_item_id", "root") not in {"root", *here}:
        frame["previous_item_id"] = list(here)[-1]
    if frame.get("item_id", "item_does_not_exist") not in {"item_does_not_exist", *here}:
        frame["item_id"] = said[-1] if frame["type"] == "conversation.item.truncate" else next(iter(here))
    if "call_id" in frame.get("item", {}):
        frame["item"]["call_id"] = called[-1]
    frame.pop("response_id", None)
    return frame


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_dialect_understands_every_frame(path: Path):
    session = talk_of(path).session
    commands = [(frame, session.dialect.parse(json.dumps(frame), session.settings)) for frame in frames_of(path)]
    refused = [(frame["type"], command) for frame, command in commands if isinstance(command, Rejected)]
    assert [command for kind, command in refused if kind not in UNKNOWN[service(path)]] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_session_takes_every_frame(path: Path):
    talk = talk_of(path)
    for frame in frames_of(path):
        events = talk.send_raw(json.dumps(fitted(frame, talk))) + talk.rest()
        told = [event["error"]["message"] for event in events if event["type"] == "error"]
        wrong = [problem for problem in told if not any(words in problem for words in EXPECTED)]
        assert len(wrong) == (frame["type"] in UNKNOWN[service(path)]), (frame, wrong)
