"""Random conversations as OpenAI: whatever a client does, events have their types, and what begins also ends."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from mockserver.responders.base import Call, Fail, Pause, Say, Step
from tests.mockserver.talk import TONE, Script, Talk

SPEECH = TONE.speak("Hello there, my friend.").samples


def reply(rng: random.Random) -> list[Step]:
    steps: list[Step] = [
        Say("Hi there. How are you? " * rng.randint(1, 4)),
        Call("look", {"a": 1}),
        Pause(200),
        Say(""),
    ]
    return rng.choices(steps, k=rng.randint(0, 4)) + ([Fail("odd", "It broke.")] if rng.random() < 0.1 else [])


def settings(rng: random.Random) -> dict[str, Any]:
    models = [None, *({"model": name} for name in ("gpt-realtime-whisper", "whisper-1", "gpt-4o-transcribe"))]
    flags = {name: rng.random() < 0.5 for name in ("interrupt_response", "create_response")}
    detection = rng.choice([None, {"type": "server_vad", **flags}, {"type": "semantic_vad"}])
    return {
        "type": "realtime",
        "output_modalities": [rng.choice(["text", "audio"])],
        "max_output_tokens": rng.choice([3, "inf"]),
        "audio": {"input": {"transcription": rng.choice(models), "turn_detection": detection}},
    }


def acts(talk: Talk, rng: random.Random) -> list[Callable[[], object]]:
    """What a client might do next; ids are those it has seen, or none of the service's."""
    items = [event["item"]["id"] for event in talk.of("conversation.item.added")] or ["none"]
    calls = [event["call_id"] for event in talk.of("response.function_call_arguments.done")] or ["none"]
    responses = [event["response"]["id"] for event in talk.of("response.created")] or ["none"]
    item, cut = rng.choice(items), {"content_index": 0, "audio_end_ms": rng.choice([0, 100, 5000])}
    aside = {"conversation": "none", "input": rng.choice([[], [{"type": "item_reference", "id": item}]])}
    return [
        lambda: talk.write("Hello.", rng.choice(["user", "assistant", "system"])),
        lambda: talk.send("response.create"),
        lambda: talk.send("response.create", response=aside),
        lambda: talk.send("response.cancel"),
        lambda: talk.send("response.cancel", response_id=rng.choice(responses)),
        lambda: talk.append(SPEECH),
        lambda: talk.hush(rng.choice([50, 300, 900])),
        lambda: talk.send("input_audio_buffer.commit"),
        lambda: talk.send("input_audio_buffer.clear"),
        lambda: talk.send("conversation.item.truncate", item_id=item, **cut),
        lambda: talk.send("conversation.item.delete", item_id=item),
        lambda: talk.send("conversation.item.retrieve", item_id=item),
        lambda: talk.create("function_call_output", call_id=rng.choice(calls), output="1"),
        lambda: talk.send("session.update", session=settings(rng)),
        lambda: talk.wait(rng.choice([0.01, 0.3, 2])),
    ]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_client_does_events_are_typed_and_answers_end(seed: int):
    rng = random.Random(seed)
    responder = Script(*(reply(rng) for _ in range(40)), heard=["one two", "three"] * 20)
    pacing, model = rng.choice(["live", "realtime", "burst"]), rng.choice(["gpt-realtime", "gpt-realtime-2.1"])
    talk = Talk(responder, dialect="openai", pacing=pacing, model=model)
    for _ in range(40):
        rng.choice(acts(talk, rng))()
    talk.rest()
    talk.of("error")
    for begun, ended in (
        ("response.created", "response.done"),
        ("response.output_item.added", "response.output_item.done"),
    ):
        assert sorted(map(named, talk.of(begun))) == sorted(map(named, talk.of(ended)))
    assert talk.session.ledger.total_usd >= 0


def named(event: Any) -> str:
    """The id of what begins or ends."""
    return str((event.get("response") or event.get("item"))["id"])
