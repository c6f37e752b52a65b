"""Whether a sound could be speech in the format that it is declared to have."""

from __future__ import annotations

from mockserver.audio.formats import AudioFormat, Samples


def could_be_speech(samples: Samples, form: AudioFormat) -> bool:
    """Whether the samples, decoded from `form`, could be speech."""
    return len(samples) > 0
