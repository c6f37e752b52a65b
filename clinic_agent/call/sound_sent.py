"""The length of the sound that the service sent to a telephone, as far as a sideband without sound tells."""

from __future__ import annotations

from clinic_agent.call.pcm import SAMPLE_RATE_HZ
from clinic_agent.call.turn import Event

CHARS_PER_S = 15.0
"""A usual speed of English speech, for sound whose length the service does not tell. A guess."""


class SoundSent:
    """What the service counts as sent, whether it was played or not.

    xAI's `response.done` has the seconds, exact to a sample. Until it arrives, the length of the words is a guess.
    """

    def __init__(self) -> None:
        self._counted = 0
        self._guessed: dict[str, float] = {}
        """Samples of the responses whose count has not arrived, by id."""
        self._missed = False

    def take(self, event: Event) -> None:
        """Take a server event."""
        match event:
            case {"type": "response.created", "response": {"id": str(response_id)}}:
                self._guessed.setdefault(response_id, 0.0)
            case {
                "type": "response.output_audio_transcript.delta",
                "response_id": str(response_id),
                "delta": str(words),
            }:
                length = len(words) / CHARS_PER_S * SAMPLE_RATE_HZ
                self._guessed[response_id] = self._guessed.get(response_id, 0.0) + length
            case {
                "type": "response.done",
                "response": {"id": str(response_id)},
                "usage": {"output_audio_seconds": int() | float() as seconds},
            }:
                self._guessed.pop(response_id, None)
                self._counted += round(seconds * SAMPLE_RATE_HZ)
            case {"type": "response.done", "response": {"id": str(response_id), "usage": {"output_tokens": int()}}}:
                # Billed by tokens: the length of the sound costs nothing.
                self._guessed.pop(response_id, None)
            case _:
                pass

    def miss(self) -> None:
        """The sideband was lost, so that events may be missing."""
        self._missed = True

    @property
    def samples(self) -> int:
        """Samples sent, of SAMPLE_RATE_HZ."""
        return self._counted + round(sum(self._guessed.values()))

    @property
    def is_estimate(self) -> bool:
        """Whether the service has not counted all of it, as of an answer in progress when the call ended."""
        return self._missed or bool(self._guessed)
