"""The rhythm of an answer as recorded in July 2026 (section 6 of the wire sheet)."""

from __future__ import annotations

import base64
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.dialects.xai.traits import RHYTHM_1, segments
from mockserver.protocol.pacing import PacedAudio, PacedText, ends_sentence, plan
from mockserver.responders.base import Call, Say
from tests.mockserver.talk import Event, Script, Talk, kinds

UNIT = 734
ANSWERS = [
    "Hello Marcelo! Nice to meet you. How can I help you today?",
    "Cobalt. The code word you asked me to remember is cobalt.",
    "Your name is Alice and your favorite color is teal.",
    "It is foggy and 12 degrees in London. You had better take a coat with you. And an umbrella, too.",
    "Got it—code word is cobalt.",
]


def told(text: str, pacing: str = "live") -> Talk:
    talk = Talk(Script([Say(text)]), pacing=pacing)
    talk.say("Go on.")
    talk.rest()
    return talk


def samples(delta: Event) -> int:
    return len(base64.b64decode(delta["delta"])) // 2


def sounds(talk: Talk) -> list[Event]:
    return talk.of("response.output_audio.delta")


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        (ANSWERS[0], ["Hello Marcelo! Nice to meet you.", " How can I help you today?"]),
        (ANSWERS[1], ["Cobalt.", " The code word you asked me to remember is cobalt."]),
        (ANSWERS[2], ["Your name is Alice and your favorite", " color is teal."]),
        ("It is foggy and 12 degrees in London.", ["It is foggy and 12 degrees in", " London."]),
        (ANSWERS[4], [ANSWERS[4]]),
        ("Yes.", ["Yes."]),
        ("", []),
        ("  \n", []),
    ],
)
def test_a_text_is_cut_where_the_recordings_cut_it(text: str, pieces: list[str]):
    assert segments(text) == pieces


@given(st.text(alphabet="ab .!?,\n…'\"”", max_size=80))
def test_no_cut_loses_a_letter(text: str):
    assert "".join(segments(text)).strip() == text.strip()


@pytest.mark.parametrize("text", ANSWERS)
def test_every_sound_but_the_last_is_made_of_whole_units(text: str):
    *body, last = map(samples, sounds(told(text)))
    assert all(size % UNIT == 0 for size in body)
    assert body[:1] == [16 * UNIT]
    assert 0.071 <= last / 24000 <= 0.124


