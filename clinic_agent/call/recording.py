"""The recording of an open call: both audio channels, the audio that was never played, and a timeline.

Seconds count from the first sample of the caller's microphone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from clinic_agent.call.pcm import SAMPLE_BYTES, SAMPLE_RATE_HZ
from clinic_agent.call.playback import PlayedSegment


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """Something that happened, and the lane of the picture that shows it. An `alarm` interrupted something else."""

    at_s: float
    lane: str
    label: str
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class TimedAudio:
    """Audio that starts at `start_s`: PCM16 mono 24 kHz."""

    start_s: float
    pcm: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CallRecording:
    """A call: the microphone, the audio that the caller heard, and the audio that was dropped by an interruption."""

    caller: bytes = field(repr=False)
    heard: tuple[TimedAudio, ...]
    dropped: tuple[TimedAudio, ...]
    timeline: tuple[TimelineEntry, ...]

    def heard_track(self) -> bytes:
        """The audio that the caller heard as one channel with silence between, at least as long as `caller`."""
        track = bytearray(len(self.caller))
        for sound in self.heard:
            start = max(0, round(sound.start_s * SAMPLE_RATE_HZ)) * SAMPLE_BYTES
            track.extend(bytes(max(0, start + len(sound.pcm) - len(track))))
            track[start : start + len(sound.pcm)] = sound.pcm
        return bytes(track)


def call_recording(
    caller: bytes,
    segments: list[PlayedSegment],
    dropped: list[PlayedSegment],
    timeline: list[TimelineEntry],
    start_s: float,
) -> CallRecording:
    """A recording whose seconds count from `start_s`."""

    def audio(played: list[PlayedSegment]) -> tuple[TimedAudio, ...]:
        return tuple(TimedAudio(each.start_s - start_s, bytes(each.pcm)) for each in played)

    entries = [replace(each, at_s=each.at_s - start_s) for each in timeline]
    return CallRecording(caller, audio(segments), audio(dropped), tuple(sorted(entries, key=lambda each: each.at_s)))
