"""A bill from frames alone is the bill of the mock that made them."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

import realtape
from mockserver.server import virtual_time as autojump
from mockserver.testing.mock_server import MockServer
from replay.billing.bill import bill
from replay.billing.prices import UnknownPrice
from replay.cassette.frames import Text
from replay.cassette.recording import Line, Moment, Recording
from replay.cassette.records import Request
from replay.playback.client_driver import ClientDriver

CASSETTES = Path(__file__).parents[3] / "cassettes"
NAMES = ["booking", "fully-booked", "medical-escalation", "resumed-booking", "tool-failure", "unclear-audio"]


def recording(*moments, dialect="xai") -> Recording:
    """Of (way, event)."""
    told = tuple(
        Moment(0.1 * number, way, Text(json.dumps(event).encode()), event)
        for number, (way, event) in enumerate(moments)
    )
    return Recording("made", dialect, "hand", (Line(0.0, None, None, told),))


def created(model):
    return "received", {"type": "session.created", "session": {"model": model}}


def said(seconds):
    return "sent", {"type": "input_audio_buffer.append", "audio": b64encode(bytes(round(48_000 * seconds))).decode()}


def item(**fields):
    return "sent", {"type": "conversation.item.create", "item": fields}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_bill_is_the_mock_s_own_ledger(name):
    tape = Recording.read(CASSETTES / f"{name}.tape")

    async def main() -> Decimal:
        async with MockServer(CASSETTES / "scenarios" / f"{name}.yaml", voice="tone", dialect="xai@2026-07") as mock:
            await ClientDriver(tape, mock.ws_url, "any").run()
            return mock.ledger.total_usd

    charged = autojump.run(main())
    assert abs(bill(tape, date(2026, 7, 1)).usd - charged) <= Decimal("0.000001")


@pytest.mark.parametrize(
    ("on", "usd"), [(date(2026, 8, 4), "0.050000"), (date(2026, 8, 5), "0.080000"), (date(2026, 11, 1), "0.080000")]
)
def test_the_alias_costs_what_it_meant_on_the_day(on, usd):
    assert bill(recording(created("grok-voice-latest"), said(60)), on).usd == Decimal(usd)


@pytest.mark.parametrize(("call_id", "entries"), [("rtc", 3), (None, 2)])
def test_a_call_over_the_telephone_pays_for_its_seconds(call_id, entries):
    tape = recording(created("grok-voice-think-fast-1.0"), said(60), ("received", {"type": "ping"}))
    (line,) = tape.lines
    target = "/v1/realtime" if call_id is None else f"/v1/realtime?call_id={call_id}"
    asked = replace(line, request=Request("GET", target, ()), opened_s=-89.5)
    made = bill(replace(tape, lines=(asked,)), date(2026, 11, 30))
    assert len(made.entries) == entries
    assert made.quantity("telephone") == (90 if call_id else 0)
    assert not made.silent


def test_a_call_of_whole_seconds_pays_for_no_further_one():
    tape = recording(created("grok-voice-think-fast-1.0"))
    (line,) = tape.lines
    moments = [replace(line.moments[0], at_s=64.4)]  # 64.4 - 4.4 is 60 and a little
    asked = replace(line, request=Request("GET", "/v1/realtime?call_id=rtc", ()), opened_s=4.4, moments=moments)
    assert bill(replace(tape, lines=(asked,)), date(2026, 11, 30)).quantity("telephone") == 60


def test_a_sideband_says_that_its_sound_is_not_billed():
    tape = recording(created("grok-voice-think-fast-1.0"))
    (line,) = tape.lines
    asked = replace(line, request=Request("GET", "/v1/realtime?call_id=rtc", ()))
    made = bill(replace(tape, lines=(asked,)), date(2026, 11, 30))
    assert made.silent
    assert "sound of a call" in made.as_text()


def test_typed_items_are_billed_and_tool_results_and_sound_are_not():
    tape = recording(
        created("grok-voice-think-fast-1.0"),
        item(type="message", role="user", content=[{"type": "input_text", "text": "hi"}]),
        item(type="function_call_output", call_id="c", output="{}"),
        item(type="message", role="user", content=[{"type": "input_audio", "audio": ""}]),
    )
    assert bill(tape, date(2026, 7, 1)).usd == Decimal("0.004000")


def test_a_model_without_a_price_is_refused_by_name():
    with pytest.raises(UnknownPrice, match="no price for model 'grok-voice-9' in the table of 2026-08-05"):
        bill(recording(created("grok-voice-9"), said(1)), date(2026, 9, 1))


def test_tokens_from_the_cache_are_billed_for_less():
    usage = {
        "input_token_details": {
            "text_tokens": 313,
            "audio_tokens": 476,
            "cached_tokens_details": {"text_tokens": 256, "audio_tokens": 384},
        },
        "output_token_details": {"text_tokens": 9, "audio_tokens": 23},
    }
    tape = recording(
        created("gpt-realtime"), ("received", {"type": "response.done", "response": {"usage": usage}}), dialect="openai"
    )
    by_hand = (57 * 4 + 256 * 0.4 + 92 * 32 + 384 * 0.4 + 9 * 16 + 23 * 64) / 1e6
    assert float(bill(tape, date(2026, 7, 1)).usd) == pytest.approx(by_hand, abs=1e-6)


def test_the_command_prints_money_as_text_and_numbers_as_numbers():
    result = CliRunner().invoke(realtape.main, ["bill", str(CASSETTES / "booking.tape"), "--json"])
    told = json.loads(result.stdout)
    assert result.exit_code == 0
    usd = str(bill(Recording.read(CASSETTES / "booking.tape"), date(2026, 7, 1)).usd)
    assert (told["usd"], told["service"], told["prices_as_of"]) == (usd, "xai", "2026-07-01")
    assert "prices before 2026-07-01 are not known" in told["doubt"]
    assert result.stderr == f"warning: {told['doubt']}\n"
    assert [entry["unit"] for entry in told["entries"]] == ["s", "s"]


def test_the_total_names_the_table_and_only_a_day_outside_the_tables_is_in_doubt():
    tape = recording(created("grok-voice-latest"), said(60))
    found = bill(tape, date(2026, 10, 20))
    assert found.as_text().endswith("prices as of 2026-10-14  0.080000 USD")
    assert found.doubt is None
    assert bill(tape, date(2027, 1, 1)).doubt is not None


def test_transcription_is_billed_by_the_seconds_or_tokens_that_the_service_reports():
    done = "conversation.item.input_audio_transcription.completed"
    session = {"model": "gpt-realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
    tape = recording(
        ("received", {"type": "session.updated", "session": session}),
        ("received", {"type": done, "usage": {"type": "duration", "seconds": 30}}),
        dialect="openai",
    )
    assert bill(tape, date(2026, 8, 1)).usd == Decimal("0.003000")
