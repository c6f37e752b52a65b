"""An installed package adds voices, transcribers, responders and dialects by entry points."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from websockets.sync.client import connect

import realtape
from mockserver.audio.asr import transcriber_named
from mockserver.audio.tts import synthesizer_named
from mockserver.responders.base import Say, Source, Turn
from mockserver.responders.echo import EchoResponder
from mockserver.testing.mock_server import MockServer
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


PAGE = (Path(__file__).resolve().parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")


@pytest.fixture
def of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with the modules and the entry points of docs/plugins.md, as they are in a checkout."""
    (declared,) = re.findall(r"(?ms)^```toml\n(.*?)^```", PAGE)
    entries = re.sub(r"\[project\.entry-points\.(.*?)\]", r"[\1]", declared).replace('"', "")
    install(tmp_path, "realtape-acme", f"{entries}deaf = parrot:Parrot\n")
    for name, text in re.findall(r"(?ms)^```python\n# (\w+)\.py\n(.*?)^```", PAGE):
        (tmp_path / f"{name}.py").write_text(text.replace("realtape.mockserver", "mockserver"), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)


def talk(address: str, key: str) -> list[dict[str, Any]]:
    """One typed turn, in which the model may call a tool once; what the server sent."""
    events: list[dict[str, Any]] = []
    with connect(f"{address}?model=gpt-realtime-2.1", additional_headers={"Authorization": f"Bearer {key}"}) as service:

        def send(type: str, **fields: object) -> None:
            service.send(json.dumps({"type": type, **fields}))

        def until(type: str) -> dict[str, Any]:
            while not events or events[-1]["type"] != type:
                events.append(json.loads(service.recv()))
            return events[-1]

        until("session.created")
        tool = {"type": "function", "name": "find_order", "parameters": {"type": "object"}}
        send("session.update", session={"type": "realtime", "tools": [tool]})
        content = [{"type": "input_text", "text": "Where is my order?"}]
        send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        send("response.create")
        for item in until("response.done")["response"]["output"]:
            if item["type"] == "function_call":
                output = {"type": "function_call_output", "call_id": item["call_id"], "output": "on its way"}
                send("conversation.item.create", item=output)
                send("response.create")
                until("response.created")
                until("response.done")
    return events


def said(events: list[dict[str, Any]]) -> list[str]:
    return [event["transcript"] for event in events if event["type"] == "response.output_audio_transcript.done"]


@pytest.mark.usefixtures("of_the_page")
def test_the_responder_of_the_page_answers():
    with MockServer(responder="shop", dialect="openai", pacing="burst", findings="error") as mock:
        assert said(talk(mock.ws_url, mock.api_key)) == ["One moment.", "Your order is on its way."]
        assert mock.findings == []
        with urllib.request.urlopen(f"{mock.control_url}/scenario", timeout=20) as shown:
            assert json.load(shown) == {"plays": "responder", "name": "shop", "verbatim": False, "scenario": None}


def test_a_test_gives_a_responder_without_a_package():
    class Short:
        source = Source("short")

        def hear(self, turn_number: int) -> None:
            return None

        def reply(self, turn: Turn) -> list[Say]:
            return [Say(f"{turn.number}: {turn.says}")]

    with MockServer(responder=Short, dialect="openai", pacing="burst") as mock:
        for _ in range(2):
            assert said(talk(mock.ws_url, mock.api_key)) == ["0: Where is my order?"]


@pytest.mark.slow
@pytest.mark.usefixtures("of_the_page")
def test_the_dialect_of_the_page_has_its_path_its_event_and_its_recordings(tmp_path: Path):
    with MockServer(dialect="acme", pacing="burst", check=True, record=tmp_path / "calls") as mock:
        events = talk(mock.ws_url.replace("/v1/", "/acme/v1/"), mock.api_key)
        assert [event["type"] for event in events[:2]] == ["session.created", "acme.ready"]
        assert said(talk(mock.ws_url, mock.api_key)) == ["You said: Where is my order?"]
        assert mock.errors == []
    tape = sorted((tmp_path / "calls").iterdir())[0]
    for command in ("check", "lint", "show"):
        result = CliRunner().invoke(realtape.main, [command, str(tape)])
        assert result.exit_code == 0, result.output
    with MockServer(cassette=tape, pacing="burst") as mock:
        assert "acme.ready" in [event["type"] for event in talk(mock.ws_url, mock.api_key)]


@pytest.mark.usefixtures("of_the_page")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--responder", "shpo"], "Did you mean 'shop'?"),
        (["--responder", "shop", "--scenario", "clinic"], "leave out one of them"),
        (["--dialect", "amce"], "did you mean 'acme'?"),
        (["--dialect", "deaf"], "realtape-acme (parrot:Parrot) makes a Parrot without dialect and handshake"),
    ],
)
def test_a_mistake_with_a_plugin_ends_serve(arguments: list[str], says: str):
    result = CliRunner().invoke(realtape.main, ["serve", "--port", "0", *arguments])
    assert (result.exit_code, says in " ".join(result.output.split())) == (2, True), result.output


def test_a_responder_and_a_scenario_are_refused_and_an_unknown_one_is_named():
    with pytest.raises(ValueError, match="leave out one of them"):
        MockServer("clinic", responder=lambda: EchoResponder())
    with pytest.raises(ValueError, match="unknown responder 'eco'; did you mean 'echo'"):
        MockServer(responder="eco")
