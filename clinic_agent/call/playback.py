"""A model of the loudspeaker: which part of the received audio the caller has heard at a time.

The service sends audio two to four times faster than it plays (recordings, 2026-07). An interruption has to report the
part that was heard, not the part that has arrived. Time is an argument, in seconds on the client's clock, and does not
run backwards. Nothing is played here: the model starts each piece of audio when it arrives, or after the piece before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import floor

from clinic_agent.call.pcm import SAMPLE_BYTES, SAMPLE_RATE_HZ, samples


@dataclass(slots=True)
class PlayedSegment:
    """Audio of one item that plays without a gap from `start_s` on: PCM16 mono 24 kHz."""

    item_id: str
    start_s: float
    pcm: bytearray = field(default_factory=bytearray, repr=False)

    @property
    def end_s(self) -> float:
        """The time when its last sample has been played, in seconds."""
        return self.start_s + samples(self.pcm) / SAMPLE_RATE_HZ

    def played(self, now_s: float) -> int:
        """The number of its samples that have been played."""
        # Seconds times the sample rate can miss a whole number by rounding; a thousandth of a sample makes up for it.
        return min(max(floor((now_s - self.start_s) * SAMPLE_RATE_HZ + 0.001), 0), samples(self.pcm))


@dataclass(frozen=True, slots=True)
class Truncation:
    """An interrupted item and its length as heard: whole milliseconds, at most the length that was sent."""

    item_id: str
    heard_ms: int


class Playback:
    """The received audio of one call, in order: `segments` have been or will be played, `dropped` will not."""

    def __init__(self) -> None:
        self.segments: list[PlayedSegment] = []
        self.dropped: list[PlayedSegment] = []

    def queue(self, item_id: str, pcm: bytes, now_s: float) -> None:
        """Add received audio: it plays at once, or after the audio that is already queued."""
        last = self.segments[-1] if self.segments else None
        if last is None or last.item_id != item_id or last.end_s < now_s:
            last = PlayedSegment(item_id, max(now_s, self.ends_s))
            self.segments.append(last)
        last.pcm += pcm

    @property
    def ends_s(self) -> float:
        """The time when all queued audio will have been played, in seconds; 0 before the first audio."""
        return self.segments[-1].end_s if self.segments else 0.0

    def heard_ms(self, item_id: str, now_s: float) -> int:
        """The length of an item that has been heard, in whole milliseconds."""
        played = sum(segment.played(now_s) for segment in self.segments if segment.item_id == item_id)
        return played * 1000 // SAMPLE_RATE_HZ

    def sound(self, start_s: float, end_s: float) -> bytes:
        """The audio heard between two times: PCM16 mono 24 kHz, with silence where nothing plays."""
        first = round(start_s * SAMPLE_RATE_HZ)
        pcm = bytearray((round(end_s * SAMPLE_RATE_HZ) - first) * SAMPLE_BYTES)
        for segment in self.segments:
            at = (round(segment.start_s * SAMPLE_RATE_HZ) - first) * SAMPLE_BYTES
            heard = segment.pcm[max(0, -at) : max(0, len(pcm) - at)]
            pcm[max(0, at) : max(0, at) + len(heard)] = heard
        return bytes(pcm)

    def begun(self, now_s: float) -> list[str]:
        """The items whose audio has begun to play, in order."""
        return _distinct(segment.item_id for segment in self.segments if segment.start_s <= now_s)

    def over(self, item_id: str, now_s: float) -> bool:
        """Whether all received audio of an item has been played."""
        return all(segment.end_s <= now_s for segment in self.segments if segment.item_id == item_id)

    def cut(self, now_s: float) -> list[Truncation]:
        """Stop, and drop all audio that has not been played; gives the items that lost audio, oldest first."""
        unheard = [segment for segment in self.segments if segment.played(now_s) < samples(segment.pcm)]
        cuts = [
            Truncation(item_id, self.heard_ms(item_id, now_s))
            for item_id in _distinct(each.item_id for each in unheard)
        ]
        for segment in unheard:
            keep = segment.played(now_s) * SAMPLE_BYTES
            self.dropped.append(PlayedSegment(segment.item_id, max(now_s, segment.start_s), segment.pcm[keep:]))
            del segment.pcm[keep:]
        self.segments = [segment for segment in self.segments if segment.pcm]
        return cuts


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
