"""The `usage` of a response against the numbers of the recordings (section 8 of the wire sheet)."""

from __future__ import annotations

import pytest

from mockserver.dialects.xai.usage import audio_tokens, billable_seconds, text_tokens, usage
from mockserver.protocol.facts import Response, ResponseCounts
from mockserver.responders.base import Call, Say
from tests.mockserver.talk import Script, Talk

VAD = {"turn_detection": {"type": "server_vad"}}


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("What is my name and favorite color?", 8),
        ("Hello, my name is Marcelo.", 7),
        ("I'll check it.", 4),
        ("It is foggy and 12 degrees in London.", 10),
        ("Got it—code word is cobalt.", 8),
        ("Cobalt.", 2),
        ("don't", 1),
        ("2026", 4),
        ("?!", 2),
        ("", 0),
        ("  \n ", 0),
    ],
)
def test_words_digits_and_marks_count_one_each(text: str, tokens: int):
    assert text_tokens(text) == tokens


@pytest.mark.parametrize(
    ("seconds", "segments", "tokens"),
    [
        (1.53, 1, 77),  # the sheet's example
        (5.134, 3, 258),  # captured live on 2026-08-04
        (0.7699999999999999, 1, 39),
        (3.3599999999999994, 1, 169),  # 168.99999… is 169
        (1.0, 2, 51),
        (1.0, 5, 52),
        (0.0, 0, 0),
    ],
)
def test_spoken_output_counts_fifty_tokens_a_second(seconds: float, segments: int, tokens: int):
    assert audio_tokens(seconds, segments) == tokens


@pytest.mark.parametrize(
    ("since_ping_s", "billed"),
    [
        (1.07, 1), (1.085, 1), (1.20, 1), (1.47, 1), (1.54, 1), (1.67, 1), (2.03, 2), (2.77, 3), (2.84, 3), (3.15, 3),
        (3.27, 3), (3.29, 3), (3.89, 4), (4.26, 4),
    ],
)  # fmt: skip
def test_whole_seconds_since_the_connection_opened_are_billed(since_ping_s: float, billed: int):
    assert billable_seconds(ResponseCounts(elapsed_s=since_ping_s)) == billed


@pytest.mark.parametrize("since_ping_s", [2.47, 2.60])
def test_more_input_audio_than_time_is_billed_instead(since_ping_s: float):
    assert billable_seconds(ResponseCounts(elapsed_s=since_ping_s, input_audio_s=5.488)) == 5


def test_the_object_has_its_keys_in_wire_order():
    shown = usage(Response("r", counts=ResponseCounts(typed=["Hello there, you."], segments=1, audio_seconds=1.53)))
    assert list(shown) == [
        "input_tokens",
        "input_token_details",
        "output_tokens",
        "output_token_details",
        "total_tokens",
        "output_audio_seconds",
        "billable_audio_seconds",
    ]
    assert shown["input_token_details"] == {"text_tokens": 5, "audio_tokens": 0, "grok_tokens": 0}
    assert list(shown["input_token_details"]) == ["text_tokens", "audio_tokens", "grok_tokens"]
    assert isinstance(usage(Response("r"))["output_audio_seconds"], float)


def spent(talk: Talk) -> dict[str, int]:
    used: dict[str, int] = talk.until("response.done")["usage"]
    assert talk.rest() == []
    return used


def test_sums_are_sums():
    talk = Talk(Script([Say("It is foggy and 12 degrees in London. Bye.")], heard=["Hello?"]), update=VAD)
    talk.speak()
    talk.hush(900)
    used = spent(talk)
    for side in ("input", "output"):
        details: dict[str, int] = used[f"{side}_token_details"]  # type: ignore[assignment]
        assert used[f"{side}_tokens"] == sum(details.values())
    assert used["total_tokens"] == used["input_tokens"] + used["output_tokens"]
    assert used["output_token_details"]["text_tokens"] == 12  # type: ignore[index]


def test_of_seeded_history_only_the_last_question_is_new():
    talk = Talk(update={"instructions": "These do not count."})
    talk.write("My name is Alice.")
    talk.write("Nice to meet you.", "assistant")
    talk.say("What is my name and favorite color?")
    assert spent(talk)["input_tokens"] == 8


def test_a_tool_result_counts_nothing():
    talk = Talk(Script([Call("look")]))
    talk.say("Weather?")
    call = talk.until("response.function_call_arguments.done")
    talk.rest()
    talk.create("function_call_output", call_id=call["call_id"], output="sunny and warm")
    talk.send("response.create")
    assert spent(talk)["input_tokens"] == 0


def test_a_question_counts_once():
    talk = Talk()
    talk.say("Are you open?")
    assert spent(talk)["input_tokens"] == 4
    talk.send("response.create")
    assert spent(talk)["input_tokens"] == 0


def test_a_spoken_turn_counts_three_tokens_more_than_its_words():
    talk = Talk(Script(heard=["Hello, my name is Marcelo."]), update=VAD)
    talk.speak()
    talk.hush(900)
    assert spent(talk)["input_token_details"]["text_tokens"] == 10  # type: ignore[index]


def heard_tokens(talk: Talk) -> int:
    tokens: int = spent(talk)["input_token_details"]["audio_tokens"]  # type: ignore[index]
    return tokens


def test_a_spoken_turn_counts_fifty_tokens_a_second_and_the_silence_before_it_none():
    talk = Talk(update=VAD)
    talk.hush(3000)
    talk.speak()
    talk.hush(900)
    start_ms = talk.of("input_audio_buffer.speech_started")[0]["audio_start_ms"]
    end_ms = talk.of("input_audio_buffer.speech_stopped")[0]["audio_end_ms"]
    assert start_ms > 2500
    assert heard_tokens(talk) == (end_ms - start_ms) * 50 // 1000


def test_a_turn_with_a_breath_in_it_counts_both_halves():
    halves, whole = Talk(update=VAD), Talk(update=VAD)
    halves.speak()
    halves.hush(600)
    halves.wait(0.1)
    for talk in (halves, whole):
        talk.speak()
        talk.hush(900)
    assert heard_tokens(halves) > 1.5 * heard_tokens(whole)


def test_billed_seconds_never_go_down_on_a_connection():
    talk = Talk(Script([Say("One moment please, I am looking that up.")], [Call("look")], [Say("Done.")]))
    billed = []
    for _ in range(3):
        talk.say("Go on.")
        billed.append(spent(talk)["billable_audio_seconds"])
        talk.wait(2)
    assert billed == sorted(billed)
    assert billed[0] >= 1


def test_an_answer_cut_before_its_first_sound_does_not_forget_the_time_before():
    talk = Talk()
    talk.wait(10)
    talk.say("Hm?")
    earlier = spent(talk)["billable_audio_seconds"]
    talk.send("response.create")
    assert talk.send("response.cancel")[-1]["usage"]["billable_audio_seconds"] >= earlier >= 10


def test_seconds_add_up_delta_by_delta_as_the_service_adds_them():
    talk = Talk(Script([Say("It is foggy and 12 degrees in London. Take a coat. And an umbrella.")]))
    talk.say("Weather?")
    done = talk.until("response.done")
    total = 0.0
    for delta in talk.of("response.output_audio.delta"):
        padding = delta["delta"].count("=")
        total += (len(delta["delta"]) * 3 // 4 - padding) // 2 / 24000
    assert done["usage"]["output_audio_seconds"] == total
