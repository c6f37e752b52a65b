"""Session descriptions of a WebRTC call: the client's offer is read, the service's answer is written (RFC 8866, 8829).

Text alone. The candidates of an offer are not read: the server is ICE-lite, so that the client finds the way to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
CodecName = Literal["opus", "PCMU", "PCMA"]

MAX_OFFER = 256 << 10
"""Bytes of the longest offer that is read. A browser's offer of one track has some 3,000."""
MAX_MESSAGE = 1_073_741_823
"""Bytes of a data channel's message that the service's answer allows."""
DEFAULT_MAX_MESSAGE = 65_536
"""Bytes of a message where an offer names no `max-message-size` (RFC 8841)."""
EOF = "Failed to parse offer: failed to unmarshal SDP: EOF"
NOT_WHIP = "Invalid SDP offer. Please try again with a WHIP-compliant offer."
_CODECS: dict[str, CodecName] = {"opus/48000": "opus", "PCMU/8000": "PCMU", "PCMA/8000": "PCMA"}
_STATIC: dict[str, CodecName] = {"0": "PCMU", "8": "PCMA"}
_LINE = re.compile(r"[a-z]=.*")
_ICE = re.compile(r"[A-Za-z0-9+/]{4,256}")


class InvalidOffer(ValueError):
    """An offer that the service refuses, in its words. `advice` says what is wrong in the offer."""

    def __init__(self, error: str, advice: str) -> None:
        super().__init__(error)
        self.advice = advice


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec of the audio track. `payload_type` is the client's number of it."""

    name: CodecName
    payload_type: int


@dataclass(frozen=True, slots=True)
class Media:
    """One `m=` line of an offer, and the attributes below it."""

    kind: str
    protocol: str
    formats: tuple[str, ...]
    attributes: dict[str, list[str]] = field(default_factory=dict)

    def first(self, name: str) -> str | None:
        """The value of the first attribute of that name; empty for one without a value."""
        return self.attributes.get(name, [None])[0]


@dataclass(frozen=True, slots=True)
class Offer:
    """What an offer says.

    media: its `m=` lines in order, all of which the answer must name.
    audio, data: the indices in `media` of the audio track, and of the data channels if it has any.
    codecs: of the audio track, the client's favourite first.
    direction: of the audio track, as the client sees it.
    fingerprints: algorithm and value of the client's certificate.
    setup: the role that the client takes in DTLS.
    """

    media: tuple[Media, ...]
    audio: int
    data: int | None
    codecs: tuple[Codec, ...]
    direction: Direction
    ufrag: str
    pwd: str
    fingerprints: tuple[tuple[str, str], ...]
    setup: Literal["actpass", "active", "passive"]
    sctp_port: int
    max_message: int

    @property
    def server_role(self) -> Literal["active", "passive"]:
        """The server's role in DTLS: `passive` where the client leaves it open, as the service answered in September
        2026; in July it was `active`."""
        return "active" if self.setup == "passive" else "passive"

    @property
    def server_direction(self) -> Direction:
        """The direction of the audio track as the server sees it."""
        seen: dict[Direction, Direction] = {"sendonly": "recvonly", "recvonly": "sendonly"}
        return seen.get(self.direction, self.direction)


@dataclass(frozen=True, slots=True)
class Transport:
    """What the server puts into its answer. `addresses`: host and port of each UDP socket."""

    session: int
    unix: int
    ufrag: str
    pwd: str
    fingerprint: str
    ssrc: int
    addresses: Sequence[tuple[str, int]]


def read_offer(text: str) -> Offer:
    """Read an offer. Raises InvalidOffer for what the service refuses."""
    session, media = _parsed(text)
    audio = next((at for at, each in enumerate(media) if each.kind == "audio" and "TLS" in each.protocol), None)
    if audio is None:
        raise InvalidOffer(NOT_WHIP, "The offer has no m=audio line; add a track before createOffer().")
    data = next((at for at, each in enumerate(media) if each.kind == "application" and "SCTP" in each.protocol), None)
    track = media[audio]
    codecs = tuple(_codecs(track))
    if not codecs:
        raise InvalidOffer(NOT_WHIP, "The audio track offers none of opus, PCMU and PCMA.")

    def of_track(name: str) -> str:
        return track.first(name) or session.get(name, [""])[0]

    ufrag, pwd = of_track("ice-ufrag"), of_track("ice-pwd")
    if not _ICE.fullmatch(ufrag) or not _ICE.fullmatch(pwd) or len(pwd) < 22:
        raise InvalidOffer(NOT_WHIP, "The offer has no valid a=ice-ufrag and a=ice-pwd.")
    fingerprints = tuple(_fingerprints([*track.attributes.get("fingerprint", []), *session.get("fingerprint", [])]))
    if not fingerprints:
        raise InvalidOffer(NOT_WHIP, "The offer has no a=fingerprint.")
    setup = of_track("setup")
    channel = media[data] if data is not None else None
    return Offer(
        media,
        audio,
        data,
        codecs,
        next((each for each in _DIRECTIONS if each in track.attributes or each in session), "sendrecv"),
        ufrag,
        pwd,
        fingerprints,
        "active" if setup == "active" else "passive" if setup == "passive" else "actpass",
        _number(channel, "sctp-port", 5000),
        _number(channel, "max-message-size", DEFAULT_MAX_MESSAGE),
    )


