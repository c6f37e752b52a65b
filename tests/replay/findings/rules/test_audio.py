from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pybase64
import pytest

from mockserver.audio.codecs import resample
from mockserver.audio.wav import read_wav
from replay.cassette import g711
from replay.cassette.records import StrippedAudio
from replay.cassette.strip_audio import tone
from replay.findings import input_audio
from replay.findings.encodings import likely_encoding
from replay.kept import KeptByHash
from tests.mockserver.talk import TONE
from tests.replay.findings.watched_calls import DIALECTS, WatchedCall, watched_call

both = pytest.mark.parametrize("dialect", DIALECTS)
VOICE = TONE.speak("I would like a dental cleaning on the sixth of July, please.").samples
AT_8K = VOICE[::3]
MANUAL: dict[str, object] = {"turn_detection": None}


def sent(call: WatchedCall, data: bytes, size: int = 4800, every: float = 0.1) -> None:
    """Bytes as a microphone sends them, which are not meant to be answered."""
    for at in range(0, len(data), size):
        call.send("input_audio_buffer.append", audio=pybase64.b64encode_as_string(data[at : at + size]))
        call.wait(every)
    call.send("input_audio_buffer.clear")


def mu_law(samples: np.ndarray) -> bytes:
    return g711.encode(g711.from_little_endian(samples.astype("<i2").tobytes()), "pcmu")


def a_law(samples: np.ndarray) -> bytes:
    return g711.encode(g711.from_little_endian(samples.astype("<i2").tobytes()), "pcma")


WRONG = {
    "the audio is G.711": mu_law(np.tile(AT_8K, 3)),
    "but the audio is G.711": a_law(np.tile(AT_8K, 3)),
    "32-bit floats": (VOICE / 32768).astype("<f4").tobytes(),
    "big-endian PCM16": VOICE.astype(">i2").tobytes(),
    "two interleaved channels": np.repeat(VOICE, 2).astype("<i2").tobytes(),
}


@both
@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_pcm_of_one_channel_is_found(dialect: str, what: str):
    with watched_call(dialect, update=MANUAL) as call:
        sent(call, WRONG[what])
    found = [each for each in call.findings if each.rule == "audio-format"]
    assert len(found) == 1
    assert what in found[0].message and found[0].level == "error"


@both
def test_pcm_that_was_declared_as_mu_law_is_found(dialect: str):
    form = {"input": {"format": {"type": "audio/pcmu"}}}
    with watched_call(dialect, update={"audio": form, **MANUAL}) as call:
        sent(call, VOICE.astype("<i2").tobytes(), size=800)
    assert "the audio is PCM16" in next(each.message for each in call.findings if each.rule == "audio-format")


@both
@pytest.mark.parametrize(("type", "coded"), [("audio/pcmu", mu_law), ("audio/pcma", a_law)])
def test_what_is_as_declared_is_fine(dialect: str, type: str, coded: object):
    with watched_call(dialect, update={"audio": {"input": {"format": {"type": type}}}, **MANUAL}) as call:
        sent(call, coded(AT_8K), size=800)  # type: ignore[operator]
    assert call.rules == []


@pytest.mark.parametrize("gain", [0.02, 0.2, 1.0, 8.0])
def test_a_voice_of_any_loudness_is_pcm(gain: float):
    assert likely_encoding(np.clip(VOICE * gain, -32768, 32767).astype("<i2").tobytes(), "audio/pcm") == ""


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_pcm_too(seed: int):
    noise = np.random.default_rng(seed).normal(0, 3000, 24_000)
    assert likely_encoding(noise.astype("<i2").tobytes(), "audio/pcm") == ""


@pytest.mark.parametrize("most", [20, 90, 128, 200, 256])
def test_random_bytes_of_any_loudness_are_not_taken_for_g711(most: int):
    noise = np.random.default_rng(7).integers(0, most, 48_000).astype("u1")
    assert likely_encoding(noise.tobytes(), "audio/pcm") == ""


@pytest.mark.parametrize("seed", range(5))
def test_stereo_of_two_voices_is_left_alone_rather_than_taken_for_something_else(seed: int):
    left = VOICE.astype("<i2")
    both = np.column_stack([left, np.roll(left, 1000 * (seed + 1))]).ravel()
    assert likely_encoding(both.tobytes(), "audio/pcm") in ("", "stereo")


def test_one_channel_of_two_that_is_silent_is_stereo():
    one = np.column_stack([VOICE, np.zeros_like(VOICE)]).ravel()
    assert likely_encoding(one.astype("<i2").tobytes(), "audio/pcm") == "stereo"


def test_a_wav_file_with_its_header_is_found():
    with watched_call("xai", update=MANUAL) as call:
        sent(call, b"RIFF" + bytes(40) + VOICE.tobytes())
    assert [each.message[:40] for each in call.findings] == ["the audio begins as a WAV file does: its"]


def test_half_samples_are_found():
    with watched_call("openai", update=MANUAL) as call:
        sent(call, VOICE.tobytes(), size=4801)
    (found,) = [each for each in call.findings if each.rule == "odd-audio-bytes"]
    assert "odd number of bytes" in found.message


