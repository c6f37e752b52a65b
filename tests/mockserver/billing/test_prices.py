"""Prices: exact, dated, and never guessed (section 8.4 of the wire sheet)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.dialects.registry import SERVICES
from mockserver.dialects.xai.dates import XAI_2026_04, XAI_2026_07, XAI_2026_08, XAI_2026_09, XAI_2026_10
from replay.billing.prices import (
    CHECKED,
    PRICES,
    Tokens,
    UnknownPrice,
    dialect_prices,
    dollars,
    doubt,
    price_table,
)

JULY = price_table("xai", date(2026, 7, 1))


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
    assert JULY.minute(model) == Decimal(july)
    assert SERVICES["xai@2026-09"].prices.minute(model) == Decimal(september)


def test_every_model_of_the_dialect_has_a_price():
    for dated in (XAI_2026_04, XAI_2026_07, XAI_2026_08, XAI_2026_09, XAI_2026_10):
        for model in (*dated.models.values(), dated.default_model):
            assert SERVICES[dated.name].prices.minute(model) > 0


@pytest.mark.parametrize(
    ("tool", "usd"), [("web_search", "5"), ("x_search", "5"), ("code_interpreter", "5"), ("file_search", "2.50")]
)
def test_hosted_tools_are_priced_by_the_thousand(tool: str, usd: str):
    assert JULY.thousand_calls(tool) == Decimal(usd)


def test_an_unknown_price_names_what_is_known_and_of_when():
    with pytest.raises(UnknownPrice, match=r"'grok-9' in the table of 2026-07-01; it has grok-voice-2.0"):
        JULY.minute("grok-9")
    with pytest.raises(UnknownPrice, match="hosted tool 'teleport'"):
        JULY.thousand_calls("teleport")


@pytest.mark.parametrize(
    ("on", "model"),
    [
        (date(2026, 8, 4), "grok-voice-think-fast-1.0"),
        (date(2026, 8, 5), "grok-voice-think-fast-2.0"),
        (date(2026, 10, 13), "grok-voice-think-fast-2.0"),
        (date(2026, 10, 14), "grok-voice-3.0"),
    ],
)
def test_an_alias_costs_what_its_model_of_the_day_costs(on: date, model: str):
    table = price_table("xai", on)
    assert table.resolved("grok-voice-latest") == model
    assert table.minute("grok-voice-latest") == table.per_audio_minute[model]


def test_a_snapshot_costs_what_its_model_costs_and_another_model_has_no_price():
    table = price_table("openai@2026-08", date(2026, 8, 1))
    assert table.tokens("gpt-realtime-2025-08-28") is table.tokens("gpt-realtime")
    assert table.transcribed_minute("whisper-1") == Decimal("0.006")
    with pytest.raises(UnknownPrice, match="gpt-realtime-9"):
        table.tokens("gpt-realtime-9")
    with pytest.raises(UnknownPrice, match="no prices are known of 'elsewhere'"):
        price_table("elsewhere", date(2026, 8, 1))


def test_a_dialect_has_the_prices_of_the_end_of_its_month():
    assert [dialect_prices(f"xai@2026-{month}").as_of for month in ("04", "07", "08", "09", "10")] == [
        "2026-07-01",
        "2026-07-01",
        "2026-08-05",
        "2026-08-05",
        "2026-10-14",
    ]


def test_a_day_outside_the_tables_is_in_doubt():
    assert doubt(JULY, date(2026, 7, 1)) is None
    assert "prices before 2026-07-01 are not known" in str(doubt(JULY, date(2019, 5, 5)))
    latest = PRICES["xai"][-1]
    assert doubt(latest, CHECKED) is None
    assert f"last checked on {CHECKED}" in str(doubt(latest, date(2027, 1, 1)))


def test_processing_in_one_region_has_a_surcharge():
    day = date(2026, 11, 30)
    addresses = (f"wss://{host}/v1/realtime" for host in ("api.openai.com", "eu.api.openai.com"))
    plain, regional = (price_table("openai", day, address) for address in addresses)
    assert (plain.regional, regional.regional) == (False, True)
    tokens = Tokens(text=1000, audio=500, audio_out=700)
    assert regional.tokens("gpt-realtime").of(tokens) == plain.tokens("gpt-realtime").of(tokens) * Fraction(11, 10)
    assert regional.transcribed_minute("whisper-1") == Decimal("0.0066")
    assert regional.in_region().transcribed_minute("whisper-1") == Decimal("0.0066")
    assert price_table("xai", day, "wss://eu-west-1.api.x.ai/v1/realtime") is price_table("xai", day)
