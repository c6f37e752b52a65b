"""WAV files of callers."""

from __future__ import annotations

import wave

import pytest

from clinic_agent.call.pcm import MAX_SPEECH_S, chunks, read_wav, write_wav

SPEECH = bytes(range(200)) * 60


def test_what_is_written_is_read_back(tmp_path):
    write_wav(tmp_path / "a.wav", SPEECH)
    assert read_wav(tmp_path / "a.wav") == SPEECH


def test_pieces_are_100_ms_and_lose_nothing():
    assert [len(piece) for piece in chunks(SPEECH)] == [4800, 4800, 2400]
    assert b"".join(chunks(SPEECH)) == SPEECH


@pytest.mark.parametrize(
    ("rate", "channels", "width", "says"),
    [(16_000, 1, 2, "16000 Hz"), (24_000, 2, 2, r"2 channel\(s\)"), (24_000, 1, 1, "8 bit")],
)
def test_another_form_is_refused_with_the_command_that_converts_it(tmp_path, rate, channels, width, says):
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(b"\0" * 1200)
    with pytest.raises(ValueError, match=rf"{says}.*convert it with: ffmpeg -i .*a\.wav -ar 24000 -ac 1"):
        read_wav(path)


@pytest.mark.parametrize("content", [b"", b"ID3 this is no wave file", b"RIFF\x04\x00\x00\x00WAVE"])
def test_a_file_that_is_no_wav_is_refused(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(ValueError, match="not a PCM WAV file"):
        read_wav(tmp_path / "a.wav")


def test_a_recording_without_sound_is_refused(tmp_path):
    write_wav(tmp_path / "a.wav", b"")
    with pytest.raises(ValueError, match="contains no audio"):
        read_wav(tmp_path / "a.wav")


def test_a_recording_of_more_than_ten_minutes_is_refused_unread(tmp_path):
    with open(tmp_path / "a.wav", "wb") as file:
        file.truncate(48_000 * (MAX_SPEECH_S + 2))
    with pytest.raises(ValueError, match="longer than 600 s"):
        read_wav(tmp_path / "a.wav")
