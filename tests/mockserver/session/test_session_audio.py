"""Sound on its way in and out of a session: formats, binary frames, sizes, a caller who cannot be heard, resumption."""

from __future__ import annotations

import base64
import json
from collections.abc import Generator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.audio.formats import PCM_24K, RATES
from mockserver.audio.vad.detector import OPENAI_TURNS
from mockserver.responders.base import Say
from mockserver.session.input_audio import LEAD_MS, PIECE_S, SILENCE, SOUND_FRAME_MS, InputBuffer
from mockserver.session.resumption import Memory
from tests.mockserver.talk import TONE, Event, Script, Talk, kinds

DELTA = "response.output_audio.delta"
DETECTS: dict[str, dict[str, object]] = {
    "xai": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 300}},
    "openai": {"type": "realtime"},
}
TRIPLE = [Say("One. Two. Three.")]


def sides(input: dict[str, object], output: dict[str, object]) -> dict[str, object]:
    return {"audio": {"input": input, "output": output}}


def form(type: str, rate: int | None = None) -> dict[str, object]:
    return {"format": {"type": type} if rate is None else {"type": type, "rate": rate}}


@pytest.mark.parametrize("rate", RATES["pcm"])
def test_at_every_rate_the_answer_lasts_as_long(rate: int):
    talk, usual = Talk(Script(TRIPLE), update=sides({}, form("audio/pcm", rate))), Talk(Script(TRIPLE))
    for each in (talk, usual):
        each.say("Count.")
        each.rest()
    sent = sum(len(base64.b64decode(event["delta"])) for event in talk.of(DELTA)) / 2 / rate
    assert sent == pytest.approx(usual.heard_seconds, abs=0.005)
    assert talk.of("response.done")[0]["usage"]["output_audio_seconds"] == pytest.approx(sent)
    assert float(talk.session.ledger.audio_out_s) == pytest.approx(sent)


@pytest.mark.parametrize("codec", ["audio/pcmu", "audio/pcma"])
def test_g711_has_one_byte_a_sample_both_ways(codec: str):
    talk = Talk(Script(TRIPLE), update=sides(form(codec), form(codec)))
    talk.send("input_audio_buffer.append", audio=base64.b64encode(bytes(8000)).decode())
    talk.say("Count.")
    talk.rest()
    sent = sum(len(base64.b64decode(event["delta"])) for event in talk.of(DELTA))
    assert float(talk.session.ledger.audio_in_s) == 1.0
    assert float(talk.session.ledger.audio_out_s) == sent / 8000


@pytest.mark.parametrize("side", ["input", "output"])
@pytest.mark.parametrize(
    "odd", [form("audio/mp3"), form("audio/opus"), form("audio/opus", 48000), form("audio/pcmu", 24000), form("", 7)]
)
def test_a_format_that_cannot_be_had_is_no_reason_to_fall_over(side: str, odd: dict[str, object]):
    talk = Talk(update={"audio": {side: odd}})
    talk.send("input_audio_buffer.append", audio="AAAA")
    talk.say("Still there?")
    talk.rest()
    talk.of("error")
    assert talk.of("response.done")


def test_a_new_output_format_holds_from_the_next_answer_on():
    talk = Talk(Script(TRIPLE))
    talk.say("Count.")
    first = talk.until(DELTA)
    talk.send("session.update", session=sides({}, form("audio/pcmu")))
    second = talk.until(DELTA)
    for delta in (first, second):
        assert len(base64.b64decode(delta["delta"])) == pytest.approx(delta["audio_duration_ms"] * 48, abs=48)


def test_a_new_input_format_does_not_turn_the_clock_back():
    talk = Talk(update={"turn_detection": {"type": "server_vad"}})
    talk.hush(5000)
    talk.send("session.update", session=sides(form("audio/pcm", 16000), {}))
    talk.speak()
    started = talk.of("input_audio_buffer.speech_started")[0]
    assert started["audio_start_ms"] > 4500


def test_a_new_input_format_in_the_middle_of_speech_still_lets_the_turn_end():
    talk = Talk(update={"turn_detection": {"type": "server_vad"}})
    talk.append(TONE.speak("I would like a dental cleaning.").samples[:20_000])
    talk.send("session.update", session=sides(form("audio/pcm", 16000), {}))
    talk.hush(3000)
    talk.rest()
    assert talk.of("input_audio_buffer.speech_stopped")


def test_binary_input_is_heard_like_any_other():
    talk = Talk(update={"turn_detection": {"type": "server_vad"}, **sides({"transport": "binary"}, {})})
    sound = TONE.speak("I would like a dental cleaning.").samples.tobytes()
    for at in range(0, len(sound), 4799):
        talk.send_raw(sound[at : at + 4799])
    assert talk.of("input_audio_buffer.speech_started")
    assert float(talk.session.ledger.audio_in_s) == len(sound) / 48000


