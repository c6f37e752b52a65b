"""A call that was recorded again is the same text, and git shows what changed in a call that was not the same."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from replay.cassette.file import Writer
from replay.cassette.frames import Close
from replay.cassette.may_differ import ignored
from replay.cassette.records import Content, Header, Record, Request, Response, Way
from replay.report.stable import stable
from tests.replay.recordings import event_frame, spoken, typed

Crossed = tuple[Way, Content]
HEADER = Header("mock", "ws://127.0.0.1/v1/realtime", "xai", "grok", "2026-07-06T09:00:00Z", "realtape test")


def sent(*events: Any) -> list[Crossed]:
    return [("sent", event_frame(event)) for event in events]


def received(*events: Any) -> list[Crossed]:
    return [("received", event_frame({"type": each} if isinstance(each, str) else each)) for each in events]


def call(seed: int, says: str = "We open at eight.", asks: str = "Hours?") -> list[Crossed]:
    """A call as it may be recorded: ids, the cut of audio and text, and the order of what is independent differ."""
    chance = random.Random(seed)
    new = lambda: str(uuid.UUID(int=chance.getrandbits(128)))  # noqa: E731
    conversation, user, item, response = new(), new(), new(), f"resp_{new().replace('-', '')[:20]}"
    heard = {"type": "conversation.item.input_audio_transcription.completed", "item_id": user, "transcript": "Hello."}
    cut = chance.randrange(1, len(says))
    pieces = [says[:cut], says[cut:]] if chance.random() < 0.5 else [says]
    deltas = [{"type": "response.output_audio_transcript.delta", "item_id": item, "delta": each} for each in pieces]
    sound = [{"type": "response.output_audio.delta", "item_id": item, "delta": "AAAA"}] * chance.randrange(1, 4)
    texts = {"type": "response.output_audio_transcript.done", "item_id": item, "transcript": says}
    late = [{"type": "ping", "timestamp": chance.randrange(10**12)}, heard]
    answer = received(
        {"type": "response.created", "response": {"id": response}},
        *chance.sample([*deltas, *sound], len(deltas) + len(sound)),
        texts,
        *sound[: chance.randrange(2)],
        {"type": "response.done", "response": {"id": response, "status": "completed"}},
    )
    place = chance.randrange(len(answer))
    answer[place:place] = received(*late)
    asked = sent({"type": "session.update", "event_id": new(), "session": {"instructions": "Be kind.\nBe brief."}})
    asked += sent(*[spoken(100)] * chance.randrange(1, 5))
    begun = received({"type": "session.created", "session": {"id": new(), "expires_at": 1_700_000_000 + seed}})
    return [
        ("sent", Request("GET", f"/v1/realtime?conversation_id={conversation}", ())),
        ("received", Response(101, ())),
        *(asked + begun if chance.random() < 0.5 else begun + asked),
        *received({"type": "input_audio_buffer.committed", "item_id": user}),
        *answer,
        *sent(typed(asks, id=new()), {"type": "response.cancel", "response_id": response}),
        ("sent", Close(1000, "")),
    ]


def records(calls: Sequence[Iterable[Crossed]], seed: int = 0) -> list[Record]:
    """The calls side by side."""
    chance = random.Random(seed)
    queues = [list(each) for each in calls]
    found, at_us = [], 0
    while any(queues):
        number = chance.choice([n for n, each in enumerate(queues) if each])
        at_us += chance.randrange(1, 100_000)
        found.append(Record(at_us, number, *queues[number].pop(0)))
    return found


def shown(*calls: Iterable[Crossed], seed: int = 0) -> list[str]:
    return list(stable(records(calls, seed)))


@pytest.mark.parametrize("seed", range(1, 30))
def test_the_same_call_recorded_again_is_the_same_text(seed: int):
    assert shown(call(seed), seed=seed) == shown(call(0))


@pytest.mark.parametrize("seed", range(10))
def test_calls_side_by_side_are_the_same_text_in_any_order(seed: int):
    assert shown(call(1, asks="A?"), call(2, asks="B?")) == shown(call(3, asks="B?"), call(4, asks="A?"), seed=seed)


def test_what_is_shown_can_be_read():
    assert (
        shown(call(0))
        == """\
 0 > (request)  GET /v1/realtime?conversation_id=<…>
 0 < (response)  101
 0 > session.update
       session.instructions:
         Be kind.
         Be brief.
 0 > input_audio_buffer.append
 0 < session.created
 0 < input_audio_buffer.committed
 0 < conversation.item.input_audio_transcription.completed  Hello.
 0 < response.created
 0 < response.output_audio.delta
 0 < response.output_audio_transcript.delta
 0 < response.output_audio_transcript.done  We open at eight.
 0 < response.done  completed
 0 > conversation.item.create
       item.id: <…>
       item.type: message
       item.role: user
       item.content[0].type: input_text
       item.content[0].text: Hours?
 0 > response.cancel
       response_id: <…>
 0 > (close)  1000""".splitlines()
    )


def test_what_a_header_lets_differ_is_no_change():
    def update(day: str, voice: str) -> list[Record]:
        return records([sent({"type": "session.update", "session": {"instructions": f"It is {day}.", "voice": voice}})])

    one, other = update("2026-11-29", "ara"), update("2026-11-30", "eve")
    assert list(stable(one)) != list(stable(other))
    may_differ = ignored(["date", "session.voice"])
    assert list(stable(one, may_differ)) == list(stable(other, may_differ))


def git(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "GIT_CONFIG_GLOBAL": os.devnull}
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.invalid", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


def write(path: Path, crossed: list[Crossed]) -> None:
    path.unlink(missing_ok=True)
    writer = Writer(path, HEADER)
    for record in records([crossed]):
        writer.write(record)
    writer.end(10**9)


@pytest.mark.slow
def test_git_shows_the_words_that_changed_and_nothing_of_a_call_that_did_not(tmp_path: Path):
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitattributes").write_text("*.tape diff=tape\n")
    git(tmp_path, "config", "diff.tape.textconv", f'"{sys.executable}" -m realtape show --stable')
    git(tmp_path, "config", "diff.tape.binary", "true")
    write(tmp_path / "a.tape", call(1))
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "Record")
    write(tmp_path / "a.tape", call(2))
    assert "a.tape" in git(tmp_path, "status", "--short")
    assert [line for line in git(tmp_path, "diff").splitlines() if line[:1] in "+-"] == []
    write(tmp_path / "a.tape", call(3, says="We open at nine."))
    changed = [line for line in git(tmp_path, "diff").splitlines() if line[:1] in "+-"]
    done = " 0 < response.output_audio_transcript.done"
    assert changed[2:] == [f"-{done}  We open at eight.", f"+{done}  We open at nine."]
