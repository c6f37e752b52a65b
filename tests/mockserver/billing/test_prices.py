"""Prices: exact, dated, and never guessed (section 8.4 of the wire sheet)."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.billing.prices import UnknownPrice, dollars
from mockserver.dialects.registry import SERVICES
from mockserver.dialects.xai.dialect import MODELS, XAI_2026_07, XAI_2026_09
from mockserver.dialects.xai.usage import PRICES_2026_07


@pytest.mark.parametrize(
    ("amount", "usd"),
    [
        (Fraction(1, 3), "0.333333"),
        (Fraction(2, 3), "0.666667"),
        (Fraction(5, 10_000_000), "0.000001"),
        (Fraction(-5, 10_000_000), "-0.000001"),
        (Fraction(49, 100_000_000), "0.000000"),
        (Fraction(12345), "12345.000000"),
    ],
)
def test_amounts_are_rounded_to_a_millionth_half_away_from_zero(amount: Fraction, usd: str):
    assert str(dollars(amount)) == usd


@given(st.fractions(min_value=-(10**9), max_value=10**9))
def test_rounding_moves_an_amount_by_half_a_millionth_at_most(amount: Fraction):
    assert abs(Fraction(dollars(amount)) - amount) <= Fraction(1, 2_000_000)


@pytest.mark.parametrize(
    ("model", "july", "september"),
    [
        ("grok-voice-think-fast-1.0", "0.05", "0.05"),
        ("grok-voice-think-fast-2.0", "0.08", "0.08"),
        ("grok-voice-latest", "0.05", "0.08"),
    ],
)
def test_a_minute_costs_what_the_pages_of_its_date_say(model: str, july: str, september: str):
    assert PRICES_2026_07.minute(model) == Decimal(july)
    assert SERVICES["xai@2026-09"].prices.minute(model) == Decimal(september)


def test_every_model_of_the_dialect_has_a_price():
    for date in (XAI_2026_07, XAI_2026_09):
        for model in (*MODELS, date.default_model, *date.resolved.values()):
            assert SERVICES[date.name].prices.minute(model) > 0


@pytest.mark.parametrize(
    ("tool", "usd"), [("web_search", "5"), ("x_search", "5"), ("code_interpreter", "5"), ("file_search", "2.50")]
)
def test_hosted_tools_are_priced_by_the_thousand(tool: str, usd: str):
    assert PRICES_2026_07.thousand_calls(tool) == Decimal(usd)


def test_an_unknown_price_names_what_is_known_and_of_when():
    with pytest.raises(UnknownPrice, match=r"'grok-9' in the table of 2026-07; it has grok-voice-latest"):
        PRICES_2026_07.minute("grok-9")
    with pytest.raises(UnknownPrice, match="hosted tool 'teleport'"):
        PRICES_2026_07.thousand_calls("teleport")
