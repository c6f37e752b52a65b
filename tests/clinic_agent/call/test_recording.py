from __future__ import annotations

import wave
from pathlib import Path

from clinic_agent.call.pcm import write_stereo_wav
from clinic_agent.call.playback import PlayedSegment
from clinic_agent.call.recording import TimelineEntry, call_recording


def test_what_was_heard_stands_at_its_time_with_silence_around_it():
    sound = PlayedSegment("a", 10.5, bytearray(b"\1\0" * 12_000))
    recording = call_recording(
        bytes(96_000), [sound], [], [TimelineEntry(10.5, "agent", "late"), TimelineEntry(10.0, "turns", "x")], 10.0
    )
    assert recording.heard_track() == bytes(24_000) + b"\1\0" * 12_000 + bytes(48_000)
    assert [(each.at_s, each.label) for each in recording.timeline] == [(0.0, "x"), (0.5, "late")]


def test_an_answer_that_plays_on_after_the_caller_hung_up_is_kept_whole():
    recording = call_recording(bytes(4800), [PlayedSegment("a", 0.05, bytearray(b"\1\0" * 2400))], [], [], 0.0)
    assert recording.heard_track() == bytes(2400) + b"\1\0" * 2400


def test_a_stereo_file_has_the_first_channel_left_and_the_shorter_one_ends_in_silence(tmp_path: Path):
    write_stereo_wav(tmp_path / "call.wav", b"\1\2\3\4", b"\5\6")
    with wave.open(str(tmp_path / "call.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (2, 24_000, 2)
        assert file.readframes(2) == b"\1\2\5\6\3\4\0\0"
