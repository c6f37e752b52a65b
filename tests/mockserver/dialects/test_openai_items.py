"""What OpenAI's items hold: sound that can be asked for again, pictures, log probabilities; and how much is read."""

from __future__ import annotations

import base64
from itertools import pairwise
from typing import Any

import pytest

from mockserver.dialects.openai.session_object import Model
from mockserver.dialects.openai.usage import Reading, input_room
from mockserver.protocol.commands import Part
from mockserver.protocol.conversation import AUDIO_BYTES, Conversation, Item, SpokenSegment
from mockserver.responders.base import Say
from tests.mockserver.talk import Script, Talk, saying

DOT = "data:image/png;base64,iVBORw0KGgo="


def sound_of(talk: Talk, item_id: str) -> bytes:
    talk.send("conversation.item.retrieve", item_id=item_id)
    (part,) = talk.until("conversation.item.retrieved")["item"]["content"]
    return base64.b64decode(part["audio"])


def test_an_answer_can_be_heard_again_as_far_as_it_was_sent():
    talk = Talk(saying(3), dialect="openai")
    talk.say("Tell me.")
    item = talk.until("response.output_audio.delta", times=3)["item_id"]
    sent = b"".join(base64.b64decode(event["delta"]) for event in talk.of("response.output_audio.delta"))
    assert sound_of(talk, item) == sent
    talk.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=400)
    talk.rest()
    assert sound_of(talk, item) == sent[: 48 * 400]


@pytest.mark.parametrize(("kind", "bytes_per_ms"), [("audio/pcm", 48), ("audio/pcmu", 8)])
def test_sound_comes_back_in_the_format_it_had(kind: str, bytes_per_ms: int):
    form = {"type": kind}
    update = {"type": "realtime", "audio": {"input": {"turn_detection": None}, "output": {"format": form}}}
    talk = Talk(Script([Say("Yes.")]), dialect="openai", update=update)
    talk.say("Well?")
    item = talk.until("response.done")["response"]["output"][0]["id"]
    assert len(sound_of(talk, item)) % (50 * bytes_per_ms) == 0


def test_a_client_s_own_sound_comes_back():
    talk = Talk(dialect="openai")
    part = {"type": "input_audio", "audio": base64.b64encode(b"\1\0" * 4800).decode(), "transcript": "Hello."}
    added = talk.create("message", role="user", content=[part])[0]["item"]
    assert added["content"] == [{"type": "input_audio", "transcript": None}]
    assert sound_of(talk, added["id"]) == b"\1\0" * 4800


def test_only_so_much_sound_is_kept_and_the_oldest_goes_first():
    conversation, items = Conversation("c"), [Item(str(number), "message") for number in range(3)]
    for item in items:
        conversation.add(item)
        conversation.keep_audio(item, bytes(AUDIO_BYTES // 2))
    assert [bool(item.audio) for item in items] == [False, True, True]


@pytest.mark.parametrize(("detail", "shown"), [({}, "auto"), ({"detail": "low"}, "low")])
def test_a_picture_comes_back_and_is_no_text_to_answer(detail: Any, shown: str):
    responder = Script()
    talk = Talk(responder, dialect="openai")
    words = {"type": "input_text", "text": "What is this?"}
    picture = {"type": "input_image", "image_url": DOT, **detail}
    added = talk.create("message", role="user", content=[words, picture])[0]["item"]
    assert added["content"] == [words, {"type": "input_image", "image_url": DOT, "detail": shown}]
    talk.send("response.create")
    talk.rest()
    assert responder.turns[0].says == "What is this?"


@pytest.mark.parametrize("url", ["https://example.com/a.png", "data:image/gif;base64,R0lG", "data:image/png;base64,?"])
def test_a_picture_that_is_none_is_refused_by_its_place(url: str):
    talk = Talk(dialect="openai")
    talk.create("message", role="user", content=[{"type": "input_image", "image_url": url}])
    assert talk.error["param"] == "item.content[0].image_url"


def test_a_response_about_an_item_that_is_not_there_is_refused():
    talk = Talk(dialect="openai")
    talk.send("response.create", response={"input": [{"type": "item_reference", "id": "item_gone"}]}, event_id="mine")
    error = talk.error
    assert (error["param"], error["event_id"]) == ("response.input", "mine")
    bad = {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "x"}]}
    talk.send("response.create", response={"conversation": "none", "input": [bad]})
    assert talk.error["param"] == "response.input[0].content[0].image_url"
    assert "response.created" not in talk.types


