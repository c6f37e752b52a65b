"""What a session used and what that comes to: exact fractions, each meter by itself."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.billing.ledger import Ledger
from mockserver.responders.base import Call, Say
from replay.billing.prices import UnknownPrice, price_table
from tests.mockserver.talk import Script, Talk, saying


def ledger(model: str = "grok-voice-think-fast-1.0") -> Ledger:
    return Ledger(price_table("xai", date(2026, 7, 1)), model)


def test_a_minute_in_and_a_minute_out_are_both_paid():
    used = ledger()
    used.heard(24000 * 60, 24000)
    used.spoke(8000 * 60, 8000)
    assert used.audio_in_s == used.audio_out_s == 60
    assert used.total_usd == Decimal("0.10")


def test_every_meter_adds_to_the_bill():
    used = ledger()
    used.text_items = 3
    used.hosted_calls.update(["web_search", "web_search", "file_search"])
    assert used.total_usd == Decimal("0.012") + Decimal("0.0125")


def test_a_telephone_call_pays_for_its_audio_in_both_directions_once_more():
    used = ledger()
    used.heard(24000 * 60, 24000)
    used.spoke(8000 * 30, 8000)
    assert (used.telephony_s, used.total_usd) == (Fraction(0), Decimal("0.075"))
    used.telephone = True
    assert (used.telephony_s, used.total_usd) == (Fraction(90), Decimal("0.09"))


def test_a_call_pays_for_the_seconds_that_it_was_connected():
    used = ledger()
    used.heard(24000 * 60, 24000)
    used.connected_s, used.telephone = 90.01, True
    assert (used.telephony_s, used.total_usd) == (Fraction(91), Decimal("0.065167"))


@given(st.lists(st.tuples(st.integers(0, 10**7), st.sampled_from([8000, 11025, 24000, 44100])), max_size=20))
def test_no_order_of_chunks_and_rates_changes_the_seconds(chunks: list[tuple[int, int]]):
    there, back = ledger(), ledger()
    for samples, rate in chunks:
        there.heard(samples, rate)
    for samples, rate in reversed(chunks):
        back.heard(samples, rate)
    assert there.audio_in_s == back.audio_in_s == sum(Fraction(samples, rate) for samples, rate in chunks)


def test_an_unused_session_costs_nothing_whatever_the_model():
    assert ledger("no-such-model").total_usd == 0


def test_a_model_without_a_price_cannot_be_billed():
    used = ledger("no-such-model")
    used.heard(1, 24000)
    with pytest.raises(UnknownPrice, match="no-such-model"):
        _ = used.total_usd


def test_as_json_loses_no_money():
    used = ledger()
    used.text_items = 1
    used.heard(24000, 24000)
    assert used.as_json() == {
        "model": "grok-voice-think-fast-1.0",
        "audio_in_s": 1.0,
        "audio_out_s": 0.0,
        "text_items": 1,
        "hosted_calls": {},
        "telephony_s": 0.0,
        "usd": "0.004833",
        "prices_as_of": "2026-07-01",
    }


def test_messages_and_seeded_calls_are_paid_and_results_sound_and_requests_are_not():
    talk = Talk(Script([Call("look")]))
    talk.write("One.")
    talk.write("Two.", "assistant")
    talk.write("Three.", "system")
    talk.create("function_call", name="look", arguments="{}")
    assert talk.session.ledger.text_items == 4
    talk.create("function_call_output", call_id="x", output="42")
    talk.create("message", role="user", content=[{"type": "input_audio", "audio": "AAAA"}])
    talk.send("response.create")
    assert talk.session.ledger.text_items == 4


@pytest.mark.parametrize(("connected_s", "paid_s"), [(60.0, 60), (60.000000001, 60), (60.02, 61), (0.0, 0)])
def test_a_telephone_call_pays_for_each_second_that_began(connected_s: float, paid_s: int):
    ledger = Talk().session.ledger
    ledger.telephone, ledger.connected_s = True, connected_s
    assert ledger.telephony_s == paid_s


def test_an_item_that_was_refused_is_not_paid():
    talk = Talk()
    for _ in range(2):
        talk.create("message", id="mine", role="user", content=[{"type": "input_text", "text": "Hi."}])
    assert "'mine'" in talk.error["message"]
    assert talk.session.ledger.text_items == 1


def test_of_a_cancelled_answer_only_what_was_sent_is_paid():
    talk = Talk(saying(seconds=60))
    talk.send("response.create")
    talk.until("response.output_audio.delta", times=4)
    talk.send("response.cancel")
    talk.rest()
    assert float(talk.session.ledger.audio_out_s) == pytest.approx(talk.heard_seconds)
    assert talk.heard_seconds < 4


def test_silence_sent_is_paid_like_speech():
    talk = Talk(Script([Say("Hi.")]))
    talk.hush(1500)
    assert talk.session.ledger.audio_in_s == Fraction(3, 2)
