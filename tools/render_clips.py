"""Renders the callers' clips of cassettes/voices, as clips.yaml there says, and the one of examples/ci.

    python tools/render_clips.py [NAME.wav ...]

It needs the extra `speech`. The bytes depend on the processor and on package versions, so the clips that are committed
are those of one machine: recordings and tests use them as they are. After it, record the suite again:

    python -m realtape record-suite
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from mockserver.audio.codecs import resample
from mockserver.audio.degrade import Degradation, degraded
from mockserver.audio.formats import Samples
from mockserver.audio.tts import synthesizer_named
from mockserver.audio.tts.espeak import Espeak
from mockserver.audio.wav import write_wav

ROOT = Path(__file__).resolve().parent.parent
VOICES = ROOT / "cassettes" / "voices"
EXAMPLE = ROOT / "examples" / "ci" / "caller.wav"
EXAMPLE_CLIP = {"text": "An appointment, please.", "voice": "sage"}
RATE = 24_000  # Hz


def rendered(text: str, voice: str, accent: str | None = None, **degradation: Any) -> Samples:
    """The samples of a clip at RATE."""
    synthesizer = synthesizer_named("hibari") if accent is None else Espeak(accent)
    clip = synthesizer.speak(text, voice=voice)
    return degraded(resample(clip.samples, clip.rate, RATE), RATE, Degradation(**degradation))


def main(names: list[str]) -> None:
    """Renders the clips of these names, or all of them."""
    clips = yaml.safe_load((VOICES / "clips.yaml").read_text(encoding="utf-8"))
    files = {VOICES / name: clip for name, clip in clips.items()} | {EXAMPLE: EXAMPLE_CLIP}
    if unknown := set(names) - {file.name for file in files}:
        sys.exit(f"no clip {', '.join(sorted(unknown))}; there are {', '.join(file.name for file in files)}")
    for file, clip in files.items():
        if not names or file.name in names:
            samples = rendered(**clip)
            write_wav(file, samples, RATE)
            sys.stdout.write(f"{file.relative_to(ROOT)}: {len(samples) / RATE:.2f} s\n")


if __name__ == "__main__":
    main(sys.argv[1:])
