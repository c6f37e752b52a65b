"""Opus packets: streams with a memory, what is broken in them, and a machine without the codec."""

from __future__ import annotations

import base64
import logging
import sys
from fractions import Fraction
from typing import Literal

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.audio.codecs import audio_format, decoder_for, encoder_for, rms_dbfs
from mockserver.audio.formats import AudioFormat, Samples
from mockserver.audio.opus import FRAME, OpusDecoder, OpusEncoder
from mockserver.dialects.xai.traits import RHYTHM_1
from mockserver.responders.base import Pause, Say
from replay.version import install_command
from tests.mockserver.talk import TONE, Script, Talk, saying

SPEECH = TONE.speak("I would like a dental cleaning, please.").samples
OPUS_OUT = {"audio": {"output": {"format": {"type": "audio/opus"}}}}
OPUS_IN = {"audio": {"input": {"format": {"type": "audio/opus"}, "transport": "binary"}}}


def packets(samples: Samples) -> list[bytes]:
    encoder = OpusEncoder()
    return [packet for packet, _ in [*encoder.push(samples), *encoder.finish()]]


def foreign_packets(rate: int, layout: Literal["mono", "stereo"], frame_ms: int) -> list[bytes]:
    """A second of a 400 Hz tone as another client encodes it."""
    context = av.CodecContext.create("libopus", "w")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.format = rate, "s16"
    context.layout = layout
    context.options = {"frame_duration": str(frame_ms)}
    channels, size = (2 if layout == "stereo" else 1), rate * frame_ms // 1000
    tone = (8000 * np.sin(2 * np.pi * 400 * np.arange(rate) / rate)).astype(np.int16).repeat(channels)
    made = []
    for at in range(0, len(tone) - size * channels + 1, size * channels):
        frame = av.AudioFrame.from_ndarray(tone[np.newaxis, at : at + size * channels], format="s16", layout=layout)
        frame.sample_rate = rate
        made += [bytes(packet) for packet in context.encode(frame)]
    return made


def test_a_packet_holds_20_ms_and_the_last_is_filled_up():
    encoder = OpusEncoder()
    assert encoder.push(SPEECH[:479]) == []
    assert [samples for _, samples in encoder.push(SPEECH[479:1000])] == [FRAME, FRAME]
    assert [samples for _, samples in encoder.finish()] == [FRAME]
    assert encoder.finish() == []


@settings(max_examples=25)
@given(st.lists(st.integers(0, 2000), max_size=6))
def test_how_sound_is_cut_does_not_change_its_packets(sizes: list[int]):
    encoder, made, at = OpusEncoder(), [], 0
    for size in sizes:
        made += encoder.push(SPEECH[at : at + size])
        at += size
    assert [packet for packet, _ in [*made, *encoder.finish()]] == packets(SPEECH[:at])


@pytest.mark.parametrize(
    ("rate", "layout", "frame_ms"),
    [(24000, "mono", 10), (48000, "mono", 20), (48000, "stereo", 60), (8000, "mono", 40)],
)
def test_packets_of_any_length_rate_and_width_are_read(rate: int, layout: Literal["mono", "stereo"], frame_ms: int):
    decoder = OpusDecoder()
    sound = [decoder.push(packet) for packet in foreign_packets(rate, layout, frame_ms)]
    assert {len(piece) for piece in sound} == {24 * frame_ms}
    spectrum = np.abs(np.fft.rfft(np.concatenate(sound)[4800:19_200]))
    assert np.argmax(spectrum) == 400 * 14_400 // 24_000
    assert rms_dbfs(np.concatenate(sound)[4800:19_200]) == pytest.approx(-15.3, abs=0.7)


# The rest of what can go wrong decodes to something: the format has no checksum.
@pytest.mark.parametrize("broken", [b"\xff" * 40, b"\x03", b"\x0b\xff", bytes(1 << 20)])
def test_a_packet_that_is_none_counts_as_20_ms_of_silence(broken: bytes):
    silence = OpusDecoder().push(broken)
    assert len(silence) == FRAME and not silence.any()


