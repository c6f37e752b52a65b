"""Speech recognition by an installed package. It is optional: a scenario can contain the transcripts.

Nothing is downloaded. A model is a folder on this machine, or a name whose files are in the cache already. Without a
model there is no transcriber, and unknown speech stays unintelligible.

Transcribing blocks for a good part of the speech's own length. The caller decides where it runs: in a thread if the
server must go on responding, in place if virtual time has to stand still.
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
RATE = 16000  # Hz; the input of Whisper


class Transcriber(Protocol):
    """Transcribes speech. It blocks, and is safe in threads."""

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
            # An unknown name, a name that is not in the cache, or files that are not a model.
            raise FileNotFoundError(f"no speech model {model!r} can be loaded: {problem}; {PLACE_A_MODEL}") from problem
        self._languages = frozenset(self._model.supported_languages)
        self._turn = threading.Lock()

    def transcribe(self, samples: Samples, rate: int, language: str | None, keyterms: Sequence[str]) -> str:
        """See `Transcriber`. Temperature 0, so that the same audio gives the same text.

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
            # The segments are computed as they are read.
            return "".join(segment.text for segment in segments).strip()


def _folder(model: str, package: Any) -> Path:
    """The folder of the model. All files are checked here, since the package would download a missing tokenizer."""
    folder = Path(model)
    if not folder.is_dir():
        folder = Path(package.download_model(model, local_files_only=True))  # the cache, never the network
    for name in ("model.bin", "config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} has no {name}")
    return folder


def installed_transcriber(environment: Mapping[str, str] = os.environ) -> Transcriber | None:
    """The transcriber that this machine is configured for: None without the package, or without REALTAPE_ASR_MODEL.

    The variable decides, since a default model would have to be downloaded.
    Raises FileNotFoundError if it names a model that does not exist.
    """
    model = environment.get(MODEL_VARIABLE, "").strip()
    if not model or find_spec("faster_whisper") is None:
        return None
    return FasterWhisper(model)
