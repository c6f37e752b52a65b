from __future__ import annotations

import json
from base64 import b64encode
from datetime import date
from fractions import Fraction

import pytest

from replay.billing import meter as meter_module
from replay.billing.meter import LONGEST_READ, Meter
from replay.billing.prices import price_table
from replay.cassette.frames import Binary, Text


def event(**fields: object) -> Text:
    return Text(json.dumps(fields).encode())


def sent(seconds: float, rate: int = 48_000) -> Text:
    return event(type="input_audio_buffer.append", audio=b64encode(bytes(int(seconds * rate))).decode())


def received(seconds: float) -> Text:
    return event(
        type="response.output_audio.delta", item_id="delta", delta=b64encode(bytes(int(seconds * 48_000))).decode()
    )


def test_audio_of_both_directions_counts_by_the_minute():
    meter = Meter("grok-voice-think-fast-1.0")
    for _ in range(10):
        meter.count("sent", sent(1.5))
        meter.count("received", received(4.5))
    july = price_table("xai@2026-07", date(2026, 7, 10))
    assert meter.audio_s == {"sent": 15, "received": 45}
    assert meter.usd(july, lasted_s=300) == Fraction("0.05")


def test_typed_items_count_and_tool_results_and_audio_items_do_not():
    meter = Meter(None)
    for item in (
        {"type": "message", "content": [{"type": "input_text", "text": "hello"}]},
        {"type": "function_call_output", "output": "{}"},
        {"type": "message", "content": [{"type": "input_audio", "audio": "AAAA"}]},
    ):
        meter.count("sent", event(type="conversation.item.create", item=item))
    meter.count("sent", event(type="response.create"))
    table = price_table("xai", date(2026, 9, 1))
    assert meter.usd(table, 0) == Fraction("0.004")


@pytest.mark.parametrize(
    ("declared", "rate"),
    [
        ({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}}, 32_000),
        ({"audio": {"input": {"format": {"type": "audio/pcmu"}}}}, 8000),
        ({"input_audio_format": "g711_alaw"}, 8000),
        ({"input_audio_format": "pcm16"}, 48_000),
    ],
)
def test_the_format_that_the_session_declares_counts(declared: dict[str, object], rate: int):
    meter = Meter(None)
    meter.count("sent", event(type="session.update", session=declared))
    meter.count("sent", sent(2, rate))
    meter.count("sent", Binary(bytes(rate)))
    assert meter.audio_s["sent"] == 3


def test_a_call_under_server_vad_costs_at_least_its_duration():
    table = price_table("xai", date(2026, 7, 10))
    meter = Meter("grok-voice-latest")
    meter.count("sent", event(type="session.update", session={"turn_detection": {"type": "server_vad"}}))
    assert meter.usd(table, lasted_s=60) == Fraction("0.05")
    meter.count("sent", event(type="session.update", session={"turn_detection": None}))
    assert meter.usd(table, lasted_s=60) == 0


def test_the_latest_model_got_dearer_in_august_and_an_unknown_one_is_the_dearest():
    july, august = price_table("xai", date(2026, 8, 4)), price_table("xai", date(2026, 8, 5))
    assert july.minute("grok-voice-latest") == Fraction("0.05")
    assert august.minute("grok-voice-latest") == Fraction("0.08")
    assert july.highest_minute("who-knows") == july.highest_minute(None) == Fraction("0.08")


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"type":"session.update","session":7}', b'{"type":"input_audio_buffer.append"}']
)
def test_what_cannot_be_read_costs_nothing(data: bytes):
    meter = Meter(None)
    meter.count("sent", Text(data))
    meter.count("received", Text(data))
    assert sum(meter.audio_s.values()) == 0


def test_tokens_of_a_running_response_are_estimated_until_the_service_reports_them():
    table = price_table("openai", date(2026, 8, 1))
    meter = Meter("gpt-realtime")
    for _ in range(10):
        meter.count("received", received(5))
    assert meter.usd(table, 60) == Fraction(1000 * 64, 1_000_000)
    usage = {"output_token_details": {"text_tokens": 0, "audio_tokens": 1500}}
    meter.count("received", event(type="response.done", response={"usage": usage}))
    assert meter.usd(table, 60) == Fraction(1500 * 64, 1_000_000)
    meter.count("received", received(1))
    assert meter.usd(table, 60) == Fraction(1520 * 64, 1_000_000)


def test_a_very_long_message_is_not_read(monkeypatch: pytest.MonkeyPatch):
    def read(data: bytes) -> object:
        raise AssertionError("it is read")

    monkeypatch.setattr(meter_module, "event_in", read)
    meter, long = Meter(None), "x" * LONGEST_READ
    meter.count("sent", event(type="session.update", session={"instructions": long}))
    meter.count("sent", event(type="conversation.item.create", item={"type": "function_call_output", "output": long}))
    assert meter.text_items == 1
