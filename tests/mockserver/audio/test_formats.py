"""Every audio format, into a session and out of it, as base64 in events and as binary messages."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
import pybase64
import pytest

import mockserver.audio.opus
from mockserver.audio.codecs import decoder_for, encode, encoder_for, resample
from mockserver.audio.formats import BYTES_PER_SAMPLE, PCM_24K, RATES, AudioFormat, Samples
from mockserver.audio.wav import write_wav
from mockserver.responders.base import Say
from tests.mockserver.talk import TONE, Script, Talk, saying

OPUS, STATIC = AudioFormat("opus"), AudioFormat("static")
PCMU, PCMA = AudioFormat("pcmu", 8000), AudioFormat("pcma", 8000)
FORMATS = [*(AudioFormat("pcm", rate) for rate in RATES["pcm"]), PCMU, PCMA, OPUS, STATIC]
PACKET = mockserver.audio.opus.FRAME
VAD = {"type": "server_vad"}
ANSWER = "Good morning. We are open until six today, and until three on Fridays. What can I do for you?"
REQUEST = "I would like a dental cleaning, please."


def name(form: AudioFormat) -> str:
    return f"{form.kind}-{form.rate}"


every_format = pytest.mark.parametrize("form", FORMATS, ids=name)
both_transports = pytest.mark.parametrize("transport", ["json", "binary"])


def side(form: AudioFormat, transport: str = "json") -> dict[str, object]:
    """One side of a session's `audio`."""
    media_type = "audio/mpeg" if form.kind == "static" else f"audio/{form.kind}"
    return {"format": {"type": media_type, "rate": form.rate}, "transport": transport}


def talk_with(output: dict[str, object], text: str = ANSWER, **settings: object) -> Talk:
    return Talk(Script([Say(text)]), pacing="burst", update={"audio": {"output": output, **settings}})


def received(talk: Talk, transport: str) -> list[bytes]:
    """The sound's messages on one channel; there must be none on the other."""
    deltas = [base64.b64decode(event["delta"]) for event in talk.of("response.output_audio.delta")]
    channel, other = (talk.binary, deltas) if transport == "binary" else (deltas, talk.binary)
    assert not other, talk
    return channel


def samples_in(payloads: Iterable[bytes], form: AudioFormat) -> int:
    """Samples by the size of what crossed the wire; an Opus packet says its length in its first byte."""
    if form.kind != "opus":
        return sum(map(len, payloads)) // BYTES_PER_SAMPLE[form.kind]
    assert all(packet[0] >> 3 in (19, 23, 27, 31) and not packet[0] & 7 for packet in payloads)  # one mono 20 ms frame
    return PACKET * len(list(payloads))


def decoded(payloads: Iterable[bytes], form: AudioFormat) -> Samples:
    decoder = decoder_for(form)
    return np.concatenate([decoder.push(payload) for payload in payloads])


def payloads_of(samples: Samples, form: AudioFormat) -> list[bytes]:
    """Sound (24 kHz) as a client sends it: Opus in packets, the rest cut where it falls, also inside a sample."""
    if form.kind == "opus":
        encoder = encoder_for(form)
        return [packet for packet, _ in [*encoder.push(samples), *encoder.finish()]]
    data = encode(resample(samples, 24000, form.rate), form)
    return [data[at : at + 2401] for at in range(0, len(data), 2401)]


def send(talk: Talk, payloads: Iterable[bytes], transport: str) -> None:
    for payload in payloads:
        if transport == "binary":
            talk.send_raw(payload)
        else:
            talk.send("input_audio_buffer.append", audio=pybase64.b64encode_as_string(payload))


def likeness(sound: Samples, original: Samples, most_lag: int) -> float:
    """The correlation (1.0 = the same) at the best of the lags that a codec may bring."""
    size = min(len(sound), len(original)) - most_lag
    a = original[:size].astype(np.float64)
    shifted = (sound[lag : lag + size].astype(np.float64) for lag in range(most_lag + 1))
    return max(float(a @ b / math.sqrt((a @ a) * (b @ b))) for b in shifted)


