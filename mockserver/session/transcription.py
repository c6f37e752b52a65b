"""What the user said: a known clip of the scenario, else the transcript of an installed transcriber.

The session decides what comes before (a scenario's `heard`) and what comes after (`UNINTELLIGIBLE`).
"""

from __future__ import annotations

from collections.abc import Sequence

from mockserver.audio.asr import Transcriber
from mockserver.audio.clip_matching import SHORTEST_S, ClipMatcher
from mockserver.audio.formats import Samples
from mockserver.audio.wav import read_wav
from mockserver.responders.scenario import Scenario


class Hearing:
    """Recognises speech for all sessions of a scenario, in any thread. It records which known clips were heard."""

    def __init__(self, fingerprints: ClipMatcher | None = None, transcriber: Transcriber | None = None) -> None:
        self._fingerprints = fingerprints
        self._transcriber = transcriber
        self.recognised: set[str] = set()
        """The texts of the known clips that were heard so far."""

    @classmethod
    def of(cls, scenario: Scenario, transcriber: Transcriber | None = None) -> Hearing:
        """Read a scenario's known clips (`hears`). Raises OSError, and ValueError for a clip that cannot be used."""
        clips = [(*read_wav(clip.audio), clip.text) for clip in scenario.hears]
        return cls(ClipMatcher(clips) if clips else None, transcriber)

    @property
    def listens(self) -> bool:
        """Whether it needs audio; if not, the session keeps none."""
        return self._fingerprints is not None or self._transcriber is not None

    @property
    def blocks(self) -> bool:
        """Whether `understand` may take as long as the speech itself, because it asks a transcriber."""
        return self._transcriber is not None

    def understand(
        self, samples: Samples, rate: int, language: str | None = None, keyterms: Sequence[str] = ()
    ) -> str | None:
        """The words of one turn, `rate` in Hz; None if they are not recognised. See `blocks`."""
        if self._fingerprints and (match := self._fingerprints.match(samples, rate)):
            self.recognised.add(match.text)
            return match.text
        if self._transcriber is None or len(samples) < SHORTEST_S * rate:
            return None
        return self._transcriber.transcribe(samples, rate, language, keyterms) or None


NOTHING = Hearing()
"""Recognises nothing: without known clips and a transcriber."""
