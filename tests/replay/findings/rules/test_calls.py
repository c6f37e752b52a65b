"""Calls over the telephone and WebRTC: their sound is on tracks, and the service knows what it has played."""

from __future__ import annotations

from mockserver.responders.base import Say
from replay.findings.handshake import handshake
from replay.findings.watch import Watch, Watcher
from tests.mockserver.calls.phoned import CALL_ID, Phoned, voice
from tests.mockserver.talk import Script

LONG = [Say("The quick brown fox jumps over the lazy dog, and then it goes on for a while before it stops.")]


def watched() -> Watch:
    return Watcher().open("s", "openai@2026-10", handshake([("call_id", CALL_ID)], []), now=0.0)


def rules(phoned: Phoned) -> list[str]:
    assert phoned.watch is not None
    phoned.watch.closed(phoned.now)
    return [each.rule for each in phoned.watch.findings]


def test_a_call_on_which_the_client_sends_nothing_is_fine() -> None:
    phoned = Phoned(Script(), watch=watched())
    phoned.send("session.update", session={"type": "realtime"})
    phoned.run(40)
    assert rules(phoned) == []


def test_an_interrupted_call_is_truncated_by_the_service_and_not_by_its_client() -> None:
    phoned = Phoned(Script(LONG, LONG), watch=watched())
    phoned.send("response.create")
    phoned.run(1.0)
    phoned.run(1.0, voice())
    phoned.run(8.0)
    assert "output_audio_buffer.cleared" in phoned.types()
    assert rules(phoned) == []


def test_a_truncation_beyond_what_was_played_is_found() -> None:
    for beyond_ms, found in ((-100, []), (1_000, ["truncate-beyond"])):
        phoned = Phoned(Script(LONG), pacing="burst", watch=watched())
        phoned.send("response.create")
        phoned.run(2.0)
        (since, _), item = phoned.of("output_audio_buffer.started")[0], phoned.sound[0].item_id
        played_ms = round((phoned.now - since) * 1000)
        phoned.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=played_ms + beyond_ms)
        assert rules(phoned) == found


def test_audio_on_an_event_channel_is_found() -> None:
    phoned = Phoned(Script(), watch=watched())
    phoned.send("input_audio_buffer.append", audio="AAAA" * 1000)
    assert "audio-in-call" in rules(phoned)