def test_both_ways_in_are_open_while_the_input_is_binary():
    talk = Talk(update=sides({"transport": "binary"}, {}))
    talk.send_raw(bytes(4800))
    talk.hush(100)
    assert float(talk.session.ledger.audio_in_s) == 0.2


def test_a_binary_frame_in_a_json_session_is_refused_with_the_remedy():
    talk = Talk()
    talk.send_raw(bytes(480))
    assert "session.audio.input.transport" in talk.error["message"]
    assert talk.session.ledger.audio_in_s == 0


def test_binary_output_replaces_the_audio_deltas_and_nothing_else():
    talk, usual = Talk(Script(TRIPLE), update=sides({}, {"transport": "binary"})), Talk(Script(TRIPLE), update={})
    for each in (talk, usual):
        each.say("Count.")
        each.rest()
    assert b"".join(talk.binary) == b"".join(base64.b64decode(event["delta"]) for event in usual.of(DELTA))
    assert talk.types == [type for type in usual.types if type != DELTA]
    assert talk.of("response.done")[0]["usage"] == usual.of("response.done")[0]["usage"]


def test_a_sample_that_is_split_over_two_messages_is_one_sample():
    talk = Talk()
    for data in (b"\x00", b"\x00\x00", b"\x00"):
        talk.send("input_audio_buffer.append", audio=base64.b64encode(data).decode())
    assert talk.session.ledger.audio_in_s * 24000 == 2


def test_a_frame_beyond_the_limit_is_refused_unread():
    talk = Talk()
    talk.send_raw("[" * (talk.session.dialect.traits.max_frame_bytes + 1))
    assert "are allowed" in talk.error["message"]
    talk.say("Still there?")
    talk.rest()
    assert talk.of("response.done")


@pytest.mark.parametrize("text", ["word " * 12_000, "a" * 60_000], ids=["words", "letters"])
def test_a_text_that_no_voice_can_say_fails_the_response_and_not_the_session(text: str):
    talk = Talk()
    talk.create("force_message", role="assistant", content=[{"type": "output_text", "text": text}])
    talk.until("response.created")
    talk.send("response.cancel")
    talk.of("error")
    assert talk.write("Still there?")


# A message that the client forces.


def forced(talk: Talk, **fields: object) -> list[Event]:
    content = [{"type": "output_text", "text": "Your appointment is confirmed."}]
    return talk.create("force_message", role="assistant", content=content, **fields)


def test_a_forced_message_is_spoken_word_for_word_without_asking_the_responder():
    talk = Talk(responder := Script())
    forced(talk)
    assert talk.until("response.output_audio_transcript.done")["transcript"] == "Your appointment is confirmed."
    assert "metadata" not in talk.until("response.done")["response"]
    assert responder.turns == []


def test_a_forced_message_keeps_the_id_that_the_client_chose():
    talk = Talk()
    forced(talk, id="mine")
    assert talk.until("response.output_item.done")["item"]["id"] == "mine"


def test_a_forced_message_that_is_refused_costs_nothing():
    talk = Talk(Script(TRIPLE))
    talk.send("response.create")
    forced(talk)
    assert "already has an active response" in talk.error["message"]
    assert talk.session.ledger.text_items == 0


@pytest.mark.parametrize(("interruptible", "heard"), [(True, 1), (False, 0)])
def test_nobody_speaks_over_a_message_that_may_not_be_interrupted(interruptible: bool, heard: int):
    talk = Talk(update={"turn_detection": {"type": "server_vad"}})
    forced(talk, interruptible=interruptible)
    talk.until("response.done")
    talk.speak()
    talk.hush(900)
    assert len(talk.of("input_audio_buffer.speech_started")) == heard
    talk.wait(60)
    talk.speak()
    assert len(talk.of("input_audio_buffer.speech_started")) == heard + 1


