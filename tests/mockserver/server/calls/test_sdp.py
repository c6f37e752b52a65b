from __future__ import annotations

import pytest

from mockserver.server.calls.sdp import EOF, NOT_WHIP, Codec, InvalidOffer, Transport, answer, read_offer

FINGERPRINT = ":".join(["97"] * 32)
OFFER = "".join(
    f"{line}\r\n"
    for line in f"""v=0
o=- 3993840254 3993840254 IN IP4 0.0.0.0
s=-
t=0 0
a=group:BUNDLE 0 1
a=msid-semantic:WMS *
m=audio 51603 UDP/TLS/RTP/SAVPF 96 9 0 8
c=IN IP4 0.0.0.0
a=sendrecv
a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid
a=mid:0
a=msid:993a573d-865c-4f89-b4d6-bf0023b36333 28299f45-cf21-4e7d-8945-3fc2846d1979
a=rtcp:9 IN IP4 0.0.0.0
a=rtcp-mux
a=ssrc:596951577 cname:54390b83-64d1-4178-a0ef-a2cafdb3f3a7
a=rtpmap:96 opus/48000/2
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=ice-ufrag:YnNx
a=ice-pwd:jIsRuXZmV9Yq00qk4a33Xe
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
m=application 34376 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=mid:1
a=sctp-port:5000
a=max-message-size:65536
a=ice-ufrag:YnNx
a=ice-pwd:jIsRuXZmV9Yq00qk4a33Xe
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass""".split("\n")
)
OURS = Transport(
    session=4596005847736977740,
    unix=1784852417,
    ufrag="HqBApb/u2/3oMrw2",
    pwd="y1UgIcaK8DKd7LDygYbnTV12DYsMEWCA",
    fingerprint="7E:0E",
    ssrc=3830135120,
    addresses=[("127.0.0.1", 34780)],
)


def test_an_answer_has_the_lines_of_the_service_in_their_order():
    # As observed on api.openai.com, but for the candidates, which are the server's own, and the role in DTLS.
    assert answer(read_offer(OFFER), OURS).split("\r\n") == [
        "v=0",
        "o=- 4596005847736977740 1784852417 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=msid-semantic:WMS *",
        "a=fingerprint:sha-256 7E:0E",
        "a=ice-lite",
        "a=group:BUNDLE 0 1",
        "m=audio 9 UDP/TLS/RTP/SAVPF 96 0 8",
        "c=IN IP4 0.0.0.0",
        "a=setup:passive",
        "a=mid:0",
        "a=ice-ufrag:HqBApb/u2/3oMrw2",
        "a=ice-pwd:y1UgIcaK8DKd7LDygYbnTV12DYsMEWCA",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        "a=rtpmap:96 opus/48000/2",
        "a=fmtp:96 minptime=10;useinbandfec=1",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=ssrc:3830135120 cname:realtimeapi",
        "a=ssrc:3830135120 msid:realtimeapi audio",
        "a=ssrc:3830135120 mslabel:realtimeapi",
        "a=ssrc:3830135120 label:audio",
        "a=msid:realtimeapi audio",
        "a=sendrecv",
        "a=candidate:1 1 udp 2130706431 127.0.0.1 34780 typ host ufrag HqBApb/u2/3oMrw2",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        "a=setup:passive",
        "a=mid:1",
        "a=sendrecv",
        "a=sctp-port:5000",
        "a=max-message-size:1073741823",
        "a=ice-ufrag:HqBApb/u2/3oMrw2",
        "a=ice-pwd:y1UgIcaK8DKd7LDygYbnTV12DYsMEWCA",
        "",
    ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", EOF),
        ("v=0", EOF),
        ("v=0\r\n", EOF),
        (OFFER.rstrip(), EOF),
        ("hello\r\n", "Failed to parse offer: failed to unmarshal SDP: sdp: invalid syntax `hello`"),
        ("{}\n", "Failed to parse offer: failed to unmarshal SDP: sdp: invalid syntax `{}`"),
        (OFFER.replace("m=audio", "m=video"), NOT_WHIP),
        (OFFER.replace("a=fingerprint", "a=print"), NOT_WHIP),
        (OFFER.replace("a=ice-pwd", "a=pwd"), NOT_WHIP),
        (OFFER.replace("opus/48000", "speex/8000").replace(" 9 0 8\r\n", "\r\n"), NOT_WHIP),
        (OFFER.replace("m=audio 51603 UDP/TLS/RTP/SAVPF 96 9 0 8", "m=audio"), NOT_WHIP),
    ],
)
def test_an_offer_that_cannot_be_answered_is_refused_in_the_services_words(text, error):
    with pytest.raises(InvalidOffer) as refused:
        read_offer(text)
    assert str(refused.value) == error
    assert refused.value.advice


def test_the_clients_favourite_codec_comes_first_under_its_own_number():
    offer = read_offer(OFFER.replace("SAVPF 96 9 0 8", "SAVPF 8 111 63").replace("rtpmap:96", "rtpmap:111"))
    assert offer.codecs == (Codec("PCMA", 8), Codec("opus", 111))


def test_a_video_track_is_refused_and_audio_without_a_channel_is_not():
    without = OFFER[: OFFER.index("m=application")]
    text = answer(read_offer(without + "m=video 9 UDP/TLS/RTP/SAVPF 120 121\r\na=mid:v\r\n"), OURS)
    assert "m=video 0 UDP/TLS/RTP/SAVPF 120 121\r\n" in text
    assert "a=group:BUNDLE 0\r\n" in text
    assert "m=application" not in text


def test_the_server_takes_what_the_client_leaves_to_it():
    offer = read_offer(OFFER.replace("a=setup:actpass", "a=setup:passive").replace("a=sendrecv", "a=recvonly"))
    assert (offer.server_role, offer.server_direction) == ("active", "sendonly")