def likeness_in(form: AudioFormat, sound: Samples, original: Samples) -> float:
    """As above; `original` is at 24 kHz."""
    return likeness(sound, resample(original, 24000, form.rate), 60 if form.kind == "opus" else 0)


@lru_cache(maxsize=1)
def answer() -> Samples:
    """What the voice makes of ANSWER, pauses included, as the plainest format carries it."""
    talk = talk_with(side(PCM_24K))
    talk.say("Hello?")
    talk.rest()
    return decoded(received(talk, "json"), PCM_24K)


@every_format
@both_transports
def test_every_output_format_carries_the_whole_answer(form: AudioFormat, transport: str):
    talk = talk_with(side(form, transport))
    talk.say("Hello?")
    done = talk.until("response.done")
    payloads = received(talk, transport)
    count = samples_in(payloads, form)
    exact = Fraction(len(answer()) * form.rate, 24000)
    assert count == (math.ceil(exact / PACKET) * PACKET if form.kind == "opus" else round(exact))
    assert talk.session.ledger.audio_out_s == Fraction(count, form.rate)
    assert done["usage"]["output_audio_seconds"] == pytest.approx(count / form.rate, abs=0.001)
    alike = likeness_in(form, decoded(payloads, form), answer())
    assert alike < 0.05 if form.kind == "static" else alike > 0.98


def test_an_answer_of_one_piece_is_the_voices_clip_sample_for_sample():
    talk = talk_with(side(PCM_24K), "We are open until six.")
    talk.say("Hello?")
    talk.rest()
    assert np.array_equal(decoded(received(talk, "json"), PCM_24K), TONE.speak("We are open until six.").samples)


@every_format
def test_the_durations_of_the_deltas_are_those_of_their_samples(form: AudioFormat):
    talk = talk_with(side(form))
    talk.say("Hello?")
    talk.rest()
    for delta in talk.of("response.output_audio.delta"):
        samples = samples_in([base64.b64decode(delta["delta"])], form)
        assert samples and delta["audio_duration_ms"] == round(samples * 1000 / form.rate)


@pytest.mark.parametrize("rate", [8000, 11025, 44100])
def test_pieces_at_another_rate_join_without_a_seam(rate: int, tmp_path: Path):
    tone = (12000 * np.sin(2 * np.pi * 440 * np.arange(60_001) / 24000)).astype(np.int16)
    write_wav(tmp_path / "tone.wav", tone, 24000)
    talk = Talk(
        Script([Say("A tone.", audio=str(tmp_path / "tone.wav"))]),
        update={"audio": {"output": side(AudioFormat("pcm", rate))}},
    )
    talk.say("Hello?")
    talk.rest()
    payloads = received(talk, "json")
    assert len(payloads) > 5
    sound = decoded(payloads, AudioFormat("pcm", rate))
    assert np.array_equal(sound, resample(tone, 24000, rate)[: len(sound)])
    assert len(sound) == round(60_001 * rate / 24000)


@every_format
@both_transports
def test_every_input_format_is_heard_and_counted_in_full(form: AudioFormat, transport: str):
    sound = np.concatenate([np.zeros(4800, np.int16), TONE.speak(REQUEST).samples, np.zeros(19_200, np.int16)])
    payloads = payloads_of(sound, form)
    talk = Talk(pacing="burst", update={"turn_detection": VAD, "audio": {"input": side(form, transport)}})
    send(talk, payloads, transport)
    count = samples_in(payloads, form)
    assert abs(Fraction(count, form.rate) - Fraction(len(sound), 24000)) <= Fraction(
        1, 50 if form.kind == "opus" else form.rate
    )
    assert talk.session.ledger.audio_in_s == Fraction(count, form.rate)
    alike = likeness_in(form, decoded(payloads, form), sound)
    if form.kind == "static":
        assert alike < 0.05
        assert not talk.of("input_audio_buffer.speech_started")
    else:
        assert alike > 0.98
        (started,) = talk.of("input_audio_buffer.speech_started")
        (stopped,) = talk.of("input_audio_buffer.speech_stopped")
        assert started["audio_start_ms"] < 300
        assert stopped["audio_end_ms"] == pytest.approx(200 + TONE.speak(REQUEST).ms + 250, abs=130)
        assert talk.of("response.output_audio.delta")


