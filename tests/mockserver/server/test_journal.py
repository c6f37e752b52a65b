from __future__ import annotations

from datetime import date
from decimal import Decimal
from weakref import ref

import orjson
import pytest

from mockserver.billing.ledger import Ledger
from mockserver.server.journal import Journal, JournalEntry, SessionLog
from replay.billing.prices import PriceTable
from replay.cassette.frames import TEXT, Binary, Close, Frame, Outgoing, Passage, Reset, Span, Text, header

PRICES = PriceTable("xai", date(2026, 7, 1), "made up", {"m": Decimal("0.06")}, Decimal("0.001"))


def opened(journal: Journal, id: str = "s-1") -> SessionLog:
    return journal.open(id, "c-1", 0.0, Ledger(PRICES, "m"))


def event(**fields: object) -> str:
    return orjson.dumps(fields).decode()


def test_events_are_found_by_direction_and_type():
    log = opened(Journal())
    log.inbound(0.5, event(type="response.create"))
    log.outbound(0.5, Text(event(type="response.created").encode()))
    log.inbound(0.7, event(type="response.cancel"))
    assert log.received() == [{"type": "response.create"}, {"type": "response.cancel"}]
    assert log.received("response.cancel") == [{"type": "response.cancel"}]
    assert log.sent("response.created") == [{"type": "response.created"}]
    assert log.sent("response.cancel") == []


@pytest.mark.parametrize("bad", ["{", "5", "[]", "null", '"type"', ""])
def test_what_is_no_event_is_kept_as_it_came(bad: str):
    log = opened(Journal())
    log.inbound(0.1, bad)
    assert log.received() == []
    assert log.entries[0].shown() == {"at": 0.1, "way": "in", "type": None, "frame": bad}


@pytest.mark.parametrize(
    ("frame", "kind", "shown"),
    [
        (Binary(b"\x00" * 9), "binary", {"bytes": 9}),
        (Close(1000, "bye"), "close", {"code": 1000, "reason": "bye"}),
        (Reset(), "reset", None),
        (Text(b'{"type":"ping"}'), "ping", {"type": "ping"}),
        (Text(b'{"type":5}'), None, {"type": 5}),
    ],
)
def test_each_kind_of_frame_is_shown(frame: Frame, kind: str | None, shown: object):
    assert JournalEntry(1.0, "out", frame).shown() == {"at": 1.0, "way": "out", "type": kind, "frame": shown}


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_what_left_in_one_write_is_found_frame_by_frame(size: int):
    log = opened(Journal())
    text, binary = b"x" * size, b"y" * size
    messages = [Outgoing(1.0, Text(text)), Outgoing(1.5, Binary(binary))]
    log.written(messages, header(0x81, size) + text + header(0x82, size) + binary)
    assert log.entries == [JournalEntry(1.0, "out", Text(text)), JournalEntry(1.5, "out", Binary(binary))]
    assert log.summary()["frames"] == 2


def test_a_passage_is_found_message_by_message():
    ping, pong = b'{"type":"ping"}', b'{"type":"pong"}'
    first, second = header(TEXT, len(ping)) + ping, header(TEXT, len(pong)) + pong
    passage = Passage(first + second, [Span("ping", 2, 17, 0), Span("pong", 19, 34, 0)])
    log = opened(Journal())
    log.written([Outgoing(1.0, Text(pong)), Outgoing(2.0, passage)], second + passage.wire)
    texts = [(1.0, pong), (2.0, ping), (2.0, pong)]
    assert log.entries == [JournalEntry(at, "out", Text(text)) for at, text in texts]
    assert (log.messages_out, log.frames) == (3, 3)


def test_a_write_that_is_forgotten_counts_as_the_frames_it_held():
    log = opened(Journal(max_bytes=1200))
    log.written([Outgoing(1.0, Text(b"x" * 400))] * 2, (header(0x81, 400) + b"x" * 400) * 2)
    assert log.summary()["frames"] == 2
    log.inbound(2.0, "{}")
    assert (log.summary()["frames"], log.dropped) == (1, 2)


def test_binary_from_the_client_is_not_taken_for_json():
    assert JournalEntry(1.0, "in", b'{"type":"ping"}').shown()["type"] == "binary"


def test_audio_is_shortened_unless_asked_for_and_words_never():
    audio = "QUJD" * 100
    delta = JournalEntry(0, "out", Text(event(type="response.output_audio.delta", delta=audio).encode()))
    assert delta.shown()["frame"]["delta"] == audio[:64] + "… (400 characters)"
    assert delta.shown(whole_audio=True)["frame"]["delta"] == audio
    words = JournalEntry(0, "out", Text(event(type="response.output_audio_transcript.delta", delta=audio).encode()))
    assert words.shown()["frame"]["delta"] == audio
    item = {"content": [{"type": "input_audio", "audio": audio}], "audio": {"input": {"rate": 24000}}}
    frame = JournalEntry(0, "in", event(type="conversation.item.create", item=item)).shown()["frame"]
    assert frame["item"]["content"][0]["audio"].endswith("… (400 characters)")
    assert frame["item"]["audio"] == {"input": {"rate": 24000}}


