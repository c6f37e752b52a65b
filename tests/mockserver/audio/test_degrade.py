from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from mockserver.audio.degrade import Degradation, degrade, speech_rms
from mockserver.audio.formats import Samples
from mockserver.audio.tts.tone import Tone
from mockserver.audio.wav import read_wav, write_wav
from mockserver.cli.degrade import degrade as degrade_command
from mockserver.cli.say import say

RATE = 24_000
SPOKEN = Tone().speak("I would like a cleaning. On July sixth, please.").samples


def level_db(samples: Samples) -> float:
    return 20 * float(np.log10(np.sqrt(np.mean(samples.astype(np.float64) ** 2))))


def band_db(samples: Samples, low_hz: float, high_hz: float) -> float:
    """Energy between two frequencies over that of the whole."""
    energy = np.abs(np.fft.rfft(samples.astype(np.float64))) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / RATE)
    return 10 * float(np.log10(float(energy[(hz >= low_hz) & (hz < high_hz)].sum()) / float(energy.sum()) + 1e-12))


def test_nothing_asked_for_changes_nothing() -> None:
    assert degrade(SPOKEN, RATE).tobytes() == SPOKEN.tobytes()


@pytest.mark.parametrize("noise", ["pink", "white"])
@pytest.mark.parametrize("snr_db", [20.0, 0.0, -10.0])
def test_noise_is_as_far_below_the_speech_as_asked(snr_db: float, noise) -> None:
    made = degrade(SPOKEN, RATE, snr_db=snr_db, noise=noise).astype(np.float64)
    gain = float(made @ SPOKEN) / float(SPOKEN.astype(np.float64) @ SPOKEN)  # the mix may have been turned down
    rest = made - gain * SPOKEN
    speech = gain * speech_rms(SPOKEN.astype(np.float64), RATE)
    assert 20 * np.log10(speech / np.sqrt(np.mean(rest**2))) == pytest.approx(snr_db, abs=0.5)
    assert np.abs(made).max() <= 32767


def test_pauses_are_no_part_of_the_speech_level() -> None:
    padded = np.concatenate([np.zeros(5 * RATE), SPOKEN, np.zeros(5 * RATE)])
    assert speech_rms(padded, RATE) == pytest.approx(speech_rms(SPOKEN.astype(np.float64), RATE), rel=0.02)


def test_pink_noise_is_deeper_than_white() -> None:
    silence = np.where(np.arange(RATE) < 10, 100, 0).astype(np.int16)  # a click, so that there is a level
    pink, white = (degrade(silence, RATE, snr_db=-20, noise=kind) for kind in ("pink", "white"))
    assert band_db(pink, 0, 1000) > band_db(white, 0, 1000) + 6


def test_a_telephone_lets_the_voice_band_through_and_nothing_else() -> None:
    hiss = np.random.default_rng(1).normal(0, 3000, 2 * RATE).astype(np.int16)
    made = degrade(hiss, RATE, telephone=True)
    assert len(made) == len(hiss)
    assert band_db(made, 0, 200) < -25
    assert band_db(made, 3700, 12_000) < -25
    assert band_db(made, 300, 3400) > -0.3


@pytest.mark.slow
def test_a_telephone_keeps_the_words_in_their_place() -> None:
    made = degrade(SPOKEN, RATE, telephone=True).astype(np.float64)
    likeness = np.correlate(made, SPOKEN[500:-500].astype(np.float64), "valid")
    assert abs(int(np.argmax(likeness)) - 500) <= 6  # samples: two of the telephone's


def test_clipping_flattens_the_loudest_samples() -> None:
    made = degrade(SPOKEN, RATE, clip_db=12)
    assert (np.abs(made.astype(int)) >= 32767).mean() > 0.02
    assert level_db(made) > level_db(SPOKEN) + 6
    assert (np.abs(SPOKEN.astype(int)) >= 32767).mean() == 0


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_dropouts_silence_their_share_in_whole_packets(share: float) -> None:
    tone = np.full(600 * RATE // 10, 1000, np.int16)
    made = degrade(tone, RATE, dropouts=share)
    packets = made.reshape(-1, RATE // 50)
    lost = ~packets.any(axis=1)
    assert lost.mean() == pytest.approx(share, rel=0.25)
    assert (packets[~lost] == 1000).all()
    bursts = sum(now and not before for before, now in pairwise([False, *lost]))
    assert 2 < lost.sum() / bursts < 4.5


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.3, 2.0])
def test_speed_changes_the_length_and_not_the_pitch(speed: float) -> None:
    at = np.arange(2 * RATE)
    sound = (8000 * np.sin(2 * np.pi * 200 / RATE * at)).astype(np.int16)
    made = degrade(sound, RATE, speed=speed)
    assert len(made) == round(len(sound) / speed)
    loudest = np.argmax(np.abs(np.fft.rfft(made[2000:-2000].astype(np.float64), 8 * RATE))) / 8
    assert loudest == pytest.approx(200, abs=3)
    assert level_db(made[2000:-2000]) == pytest.approx(level_db(sound), abs=0.5)


