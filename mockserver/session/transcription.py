"""What the caller said: a clip of the scenario that is recognised, else what an installed transcriber makes of it.

Not the scenario's own word for a turn (`heard`), which goes before, nor what is written when nothing here understands
(`UNINTELLIGIBLE`): both belong to who asks. See fingerprint.py for the clips and transcribers.py for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mockserver.audio.asr import Transcriber
from mockserver.audio.clip_matching import SHORTEST_S, Fingerprints
from mockserver.audio.formats import Samples
from mockserver.audio.wav import read_wav

if TYPE_CHECKING:
    from mockserver.responders.scenario import Scenario


class Hearing:
    """One for all sessions of a scenario: of what it hears it keeps which clips came, and is safe in threads."""

    def __init__(self, fingerprints: Fingerprints | None = None, transcriber: Transcriber | None = None) -> None:
        self._fingerprints = fingerprints
        self._transcriber = transcriber
        self.recognised: set[str] = set()
        """What the known clips say that were heard so far."""

    @classmethod
    def of(cls, scenario: Scenario, transcriber: Transcriber | None = None) -> Hearing:
        """What a scenario knows (`hears`), read now. Raises ValueError for a clip that cannot be used, OSError."""
        clips = [(*read_wav(clip.audio), clip.text) for clip in scenario.hears]
        return cls(Fingerprints(clips) if clips else None, transcriber)

    @property
    def listens(self) -> bool:
        """Whether sound can tell it anything; if not, nobody need keep any."""
        return self._fingerprints is not None or self._transcriber is not None

    @property
    def blocks(self) -> bool:
        """Whether `understand` may take as long as speech itself: a transcriber is asked for what is no known clip."""
        return self._transcriber is not None

    def understand(
        self, samples: Samples, rate: int, language: str | None = None, keyterms: Sequence[str] = ()
    ) -> str | None:
        """The words of one turn, `rate` in Hz; None when they are not understood. See `blocks`."""
        if self._fingerprints and (match := self._fingerprints.match(samples, rate)):
            self.recognised.add(match.text)
            return match.text
        if self._transcriber is None or len(samples) < SHORTEST_S * rate:
            return None
        return self._transcriber.transcribe(samples, rate, language, keyterms) or None


NOTHING = Hearing()
"""Understands no sound: the hearing of a mock that was told of none."""
