"""An answer that a lost connection cut off and that the service gives again: what of it the caller has heard before.

The text decides. If the repetition begins with the words that were received before, as much of its sound is left out as
was received, and the rest continues the first answer. If the words differ, it is another answer and plays whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from clinic_agent.call.pcm import SAMPLE_BYTES, samples


@dataclass(slots=True)
class Answer:
    """What was received of a response."""

    items: list[str] = field(default_factory=list)
    text: str = ""
    samples: int = 0
    over: bool = False

    def add(self, item_id: str, *, pcm: bytes = b"", text: str = "") -> None:
        """Add sound or words of an item."""
        if item_id not in self.items:
            self.items.append(item_id)
        self.samples += samples(pcm)
        self.text += text


@dataclass(slots=True)
class Repetition:
    """The comparison of an answer with its repetition. Sound is held back until the comparison has ended."""

    before: Answer
    unheard: tuple[str, ...] = ()
    """Items of earlier repetitions that were cut off too."""
    held: list[tuple[str, bytes]] = field(default_factory=list)
    """Items and sound that may have been heard before."""
    skip: int = 0
    """The number of samples that are still not to be played."""
    decided: bool = False
    same: bool = False

    def cut_off(self, now: Answer) -> Repetition:
        """The comparison with another repetition, after this one was cut off as well."""
        if self.decided and not self.same:
            return Repetition(now)
        longer = max(self.before, now, key=lambda each: each.samples)
        return Repetition(longer, (*self.unheard, *self.before.items, *now.items))

    def compare(self, now: Answer, *, ended: bool = False) -> None:
        """Decide, if the words so far allow it. `ended`: no more words come."""
        known, words = _bare(self.before.text), _bare(now.text)
        if not ended and len(words) < len(known) and known.startswith(words):
            return
        self.decided = True
        self.same = words.startswith(known)
        self.skip = self.before.samples if self.same else 0

    def rest(self, pcm: bytes) -> bytes:
        """The part of the next sound that was not received before."""
        left_out = min(self.skip, samples(pcm))
        self.skip -= left_out
        return pcm[left_out * SAMPLE_BYTES :]


def _bare(text: str) -> str:
    """The text without the differences that a repetition may have in its spaces."""
    return "".join(text.split())