def test_a_seed_gives_the_same_sound_and_another_seed_another() -> None:
    first, again, other = (degrade(SPOKEN, RATE, snr_db=10, dropouts=0.1, seed=seed).tobytes() for seed in (3, 3, 4))
    assert first == again != other


@pytest.mark.parametrize(
    ("setting", "advice"),
    [
        ({"snr_db": 61}, "-20 to 60; 20 dB is a quiet office"),
        ({"snr_db": float("nan")}, "-20 to 60"),
        ({"clip_db": -1}, "0 to 40; 0 clips nothing"),
        ({"dropouts": 0.6}, "0 to 0.5"),
        ({"speed": 2.1}, r"0\.5 to 2; 1\.0 is as spoken"),
        ({"noise": "brown"}, "use pink or white"),
    ],
)
def test_a_setting_out_of_range_says_what_it_may_be(setting: dict[str, float], advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        Degradation(**setting)  # type: ignore[arg-type]


def test_noise_over_silence_and_rates_below_8_khz_are_refused() -> None:
    with pytest.raises(ValueError, match="the sound is silent"):
        degrade(np.zeros(100, np.int16), RATE, snr_db=10)
    with pytest.raises(ValueError, match="8000 Hz is the least"):
        degrade(SPOKEN, 4000, telephone=True)


@pytest.mark.parametrize("count", [0, 1, 7, 500])
def test_very_short_sounds_are_no_trouble(count: int) -> None:
    sound = np.ones(count, np.int16)
    assert len(degrade(sound, RATE, telephone=True, clip_db=3, dropouts=0.1)) == count
    assert len(degrade(sound, RATE, speed=0.5)) == 2 * count


# --- The commands ---


def run(command, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(each) for each in arguments])


def test_degrade_writes_the_same_as_the_function_at_the_rate_of_the_file(tmp_path: Path) -> None:
    clear, bad = tmp_path / "clear.wav", tmp_path / "bad.wav"
    write_wav(clear, SPOKEN, 16_000)
    result = run(degrade_command, clear, "--out", bad, "--snr", 5, "--telephone", "--seed", 7, "--json")
    assert result.exit_code == 0, result.output
    samples, rate = read_wav(bad)
    assert json.loads(result.stdout) == {"out": str(bad), "seconds": round(len(SPOKEN) / 16_000, 3)}
    assert (rate, samples.tobytes()) == (
        16_000, degrade(SPOKEN, 16_000, snr_db=5, telephone=True, seed=7).tobytes()
    )  # fmt: skip


def test_say_degrades_what_it_speaks(tmp_path: Path) -> None:
    clear, bad = tmp_path / "clear.wav", tmp_path / "bad.wav"
    for out, how in ((clear, []), (bad, ["--snr", 5])):
        assert run(say, "A cleaning, please.", "--engine", "tone", "--out", out, *how).exit_code == 0
    assert read_wav(bad)[0].tobytes() == degrade(read_wav(clear)[0], RATE, snr_db=5).tobytes()


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["--snr", "99"], "outside -20 to 60"),
        (["--speed", "9"], "outside 0.5 to 2"),
        ([], "nothing to do; give --snr"),
        (["--accent", "scottish"], "realtape say TEXT --accent NAME"),
        (["--telephone", "--out", "no/such/folder/x.wav"], "choose a folder"),
    ],
)
def test_degrade_refuses_what_it_cannot_do(arguments: list[str], advice: str, tmp_path: Path) -> None:
    write_wav(tmp_path / "clear.wav", SPOKEN, RATE)
    result = run(degrade_command, tmp_path / "clear.wav", "--out", tmp_path / "bad.wav", *arguments)
    assert result.exit_code == 2
    assert advice in result.stderr


def test_a_file_that_is_no_wav_says_how_to_make_one(tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("notes")
    result = run(degrade_command, tmp_path / "notes.wav", "--out", tmp_path / "bad.wav", "--telephone")
    assert result.exit_code == 2
    assert "ffmpeg" in result.stderr


@pytest.mark.slow
def test_an_accent_is_espeak_s(tmp_path: Path) -> None:
    result = run(say, "Hello.", "--out", tmp_path / "x.wav", "--engine", "tone", "--accent", "scottish")
    assert result.exit_code == 2
    assert "accents are those of espeak" in result.stderr
