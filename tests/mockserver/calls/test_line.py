"""A telephone line: frames of 20 ms at 8 kHz, and what it does to sound."""

from __future__ import annotations

import numpy as np

from mockserver.audio.codecs import decode, encode, rms_dbfs
from mockserver.audio.formats import Samples
from mockserver.calls.line import FORMAT, FRAME, SILENCE, Line


def tone(hz: float, rate: int, seconds: float = 0.2) -> Samples:
    return np.rint(8000 * np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate)).astype(np.int16)


def heard_by_caller(samples: Samples) -> Samples:
    line = Line()
    frames = [line.to_caller(samples[at : at + 480]) for at in range(0, len(samples), 480)]
    assert {len(frame) for frame in frames} == {FRAME}
    return decode(b"".join(frames), FORMAT)


def loudness(samples: Samples) -> float:
    return rms_dbfs(samples[len(samples) // 2 :])


def test_a_voice_passes_in_both_directions_at_its_level():
    spoken = tone(1000, 8000)
    line = Line()
    frames = [encode(spoken[at : at + FRAME], FORMAT) for at in range(0, len(spoken), FRAME)]
    heard = np.concatenate([line.to_agent(frame) for frame in frames])
    assert len(heard) == 3 * len(spoken)
    assert abs(loudness(heard) - loudness(spoken)) < 0.3
    assert abs(loudness(heard_by_caller(tone(1000, 24000))) - loudness(tone(1000, 24000))) < 0.3


def test_what_is_above_the_voice_band_does_not_come_back_as_a_lower_tone():
    assert loudness(heard_by_caller(tone(6000, 24000))) < loudness(tone(6000, 24000)) - 40


def test_frames_join_without_a_seam():
    whole = heard_by_caller(tone(440, 24000))[160:].astype(float)
    assert np.abs(np.diff(whole, 2)).max() < 1500  # a seam would be a step of up to 8000


def test_silence_stays_silence_once_the_last_sound_has_passed():
    line = Line()
    assert line.to_caller(None) == SILENCE
    line.to_caller(tone(440, 24000)[:480])
    assert line.to_caller(None) != SILENCE  # what the filter still holds
    assert line.to_caller(None) == SILENCE
    assert not line.to_agent(SILENCE).any()


def test_silence_on_the_line_is_the_code_of_samples_without_sound():
    assert encode(np.zeros(FRAME, np.int16), FORMAT) == SILENCE
