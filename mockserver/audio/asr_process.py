"""The transcriber in a process of its own, at a lower priority: sessions keep their pace while it works.

The process is started with this module's `main`, reads requests from its standard input and writes answers to its
standard output, each a length (4 bytes) and msgpack. It ends when its input does: also when the server was killed.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

import msgpack
import numpy as np

from mockserver.audio.formats import Samples
from mockserver.audio.whisper import FasterWhisper

NICENESS = 10
"""By how much the process gives way to others, of 19."""
_BELOW_NORMAL = 0x4000  # subprocess.BELOW_NORMAL_PRIORITY_CLASS, which only Windows has
_ENDS_S = 5.0
"""How long the process may take to end."""


class TranscribingProcess:
    """A transcriber that runs FasterWhisper in a process of its own. Safe in threads, one request at a time.

    The process is started when it is first needed, or by `load`.
    """

    def __init__(self, model: str | None = None) -> None:
        self._model = model
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._end: Callable[[], object] = lambda: None
        self._closed = False

    def load(self) -> None:
        """Load the model, unless it was closed. Raises ImportError and FileNotFoundError as FasterWhisper does, and
        RuntimeError if the process ends."""
        with self._turn:
            if not self._closed:
                self._ready()

    def transcribe(
        self, samples: Samples, rate: int, language: str | None, keyterms: Sequence[str], prompt: str = ""
    ) -> str:
        """See `Transcriber`. Raises what `load` raises, and RuntimeError if the transcription fails."""
        asked = {
            "samples": samples.astype("<i2").tobytes(),
            "rate": rate,
            "language": language,
            "keyterms": list(keyterms),
            "prompt": prompt,
        }
        with self._turn:
            answer = _exchanged(self._ready(), asked)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return str(answer["text"])

    def close(self) -> None:
        """End the process for good, even while it loads or transcribes."""
        self._closed = True
        if self._process is not None:
            self._process.kill()
        self._end()

    def _ready(self) -> subprocess.Popen[bytes]:
        """The process, with its model loaded."""
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._process = process = subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import main; main()", self._model or ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            creationflags=_BELOW_NORMAL if sys.platform == "win32" else 0,
        )
        self._end = weakref.finalize(self, _end, process)
        if self._closed:  # meanwhile
            process.kill()
        loaded = _exchanged(process, None)
        if "error" in loaded:
            self._end()
            raise (ImportError if loaded["kind"] == "ImportError" else FileNotFoundError)(loaded["error"])
        return process


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let a process end, or end it."""
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        try:
            pipe.close()
        except OSError:  # what is not written yet cannot be written any more
            pass
    try:
        process.wait(_ENDS_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _exchanged(process: subprocess.Popen[bytes], asked: Mapping[str, object] | None) -> Mapping[str, Any]:
    assert process.stdin is not None and process.stdout is not None
    try:
        if asked is not None:
            _write(process.stdin, asked)
        answer = _read(process.stdout)
    except (OSError, ValueError):  # the pipe is broken, or closed
        answer = None
    if answer is None:
        raise RuntimeError(f"the process of the transcriber ended with code {process.wait()}")
    return answer


def _write(pipe: IO[bytes], message: Mapping[str, object]) -> None:
    packed: bytes = msgpack.packb(message)
    pipe.write(struct.pack("<I", len(packed)) + packed)
    pipe.flush()


def _read(pipe: IO[bytes]) -> Mapping[str, Any] | None:
    """The next message; None at the end."""
    head = pipe.read(4)
    if len(head) < 4:
        return None
    body = pipe.read(struct.unpack("<I", head)[0])
    message: Mapping[str, Any] = msgpack.unpackb(body)
    return message


def main() -> None:
    """Answer requests until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then ends this
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    answers, sys.stdout = sys.stdout.buffer, sys.stderr  # what the model's package prints is no answer
    try:
        model = FasterWhisper(sys.argv[1] or None)
    except (ImportError, OSError) as problem:
        _write(answers, {"error": str(problem), "kind": "ImportError" if isinstance(problem, ImportError) else ""})
        return
    _write(answers, {})
    while (asked := _read(sys.stdin.buffer)) is not None:
        samples = np.frombuffer(asked["samples"], "<i2")
        try:
            text = model.transcribe(samples, asked["rate"], asked["language"], asked["keyterms"], asked["prompt"])
        except Exception as problem:  # the next request may do better
            _write(answers, {"error": f"{type(problem).__name__}: {problem}"})
        else:
            _write(answers, {"text": text})
