"""Results kept by the hash of a sound."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from replay.findings import speed
from replay.findings.input_audio import InputAudio
from replay.kept import KeptByHash


def test_a_sound_is_looked_at_once_for_each_format_until_others_take_its_place():
    kept: KeptByHash[int] = KeptByHash(2)
    assert [kept.get(b"a", 8000, lambda: 1), kept.get(b"a", 8000, lambda: 2), kept.get(b"a", 16000, lambda: 3)] == [
        1,
        1,
        3,
    ]
    kept.get(b"b", 8000, lambda: 4)
    assert kept.get(b"a", 8000, lambda: 5) == 5


@pytest.mark.pure
def test_the_speed_of_a_clip_is_estimated_once_for_all_sessions(monkeypatch: pytest.MonkeyPatch):
    estimated: list[int] = []

    def speed_of(samples: bytes, rate: int) -> speed.Speed:
        estimated.append(len(samples))
        return speed.Speed()

    monkeypatch.setattr(speed, "speed_of", speed_of)
    pieces = (np.random.default_rng(4471).normal(0, 9000, (30, 2400)).clip(-32768, 32767)).astype("<i2")
    for _ in range(3):
        audio = InputAudio()
        for number, piece in enumerate(pieces):
            text = base64.b64encode(piece.tobytes()).decode()
            audio.append(number / 10, text, 0, len(text), listen=True)
        assert audio.speed is not None
    assert len(estimated) == 2