def test_no_bytes_are_no_packet_and_do_not_end_the_stream():
    decoder = OpusDecoder()
    assert len(decoder.push(b"")) == 0
    assert len(decoder.push(packets(SPEECH)[0])) == FRAME


@settings(max_examples=40)
@given(st.lists(st.binary(max_size=300), max_size=12))
def test_whatever_comes_the_stream_goes_on_after_it(noise: list[bytes]):
    decoder = OpusDecoder()
    for data in noise:
        assert len(decoder.push(data)) <= 24 * 120
    assert np.concatenate([decoder.push(packet) for packet in packets(SPEECH[:2400])]).any()


def test_each_stream_has_its_own_memory():
    made = packets(SPEECH)
    alone, one, other = OpusDecoder(), OpusDecoder(), OpusDecoder()
    expected = [alone.push(packet) for packet in made]
    for at, packet in enumerate(made):
        other.push(made[-1 - at])
        assert np.array_equal(one.push(packet), expected[at])


def test_broken_packets_do_not_disturb_the_session_and_take_their_time():
    talk = Talk(update=OPUS_IN)
    for packet in [*packets(SPEECH[:4800]), b"\xff\xff\xff", b"", b"\x03"]:
        talk.send_raw(packet)
    assert talk.session.ledger.audio_in_s == Fraction(10 + 2, 50)


def test_packets_leave_20_ms_each_and_the_first_alone_tells_the_latency():
    talk = Talk(update=OPUS_OUT)
    talk.say("Are you open?")
    talk.until("response.done")
    deltas = talk.of("response.output_audio.delta")
    assert {delta["audio_duration_ms"] for delta in deltas} == {20}
    assert ["latency" in delta for delta in deltas] == [True] + [False] * (len(deltas) - 1)
    assert deltas[0]["ts"] == deltas[1]["ts"]


def test_a_cut_answer_bills_the_packets_that_left_and_not_what_the_codec_held():
    talk = Talk(saying(seconds=10), update=OPUS_OUT)
    talk.say("Go on.")
    talk.until("response.output_audio.delta", times=60)
    talk.send("response.cancel")
    done = talk.until("response.done")
    sent_s = Fraction(len(talk.of("response.output_audio.delta")), 50)
    assert done["response"]["status"] == "cancelled"
    assert talk.session.ledger.audio_out_s == sent_s
    assert done["usage"]["output_audio_seconds"] == pytest.approx(float(sent_s))
    assert sent_s < 10


def test_one_response_is_one_stream_through_all_its_texts():
    talk = Talk(Script([Say("Yes."), Pause(500), Say("Yes.")]), update=OPUS_OUT)
    talk.say("Are you open?")
    talk.until("response.done")
    made = [base64.b64decode(delta["delta"]) for delta in talk.of("response.output_audio.delta")]
    clip = TONE.speak("Yes.").samples
    first = np.concatenate([clip, np.zeros(-len(clip) % RHYTHM_1.unit, np.int16)])  # more of the message follows
    filled = [np.concatenate([sound, np.zeros(-len(sound) % FRAME, np.int16)]) for sound in (first, clip)]
    assert made == packets(np.concatenate(filled))


def test_without_the_extra_opus_is_static_and_the_log_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setitem(sys.modules, "av", None)
    with caplog.at_level(logging.WARNING):
        talk = Talk(update=OPUS_OUT)
    (line,) = caplog.messages
    assert install_command("opus") in line
    assert talk.of("session.updated")[0]["session"]["audio"]["output"]["format"]["type"] == "audio/opus"
    talk.say("Are you open?")
    assert talk.until("response.done")["response"]["status"] == "completed"
    assert talk.session.settings.output_format == AudioFormat("static")
    assert talk.heard_seconds == TONE.speak("Yes.").seconds


def test_without_the_extra_a_stream_that_is_made_all_the_same_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "av", None)
    for make in (decoder_for, encoder_for):
        with pytest.raises(ImportError, match=r"\[opus\]"):
            make(AudioFormat("opus"))


def test_opus_is_offered_at_24_khz_only():
    assert audio_format("audio/opus") == audio_format("audio/opus", 24000) == AudioFormat("opus")
    assert audio_format("audio/opus", 48000) == AudioFormat("static")