def test_a_caller_who_is_speaking_already_is_heard_to_the_end():
    talk = Talk(update={"turn_detection": {"type": "server_vad"}})
    speech = TONE.speak("I would like a dental cleaning, please.").samples
    talk.append(speech[: len(speech) // 2])
    forced(talk, interruptible=False)
    talk.append(speech[len(speech) // 2 :])
    talk.hush(900)
    started, stopped = (talk.of(f"input_audio_buffer.speech_{what}") for what in ("started", "stopped"))
    assert [event["item_id"] for event in started] == [event["item_id"] for event in stopped]


def test_what_a_deaf_service_did_not_hear_cannot_be_committed():
    talk = Talk()
    forced(talk, interruptible=False)
    talk.until(DELTA)
    talk.speak()
    talk.wait(60)
    assert not [event for event in talk.send("input_audio_buffer.commit") if event["type"] != "error"]
    talk.of("error")


# A conversation that goes on.


def resumed(memory: Memory) -> Talk:
    return Talk(resumed=memory, seed="7/1", update={"resumption": {"enabled": True}})


def test_on_resumption_the_assistants_words_come_back_before_the_settings():
    talk = Talk(Script(TRIPLE))
    talk.say("Count.")
    talk.rest()
    again = resumed(talk.session.memory)
    replayed = again.of("conversation.item.added")[0]
    assert kinds(again.events)[3:] == ["conversation.item.added", "session.updated"]
    assert replayed["item"]["content"] == [{"type": "text", "text": "One. Two. Three."}]
    assert replayed["item"]["id"] not in {item.id for item in talk.session.conversation}
    assert again.write("Next.")[0]["previous_item_id"] == replayed["item"]["id"]
    assert again.of("conversation.created")[0]["conversation"] == talk.of("conversation.created")[0]["conversation"]


def test_without_asking_for_it_nothing_is_replayed():
    talk = Talk(Script(TRIPLE))
    talk.say("Count.")
    talk.rest()
    assert Talk(resumed=talk.session.memory, seed="7/1", update={}).of("conversation.item.added") == []


def test_a_second_resumption_replays_every_message_once():
    talk = Talk(Script(TRIPLE))
    talk.say("Count.")
    talk.rest()
    twice = resumed(resumed(talk.session.memory).session.memory)
    assert len(twice.of("conversation.item.added")) == 1


def turns(seconds: float) -> str:
    """A message of speech and pauses, in base64."""
    turn = np.concatenate([TONE.speak("Hello, is Doctor Chen there?").samples, np.zeros(24_000, np.int16)])
    samples = np.resize(turn, round(seconds * 24_000))
    return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(samples.tobytes()).decode()})


@pytest.mark.parametrize("dialect", ["xai", "openai"])
def test_a_long_message_of_sound_is_taken_in_steps_to_the_same_end(dialect: str):
    stepped, whole = (Talk(dialect=dialect, update=DETECTS[dialect]) for _ in range(2))
    long = turns(10.5 * PIECE_S)
    rest = stepped.session.receive(long, stepped.now)
    assert isinstance(rest, Generator) and stepped.session.ledger.audio_in_s == 0
    heard = [stepped.session.ledger.audio_in_s for _ in rest]
    assert heard[:3] == [PIECE_S, 2 * PIECE_S, 3 * PIECE_S]  # it is read, then taken piece by piece
    assert len(heard) > 12  # and its borders of speech
    stepped.hush(1000)
    whole.send_raw(long)
    whole.hush(1000)
    for each in (stepped, whole):
        each.rest()
    assert len(whole.of("input_audio_buffer.speech_stopped")) > 5
    assert stepped.events == whole.events
    assert stepped.session.ledger.audio_in_s == whole.session.ledger.audio_in_s == 10.5 * PIECE_S + 1


def test_a_short_message_of_sound_is_taken_at_once():
    talk = Talk(update=DETECTS["xai"])
    assert talk.session.receive(turns(PIECE_S), talk.now) is None


def test_what_is_left_of_a_message_is_done_before_the_next():
    talk = Talk(update=DETECTS["xai"])
    assert talk.session.receive(turns(3 * PIECE_S), talk.now) is not None
    talk.hush(1000)
    assert talk.session.ledger.audio_in_s == 3 * PIECE_S + 1


def test_a_client_that_leaves_is_not_heard_to_the_end():
    talk = Talk(update=DETECTS["xai"])
    talk.session.receive(turns(3 * PIECE_S), talk.now)
    talk.session.lost(talk.now)
    assert talk.session.ledger.audio_in_s == PIECE_S  # a message below LONG_MESSAGE is read at once


def test_of_a_long_silence_the_second_before_speech_is_kept():
    buffer = InputBuffer(PCM_24K, OPENAI_TURNS, keep=True)
    for piece in buffer.pieces(bytes(48_000 * 3 * PIECE_S)):
        buffer.append(piece)
    assert (buffer.kept_ms, len(buffer.so_far())) == (LEAD_MS, 24 * LEAD_MS)


QUIET_OR_LOUD = st.sampled_from((-3000, -SILENCE - 1, -SILENCE, 0, 0, 0, SILENCE, SILENCE + 1, 32767, -32768))


@given(st.lists(st.lists(QUIET_OR_LOUD, max_size=4), max_size=8))
def test_sound_is_counted_from_its_first_to_its_last_sample_however_it_comes(appends: list[list[int]]):
    appends = [[each for each in append for _ in range(500)] for append in appends]
    buffer = InputBuffer(PCM_24K, OPENAI_TURNS)
    buffer.measures_sound = True
    for append in appends:
        buffer.append(np.array(append, np.int16))
    whole = np.array([each for append in appends for each in append])
    loud = np.flatnonzero(np.abs(whole) > SILENCE)
    expected = 0.0
    if len(loud):
        first, last = loud[0] / 24, (loud[-1] + 1) / 24
        padded = (first // SOUND_FRAME_MS - OPENAI_TURNS.prefix_padding_ms // SOUND_FRAME_MS) * SOUND_FRAME_MS
        end_ms = min(-(-last // SOUND_FRAME_MS) * SOUND_FRAME_MS, len(whole) / 24)
        expected = end_ms - max(0.0, padded)
    assert buffer.take().sounding_ms == pytest.approx(expected)
