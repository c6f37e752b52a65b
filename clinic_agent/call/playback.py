"""What the caller has actually heard: the loudspeaker's own clock.

The service sends sound two to four times faster than it plays (recordings, 2026-07), so what has arrived says little
about what was heard; an interruption needs the latter. Pure: time is an argument, in seconds on the client's clock, and
never runs backwards. It plays nothing itself: a loudspeaker that follows it starts each sound when it is handed over,
or when the one before is over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import floor

from clinic_agent.call.pcm import SAMPLE_BYTES, SAMPLE_RATE_HZ, samples


@dataclass(slots=True)
class Stretch:
    """Sound of one item that plays without a gap from `start_s` on: PCM16 mono 24 kHz."""

    item_id: str
    start_s: float
    pcm: bytearray = field(default_factory=bytearray, repr=False)

    @property
    def end_s(self) -> float:
        """When its last sample has been played."""
        return self.start_s + samples(self.pcm) / SAMPLE_RATE_HZ

    def played(self, now_s: float) -> int:
        """How many of its samples have been played."""
        # A clock's seconds times a rate misses whole samples by rounding; a thousandth of a sample is no sound.
        return min(max(floor((now_s - self.start_s) * SAMPLE_RATE_HZ + 0.001), 0), samples(self.pcm))


@dataclass(frozen=True, slots=True)
class Cut:
    """An item that was interrupted, and how much of it had been heard: whole milliseconds, never more than was sent."""

    item_id: str
    heard_ms: int


class Playback:
    """The sound of one call in the order it came: `stretches` were or will be played, what is `dropped` never is."""

    def __init__(self) -> None:
        self.stretches: list[Stretch] = []
        self.dropped: list[Stretch] = []

    def queue(self, item_id: str, pcm: bytes, now_s: float) -> None:
        """Sound has come: it plays at once, or after what is queued already."""
        last = self.stretches[-1] if self.stretches else None
        if last is None or last.item_id != item_id or last.end_s < now_s:
            last = Stretch(item_id, max(now_s, self.ends_s))
            self.stretches.append(last)
        last.pcm += pcm

    @property
    def ends_s(self) -> float:
        """When all that has come will have been played; 0 before the first sound."""
        return self.stretches[-1].end_s if self.stretches else 0.0

    def heard_ms(self, item_id: str, now_s: float) -> int:
        """How much of an item has been heard, in whole milliseconds."""
        played = sum(stretch.played(now_s) for stretch in self.stretches if stretch.item_id == item_id)
        return played * 1000 // SAMPLE_RATE_HZ

    def sound(self, start_s: float, end_s: float) -> bytes:
        """What is heard in a stretch of time: PCM16 mono 24 kHz, with silence where nothing plays."""
        first = round(start_s * SAMPLE_RATE_HZ)
        pcm = bytearray((round(end_s * SAMPLE_RATE_HZ) - first) * SAMPLE_BYTES)
        for stretch in self.stretches:
            at = (round(stretch.start_s * SAMPLE_RATE_HZ) - first) * SAMPLE_BYTES
            heard = stretch.pcm[max(0, -at) : max(0, len(pcm) - at)]
            pcm[max(0, at) : max(0, at) + len(heard)] = heard
        return bytes(pcm)

    def begun(self, now_s: float) -> list[str]:
        """The items whose sound has begun, first heard first."""
        return _distinct(stretch.item_id for stretch in self.stretches if stretch.start_s <= now_s)

    def over(self, item_id: str, now_s: float) -> bool:
        """Whether all that has come of an item has been played."""
        return all(stretch.end_s <= now_s for stretch in self.stretches if stretch.item_id == item_id)

    def cut(self, now_s: float) -> list[Cut]:
        """Stop, and drop all that has not been played; the items that lost something by it, oldest first."""
        unheard = [stretch for stretch in self.stretches if stretch.played(now_s) < samples(stretch.pcm)]
        cuts = [Cut(item_id, self.heard_ms(item_id, now_s)) for item_id in _distinct(each.item_id for each in unheard)]
        for stretch in unheard:
            keep = stretch.played(now_s) * SAMPLE_BYTES
            self.dropped.append(Stretch(stretch.item_id, max(now_s, stretch.start_s), stretch.pcm[keep:]))
            del stretch.pcm[keep:]
        self.stretches = [stretch for stretch in self.stretches if stretch.pcm]
        return cuts


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
