"""The transcriber in a process of its own, on a stand-in for its package."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mockserver.audio.asr import transcriber_named
from mockserver.audio.asr_process import NICENESS, TranscribingProcess

PACKAGE = """
import json, os, types
print("loading")  # on standard output, as packages do

class WhisperModel:
    supported_languages = ("en", "de")

    def __init__(self, model, **settings):
        self.model = model

    def transcribe(self, audio, **asked):
        if asked["language"] == "de":
            raise MemoryError("no room for a beam")
        if asked["initial_prompt"] == "die":
            os._exit(3)
        asked.update(samples=len(audio), pid=os.getpid(), nice=os.nice(0) if hasattr(os, "nice") else None)
        return [types.SimpleNamespace(text=json.dumps(asked))], None

def download_model(name, local_files_only):
    raise ValueError(f"Invalid model size '{name}'")
"""
pytestmark = pytest.mark.slow  # each starts a process
SOUND = np.zeros(24_000, np.int16)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The folder of a model, for the package that a new process finds."""
    (tmp_path / "faster_whisper.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "whisper"
    folder.mkdir()
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (folder / name).write_bytes(b"")
    return str(folder)


@pytest.fixture
def process(model: str) -> Iterator[TranscribingProcess]:
    made = TranscribingProcess(model)
    yield made
    made.close()


def asked(process: TranscribingProcess, language: str | None = "en", prompt: str = "") -> dict[str, object]:
    found: dict[str, object] = json.loads(process.transcribe(SOUND, 24_000, language, ["Chen"], prompt))
    return found


def test_it_hears_at_a_lower_priority_and_gets_all_that_was_told(process: TranscribingProcess):
    found = asked(process, prompt="A clinic.")
    assert (found["samples"], found["language"]) == (16_000, "en")
    assert (found["hotwords"], found["initial_prompt"]) == ("Chen", "A clinic.")
    assert found["pid"] != os.getpid()
    if hasattr(os, "nice"):
        assert found["nice"] == min(19, os.nice(0) + NICENESS)


def test_what_fails_is_an_error_and_the_next_turn_is_heard(process: TranscribingProcess):
    with pytest.raises(RuntimeError, match="MemoryError: no room for a beam"):
        asked(process, "de")
    assert asked(process)["samples"] == 16_000


def test_a_process_that_dies_is_an_error_and_the_next_turn_gets_another(process: TranscribingProcess):
    first = asked(process)["pid"]
    with pytest.raises(RuntimeError, match="the process of the transcriber ended with code 3"):
        asked(process, prompt="die")
    assert asked(process)["pid"] != first


def test_a_name_is_loaded_in_the_process_and_closed_with_the_server(model: str):
    named = transcriber_named(model)
    assert isinstance(named, TranscribingProcess)
    pid = asked(named)["pid"]
    assert isinstance(pid, int)
    named.close()
    if os.name == "posix":
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.usefixtures("model")
def test_a_model_that_is_not_there_is_an_error_when_it_is_loaded():
    made = transcriber_named("huge", {})
    assert isinstance(made, TranscribingProcess)
    with pytest.raises(FileNotFoundError, match=r"no speech model 'huge'.*--local-dir.*REALTAPE_ASR_MODEL="):
        made.load()


def test_a_package_that_cannot_be_imported_is_an_error(model: str, tmp_path: Path):
    (tmp_path / "faster_whisper.py").write_text("import nowhere_to_be_found")
    with pytest.raises(ImportError, match=r"needs nowhere_to_be_found; install it with: pip install"):
        TranscribingProcess(model).load()


def test_a_process_that_is_closed_while_it_loads_ends_at_once(model: str, tmp_path: Path):
    began = tmp_path / "began"
    (tmp_path / "faster_whisper.py").write_text(f"import time; open({str(began)!r}, 'w'); time.sleep(60)")
    process = TranscribingProcess(model)
    with ThreadPoolExecutor(1) as threads:
        loading = threads.submit(process.load)
        while not began.exists() and not loading.done():
            pass
        process.close()
        with pytest.raises(RuntimeError, match="the process of the transcriber ended"):
            loading.result(10)
    process.load()
    assert process._process is not None and process._process.poll() is not None
