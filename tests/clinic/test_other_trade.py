"""Another prompt, other tools, another scenario: another trade, with the agent as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from clinic_agent.call.report import CallReport
from clinic_agent.clinic.assistant import run_call
from clinic_agent.config import Config
from examples import support
from examples.orders import Shop, assistant
from mockserver.testing.mock_server import MockServer

ROOT = Path(__file__).parents[2]


async def call(mock: MockServer, shop: Shop, *words: str) -> CallReport:
    config = Config(mock.ws_url, mock.http_url, mock.api_key)
    report = await run_call(config, words, assistant(shop), priced_on=date(2026, 7, 1))
    assert report.failure is None
    assert not [each for each in mock.findings if each.level == "error"]
    return report


@pytest.mark.realtime("../../examples/orders.yaml", time="virtual", voice="tone", unused="off")
async def test_an_order_is_found_and_stopped_in_two_turns(realtime_mock):
    shop = Shop()
    report = await call(realtime_mock, shop, "Where is order 1043?", "Please stop it.")
    assert [turn.said for turn in report.turns] == [
        "Let me look. Order 1043 is being packed. Anything else?",
        "Order 1043 is stopped.",
    ]
    assert shop.orders[1043] == "stopped"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["Where is order 9999?"], "there is no order 9999"),
        (["Where is order 1042?", "Stop it!"], "order 1042 has been sent already"),
        (["I would like a dental cleaning."], "I can only tell you about orders"),
    ],
)
@pytest.mark.realtime("../../examples/orders.yaml", time="virtual", voice="tone", unused="off")
async def test_what_cannot_be_done_is_said(realtime_mock, words, says):
    report = await call(realtime_mock, Shop(), *words)
    assert says in report.turns[-1].said


@pytest.mark.slow
@pytest.mark.realtime("../../examples/orders.yaml", pacing="burst", voice="tone", live=False)
def test_the_program_says_what_was_said_and_what_it_cost(realtime_env: dict[str, Any]):
    environ = {**os.environ, **realtime_env, "PYTHONPATH": str(ROOT)}
    program = [sys.executable, str(ROOT / "examples" / "orders.py")]
    shown = subprocess.run(program, env=environ, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "said          Order 1043 is stopped." in shown
    assert "find_order, stop_order" not in shown and "$0.0" in shown


@pytest.mark.parametrize(
    ("signal", "says", "problems"),
    [
        ("no signal", "A technician comes. Your ticket is 7001.", ["no signal"]),
        ("good", "Your line is good. Please restart your router.", []),
    ],
)
@pytest.mark.realtime("../../examples/support.yaml", time="virtual", voice="tone", unused="off")
async def test_a_support_desk_measures_the_line_and_opens_one_ticket(realtime_mock, signal, says, problems):
    desk = support.Desk(signal)
    config = Config(realtime_mock.ws_url, realtime_mock.http_url, realtime_mock.api_key)
    words = ["My internet is down.", "Yes, send somebody."][: 1 + len(problems)]
    report = await run_call(config, words, support.assistant(desk), priced_on=date(2026, 7, 1))
    assert report.failure is None and says in report.turns[-1].said
    assert list(desk.tickets.values()) == problems
    assert not [each for each in realtime_mock.findings if each.level == "error"]


@pytest.mark.slow
@pytest.mark.realtime("../../examples/support.yaml", pacing="burst", voice="tone", live=False)
def test_the_program_of_the_support_desk_says_the_ticket(realtime_env: dict[str, Any]):
    environ = {**os.environ, **realtime_env, "PYTHONPATH": str(ROOT)}
    program = [sys.executable, str(ROOT / "examples" / "support.py")]
    shown = subprocess.run(program, env=environ, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "Your ticket is 7001." in shown