@both
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_a_microphone_at_another_rate_is_known_by_its_pace(dialect: str, rate: int):
    with watched_call(dialect, update=MANUAL) as call:
        sent(call, bytes(2 * rate * 8), size=rate // 10 * 2)
        (found,) = [each for each in call.findings if each.rule == "audio-rate"]
    assert f"recorded at {rate} Hz" in found.message and "24000 Hz are declared" in found.message


@both
def test_a_microphone_at_the_declared_rate_is_fine(dialect: str):
    with watched_call(dialect, update=MANUAL) as call:
        sent(call, np.tile(VOICE, 8).tobytes())
    assert call.rules == []


@pytest.mark.parametrize("every", [0.095, 0.105, 0.11])
def test_a_microphone_whose_timer_is_a_little_off_is_fine(every: float):
    with watched_call("xai", update=MANUAL) as call:
        sent(call, np.tile(VOICE, 8).tobytes(), every=every)
    assert call.rules == []


def test_a_file_that_is_pushed_at_once_is_fine():
    with watched_call("xai", update=MANUAL) as call:
        sent(call, np.tile(VOICE, 8).tobytes(), every=0.0)
    assert call.rules == []


@pytest.mark.parametrize(
    "form",
    [
        '{{"type":"{0}","audio":"{1}"}}',
        '{{"audio": "{1}", "type": "{0}"}}',
        '{{"type":"{0}","audio":"{1}","event_id":"e"}}',
    ],
)
@pytest.mark.parametrize("slash", ["/", "\\/"])
def test_sound_is_measured_however_the_client_writes_its_json(form: str, slash: str):
    coded = pybase64.b64encode_as_string(VOICE.tobytes()[:48_000])
    with watched_call("xai", update=MANUAL) as call:
        call.send_raw(form.format("input_audio_buffer.append", coded.replace("/", slash)))
        assert call.watch is not None
        sound = call.watch.call.audio
        assert (sound.appends, sound.odd, sound.heard_any) == (1, 0, True)
        assert sound.seconds == pytest.approx(1.0, rel=0.03)


@pytest.mark.parametrize("encoding", ["pcm", "pcmu", "pcma"])
@pytest.mark.parametrize("peak", [250, 8000, 32_000])
def test_the_tones_of_a_recording_without_its_sound_are_as_declared(encoding: str, peak: int):
    tones = (tone(StrippedAudio(4800, bytes([pitch]) * 32, encoding, peak)) for pitch in range(16))
    assert [likely_encoding(each * 10, f"audio/{encoding}") for each in tones] == [""] * 16


CLIPS = sorted((Path(__file__).resolve().parents[4] / "cassettes" / "voices").glob("*.wav"))
CALLER = next(path for path in CLIPS if path.stem == "booking-2")


def recorded(path: Path, rate: int) -> bytes:
    """A clip as a microphone of that rate records it."""
    samples, own = read_wav(path)
    return resample(samples, own, rate).astype("<i2").tobytes()


def speeds(call: WatchedCall) -> list[str]:
    return [each.message for each in call.findings if each.rule == "audio-speed"]


@both
@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_three_seconds_of_a_voice_at_another_rate_are_known_by_sound_and_pace(dialect: str, rate: int):
    with watched_call(dialect, update=MANUAL) as call:
        sent(call, recorded(CALLER, rate)[: 2 * 3 * rate], size=rate // 5)
    (told,) = speeds(call)
    assert f"it seems to be recorded at {rate} Hz" in told
    assert "24000 Hz are declared" in told and "and the pace of the stream agrees" in told
    assert re.search(r"\(certainty 9\d\.\d%\)$", told)


@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_a_file_at_another_rate_is_known_by_its_sound_alone(rate: int):
    with watched_call("xai", update=MANUAL) as call:
        sent(call, recorded(CALLER, rate), every=0.0)
    (told,) = speeds(call)
    assert re.search(rf"recorded at ([0-9]+ or )?{rate} Hz", told) and "pace" not in told


@pytest.mark.slow
@pytest.mark.parametrize("every", [0.1, 0.0], ids=["live", "at once"])
@pytest.mark.parametrize("declared", [8_000, 16_000, 24_000, 48_000])
def test_a_voice_at_the_declared_rate_is_fine(declared: int, every: float):
    told = {}
    for path in CLIPS:
        form = {"input": {"format": {"type": "audio/pcm", "rate": declared}}}
        with watched_call("xai", update={"audio": form, **MANUAL}) as call:
            sent(call, recorded(path, declared), size=declared // 5, every=every)
        told[path.stem] = speeds(call)
    assert told == {path.stem: [] for path in CLIPS}


@pytest.mark.parametrize("kind", ["noise", "tone", "hum", "clicks"])
def test_the_speed_of_what_is_no_voice_is_not_judged(kind: str):
    seconds = np.arange(72_000) / 24_000
    sound = {
        "noise": np.random.default_rng(1).normal(0, 3000, 72_000),
        "tone": 8000 * np.sin(2 * np.pi * 440 * seconds),
        "hum": 6000 * sum(np.sin(2 * np.pi * 100 * n * seconds) / n for n in range(1, 8)),
        "clicks": np.where(np.arange(72_000) % 6000 < 40, 20_000, 0),
    }[kind]
    with watched_call("xai", update=MANUAL) as call:
        sent(call, np.asarray(sound).clip(-32768, 32767).astype("<i2").tobytes())
    assert speeds(call) == []


@pytest.mark.pure
@pytest.mark.parametrize("binary", [False, True])
def test_of_a_long_message_one_second_is_listened_to(monkeypatch: pytest.MonkeyPatch, binary: bool):
    heard: list[bytes] = []

    def encoding(data: bytes, declared: str) -> str:
        heard.append(data)
        return ""

    monkeypatch.setattr(input_audio, "likely_encoding", encoding)
    monkeypatch.setattr(input_audio, "_encodings", KeptByHash(2))
    sound = np.random.default_rng(0).integers(-9000, 9000, 30 * 24_000).astype("<i2").tobytes()
    audio = input_audio.InputAudio()
    if binary:
        audio.packet(0.0, sound)
    else:
        coded = pybase64.b64encode_as_string(sound)
        audio.append(0.0, coded, 0, len(coded), True)
    assert [len(each) for each in heard] == [48_000]
    assert any(heard[0] == sound[at : at + 48_000] for at in range(0, len(sound), 4))