def test_credentials_of_a_client_s_tools_are_not_shown():
    tool = {"type": "mcp", "server_url": "https://x", "authorization": "Bearer hush", "headers": {"X-Key": "hush"}}
    entry = JournalEntry(0, "in", event(type="session.update", session={"tools": [tool]}))
    assert "hush" not in str(entry.shown(whole_audio=True))


def test_a_frame_of_a_thousand_levels_can_be_shown():
    entry = JournalEntry(0, "in", '{"a":' + "[" * 900 + "]" * 900 + "}")
    assert b"nested too deeply" in orjson.dumps(entry.shown())


def test_the_oldest_frames_go_first_and_how_many_is_said():
    journal = Journal(max_bytes=10_000)
    first, second = opened(journal, "s-1"), opened(journal, "s-2")
    for n in range(10):
        first.inbound(n, "x" * 800)
        second.inbound(n, "y" * 800)
    assert first.dropped + second.dropped == 20 - 10
    assert [entry.at for entry in first.entries] == [5, 6, 7, 8, 9]
    assert first.summary()["dropped"] == 5


def test_one_frame_too_large_for_all_the_room_is_dropped_too():
    log = opened(Journal(max_bytes=1000))
    log.outbound(0, Text(b"x" * 2000))
    assert (len(log.entries), log.dropped) == (0, 1)


def test_of_a_frame_that_would_push_out_the_others_only_the_beginning_is_kept():
    journal = Journal(max_bytes=80_000)
    log = opened(journal)
    log.inbound(0, "small")
    log.inbound(1, "x" * 20_000_000)
    log.inbound(2, b"\0" * 10_001)
    log.inbound(3, "y" * 10_000)
    small, large, binary, fits = [entry.data for entry in log.entries]
    assert (small, large) == ("small", "x" * 1000 + "… (20000000 characters, too long for the journal)")
    assert isinstance(binary, bytes) and binary.endswith("… (10001 bytes, too long for the journal)".encode())
    assert fits == "y" * 10_000


def test_messages_are_counted_whatever_is_forgotten_and_close_frames_are_not():
    log = opened(Journal(max_bytes=1000))
    for n in range(20):
        log.inbound(n, "x" * 100)
        log.written([Outgoing(n, Text(b"a")), Outgoing(n, Text(b"b"))], b"\x81\x01a\x81\x01b")
    log.inbound(20, Close(1000))
    log.outbound(20, Close(1000))
    assert (log.messages_in, log.messages_out) == (20, 40)
    assert len(log.entries) < 60


def test_forgotten_sessions_still_count_in_the_bill():
    journal = Journal(max_sessions=2)
    for n in range(5):
        log = opened(journal, f"s-{n}")
        log.ledger.text_items = 1
        log.ledger.heard(24_000 * 60, 24_000)
        log.inbound(0, "x")
    assert [log.id for log in journal.sessions] == ["s-3", "s-4"]
    assert journal.dropped_sessions == 3
    total = journal.total()
    assert (total.sessions, total.text_items, float(total.audio_in_s)) == (5, 5, 300)
    assert total.total_usd == Decimal("0.305")
    assert total.as_json()["usd"] == "0.305000"
    assert len(list(journal)) == 2


def test_a_forgotten_session_is_freed_and_one_that_is_still_open_goes_on():
    journal = Journal(max_sessions=2)
    still_open = opened(journal, "s-open")

    def one_more(number: int) -> ref[SessionLog]:
        log = opened(journal, f"s-{number}")
        for _ in range(10):
            log.inbound(0.1, "{}")
        still_open.inbound(0.2, "{}")
        return ref(log)

    gone = [one_more(number) for number in range(50)]
    assert sum(each() is not None for each in gone) < 10
    assert still_open.kept_count > 40
    journal.max_bytes = 0
    opened(journal, "s-last").inbound(0.1, "{}")
    assert journal.held_bytes == 0 and still_open.kept_count == 0


def test_after_a_reset_nothing_is_left_and_an_open_session_goes_on_unseen():
    journal = Journal()
    log = opened(journal)
    log.inbound(0, "before")
    journal.reset()
    log.inbound(1, "after")
    assert (list(journal.sessions), list(journal), journal.total().sessions) == ([], [], 0)
    assert journal.find("s-1") is None


def test_entries_are_kept_as_plain_tuples_which_garbage_collections_leave_out():
    log = opened(Journal())
    log.inbound(0.0, '{"type":"ping"}')
    log.outbound(0.5, Close(1000, "bye"))
    assert {type(each) for each in log._kept} == {tuple}
    assert [type(each) for each in log.entries] == [JournalEntry, JournalEntry]
