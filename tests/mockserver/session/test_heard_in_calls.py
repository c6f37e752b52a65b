"""What a whole call makes of the caller's sound: known clips on a bad line, wrong formats, silence, transcripts on and
off. The parts have tests of their own."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pybase64
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse

from mockserver.audio.codecs import encode, resample
from mockserver.audio.formats import PCM_24K, AudioFormat, Samples
from mockserver.audio.wav import write_wav
from mockserver.responders.base import Say
from mockserver.responders.scenario import Clip, Rule, Scenario, When
from mockserver.server import virtual_time as autojump
from mockserver.testing.mock_server import MockServer
from tests.mockserver.talk import TONE, Script, Talk

BOOKING = "I would like a dental cleaning on July sixth."
OTHER = "Is the doctor in today?"
PCMU, PCMA = AudioFormat("pcmu", 8000), AudioFormat("pcma", 8000)
VAD = {"type": "server_vad", "threshold": 0.5}
STARTED, TIMEOUT = "input_audio_buffer.speech_started", "input_audio_buffer.timeout_triggered"
UPDATED = "conversation.item.input_audio_transcription.updated"
COMPLETED = "conversation.item.input_audio_transcription.completed"


def turn(text: str, noise_db: float | None = None) -> Samples:
    """A sentence at 24 kHz between pauses; noise is that much weaker than the voice, and lasts through the pauses."""
    spoken = TONE.speak(text).samples.astype(np.float64)
    sound = np.concatenate([np.zeros(24_000), spoken, np.zeros(30_000)])
    if noise_db is not None:
        sound += np.random.default_rng(5).normal(0.0, spoken.std() * 10 ** (-noise_db / 20), len(sound))
    samples: Samples = np.clip(np.rint(sound), -32768, 32767).astype(np.int16)
    return samples


def wire(sound: Samples, form: AudioFormat) -> bytes:
    return encode(resample(sound, 24_000, form.rate), form)


def side(form: AudioFormat) -> dict[str, object]:
    return {"format": {"type": f"audio/{form.kind}", "rate": form.rate}}


# Known clips, over a real socket.


@pytest.fixture
def known(tmp_path: Path) -> list[Clip]:
    write_wav(tmp_path / "booking.wav", TONE.speak(BOOKING).samples, 24_000)
    return [Clip(str(tmp_path / "booking.wav"), BOOKING)]


def clinic(known: Iterable[Clip], heard: str | None = None) -> Scenario:
    rules = [
        Rule(Say("Could you say that again?"), When(says=r"\(unintelligible\)")),
        Rule(Say("A cleaning, then."), When(says="cleaning")),
        Rule(Say("Very well."), heard=heard),
    ]
    return Scenario(rules, hears=list(known))


@asynccontextmanager
async def dialled(scenario: Scenario, form: AudioFormat) -> AsyncIterator[ClientWebSocketResponse[bool]]:
    async with MockServer(scenario, voice="tone") as mock, ClientSession() as http:
        async with http.ws_connect(mock.ws_url, headers={"Authorization": "Bearer k"}) as ws:
            audio = {"input": {**side(form), "transcription": {"model": "grok-transcribe"}}}
            await ws.send_json({"type": "session.update", "session": {"turn_detection": VAD, "audio": audio}})
            yield ws


def call(scenario: Scenario, sound: Samples, form: AudioFormat = PCM_24K, piece: int = 2400) -> tuple[str, str]:
    """Say it once; gives what the service took it for, and its answer."""

    async def main() -> tuple[str, str]:
        data = wire(sound, form)
        async with dialled(scenario, form) as ws:
            for at in range(0, len(data), piece):
                audio = pybase64.b64encode_as_string(data[at : at + piece])
                await ws.send_json({"type": "input_audio_buffer.append", "audio": audio})
            heard = await event(ws, COMPLETED, status="completed")
            said = await event(ws, "response.output_audio_transcript.done")
            return heard["transcript"], said["transcript"]

    return autojump.run(main())


async def event(ws: ClientWebSocketResponse[bool], type: str, **fields: str) -> dict[str, Any]:
    """The next event of that type with those fields."""
    wanted = {"type": type, **fields}
    while True:
        found: dict[str, Any] = json.loads(await ws.receive_str())
        if wanted.items() <= found.items():
            return found


@pytest.mark.slow
@pytest.mark.parametrize("form", [PCM_24K, AudioFormat("pcm", 16_000), PCMU, PCMA], ids=lambda form: f"{form.kind}")
@pytest.mark.parametrize("noise_db", [None, 10.0])
def test_a_known_clip_is_heard_on_a_telephone_and_in_noise(known, form: AudioFormat, noise_db: float | None):
    assert call(clinic(known), turn(BOOKING, noise_db), form) == (BOOKING, "A cleaning, then.")


@pytest.mark.parametrize("piece", [333, 48_000])
def test_how_a_clip_is_cut_into_appends_does_not_matter(known, piece: int):
    assert call(clinic(known), turn(BOOKING), PCMU, piece)[0] == BOOKING


def test_what_is_no_known_clip_can_be_asked_for_again(known):
    assert call(clinic(known), turn(OTHER)) == ("(unintelligible)", "Could you say that again?")


@pytest.mark.slow
def test_a_known_clip_goes_before_the_script_unless_the_scenario_wants_it_otherwise(known):
    scripted = clinic(known, heard="Never mind.")
    assert call(scripted, turn(BOOKING)) == (BOOKING, "A cleaning, then.")
    assert call(scripted, turn(OTHER)) == ("Never mind.", "Very well.")
    assert call(dataclasses.replace(scripted, hearing="script"), turn(BOOKING)) == ("Never mind.", "Very well.")


# A format that is not the one declared.


def sent_as(declared: AudioFormat, sent: AudioFormat) -> Talk:
    talk = Talk(Script(heard=[BOOKING]), update={"turn_detection": VAD, "audio": {"input": side(declared)}})
    data = wire(turn(BOOKING), sent)
    for at in range(0, len(data), 800):
        talk.send("input_audio_buffer.append", audio=pybase64.b64encode_as_string(data[at : at + 800]))
    return talk


def test_the_declared_format_is_how_the_bytes_are_read_whatever_they_are():
    length = len(turn(BOOKING)) / 24_000
    assert float(sent_as(PCM_24K, PCMU).session.ledger.audio_in_s) == pytest.approx(length / 6, abs=0.001)
    assert float(sent_as(PCMU, PCM_24K).session.ledger.audio_in_s) == pytest.approx(length * 6, abs=0.001)
    assert float(sent_as(PCM_24K, AudioFormat("pcm", 8000)).session.ledger.audio_in_s) == pytest.approx(
        length / 3, abs=0.001
    )


def test_sound_in_another_format_than_declared_is_static_that_is_no_turn_as_it_should_be():
    right = sent_as(PCMU, PCMU).of(STARTED)[0]["audio_start_ms"]
    wrong = [sent_as(PCMU, PCM_24K), sent_as(PCM_24K, PCMU)]
    assert all(event["audio_start_ms"] != right for talk in wrong for event in talk.of(STARTED))
    assert [talk.of("error") for talk in wrong] == [[], []]


# A caller who says nothing.


def test_a_silent_caller_is_asked_by_the_scenarios_rule_after_the_answer_was_played_and_again():
    scenario = Scenario([Rule(Say("Are you still there?"), When(silence=True)), Rule(Say("Welcome to the clinic."))])
    talk = Talk(scenario.responder(), update={"turn_detection": {**VAD, "idle_timeout_ms": 4000}})
    talk.say("Hello.")
    began = talk.now + float(talk.until("response.output_audio.delta")["latency"])
    played = began + talk.until("response.done")["usage"]["output_audio_seconds"]
    for _ in range(2):
        silence = talk.until(TIMEOUT)
        assert talk.now == pytest.approx(played + 4, abs=0.02)
        assert silence["audio_end_ms"] - silence["audio_start_ms"] == 4000
        said = talk.until("response.output_audio_transcript.done")
        assert said["transcript"] == "Are you still there?"
        talk.until("response.done")
        played = talk.session.next_due() - 4  # type: ignore[operator]


def test_without_the_setting_nobody_is_asked():
    talk = Talk(update={"turn_detection": VAD})
    talk.say("Hello.")
    talk.until("response.done")
    talk.wait(3600)
    assert talk.of(TIMEOUT) == []


# Transcripts.


def transcription(asked: Mapping[str, object] | None) -> dict[str, object]:
    return {"turn_detection": VAD, "audio": {"input": {"transcription": asked}}}


def test_transcripts_in_progress_are_switched_on_and_off_in_mid_call():
    talk = Talk(Script(heard=["One two.", "Three four.", "Five six."]), update=transcription(None))
    counts = []
    for asked in (None, {"model": "grok-transcribe"}, None):
        talk.send("session.update", session=transcription(asked))
        before = len(talk.of(UPDATED))
        talk.speak()
        talk.hush(900)
        talk.rest()
        counts.append(len(talk.of(UPDATED)) - before)
    assert counts == [0, 2, 0]
    finals = [event["transcript"] for event in talk.of(COMPLETED) if event["status"] == "completed"]
    assert finals == ["One two.", "Three four.", "Five six."]


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ({"language_hint": 5}, "language_hint"),
        ({"language_hint": "x" * 36}, "language_hint"),
        ({"keyterms": "Chen"}, "keyterms"),
        ({"keyterms": [5]}, "keyterms.0"),
        ({"languagehint": "en"}, "languagehint"),
    ],
)
def test_a_transcription_setting_that_cannot_be_is_refused_by_its_place_and_changes_nothing(asked, where: str):
    talk = Talk(update=transcription({"model": "grok-transcribe", "language_hint": "en"}))
    talk.send("session.update", session={"instructions": "Be brief.", **transcription(asked)})
    assert f"session.audio.input.transcription.{where}" in talk.error["message"]
    talk.send("session.update", session={})
    shown = talk.of("session.updated")[-1]["session"]
    assert (shown["instructions"], shown["input_audio_transcription"]["language_hint"]) == ("", "en")


def test_key_terms_and_language_may_change_in_mid_call_up_to_the_documented_bounds():
    talk = Talk(update=transcription({"model": "grok-transcribe"}))
    for asked in ({"keyterms": ["x" * 50] * 100}, {"language_hint": "de-CH"}):
        talk.send("session.update", session={"audio": {"input": {"transcription": asked}}})
        assert talk.until("session.updated")["session"]["audio"]["input"]["transcription"] == asked


# Uploads.


def test_a_clip_sent_at_once_or_as_it_is_spoken_has_the_same_positions():
    burst, paced = (Talk(update={"turn_detection": VAD}) for _ in range(2))
    burst.append(turn(BOOKING))
    paced.speak_in_time(turn(BOOKING))
    for type, key in ((STARTED, "audio_start_ms"), ("input_audio_buffer.speech_stopped", "audio_end_ms")):
        assert [each[key] for each in burst.of(type)] == [each[key] for each in paced.of(type)] != []
