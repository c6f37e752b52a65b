"""Whether a sound could be speech in its declared format: the shipped clips, sent rightly and wrongly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mockserver.audio import speech_evidence
from mockserver.audio.codecs import decode, encode, resample
from mockserver.audio.degrade import Degradation, degraded
from mockserver.audio.formats import AudioFormat, Samples
from mockserver.audio.speech_evidence import _judge, could_be_speech
from mockserver.audio.wav import read_wav
from replay.findings.speed import Speed, speed_of
from replay.kept import KeptByHash
from tests.mockserver.talk import TONE

VOICES = Path(__file__).resolve().parents[3] / "cassettes" / "voices"
CLIPS = sorted(path.stem for path in VOICES.glob("*.wav") if path.stem != "unclear")
PCM8, PCM16, PCM24, PCM48 = (AudioFormat("pcm", rate) for rate in (8000, 16_000, 24_000, 48_000))
PCMU, PCMA = AudioFormat("pcmu", 8000), AudioFormat("pcma", 8000)


def clip(name: str) -> tuple[Samples, int]:
    return read_wav(VOICES / f"{name}.wav")


def sent(name: str, real: AudioFormat, declared: AudioFormat) -> bool:
    """Whether a clip that is sent in one format could be speech in the declared one."""
    samples, rate = clip(name)
    data = encode(resample(samples, rate, real.rate), real)
    return could_be_speech(decode(data[: len(data) // 2 * 2], declared), declared)


@pytest.mark.parametrize("form", [PCM8, PCM16, PCM24, PCM48, PCMU, PCMA], ids=lambda form: f"{form.kind}{form.rate}")
@pytest.mark.slow
def test_a_caller_in_the_declared_format_could_be_speech(form: AudioFormat):
    assert [name for name in CLIPS if not sent(name, form, form)] == []


@pytest.mark.parametrize("law", [PCMU, PCMA], ids=["pcmu", "pcma"])
@pytest.mark.parametrize("declared", [PCM8, PCM24], ids=["8000", "24000"])
def test_g711_sent_as_pcm_never_is(law: AudioFormat, declared: AudioFormat):
    assert [name for name in CLIPS if sent(name, law, declared)] == []


@pytest.mark.parametrize("real", [PCM8, PCM24], ids=["8000", "24000"])
@pytest.mark.parametrize("law", [PCMU, PCMA], ids=["pcmu", "pcma"])
def test_pcm_sent_as_g711_never_is(real: AudioFormat, law: AudioFormat):
    assert [name for name in CLIPS if sent(name, real, law)] == []


@pytest.mark.parametrize(("real", "declared"), [(PCM8, PCM24), (PCM16, PCM48)], ids=["8 as 24", "16 as 48"])
def test_three_times_too_fast_never_is(real: AudioFormat, declared: AudioFormat):
    assert [name for name in CLIPS if sent(name, real, declared)] == []


@pytest.mark.parametrize(
    ("real", "declared"), [(PCM48, PCM24), (AudioFormat("pcm", 44_100), PCM24)], ids=["48 as 24", "44.1 as 24"]
)
@pytest.mark.slow
def test_half_as_fast_hardly_ever_is(real: AudioFormat, declared: AudioFormat):
    taken = [name for name in CLIPS if sent(name, real, declared)]
    assert len(taken) <= 1, taken


def test_half_as_fast_again_hardly_ever_is():
    taken = [name for name in CLIPS if sent(name, PCM16, PCM24)]
    assert len(taken) <= 2, taken


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
def test_swapped_bytes_and_two_channels_never_are(rate: int):
    taken = []
    for name in CLIPS:
        samples, own = clip(name)
        sound = resample(samples, own, rate)
        taken += [f"{name}, swapped"] * could_be_speech(sound.byteswap(), AudioFormat("pcm", rate))
        taken += [f"{name}, stereo"] * could_be_speech(np.repeat(sound, 2), AudioFormat("pcm", rate))
    assert taken == []


@pytest.mark.parametrize(
    "how",
    [Degradation(telephone=True), Degradation(snr_db=8), Degradation(clip_db=10), Degradation(speed=1.25)],
    ids=["telephone", "noisy", "clipped", "fast"],
)
def test_a_bad_line_is_no_wrong_format(how: Degradation):
    samples, rate = clip("booking-1")
    assert could_be_speech(degraded(samples, rate, how, 1), AudioFormat("pcm", rate))


def test_the_voice_without_installation_counts_as_speech():
    assert could_be_speech(TONE.speak("I would like a dental cleaning on July sixth.").samples, PCM24)


SECONDS = np.arange(48_000) / 24_000
NO_SPEECH = {
    "nothing": np.zeros(0),
    "silence": np.zeros(48_000),
    "white noise": np.random.default_rng(1).normal(0, 3000, 48_000),
    "random bytes": np.random.default_rng(2).integers(-32768, 32767, 48_000),
    "a tone": 8000 * np.sin(2 * np.pi * 440 * SECONDS),
    "hum": 6000 * sum(np.sin(2 * np.pi * 100 * n * SECONDS) / n for n in range(1, 8)),
}


@pytest.mark.parametrize("name", sorted(NO_SPEECH))
def test_what_is_no_voice_never_is(name: str):
    assert not could_be_speech(np.asarray(NO_SPEECH[name]).clip(-32768, 32767).astype(np.int16), PCM24)


def test_the_same_sound_in_the_same_format_is_judged_once(monkeypatch: pytest.MonkeyPatch):
    judged: list[int] = []

    def counting(samples: Samples, rate: int) -> Speed:
        judged.append(rate)
        return speed_of(samples, rate)

    monkeypatch.setattr(speech_evidence, "_judged", KeptByHash(2))
    monkeypatch.setattr(speech_evidence, "speed_of", counting)
    sound = TONE.speak("I would like a dental cleaning on July sixth.").samples
    for _ in range(3):
        assert could_be_speech(sound.copy(), PCM24)
    assert judged == [24_000]
    results = [could_be_speech(sound, form) for form in (PCM16, PCM8, PCM24)]
    assert results == [_judge(sound, form) for form in (PCM16, PCM8, PCM24)]