@pytest.mark.parametrize(("heard", "spoken"), list(zip(FORMATS, [*FORMATS[5:], *FORMATS[:5]], strict=True)), ids=name)
def test_what_comes_in_does_not_touch_what_goes_out(heard: AudioFormat, spoken: AudioFormat):
    talk = talk_with(side(spoken, "binary"), input=side(heard))
    send(talk, payloads_of(TONE.speak(REQUEST).samples, heard), "json")
    talk.say("Hello?")
    talk.rest()
    ledger, exact = talk.session.ledger, Fraction(len(answer()), 24000)
    assert 0 <= abs(ledger.audio_out_s - exact) <= Fraction(1, 50)
    assert ledger.audio_out_s == Fraction(samples_in(received(talk, "binary"), spoken), spoken.rate)
    assert float(ledger.audio_in_s) == pytest.approx(TONE.speak(REQUEST).seconds, abs=0.02)


def test_a_new_output_format_and_transport_wait_for_the_next_response():
    talk = Talk(saying(seconds=5))
    talk.say("Go on.")
    talk.until("response.output_audio.delta", times=2)
    talk.send("session.update", session={"audio": {"output": side(OPUS, "binary")}})
    talk.until("response.done")
    before = decoded(received(talk, "json"), PCM_24K)
    assert talk.session.ledger.audio_out_s == Fraction(len(before), 24000)
    talk.say("Are you open?")
    talk.until("response.done")
    assert talk.session.ledger.audio_out_s == Fraction(len(before) + samples_in(talk.binary, OPUS), 24000)
    assert likeness(decoded(talk.binary, OPUS), TONE.speak("Yes.").samples, 60) > 0.98


def test_a_new_input_format_counts_from_the_next_message():
    talk = Talk(update={"audio": {"input": side(PCM_24K, "binary")}})
    talk.send_raw(bytes(4801))
    talk.send("session.update", session={"audio": {"input": side(PCMU, "binary")}})
    talk.send_raw(bytes(801))
    talk.send("session.update", session={"audio": {"input": side(OPUS)}})
    send(talk, payloads_of(np.zeros(960, np.int16), OPUS), "json")
    assert talk.session.ledger.audio_in_s == Fraction(2400, 24000) + Fraction(801, 8000) + Fraction(960, 24000)


def test_base64_is_still_taken_where_binary_messages_are():
    talk = Talk(update={"audio": {"input": side(PCM_24K, "binary")}})
    talk.send_raw(bytes(4800))
    send(talk, [bytes(4800)], "json")
    assert talk.session.ledger.audio_in_s == Fraction(1, 5)


def test_a_binary_message_is_refused_until_it_was_asked_for():
    talk = Talk()
    talk.send_raw(bytes(4800))
    assert "audio.input.transport" in talk.error["message"]
    assert talk.session.ledger.audio_in_s == 0


def test_a_broken_wav_fails_the_response_and_not_the_session(tmp_path: Path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF\x00\x00\x00\x00WAVEnothing")
    talk = Talk(Script([Say("Hello.", audio=str(broken))]))
    talk.say("Hello?")
    assert talk.until("response.done")["response"]["status"] == "failed"
    assert f"{broken}: " in (problem := talk.error["message"]) and "save it as 16-bit PCM WAV" in problem
    talk.say("Are you there?")
    assert talk.until("response.done")["response"]["status"] == "completed"


def test_a_wav_that_vanished_fails_the_response_and_not_the_session(tmp_path: Path):
    talk = Talk(Script([Say("Hello.", audio=str(tmp_path / "gone.wav"))]))
    talk.say("Hello?")
    assert talk.until("response.done")["response"]["status"] == "failed"
    assert "gone.wav" in talk.error["message"]
