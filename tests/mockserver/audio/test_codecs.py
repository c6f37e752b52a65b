from __future__ import annotations

import hashlib
import io
import math
import struct
import wave
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.audio.codecs import SILENCE_DBFS, audio_format, decode, encode, resample, rms_dbfs
from mockserver.audio.formats import PCM_24K, AudioFormat, Kind, Samples
from mockserver.audio.wav import read_wav, wav_bytes, write_wav

PCM = AudioFormat("pcm", 24000)
ULAW = AudioFormat("pcmu", 8000)
ALAW = AudioFormat("pcma", 8000)
EVERY_SAMPLE = np.arange(-32768, 32768).astype(np.int16)
EVERY_BYTE = bytes(range(256))


def sine(hz: float, rate: int, seconds: float = 1.0, peak: float = 0.5) -> Samples:
    return (32767 * peak * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)).astype(np.int16)


def raw_wav(body: bytes, *, tag: int = 1, channels: int = 1, rate: int = 24000, bits: int = 16) -> bytes:
    frame = channels * bits // 8
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits)
    chunks = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def test_pcm_is_looked_at_where_it_lies_and_not_copied() -> None:
    data = sine(440, 24000).tobytes()
    samples = decode(data, PCM)
    assert np.shares_memory(samples, np.frombuffer(data, np.uint8))
    assert encode(samples, PCM) == data


def test_no_bytes_are_no_samples() -> None:
    assert [len(decode(b"", form)) for form in (PCM, ULAW, ALAW)] == [0, 0, 0]


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="even number of bytes"):
        decode(b"\0\0\0", PCM)


# Digests of the tables that CPython's audioop (3.12 and before) makes of every sample and every byte.
@pytest.mark.parametrize(
    ("form", "encoded", "decoded"),
    [
        (ULAW, "81d633c9e6972a18", "3dab54339e520bb2"),
        (ALAW, "38488f6fd710f468", "e04788d110e58ff8"),
    ],
)
def test_g711_is_exact_for_every_sample_and_every_byte(form: AudioFormat, encoded: str, decoded: str) -> None:
    assert hashlib.sha256(encode(EVERY_SAMPLE, form)).hexdigest()[:16] == encoded
    assert hashlib.sha256(decode(EVERY_BYTE, form).astype("<i2").tobytes()).hexdigest()[:16] == decoded


def test_g711_gives_the_values_of_the_standard() -> None:
    assert encode(np.array([0, 32767, -32768], np.int16), ULAW) == b"\xff\x80\x00"
    assert encode(np.array([0, 32767, -32768], np.int16), ALAW) == b"\xd5\xaa\x2a"
    assert decode(b"\xff\x80\x00", ULAW).tolist() == [0, 32124, -32124]
    assert decode(b"\xd5\xaa\x2a", ALAW).tolist() == [8, 32256, -32256]


@pytest.mark.parametrize("form", [ULAW, ALAW])
def test_g711_keeps_what_it_has_once_coded(form: AudioFormat) -> None:
    once = decode(EVERY_BYTE, form)
    assert decode(encode(once, form), form).tolist() == once.tolist()


def test_opus_has_a_name_but_no_codec() -> None:
    opus = AudioFormat("opus")
    for act in (lambda: encode(EVERY_SAMPLE, opus), lambda: decode(b"", opus), lambda: opus.bytes_per_sample):
        with pytest.raises(ValueError, match="use pcm, pcmu or pcma"):
            act()


