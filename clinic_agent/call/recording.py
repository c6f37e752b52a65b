"""What stays of an open call beside its report: both channels, what was sent and never heard, and what happened when.

Seconds count from the first sample of the caller's microphone. It draws nothing and knows no socket.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from clinic_agent.call.pcm import SAMPLE_BYTES, SAMPLE_RATE_HZ
from clinic_agent.call.playback import PlayedSegment


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """Something that happened, and whom or what it belongs to. An `alarm` broke in on something else."""

    at_s: float
    lane: str
    label: str
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class TimedAudio:
    """PCM16 mono 24 kHz that begins at `start_s`."""

    start_s: float
    pcm: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CallRecording:
    """A call: the microphone whole, the sounds that the caller heard, those that came too late to be heard."""

    caller: bytes = field(repr=False)
    heard: tuple[TimedAudio, ...]
    dropped: tuple[TimedAudio, ...]
    timeline: tuple[TimelineEntry, ...]

    def heard_track(self) -> bytes:
        """What the caller heard as one channel, as long as the microphone's or longer, with silence between."""
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

    def sounds(of: list[PlayedSegment]) -> tuple[TimedAudio, ...]:
        return tuple(TimedAudio(each.start_s - start_s, bytes(each.pcm)) for each in of)

    told = [replace(each, at_s=each.at_s - start_s) for each in timeline]
    return CallRecording(caller, sounds(segments), sounds(dropped), tuple(sorted(told, key=lambda each: each.at_s)))
