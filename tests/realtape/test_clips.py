"""The callers' clips: what clips.yaml says is there, is sound of the form that the agent takes, and small."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from mockserver.audio.degrade import Degradation
from mockserver.audio.wav import read_wav
from realtape.data import cassettes

VOICES = cassettes() / "voices"
CLIPS = yaml.safe_load((VOICES / "clips.yaml").read_text(encoding="utf-8"))
BY_HAND = {"unclear.wav"}


def test_every_clip_is_in_the_table_and_all_of_them_are_small() -> None:
    files = {path.name: path.stat().st_size for path in VOICES.glob("*.wav")}
    assert files.keys() == CLIPS.keys() | BY_HAND
    assert sum(files.values()) < 1_000_000


@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_is_speech_of_its_words_at_24_khz(name: str) -> None:
    samples, rate = read_wav(VOICES / name)
    words = len(CLIPS[name]["text"].split())
    assert rate == 24_000
    assert 0.2 < len(samples) / rate / words < 0.5  # s a word
    assert 8_000 < np.abs(samples.astype(int)).max() <= 32_767


@pytest.mark.parametrize("name", CLIPS)
def test_the_table_has_settings_that_exist(name: str) -> None:
    Degradation(**{key: value for key, value in CLIPS[name].items() if key not in ("text", "voice", "accent")})
