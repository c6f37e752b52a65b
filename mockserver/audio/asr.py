"""Speech to text by a package that is installed beside this one. Not needed: a scenario can say what is heard.

Nothing is ever downloaded from here. A model is a folder that somebody put there, or a name whose files are in the
cache already; without one there is no transcriber, and unknown speech stays unintelligible.

Transcribing blocks for a good part of the speech's own length. The caller decides where it runs: a thread for a server
that must go on answering, in place where virtual time has to stand still.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mockserver.audio.codecs import resample
from mockserver.audio.formats import Samples

MODEL_VARIABLE = "REALTAPE_ASR_MODEL"
INSTALL = "pip install 'realtape[asr]'"
PLACE_A_MODEL = (
    "get one where there is a network: hf download Systran/faster-whisper-tiny.en --local-dir tiny.en; "
    f"put the folder here, and name it: {MODEL_VARIABLE}=path/to/tiny.en"
)
RATE = 16000  # Hz: what Whisper hears


class Transcriber(Protocol):
    """Makes text of speech. Blocks; safe in threads."""

    def transcribe(self, samples: Samples, rate: int, language: str | None, keyterms: Sequence[str]) -> str:
        """`rate` in Hz; `language` such as `en`, None to find out; `keyterms` are words to expect. "" for no speech."""


class FasterWhisper:
    """Whisper on the CPU in 8 bits, by the package faster-whisper (extra `asr`).

    `model` is a folder, or the name of one in the cache, such as `tiny.en`. Loading takes a second or more. Raises
    ImportError when the package is missing, and FileNotFoundError when there is no such model; both say what to do.
    """

    def __init__(self, model: str = "tiny.en") -> None:
        try:
            package: Any = import_module("faster_whisper")
        except ImportError as missing:
            raise ImportError(f"the transcriber needs faster-whisper; install it with: {INSTALL}") from missing
        try:
            folder = _folder(model, package)
            self._model = package.WhisperModel(str(folder), device="cpu", compute_type="int8", local_files_only=True)
        except (OSError, RuntimeError, ValueError) as problem:
            # An unknown name, one that is not in the cache, or files that are no model.
            raise FileNotFoundError(f"no speech model {model!r} can be loaded: {problem}; {PLACE_A_MODEL}") from problem
        self._languages = frozenset(self._model.supported_languages)
        self._turn = threading.Lock()

    def transcribe(self, samples: Samples, rate: int, language: str | None, keyterms: Sequence[str]) -> str:
        """See `Transcriber`. Temperature 0, so that the same sound gives the same text.

        Of `language` the part before a hyphen counts; one that the model does not know is found out instead.
        """
        code = (language or "").split("-")[0].lower()
        sound = resample(samples, rate, RATE).astype(np.float32) / np.float32(32768)
        with self._turn:
            segments, _ = self._model.transcribe(
                sound,
                language=code if code in self._languages else None,
                hotwords=", ".join(keyterms) or None,
                temperature=0.0,
                condition_on_previous_text=False,
            )
            # The segments are made as they are taken.
            return "".join(segment.text for segment in segments).strip()


def _folder(model: str, package: Any) -> Path:
    """Where the model's files are. All of them are looked for here: the package fetches a missing tokenizer itself."""
    folder = Path(model)
    if not folder.is_dir():
        folder = Path(package.download_model(model, local_files_only=True))  # the cache, never the network
    for name in ("model.bin", "config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} has no {name}")
    return folder


def installed_transcriber(environment: Mapping[str, str] = os.environ) -> Transcriber | None:
    """The transcriber that this machine is set up for: None without the package, or without REALTAPE_ASR_MODEL.

    Having the package is not asking for it, and a default model would have to be downloaded, so the variable decides.
    Raises FileNotFoundError when it names a model that is not there: then somebody wanted it.
    """
    model = environment.get(MODEL_VARIABLE, "").strip()
    if not model or find_spec("faster_whisper") is None:
        return None
    return FasterWhisper(model)
