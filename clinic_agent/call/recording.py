"""What stays of an open call beside its report: both channels, what was sent and never heard, and what happened when.

Seconds count from the first sample of the caller's microphone. It draws nothing and knows no socket.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from clinic_agent.call.pcm import SAMPLE_BYTES, SAMPLE_RATE_HZ
from clinic_agent.call.playback import Stretch


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened, and whom or what it belongs to. An `alarm` broke in on something else."""

    at_s: float
    lane: str
    label: str
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class Sound:
    """PCM16 mono 24 kHz that begins at `start_s`."""

    start_s: float
    pcm: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Recording:
    """A call: the microphone whole, the sounds that the caller heard, those that came too late to be heard."""

    caller: bytes = field(repr=False)
    heard: tuple[Sound, ...]
    dropped: tuple[Sound, ...]
    moments: tuple[Moment, ...]

    def heard_track(self) -> bytes:
        """What the caller heard as one channel, as long as the microphone's or longer, with silence between."""
        track = bytearray(len(self.caller))
        for sound in self.heard:
            start = max(0, round(sound.start_s * SAMPLE_RATE_HZ)) * SAMPLE_BYTES
            track.extend(bytes(max(0, start + len(sound.pcm) - len(track))))
            track[start : start + len(sound.pcm)] = sound.pcm
        return bytes(track)


def recorded(
    caller: bytes, stretches: list[Stretch], dropped: list[Stretch], moments: list[Moment], start_s: float
) -> Recording:
    """A recording whose seconds count from `start_s`."""

    def sounds(of: list[Stretch]) -> tuple[Sound, ...]:
        return tuple(Sound(each.start_s - start_s, bytes(each.pcm)) for each in of)

    told = [replace(each, at_s=each.at_s - start_s) for each in moments]
    return Recording(caller, sounds(stretches), sounds(dropped), tuple(sorted(told, key=lambda each: each.at_s)))