def test_the_second_sound_has_seventeen_units():
    assert [samples(delta) // UNIT for delta in sounds(told(ANSWERS[0]))[:2]] == [16, 17]


def test_also_of_two_texts_in_one_response_every_sound_but_the_last_is_made_of_whole_units():
    talk = Talk(Script([Say("One moment, please, I am looking it up."), Say(" Here it is.")]))
    talk.say("Go on.")
    talk.rest()
    assert [samples(delta) % UNIT for delta in sounds(talk)[:-1]] == [0] * (len(sounds(talk)) - 1)


@pytest.mark.parametrize("text", ANSWERS)
def test_durations_are_whole_milliseconds_that_sum_to_the_seconds_of_the_usage(text: str):
    talk = told(text)
    assert [delta["audio_duration_ms"] for delta in sounds(talk)] == [round(samples(d) / 24) for d in sounds(talk)]
    total_ms = sum(delta["audio_duration_ms"] for delta in sounds(talk))
    assert total_ms == pytest.approx(1000 * talk.of("response.done")[0]["usage"]["output_audio_seconds"], abs=3)


@pytest.mark.parametrize("text", [ANSWERS[3], f"{ANSWERS[0]} {ANSWERS[4]}"])
def test_an_answer_of_five_seconds_leaves_two_to_four_times_faster_than_it_plays(text: str):
    talk = told(text)
    seconds = (sounds(talk)[-1]["ts"] - sounds(talk)[0]["ts"]) / 1000
    assert talk.heard_seconds > 4
    assert 2 <= talk.heard_seconds / seconds <= 4.1


@pytest.mark.parametrize("text", ANSWERS)
def test_the_first_words_follow_the_first_sound(text: str):
    types = kinds(told(text).events)
    at = types.index("response.output_audio.delta")
    assert types[at + 1] == "response.output_audio_transcript.delta"


@pytest.mark.parametrize("text", ANSWERS)
def test_later_words_come_a_little_before_their_sound(text: str):
    talk = told(text)
    sent_s, leads = 0.0, []
    for event in talk.events:
        if event["type"] == "response.output_audio.delta":
            sent_s += samples(event) / 24000
        elif event["type"] == "response.output_audio_transcript.delta" and event["start_time"]:
            leads.append(event["start_time"] - sent_s)
    assert all(0.099 <= lead <= 1.68 for lead in leads), leads


def test_the_first_sound_comes_within_the_recorded_latencies_and_they_vary():
    latencies = set()
    for seed in range(12):
        talk = Talk(seed=str(seed))
        talk.say("Hi.")
        latencies.add(float(talk.until("response.output_audio.delta")["latency"]))
    assert 0.52 <= min(latencies) < max(latencies) <= 0.88


def test_in_realtime_each_sound_leaves_when_the_one_before_has_been_played():
    deltas = sounds(told(ANSWERS[3], pacing="realtime"))
    for one, next in pairwise(deltas):
        assert next["ts"] - one["ts"] == pytest.approx(samples(one) / 24, abs=1.5)


def test_in_a_burst_all_leaves_at_once_in_the_same_order():
    burst, live = told(ANSWERS[3], pacing="burst"), told(ANSWERS[3])
    assert burst.now == 0.0
    assert burst.types == live.types
    assert [d["delta"] for d in sounds(burst)] == [d["delta"] for d in sounds(live)]


def test_a_burst_with_a_call_needs_no_time_either():
    talk = Talk(Script([Say("One moment."), Call("look")]), pacing="burst")
    talk.say("Weather?")
    assert talk.until("response.done") and talk.now == 0.0


@given(st.lists(st.integers(1, 200_000), min_size=1, max_size=6))
def test_every_sample_of_a_plan_is_sent_once_and_every_text_told_once(lengths: list[int]):
    texts = ["First words", *[f" Sentence {n}." for n in range(len(lengths) - 1)]]
    pieces = list(plan(RHYTHM_1, texts, lambda segment: lengths[segment]))
    assert [piece.segment for piece in pieces if isinstance(piece, PacedText)] == list(range(len(texts)))
    for segment, length in enumerate(lengths):
        borders = [
            (piece.start, piece.stop) for piece in pieces if isinstance(piece, PacedAudio) and piece.segment == segment
        ]
        assert borders[0][0] == 0 and borders[-1][1] == length
        assert all(one[1] == next[0] and one[0] < one[1] for one, next in pairwise(borders))
    assert all(piece.gap_s >= 0 for piece in pieces)


def test_a_text_without_any_sound_is_told_all_the_same():
    assert [type(piece) for piece in plan(RHYTHM_1, ["Hm."], lambda segment: 0)] == [PacedText]


def test_a_segment_is_made_only_when_it_is_reached():
    asked = []

    def length(segment: int) -> int:
        asked.append(segment)
        return UNIT * 40

    pieces = plan(RHYTHM_1, ["One.", " Two.", " Three."], length)
    next(pieces)
    assert set(asked) == {0}


@pytest.mark.parametrize(
    ("text", "ends"),
    [("Yes.", True), ('"Yes!"', True), ("Well,", False), ("", False), ("はい。", True), ("a…  ", True)],
)
def test_a_sentence_ends_at_its_mark(text: str, ends: bool):
    assert ends_sentence(text) is ends


def test_truncating_an_answer_that_is_still_given_cuts_no_hole_into_its_transcript():
    talk = Talk(Script([Say("One two three four five six seven. Eight nine ten. Eleven twelve.")]))
    talk.say("Count.")
    item_id = talk.until("response.output_audio_transcript.delta")["item_id"]
    talk.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=200)
    done = talk.until("response.output_audio_transcript.done")["transcript"]
    assert "One two three four five six seven. Eight nine ten. Eleven twelve.".startswith(done)
