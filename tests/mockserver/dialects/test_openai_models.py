"""What differs from model to model of OpenAI: reasoning, messages of a response, transcription without turns."""

from __future__ import annotations

from typing import Any

import pytest

from mockserver.dialects.handshake import HandshakeRequest, Refusal
from mockserver.dialects.openai.handshake import OpenAIHandshake
from mockserver.protocol.limits import Limits
from mockserver.responders.base import Call, Pause, Say
from tests.mockserver.talk import Script, Talk

LIMITS = Limits(secret_seconds=600, secret_max_seconds=7200)
DETECTION = "Turn detection is not supported for this transcription model."


def output(steps: list[Any], model: str) -> list[Any]:
    talk = Talk(Script(steps), dialect="openai", model=model)
    talk.say("When do you close?")
    items = talk.until("response.done")["response"]["output"]
    return [
        (item["type"], item.get("phase"), *(part["transcript"] for part in item.get("content", []))) for item in items
    ]


def test_a_text_after_a_text_is_a_message_of_its_own_in_the_second_generation():
    steps = [Say("Let me look."), Say("Until six.")]
    assert output(steps, "gpt-realtime-2") == [
        ("message", "commentary", "Let me look."),
        ("message", "final_answer", "Until six."),
    ]
    assert output(steps, "gpt-realtime") == [("message", None, "Let me look. Until six.")]


def test_a_step_says_whether_it_opens_a_message_and_what_phase_that_has():
    assert output([Say("One."), Say("Two.", item="new")], "gpt-realtime") == [
        ("message", None, "One."),
        ("message", None, "Two."),
    ]
    assert output([Say("One."), Say("Two.", item="same", phase="commentary")], "gpt-realtime-2.1") == [
        ("message", "final_answer", "One. Two.")
    ]
    assert output([Say("One.", phase="final_answer"), Call("look")], "gpt-realtime-2.1")[0][1] == "final_answer"
    assert output([Say("One."), Pause(50), Say("Two.")], "gpt-realtime-2.1") == [
        ("message", "final_answer", "One. Two.")
    ]


@pytest.mark.parametrize("event", ["session.update", "response.create"])
def test_reasoning_is_refused_whole_by_a_model_that_does_not_reason(event: str):
    talk = Talk(dialect="openai", model="gpt-realtime-1.5")
    asked = {"reasoning": {"effort": "low"}, "instructions": "Be brief."}
    if event == "session.update":
        talk.send(event, event_id="mine", session={"type": "realtime", **asked})
    else:
        talk.send(event, event_id="mine", response=asked)
    error = talk.error
    assert (error["code"], error["param"], error["event_id"]) == ("invalid_value", None, None)
    assert talk.types == ["session.created", "error"]


@pytest.mark.parametrize(("effort", "tokens"), [("minimal", None), ("low", 17), ("high", 192)])
def test_a_model_that_reasons_counts_what_the_effort_makes_it_think(effort: str, tokens: int | None):
    update = {"type": "realtime", "reasoning": {"effort": effort}, "parallel_tool_calls": False}
    talk = Talk(Script([Say("Yes.")]), dialect="openai", model="gpt-realtime-2.1", update=update)
    assert not {"reasoning", "parallel_tool_calls"} & talk.of("session.updated")[0]["session"].keys()
    talk.say("Is it?")
    details = talk.until("response.done")["response"]["usage"]["output_token_details"]
    assert details.get("reasoning_tokens") == tokens


@pytest.mark.parametrize("model", ["gpt-realtime-whisper", "gpt-live-transcribe"])
@pytest.mark.parametrize("kind", ["server_vad", "semantic_vad", None])
def test_a_secret_for_a_transcription_without_turns_is_refused_with_its_parameter(model: str, kind: str | None):
    heard = {"transcription": {"model": model}, "turn_detection": kind and {"type": kind}}
    body = ('{"session": {"type": "transcription", "audio": {"input": ' + str(heard).replace("'", '"') + "}}}").replace(
        "None", "null"
    )
    answer = OpenAIHandshake().lifetime(body.encode(), LIMITS)
    if kind is None:
        assert answer == 600
        return
    assert isinstance(answer, Refusal)
    shown = OpenAIHandshake().body(answer)["error"]
    param = "session.audio.input.turn_detection"
    assert shown == {"message": DETECTION, "type": "invalid_request_error", "param": param, "code": "invalid_value"}


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("gpt-realtime", "You must not provide a model parameter for transcription sessions."),
        ("gpt-4o-transcribe", 'Model "gpt-4o-transcribe" is not supported in transcription mode.'),
    ],
)
@pytest.mark.parametrize("by_secret", [True, False])
def test_a_transcription_session_takes_no_model_in_its_address(model: str, words: str, by_secret: bool):
    secret = {"type": "transcription"} if by_secret else None
    query = [("model", model)] + ([] if by_secret else [("intent", "transcription")])
    refused = OpenAIHandshake().check(HandshakeRequest("k", model=model), secret, query)
    assert refused is not None and (refused.code, refused.error) == ("invalid_model", words)


def test_languages_and_keywords_reach_the_transcriber_and_come_back():
    heard = {"model": "gpt-transcribe", "languages": ["de", "en"], "keywords": ["Rosenweg"], "delay": "low"}
    talk = Talk(dialect="openai", update={"type": "realtime", "audio": {"input": {"transcription": heard}}})
    shown = talk.of("session.updated")[0]["session"]["audio"]["input"]["transcription"]
    assert {**heard, "language": None, "prompt": None} == shown
    assert (talk.session.settings.language, talk.session.settings.keyterms) == ("de", ("Rosenweg",))


@pytest.mark.parametrize(("dialect", "named"), [("openai", "update"), ("openai@2026-08", "update event")])
def test_an_update_of_the_other_type_is_refused_in_the_words_of_its_date(dialect: str, named: str):
    talk = Talk(dialect=dialect)
    talk.send("session.update", session={"type": "transcription"}, event_id="mine")
    words = f"Passing a transcription session {named} to a realtime session is not allowed."
    error = talk.error
    assert (error["message"], error["event_id"]) == (words, None)


def test_a_choice_of_a_tool_in_the_older_form_lacks_the_name_that_the_newer_has():
    talk = Talk(dialect="openai")
    choice = {"type": "function", "function": {"name": "look"}}
    talk.send("session.update", session={"type": "realtime", "tool_choice": choice})
    assert talk.error["param"] in ("session.tool_choice.name", "session.tool_choice.function")


def test_an_item_id_has_the_characters_of_the_service():
    talk = Talk(dialect="openai")
    talk.send(
        "conversation.item.create",
        event_id="mine",
        item={"id": "a/b", "type": "message", "role": "user", "content": []},
    )
    error = talk.error
    assert (error["code"], error["param"], error["event_id"]) == ("invalid_value", "item.id", "mine")
    assert "pattern" in error["message"]
