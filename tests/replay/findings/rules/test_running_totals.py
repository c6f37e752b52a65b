from __future__ import annotations

import pytest

from replay.cassette.frames import Text
from replay.findings import Levels
from replay.findings.call import Handshake
from replay.findings.watch import Watch, Watcher
from tests.live_messages import received, sent
from tests.replay.findings.watched_calls import DIALECTS

SPOKEN = "conversation.item.input_audio_transcription"


def heard(*readings: str, service: str = "xai") -> Watch:
    """A call in which one turn was read in these ways."""
    watch = Watcher(Levels()).open("s", service, Handshake())
    for at, words in enumerate(readings):
        kind = "completed" if words == readings[-1] else "updated"
        event = f'{{"type":"{SPOKEN}.{kind}","item_id":"i","transcript":"{words}"}}'
        received(watch, float(at), Text(event.encode()))
    return watch


def typed(words: str) -> str:
    item = f'{{"type": "message", "role": "user", "content": [{{"type": "input_text", "text": "{words}"}}]}}'
    return f'{{"type": "conversation.item.create", "item": {item}}}'


READINGS = ("Hello,", "Hello, my name is", "Hello, my name is Marcelo.")


@pytest.mark.parametrize("glue", ["", " ", "\\n"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_readings_one_behind_the_other_are_found_where_they_are_sent_back(dialect: str, glue: str):
    watch = heard(*READINGS, service=dialect)
    sent(watch, 9.0, typed(f"The caller said: {glue.join(READINGS)}"))
    (found,) = watch.findings
    assert (found.rule, found.at, found.frame) == ("appended-transcripts", 9.0, 3)
    assert "'Hello,' followed by 'Hello, my name is'" in found.message


def test_the_last_reading_alone_is_fine():
    watch = heard(*READINGS)
    sent(watch, 9.0, typed(f"The caller said: {READINGS[-1]}"))
    assert watch.findings == []


def test_turns_that_begin_alike_are_fine():
    watch = heard("Hello.", "Hello.")
    sent(watch, 9.0, typed("Hello. Hello."))
    assert watch.findings == []


def billed(*seconds: float) -> Watcher:
    watcher = Watcher(Levels())
    watch = watcher.open("s", "xai", Handshake())
    for total in seconds:
        done = f'{{"type":"response.done","response":{{"id":"r"}},"usage":{{"billable_audio_seconds":{total}}}}}'
        received(watch, 1.0, Text(done.encode()))
    watcher.claim([watch], billable_audio_seconds=12.0)
    return watcher


def test_running_totals_that_were_added_up_are_found():
    (found,) = billed(3, 9).findings
    assert found.rule == "summed-billable-seconds"
    assert "all 2 billable_audio_seconds added up" in found.message and "add up to 9 s" in found.message


def test_the_last_total_is_right():
    assert list(billed(3, 12).findings) == []


def test_each_connection_counts_anew():
    watcher = Watcher(Levels())
    watches = [watcher.open(name, "xai", Handshake()) for name in "ab"]
    for watch in watches:
        received(watch, 0.0, Text(b'{"type":"response.done","response":{},"usage":{"billable_audio_seconds":4}}'))
    assert watcher.claim(watches, billable_audio_seconds=8.0) == []
    assert len(watcher.claim(watches, billable_audio_seconds=9.0)) == 1


def test_what_a_client_shows_can_be_told_by_a_test():
    watch = heard(*READINGS)
    assert watch._watcher.claim([watch], transcript="".join(READINGS))[0].rule == "appended-transcripts"
    assert heard(*READINGS)._watcher.claim([watch], transcript=READINGS[-1]) == []
