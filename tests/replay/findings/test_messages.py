"""Messages are read once for all followers. That the event at hand is the one in the bytes, each talk checks."""

from __future__ import annotations

import orjson

from replay.cassette.frames import TEXT, Binary, Outgoing, Passage, Span, Text, header
from replay.cassette.json_text import Event
from replay.findings.messages import Messages


def passage_of(*events: tuple[dict[str, object], int]) -> Passage:
    """Events, each with its bytes of audio."""
    wire, spans = b"", []
    for event, audio in events:
        text = orjson.dumps(event)
        wire += header(TEXT, len(text)) + text
        spans.append(Span(str(event["type"]), len(wire) - len(text), len(wire), audio))
    return Passage(wire, spans)


class Noted:
    """Notes what it is told."""

    def __init__(self, *wanted: str) -> None:
        self.messages = 0
        self.wanted = frozenset(wanted)
        self.told: list[tuple[object, ...]] = []

    def sent(self, at: float, kind: str, event: Event) -> None:
        self.told.append((self.messages, "sent", kind))

    def appended(self, at: float, data: str, start: int, end: int) -> None:
        self.told.append((self.messages, "appended", data[start:end]))

    def packet(self, at: float, data: bytes) -> None:
        self.told.append((self.messages, "packet", data))

    def received(self, at: float, kind: str, event: Event) -> None:
        self.told.append((self.messages, "received", kind, dict(event)))

    def spoke(self, at: float, size: int, event: bytes = b"") -> None:
        self.told.append((self.messages, "spoke", size))


def test_each_follower_is_told_what_it_wants_with_the_number_of_the_message():
    first, second = Noted("ping", "error"), Noted("pong")
    messages = Messages(first, second)
    messages.sent(0.0, '{"type":"input_audio_buffer.append","audio":"AAAA"}')
    messages.sent(0.0, r'{"type":"input_audio_buffer.append","audio":"\/\/8="}')
    messages.sent(0.0, '{"type":"response.create"}')
    messages.sent(0.0, "no JSON")
    messages.sent(0.0, b"01")
    ping, pong = {"type": "ping", "n": 1}, {"type": "pong"}
    at_hand = Text(orjson.dumps(pong), pong)
    delta = Text(b'{"type":"response.output_audio.delta","delta":"AAAAAAAA"}')
    messages.received([Outgoing(0.0, frame) for frame in (Text(orjson.dumps(ping)), at_hand, delta, Binary(b"abc"))])
    messages.passed()
    both = [
        (1, "appended", "AAAA"),
        (2, "appended", "//8="),
        (3, "sent", "response.create"),
        (4, "sent", ""),
        (5, "packet", b"01"),
    ]
    sound = [(8, "spoke", 6), (9, "spoke", 3)]
    assert first.told == [*both, (6, "received", "ping", ping), *sound]
    assert second.told == [*both, (7, "received", "pong", pong), *sound]
    assert (first.messages, second.messages) == (10, 10)


def test_a_passage_is_told_as_its_messages_are():
    ping: dict[str, object] = {"type": "ping", "n": 1}
    delta: dict[str, object] = {"type": "response.output_audio.delta", "delta": "AAAAAAAA"}
    passage = passage_of((ping, 0), (delta, 6), ({"type": "pong"}, 0), (ping, 0))
    told = []
    for frames in ([passage], passage.texts):
        follower = Noted("ping")
        messages = Messages(follower)
        messages.passed()
        messages.received([Outgoing(0.0, frame) for frame in frames])
        assert follower.messages == 5
        told.append(follower.told)
    assert told[0] == told[1] == [(2, "received", "ping", ping), (3, "spoke", 6), (5, "received", "ping", ping)]


def test_an_event_is_found_wherever_its_type_stands():
    follower = Noted("session.updated")
    event = {"session": {}, "type": "session.updated"}
    Messages(follower).received([Outgoing(0.0, Text(orjson.dumps(event)))])
    assert follower.told == [(1, "received", "session.updated", event)]


def test_a_configuration_that_mentions_audio_and_the_event_is_no_audio():
    noted = Noted()
    update = {"type": "session.update", "session": {"audio": {}, "instructions": "Send no input_audio_buffer.append."}}
    Messages(noted).sent(0.0, orjson.dumps(update).decode())
    assert noted.told == [(1, "sent", "session.update")]