@pytest.mark.parametrize(
    ("kind", "rate", "advice"), [("mp3", 8000, "use one of"), ("pcmu", 16000, "8000"), ("pcm", 24001, "44100")]
)
def test_a_format_that_no_service_has_is_refused(kind: str, rate: int, advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        AudioFormat(cast(Kind, kind), rate)


@pytest.mark.parametrize(
    ("media_type", "rate", "expected"),
    [
        ("audio/pcm", None, PCM_24K),
        ("audio/pcm", 8000, AudioFormat("pcm", 8000)),
        ("audio/pcmu", None, ULAW),
        ("audio/pcma", 8000, ALAW),
        ("audio/pcm", 12345, AudioFormat("static")),
        ("audio/opus", None, AudioFormat("opus")),
        ("audio/x-tape", 8000, AudioFormat("static")),
    ],
)
def test_a_session_that_names_an_odd_format_stays_on_pcm(media_type: str, rate: int | None, expected: Any) -> None:
    assert audio_format(media_type, rate) == expected


def test_a_tone_is_still_the_same_tone_at_another_rate() -> None:
    there = resample(sine(440, 24000), 24000, 8000)
    assert len(there) == 8000
    assert np.argmax(np.abs(np.fft.rfft(there))) == 440
    assert rms_dbfs(there) == pytest.approx(rms_dbfs(sine(440, 8000)), abs=0.1)


def test_a_wav_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    samples = sine(440, 16000)
    write_wav(tmp_path / "a.wav", samples, 16000)
    for source in (tmp_path / "a.wav", str(tmp_path / "a.wav"), wav_bytes(samples, 16000)):
        back, rate = read_wav(source)
        assert (back.tolist(), rate) == (samples.tolist(), 16000)


@pytest.mark.parametrize(
    ("bits", "body"),
    [
        (8, b"\x80\x00\xff"),
        (16, struct.pack("<3h", 0, -32768, 0x7F00)),
        (24, b"\0\0\0" + b"\x99\x00\x80" + b"\x99\x00\x7f"),
        (32, struct.pack("<3i", 0, -(2**31), 0x7F000000)),
    ],
)
def test_every_width_of_pcm_is_read(bits: int, body: bytes) -> None:
    assert read_wav(raw_wav(body, bits=bits))[0].tolist() == [0, -32768, 0x7F00]


def test_stereo_is_mixed_down_without_overflow() -> None:
    body = struct.pack("<6h", 32767, 32767, 100, -100, 1000, 0)
    assert read_wav(raw_wav(body, channels=2))[0].tolist() == [32767, 0, 500]


@pytest.mark.parametrize("data", [b"", b"RIFF", b"ID3 not a wav at all", wav_bytes(EVERY_SAMPLE, 8000)[:30]])
def test_what_is_no_wav_is_refused_with_advice(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"WAV data: .*save it as 16-bit PCM WAV"):
        read_wav(data)


@pytest.mark.parametrize("tag", [3, 7, 0xFFFE])
def test_float_ulaw_and_extensible_wav_are_refused_on_every_python(tag: int) -> None:
    with pytest.raises(ValueError, match="ffmpeg"):
        read_wav(raw_wav(b"\0" * 64, tag=tag, bits=32))


def test_a_wav_that_was_cut_off_is_not_taken_for_whole() -> None:
    with pytest.raises(ValueError, match="cut off after 100 of the 131072 bytes"):
        read_wav(wav_bytes(EVERY_SAMPLE, 8000)[:144])


def test_a_wav_written_into_a_pipe_has_no_length_and_is_read_to_its_end() -> None:
    data = wav_bytes(sine(440, 8000), 8000)
    piped = data[:40] + b"\xff\xff\xff\xff" + data[44:]
    assert len(read_wav(piped)[0]) == 8000


def test_a_wav_error_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"bad\.wav"):
        read_wav(tmp_path / "bad.wav")


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail_otherwise(tail: bytes) -> None:
    for data in (tail, wav_bytes(EVERY_SAMPLE[:50], 8000)[: len(tail)] + tail):
        try:
            samples, rate = read_wav(data)
        except ValueError:
            continue
        assert samples.ndim == 1
        assert rate > 0


def test_other_readers_understand_what_is_written() -> None:
    with wave.open(io.BytesIO(wav_bytes(EVERY_SAMPLE, 44100))) as wav:
        assert (wav.getnchannels(), wav.getsampwidth(), wav.getframerate(), wav.getnframes()) == (1, 2, 44100, 65536)


def test_loudness_is_relative_to_full_scale() -> None:
    assert rms_dbfs(sine(1000, 24000, peak=1.0)) == pytest.approx(-10 * math.log10(2), abs=0.01)
    assert rms_dbfs(np.full(10, -32768, np.int16)) == pytest.approx(0)
    assert rms_dbfs(np.zeros(100, np.int16)) == rms_dbfs(np.zeros(0, np.int16)) == SILENCE_DBFS


def test_a_clip_at_another_rate_is_made_without_dither_that_the_clock_seeds(monkeypatch: pytest.MonkeyPatch):
    asked: list[np.dtype[Any]] = []

    def resampled(samples: Samples, from_rate: int, to_rate: int) -> Samples:
        asked.append(samples.dtype)
        return samples[:: from_rate // to_rate]

    monkeypatch.setattr("soxr.resample", resampled)
    assert list(resample(np.array([1, 2, 3, 4], np.int16), 16000, 8000)) == [1, 3]
    assert asked == [np.float32]