@pytest.mark.parametrize(("transcriber", "known"), [("gpt-4o-transcribe", True), ("whisper-1", False)])
def test_log_probabilities_come_where_they_are_asked_for_and_known(transcriber: str, known: bool):
    update = {
        "type": "realtime",
        "include": ["item.input_audio_transcription.logprobs"],
        "audio": {"input": {"transcription": {"model": transcriber}}},
    }
    talk = Talk(Script(heard=["Hello there."]), dialect="openai", update=update)
    talk.speak()
    talk.hush(400)
    talk.rest()
    whole = talk.of("conversation.item.input_audio_transcription.completed")[0]
    pieces = talk.of("conversation.item.input_audio_transcription.delta")
    assert ["logprobs" in event for event in (whole, *pieces)] == [known] * (1 + len(pieces))
    if known:
        assert list(whole)[-1] == list(pieces[0])[-1] == "logprobs"
        assert "".join(each["token"] for each in whole["logprobs"]) == "Hello there."
        assert all(
            each["logprob"] <= 0 and bytes(each["bytes"]).decode() == each["token"] for each in whole["logprobs"]
        )


# How much of a long conversation is read.


def read(truncation: object, count: int, *, turns: int = 1) -> list[int]:
    """How many thousand tokens each turn reads of `count` messages of about a thousand each, one more a turn."""
    parts = [Part("input_text", "word " * 996)]
    items = tuple(Item(str(n), "message", parts=parts) for n in range(count + turns))
    reading = Reading(Model("gpt-realtime"))
    return [sum(reading.of(items[: count + turn], truncation, 0)) // 1000 for turn in range(turns)]


def test_what_is_too_much_is_dropped_from_the_beginning():
    assert input_room(Model("gpt-realtime")) == 28_224
    assert read("auto", 3) == [read("disabled", 3)[0]]
    assert read("auto", 60)[0] in (27, 28)
    assert read("disabled", 60)[0] >= 60


def test_with_a_ratio_more_is_dropped_at_once_and_less_often():
    limits = {"type": "retention_ratio", "retention_ratio": 0.5, "token_limits": {"post_instructions": 20_000}}
    thousands = read(limits, 15, turns=20)
    assert max(thousands) <= 20
    drops = [later for before, later in pairwise(thousands) if later < before]
    assert 1 <= len(drops) <= 2 and max(drops) <= 10


@pytest.mark.parametrize("ratio", [1, 0.8])
def test_what_is_dropped_is_taken_off_the_sums_as_if_all_was_counted_again(ratio: float):
    limits = {"type": "retention_ratio", "retention_ratio": ratio, "token_limits": {"post_instructions": 200}}
    items = tuple(Item(str(n), "message", parts=[Part("input_text", "word " * (n % 9))], heard_ms=n) for n in range(99))
    added, counted = Reading(Model("gpt-realtime")), Reading(Model("gpt-realtime"))
    for count in range(len(items)):
        seen = tuple(item for item in items[: count + 1] if int(item.id) + 50 > count or count % 2)
        counted.recount()
        assert added.of(seen, limits, 0) == counted.of(seen, limits, 0)


def test_what_was_counted_before_is_counted_once_and_what_changes_is_counted_again():
    model = Model("gpt-realtime")
    reading, conversation = Reading(model), Conversation("c")
    spoken = Item("answer", "message", "assistant", "in_progress", spoken=(SpokenSegment("One two three four.", 4000),))
    spoken.parts = [Part("audio", "One two three four.", is_audio=True)]

    def check() -> None:
        items = tuple(conversation)
        assert reading.of(items, None, 0) == Reading(model).of(items, None, 0)

    for item in (Item("q", "message", parts=[Part("input_text", "Hello there.")]), spoken, Item("r", "result")):
        conversation.add(item)
        check()
    spoken.parts = [Part("audio", "One two three four. Five.", is_audio=True)]
    check()
    spoken.status = "completed"
    check()
    spoken.keep(1000, erase=True)
    reading.recount()
    check()
    conversation.add(Item("system", "message", "system", parts=[Part("input_text", "Be brief.")]), "root")
    check()
    conversation.remove("q")
    check()
