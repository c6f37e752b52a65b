"""An installed package adds a voice and a transcriber by entry points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import realtape
from mockserver.audio.asr import transcriber_named
from mockserver.audio.tts import synthesizer_named
from replay.plugins import PluginError, plugin_names

CODE = """
import numpy as np
from mockserver.audio.tts.base import SpeechClip

class Parrot:
    name = "parrot"

    def speak(self, text, *, voice="ara", speed=1.0):
        return SpeechClip(np.full(240 * len(text), 1000, np.int16))

class Ear:
    def transcribe(self, samples, rate, language, keyterms, prompt=""):
        return f"{len(samples)} samples"

def no_parrot():
    raise RuntimeError("the cage is empty")
"""
ENTRIES = """
[realtape.voices]
parrot = parrot:Parrot
gone = parrot:Gone
empty = parrot:no_parrot
deaf = parrot:Ear

[realtape.transcribers]
ear = parrot:Ear
"""


def install(folder: Path, package: str, entries: str) -> None:
    """A distribution as an installer leaves it."""
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(entries, encoding="utf-8")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "parrot.py").write_text(CODE, encoding="utf-8")
    install(tmp_path, "realtape-parrot", ENTRIES)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_plugin_speaks_for_the_command_and_for_a_server(installed: Path):
    out = installed / "said.wav"
    result = CliRunner().invoke(realtape.main, ["say", "Hello", "--engine", "parrot", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert out.stat().st_size > 2 * 240 * 5
    assert np.all(synthesizer_named("parrot").speak("Hello").samples == 1000)


def test_a_plugin_transcribes(installed: Path):
    assert plugin_names("realtape.transcribers") == ["ear"]
    ear = transcriber_named("ear")
    assert ear is not None
    assert ear.transcribe(np.zeros(7, np.int16), 24000, None, ()) == "7 samples"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gone", r"the plugin 'gone' of realtape-parrot \(parrot:Gone\) fails: AttributeError"),
        ("empty", "fails: RuntimeError: the cage is empty; mend or uninstall it"),
        ("deaf", "makes a Ear without name and speak"),
    ],
)
def test_a_broken_plugin_is_named_with_its_package(installed: Path, name: str, says: str):
    with pytest.raises(PluginError, match=says):
        synthesizer_named(name)
    result = CliRunner().invoke(realtape.main, ["say", "Hello", "--engine", name, "--out", str(installed / "x.wav")])
    assert result.exit_code == 2
    assert "realtape-parrot" in result.output


def test_two_packages_with_one_name_are_refused(installed: Path):
    install(installed, "realtape-budgie", "[realtape.voices]\nparrot = budgie:Budgie\n")
    with pytest.raises(PluginError, match="realtape-budgie and realtape-parrot both have the name 'parrot'"):
        synthesizer_named("parrot")


def test_a_misspelt_plugin_is_bad_usage_that_names_it(installed: Path):
    result = CliRunner().invoke(realtape.main, ["say", "Hello", "--engine", "parot", "--out", str(installed / "x.wav")])
    assert result.exit_code == 2
    assert "Did you mean 'parrot'?" in result.output
