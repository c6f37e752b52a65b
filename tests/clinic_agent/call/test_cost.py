"""What a call costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_agent.call.cost import (
    AUDIO_PRICES,
    LATEST,
    TOKEN_PRICES,
    USD_PER_TELEPHONY_MINUTE,
    USD_PER_TEXT_ITEM,
    USD_PER_THOUSAND_CALLS,
    USD_PER_TRANSCRIBED_MINUTE,
    Cost,
    hosted_call,
)
from mockserver.billing.ledger import Ledger
from replay.billing.prices import UnknownPrice, price_table

JULY = date(2026, 7, 31)
MINUTE = 24_000 * 60
ONE, TWO = "grok-voice-think-fast-1.0", "grok-voice-think-fast-2.0"


@pytest.mark.parametrize(("model", "usd"), [(ONE, "0.05"), (TWO, "0.08")])
def test_a_minute_costs_the_same_in_either_direction(model, usd):
    assert Cost(model, JULY, input_samples=MINUTE).usd == Decimal(usd)
    assert Cost(model, JULY, output_samples=MINUTE).usd == Decimal(usd)


def test_a_typed_message_costs_four_tenths_of_a_cent():
    assert Cost(ONE, JULY, text_items=3).usd == Decimal("0.012")


@pytest.mark.parametrize("day", [date(2026, 4, 1), *(each.since for each in AUDIO_PRICES), date(2027, 1, 1)])
@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize(
    "model",
    [LATEST, ONE, TWO, "grok-voice-2.0", "grok-voice-3.0", f"{ONE}-2026-04-20", "grok-voice-fast-1.0", "gpt-unknown"],
)
def test_model_alias_and_day_decide_the_price_as_in_the_tables_of_the_mock_and_of_the_bill(model, day, before):
    day -= timedelta(days=before)
    cost, table = Cost(model, day, input_samples=MINUTE), price_table("xai", day)
    try:
        expected = table.minute(model)
    except UnknownPrice:
        expected = None
    assert cost.usd == expected
    assert USD_PER_TEXT_ITEM == table.per_text_item
    assert USD_PER_TELEPHONY_MINUTE == table.per_telephony_minute
    assert USD_PER_THOUSAND_CALLS == table.per_thousand_calls


def test_the_prices_of_tokens_are_those_of_the_mock_and_of_the_bill():
    table = price_table("openai", date(2026, 11, 30))
    for model, mine in TOKEN_PRICES.items():
        theirs = table.tokens(model)
        inputs = (theirs.text, theirs.cached_text, theirs.audio, theirs.cached_audio)
        assert (mine.text_in, mine.text_cached, mine.audio_in, mine.audio_cached) == tuple(map(Fraction, inputs))
        assert (mine.text_out, mine.audio_out) == (Fraction(theirs.text_out), Fraction(theirs.audio_out))
    assert USD_PER_TRANSCRIBED_MINUTE == table.transcribed_minute("gpt-realtime-whisper")


@pytest.mark.parametrize(
    ("day", "usd"),
    [(date(2026, 8, 4), "0.05"), (date(2026, 8, 5), "0.08"), (date(2026, 10, 14), "0.08"), (date(2027, 1, 1), "0.08")],
)
def test_the_name_latest_changed_its_price_on_the_fifth_of_august(day, usd):
    assert Cost(LATEST, day, input_samples=MINUTE).usd == Decimal(usd)


def test_a_model_without_a_known_price_has_no_cost_and_says_so():
    cost = Cost("grok-voice-9", JULY, input_samples=MINUTE)
    assert (cost.usd, cost.rounded_usd) == (None, None)
    known = f"grok-voice-fast-1.0, {ONE}, {TWO}, grok-voice-2.0, grok-voice-3.0"
    assert cost.shown == f"no price known for 'grok-voice-9'; prices are known for {known}"


@pytest.mark.parametrize(
    ("event", "tool"),
    [
        ({"type": "response.function_call_arguments.done", "name": "x_keyword_search"}, "x_search"),
        ({"type": "response.function_call_arguments.done", "name": "book_appointment"}, None),
        ({"type": "response.output_item.done", "item": {"type": "web_search_call"}}, "web_search"),
        ({"type": "response.output_item.done", "item": {"type": "function_call"}}, None),
        ({"type": "response.output_item.done", "item": {"type": "message"}}, None),
        ({"type": "response.mcp_call.completed"}, "mcp"),
        ({"type": "response.done"}, None),
    ],
)
def test_a_hosted_call_is_counted_where_the_wire_shows_it(event, tool):
    assert hosted_call(event) == tool


def test_rounding_is_half_up_and_happens_once():
    half = Cost(ONE, JULY, input_samples=1440)  # 0.06 s: $0.00005 exactly
    assert half.usd == Decimal("0.00005")
    assert half.shown == "$0.0001"
    assert Cost(ONE, JULY, input_samples=1439).shown == "$0.0000"


counts = st.integers(0, 10 * MINUTE)


@given(
    st.lists(st.builds(Cost, st.just(ONE), st.just(JULY), counts, counts, st.integers(0, 9)), min_size=1, max_size=6)
)
def test_the_turns_of_a_call_cost_exactly_what_the_call_costs(turns):
    call = Cost(ONE, JULY)
    marks = [call]
    for turn in turns:
        call = call.plus(
            input_samples=turn.input_samples, output_samples=turn.output_samples, text_items=turn.text_items
        )
        marks.append(call)
    parts = [after.since(before) for before, after in pairwise(marks)]
    assert parts == turns
    assert sum((part.exact_usd or Fraction(0) for part in parts), Fraction(0)) == call.exact_usd


def test_the_service_s_own_tools_and_its_telephone_line_cost_what_the_mock_s_ledger_says():
    cost = Cost("grok-voice-think-fast-1.0", date(2026, 7, 1)).plus(
        input_samples=24_000, text_items=2, hosted_calls={"web_search": 2, "file_search": 1}
    )
    cost = replace(cost, telephony=True)
    ledger = Ledger(price_table("xai", date(2026, 7, 1)), cost.model)
    ledger.heard(24_000, 24_000)
    ledger.text_items, ledger.telephone = 2, True
    ledger.hosted("web_search", 2)
    ledger.hosted("file_search", 1)
    assert cost.exact_usd == ledger.exact_usd
    later = cost.plus(hosted_calls={"web_search": 1}, output_samples=MINUTE).since(cost)
    assert later.exact_usd == Fraction(5, 1000) + Fraction("0.06")


def test_a_tool_without_a_known_price_is_not_guessed_at():
    cost = Cost("grok-voice-think-fast-1.0", date(2026, 7, 1)).plus(hosted_calls={"divination": 1})
    assert cost.usd is None
    assert "no price known for the tool 'divination'" in cost.shown
