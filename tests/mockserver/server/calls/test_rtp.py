from __future__ import annotations

import numpy as np
import pytest

from mockserver.server.calls.rtp import REORDERED, RtpReceiver, RtpSender, read_packet
from mockserver.server.calls.sdp import Codec

OPUS, PCMU, PCMA = Codec("opus", 111), Codec("PCMU", 0), Codec("PCMA", 8)
TONE = (8000 * np.sin(2 * np.pi * 440 * np.arange(480 * 200) / 24000)).astype(np.int16)


def read(data):
    packet = read_packet(data)
    assert packet is not None
    return packet


def packets(codec=OPUS, count=50):
    sender = RtpSender(codec, ssrc=7, sequence=65_530, timestamp=2**32 - 100)
    return [sender.packet(TONE[at * 480 : (at + 1) * 480]) for at in range(count)]


def heard(datagrams, codec=OPUS):
    receiver = RtpReceiver([codec])
    frames = [frame for data in datagrams for frame in receiver.push(read(data))]
    return np.concatenate(frames), receiver


def amplitude(samples):
    """Of 440 Hz in the second half."""
    half = samples[len(samples) // 2 :].astype(float)
    return 2 * abs(np.mean(half * np.exp(-2j * np.pi * 440 * np.arange(len(half)) / 24000)))


@pytest.mark.parametrize("codec", [OPUS, PCMU, PCMA])
def test_a_tone_comes_through_as_it_was(codec):
    samples, _ = heard(packets(codec), codec)
    assert len(samples) == pytest.approx(24_000, abs=1000)
    assert amplitude(samples) == pytest.approx(8000, rel=0.05)


def test_packets_count_on_over_the_end_of_their_numbers():
    numbered = [read(data) for data in packets(count=8)]
    assert [each.sequence for each in numbered] == [65_530, 65_531, 65_532, 65_533, 65_534, 65_535, 0, 1]
    assert [each.timestamp for each in numbered[:3]] == [2**32 - 100, 860, 1820]
    assert {each.ssrc for each in numbered} == {7}


def test_packets_out_of_order_and_doubles_change_nothing():
    sent = packets()
    shuffled = [*sent[:10], sent[12], sent[10], sent[12], sent[11], *sent[13:], sent[20]]
    expected, _ = heard(sent)
    got, receiver = heard(shuffled)
    assert np.array_equal(got, expected)
    assert receiver.lost == 0


def test_a_lost_packet_is_20_ms_of_silence():
    sent = packets()
    got, receiver = heard([*sent[:10], *sent[11:]])
    assert len(got) == 480 * 50
    assert not got[480 * 10 : 480 * 11].any()
    assert receiver.lost == 1


def test_a_long_gap_is_no_silence():
    sent = packets(count=200)
    got, receiver = heard([*sent[:10], *sent[100:]])
    assert (len(got), receiver.lost) == (480 * 110, 90)


def test_the_last_packets_wait_for_no_more_than_a_few_others():
    sent = packets()
    got, _ = heard([*sent[:10], *sent[11 : 11 + REORDERED]])
    assert len(got) == 480 * 10


def test_silence_is_one_packet_again_and_again():
    sender = RtpSender(OPUS, ssrc=7, sequence=0, timestamp=0)
    sent = [read(sender.packet(samples)) for samples in (TONE[:480], *[None] * 10)]
    assert len({each.payload for each in sent[3:]}) == 1
    receiver = RtpReceiver([OPUS])
    frames = [frame for each in sent for frame in receiver.push(each)]
    assert frames[0].any()
    assert not np.concatenate(frames[5:]).any()


def test_extensions_and_padding_are_left_out_and_garbage_is_none():
    plain = read(packets(count=1)[0])
    data = packets(count=1)[0]
    extended = bytes([data[0] | 0x30]) + data[1:12] + b"\xbe\xde\0\1\x10\xff\0\0" + data[12:] + b"\0\0\3"
    assert read_packet(extended) == plain
    for junk in (b"", b"\x80", b"\0" * 20, bytes([0x90]) + data[1:14], bytes([0xA0]) + data[1:12] + b"\xff"):
        assert read_packet(junk) is None
    assert RtpReceiver([PCMU]).push(plain) == []