def answer(offer: Offer, transport: Transport) -> str:
    """The answer to an offer, line by line as the service writes it. Its candidates are the server's own, over UDP."""
    accepted = [at for at in range(len(offer.media)) if at in (offer.audio, offer.data)]
    lines = [
        "v=0",
        f"o=- {transport.session} {transport.unix} IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=msid-semantic:WMS *",
        f"a=fingerprint:sha-256 {transport.fingerprint}",
        "a=ice-lite",
        f"a=group:BUNDLE {' '.join(_mid(offer, at) for at in accepted)}",
    ]
    for at, media in enumerate(offer.media):
        if at == offer.audio:
            lines += _audio(offer, transport, _mid(offer, at))
        elif at == offer.data:
            lines += _data(offer, transport, _mid(offer, at))
        else:
            lines += [f"m={media.kind} 0 {media.protocol} {' '.join(media.formats)}", "c=IN IP4 0.0.0.0", "a=inactive"]
            lines += [f"a=mid:{_mid(offer, at)}"]
    return "\r\n".join([*lines, ""])


def _audio(offer: Offer, transport: Transport, mid: str) -> Iterator[str]:
    yield f"m=audio 9 UDP/TLS/RTP/SAVPF {' '.join(str(each.payload_type) for each in offer.codecs)}"
    yield "c=IN IP4 0.0.0.0"
    yield f"a=setup:{offer.server_role}"
    yield f"a=mid:{mid}"
    yield f"a=ice-ufrag:{transport.ufrag}"
    yield f"a=ice-pwd:{transport.pwd}"
    yield "a=rtcp-mux"
    yield "a=rtcp-rsize"
    for codec in offer.codecs:
        yield f"a=rtpmap:{codec.payload_type} {'opus/48000/2' if codec.name == 'opus' else f'{codec.name}/8000'}"
        if codec.name == "opus":
            yield f"a=fmtp:{codec.payload_type} minptime=10;useinbandfec=1"
    for attribute in ("cname:realtimeapi", "msid:realtimeapi audio", "mslabel:realtimeapi", "label:audio"):
        yield f"a=ssrc:{transport.ssrc} {attribute}"
    yield "a=msid:realtimeapi audio"
    yield f"a={offer.server_direction}"
    for number, (host, port) in enumerate(transport.addresses, 1):
        yield f"a=candidate:{number} 1 udp 2130706431 {host} {port} typ host ufrag {transport.ufrag}"


def _data(offer: Offer, transport: Transport, mid: str) -> Iterator[str]:
    yield "m=application 9 UDP/DTLS/SCTP webrtc-datachannel"
    yield "c=IN IP4 0.0.0.0"
    yield f"a=setup:{offer.server_role}"
    yield f"a=mid:{mid}"
    yield "a=sendrecv"
    yield "a=sctp-port:5000"
    yield f"a=max-message-size:{MAX_MESSAGE}"
    yield f"a=ice-ufrag:{transport.ufrag}"
    yield f"a=ice-pwd:{transport.pwd}"


_DIRECTIONS: tuple[Direction, ...] = ("sendrecv", "sendonly", "recvonly", "inactive")


def _parsed(text: str) -> tuple[dict[str, list[str]], tuple[Media, ...]]:
    """The attributes of the session, and its media. The service's parser needs a line end after the last line."""
    if not text.endswith("\n"):
        raise InvalidOffer(EOF, "The offer does not end with CRLF: it is empty, or was trimmed on its way.")
    lines = text.replace("\r\n", "\n").split("\n")[:-1]
    if len(text) > MAX_OFFER or any(not _LINE.fullmatch(line) for line in lines):
        wrong = next((line for line in lines if not _LINE.fullmatch(line)), "")[:40]
        error = f"Failed to parse offer: failed to unmarshal SDP: sdp: invalid syntax `{wrong}`"
        raise InvalidOffer(error, "The offer is no SDP; send pc.localDescription.sdp as it is.")
    if [line[0] for line in lines[:3]] != ["v", "o", "s"]:
        raise InvalidOffer(EOF, "The offer breaks off before its o= and s= lines.")
    session: dict[str, list[str]] = {}
    media: list[Media] = []
    attributes = session
    for line in lines:
        if line.startswith("m="):
            kind, _, rest = line[2:].partition(" ")
            _port, protocol, *formats = [*rest.split(" "), ""]
            media.append(Media(kind, protocol, tuple(filter(None, formats))))
            attributes = media[-1].attributes
        elif line.startswith("a="):
            name, _, value = line[2:].partition(":")
            attributes.setdefault(name, []).append(value)
    return session, tuple(media)


def _codecs(track: Media) -> Iterator[Codec]:
    """The codecs that the service accepts, in the client's order, each once."""
    maps = dict(each.partition(" ")[::2] for each in track.attributes.get("rtpmap", []))
    seen: set[CodecName] = set()
    for payload_type in track.formats:
        name = _STATIC.get(payload_type)
        if payload_type in maps:
            name = _CODECS.get("/".join(maps[payload_type].split("/")[:2]))
        if name is not None and name not in seen and payload_type.isdigit() and int(payload_type) < 128:
            seen.add(name)
            yield Codec(name, int(payload_type))


def _fingerprints(values: Sequence[str]) -> Iterator[tuple[str, str]]:
    for each in values:
        algorithm, _, value = each.partition(" ")
        if value:
            yield algorithm, value.strip()


def _mid(offer: Offer, at: int) -> str:
    return offer.media[at].first("mid") or str(at)


def _number(media: Media | None, name: str, default: int) -> int:
    value = media.first(name) if media is not None else None
    return int(value) if value is not None and value.isdigit() and len(value) < 11 else default
