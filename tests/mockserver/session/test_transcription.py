from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mockserver.audio.asr import FasterWhisper, installed_transcriber
from mockserver.audio.clip_matching import ClipMatcher
from mockserver.audio.formats import Samples
from mockserver.audio.tts.tone import Tone
from mockserver.audio.wav import write_wav
from mockserver.responders.base import Say
from mockserver.responders.scenario import Clip, Scenario
from mockserver.session.transcription import NOTHING, Hearing
from mockserver.testing.mock_server import MockServer

RATE = 24000
BOOKING = "I would like a dental cleaning on July sixth."
OTHER = "Is the doctor in today?"


def say(text: str) -> Samples:
    return Tone().speak(text).samples


class Writes:
    """A transcriber that hears the same in everything, and counts how often it was asked."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.asked: list[tuple[int, int, str | None, list[str]]] = []

    def transcribe(self, samples: Samples, rate: int, language: str | None, keyterms: Sequence[str]) -> str:
        self.asked.append((len(samples), rate, language, list(keyterms)))
        return self.text


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    write_wav(tmp_path / "booking.wav", say(BOOKING), RATE)
    return Scenario(sequence=[Say("Yes?")], hears=[Clip(str(tmp_path / "booking.wav"), BOOKING)])


# Clips before transcripts, transcripts before nothing


def test_a_clip_of_the_scenario_is_understood(scenario: Scenario):
    assert Hearing.of(scenario).understand(say(BOOKING), RATE) == BOOKING


def test_other_speech_is_not_understood_without_a_transcriber(scenario: Scenario):
    assert Hearing.of(scenario).understand(say(OTHER), RATE) is None


def test_a_known_clip_counts_as_unused_until_it_is_heard(scenario: Scenario):
    assert MockServer(scenario).unused == [
        "sequence[0] was never reached",
        f"hears[0] ({BOOKING!r}) was never heard",
    ]
    hearing = Hearing.of(scenario)
    hearing.understand(say(OTHER), RATE)
    assert hearing.recognised == set()
    hearing.understand(say(BOOKING), RATE)
    assert scenario.unheard(hearing.recognised) == []


def test_a_known_clip_is_not_transcribed(scenario: Scenario):
    writes = Writes("something else")
    assert Hearing.of(scenario, writes).understand(say(BOOKING), RATE) == BOOKING
    assert writes.asked == []


def test_what_is_no_known_clip_is_transcribed_with_its_language_and_terms(scenario: Scenario):
    writes = Writes(OTHER)
    sound = say(OTHER)
    assert Hearing.of(scenario, writes).understand(sound, RATE, "en", ["doctor"]) == OTHER
    assert writes.asked == [(len(sound), RATE, "en", ["doctor"])]


def test_a_transcriber_alone_is_enough():
    assert Hearing(transcriber=Writes(OTHER)).understand(say(OTHER), RATE) == OTHER


def test_a_transcriber_that_hears_no_speech_understands_nothing():
    assert Hearing(transcriber=Writes("")).understand(say(OTHER), RATE) is None


@pytest.mark.parametrize("samples", [0, 4799])
def test_less_than_200_ms_is_not_worth_a_transcriber(samples: int):
    writes = Writes("you")
    assert Hearing(transcriber=writes).understand(np.zeros(samples, np.int16), RATE) is None
    assert writes.asked == []


def test_nothing_understands_no_sound_and_asks_for_none():
    assert NOTHING.understand(say(BOOKING), RATE) is None
    assert (NOTHING.listens, NOTHING.blocks) == (False, False)


def test_clips_are_listened_for_in_place_and_a_transcriber_blocks(scenario: Scenario):
    clips, both = Hearing.of(scenario), Hearing.of(scenario, Writes(""))
    assert (clips.listens, clips.blocks) == (True, False)
    assert (both.listens, both.blocks) == (True, True)


def test_a_scenario_that_knows_no_clips_listens_for_none():
    assert not Hearing.of(Scenario(sequence=[Say("Yes?")])).listens


def test_a_clip_that_is_no_sound_file_is_refused_with_its_name(tmp_path: Path):
    (tmp_path / "notes.wav").write_bytes(b"not a sound")
    with pytest.raises(ValueError, match=r"notes\.wav: .*ffmpeg"):
        Hearing.of(Scenario(sequence=[Say("Yes?")], hears=[Clip(str(tmp_path / "notes.wav"), "Hello")]))


# The installed transcriber, on a stand-in for its package


class Whisper:
    """As much of `faster_whisper.WhisperModel` as is used, keeping what it was asked."""

    supported_languages = ("en", "de")
    asked: dict[str, Any]

    def __init__(self, model: str, **settings: object) -> None:
        self.loaded = (Path(model).name, settings)

    def transcribe(self, audio: np.ndarray, **settings: object) -> tuple[object, None]:
        Whisper.asked = {"audio": audio, **settings}
        return (SimpleNamespace(text=text) for text in (" Is the doctor", " in today?")), None


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, model: Path) -> ModuleType:
    def cached(name: str, local_files_only: bool) -> str:
        assert local_files_only, "nothing may be downloaded"
        if name != "tiny.en":
            raise ValueError(f"Invalid model size '{name}'")
        return str(model)

    package = ModuleType("faster_whisper")
    package.__spec__ = SimpleNamespace()  # type: ignore[assignment]
    package.__dict__.update(WhisperModel=Whisper, download_model=cached)
    monkeypatch.setitem(sys.modules, "faster_whisper", package)
    return package


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "whisper"
    folder.mkdir()
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (folder / name).write_bytes(b"")
    return folder


@pytest.mark.usefixtures("package")
def test_a_turn_is_transcribed_at_16_khz_with_what_the_client_told():
    assert FasterWhisper("tiny.en").transcribe(say(OTHER), RATE, "de", ["Chen", "Lopez"]) == OTHER
    sound = Whisper.asked.pop("audio")
    assert sound.dtype == np.float32
    assert len(sound) == pytest.approx(len(say(OTHER)) * 16 / 24, abs=1)
    assert 0.4 < np.abs(sound).max() < 0.6
    assert Whisper.asked == {
        "language": "de",
        "hotwords": "Chen, Lopez",
        "temperature": 0.0,
        "condition_on_previous_text": False,
    }


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(("told", "asked"), [("en-US", "en"), ("DE", "de"), ("tlh", None), ("", None), (None, None)])
def test_a_language_that_the_model_does_not_know_is_found_out(told: str | None, asked: str | None):
    FasterWhisper("tiny.en").transcribe(say(OTHER), RATE, told, [])
    assert (Whisper.asked["language"], Whisper.asked["hotwords"]) == (asked, None)


@pytest.mark.usefixtures("package")
def test_a_folder_is_loaded_for_the_cpu_in_8_bits_and_without_the_network(monkeypatch: pytest.MonkeyPatch, model: Path):
    found = []
    monkeypatch.setattr(Whisper, "__init__", lambda self, *place, **settings: found.append((place, settings)))
    FasterWhisper(str(model))
    assert found == [((str(model),), {"device": "cpu", "compute_type": "int8", "local_files_only": True})]


@pytest.mark.usefixtures("package")
def test_an_unknown_model_is_refused_with_how_to_place_one():
    with pytest.raises(FileNotFoundError, match=r"no speech model 'huge'.*--local-dir.*REALTAPE_ASR_MODEL="):
        FasterWhisper("huge")


@pytest.mark.usefixtures("package")
def test_a_folder_without_a_tokenizer_is_refused_because_it_would_be_fetched(model: Path):
    (model / "tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no tokenizer\.json"):
        FasterWhisper(str(model))


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(ImportError, match=r"pip install 'realtape\[asr\]'"):
        FasterWhisper()


# Whether there is one


@pytest.mark.usefixtures("package")
def test_a_named_model_and_the_package_make_a_transcriber(model: Path):
    assert isinstance(installed_transcriber({"REALTAPE_ASR_MODEL": str(model)}), FasterWhisper)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("environment", [{}, {"REALTAPE_ASR_MODEL": " "}])
def test_no_model_is_taken_that_nobody_named(environment: dict[str, str]):
    assert installed_transcriber(environment) is None


def test_without_the_package_there_is_no_transcriber(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    assert installed_transcriber({"REALTAPE_ASR_MODEL": "tiny.en"}) is None


@pytest.mark.usefixtures("package")
def test_a_named_model_that_is_not_there_is_an_error_and_not_silence():
    with pytest.raises(FileNotFoundError, match="'huge'"):
        installed_transcriber({"REALTAPE_ASR_MODEL": "huge"})


def test_an_empty_set_of_clips_is_a_hearing_too():
    assert Hearing(ClipMatcher([])).understand(say(BOOKING), RATE) is None
