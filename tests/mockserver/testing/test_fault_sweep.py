"""Sweeps: places, plans, shrinking and the table without processes; the command with real ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from mockserver.billing.ledger import Ledger
from mockserver.cli.faults import faults
from mockserver.faults.files import FaultError, as_line, parse
from mockserver.faults.kinds import Drop, Fault
from mockserver.server import virtual_time as autojump
from mockserver.server.journal import Journal
from mockserver.testing.fault_sweep import (
    ACCEPT,
    AT_HANDSHAKE,
    AT_WEBHOOK,
    ON_THE_SOCKET,
    MetPoint,
    SweepOutcome,
    met_points,
    minimized,
    outcome_table,
    random_plan,
    single_faults,
)
from replay.billing.prices import PriceTable

MET = [
    MetPoint("session.created"),
    MetPoint("<response.create"),
    MetPoint("response.created", 1),
    MetPoint("response.done", 2),
]


def test_every_fault_is_tried_at_every_server_event_that_was_met_and_strikes_once():
    tried = single_faults(MET)
    assert len(tried) == len(AT_HANDSHAKE) + 3 * len(ON_THE_SOCKET)
    assert as_line(tried[-4][2]) == "{at: response.done, nth: 1, response: 2, times: 1, do: {close: 1011}}"


def test_places_and_faults_can_be_chosen():
    tried = single_faults(MET, do=["drop", "status: 401"], at=["<*", "handshake"])
    assert [(place, what) for place, what, _ in tried] == [("handshake", "status: 401"), ("<response.create", "drop")]


def test_a_limit_is_spread_over_all():
    tried = single_faults(MET, limit=5)
    assert len(tried) == 5
    assert {place for place, _, _ in tried} == {"handshake", "session.created", *map(str, MET[2:])}


def test_a_fault_that_is_none_is_refused():
    with pytest.raises(FaultError, match="did you mean 'drop'"):
        single_faults(MET, do=["dorp"])


def test_what_comes_before_a_phone_call_is_tried_too():
    log = Journal(1 << 20).open("sess_1", "conv_1", 0.0, Ledger(PriceTable("free", date(2026, 1, 1), ""), "free"))
    log.came, log.dialect = "phone", "openai@2026-10"
    met = met_points([log])
    assert met == [MetPoint("webhook"), MetPoint(ACCEPT)]
    tried = [(place, what) for place, what, _ in single_faults(met) if place != "handshake"]
    assert tried == [*(("webhook", what) for what in AT_WEBHOOK), *((ACCEPT, what) for what in AT_HANDSHAKE)]
    assert [what for _, what, _ in single_faults(met, do=["drop", "status: 503"], at=["webhook", "POST *"])] == [
        *("drop", "status: 503")
    ]
    assert random_plan(met, "1", 0) == []


def test_random_plans_are_the_same_for_a_seed():
    assert random_plan(MET, "1", 0) == random_plan(MET, "1", 0)
    assert random_plan(MET, "1", 0) != random_plan(MET, "1", 1)


@pytest.mark.parametrize("culprits", [{3}, {0, 7}, {1, 2, 6}, set(range(8))])
def test_a_failing_plan_is_shrunk_to_what_it_takes(culprits: set[int]):
    plan: list[Fault] = [Drop(at=f"event.{number}") for number in range(8)]
    needed = [plan[number] for number in sorted(culprits)]

    async def fails(part: Sequence[Fault]) -> bool:
        return all(fault in part for fault in needed)

    assert autojump.run(minimized(plan, fails)) == needed


def test_the_table_has_places_down_and_faults_across():
    (fault,) = parse("{at: response.done, do: drop}").faults
    good, bad, late = (SweepOutcome((fault,), code, True) for code in (0, 3, None))
    shown = outcome_table([("response.done", "drop", good), ("response.done", "reset", bad), ("ping", "drop", late)])
    assert shown.splitlines() == [
        "               drop     reset",
        "response.done  ok       exit 3",
        "ping           timeout",
    ]


CLIENT = """
import asyncio, json, os
from websockets.asyncio.client import connect

async def main():
    key = {"Authorization": "Bearer " + os.environ["XAI_API_KEY"]}
    async with connect(os.environ["XAI_REALTIME_URL"], additional_headers=key) as service:
        await service.send(json.dumps({"type": "response.create"}))
        async for message in service:
            if json.loads(message)["type"] == "response.done":
                return
    raise SystemExit(3)

asyncio.run(main())
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    (tmp_path / "scenario.yaml").write_text("turns: [{reply: [{say: Yes.}]}]", encoding="utf-8")
    (tmp_path / "client.py").write_text(CLIENT, encoding="utf-8")
    return [str(tmp_path / "scenario.yaml"), "--pacing", "burst", "--", sys.executable, str(tmp_path / "client.py")]


@pytest.mark.slow
def test_a_command_is_run_under_each_fault_and_its_end_is_told(command: list[str]):
    choice = ["--do", "duplicate", "--do", "close: 1000", "--at", "response.created", "--json"]
    result = CliRunner().invoke(faults, ["sweep", *choice, *command])
    assert result.exit_code == 1, result.output
    told = json.loads(result.stdout.splitlines()[-1])
    assert (told["survived"], told["struck"]) == (1, 2)
    assert [run["outcome"] for run in told["runs"]] == ["ok", "exit 3"]


RETRIES_BLINDLY = """
import json, os
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

bookings = 0
for _ in range(3):
    try:
        key = {"Authorization": "Bearer " + os.environ["XAI_API_KEY"]}
        with connect(os.environ["XAI_REALTIME_URL"], additional_headers=key) as service:
            service.send('{"type": "response.create"}')
            for message in service:
                event = json.loads(message)
                if event["type"] == "response.function_call_arguments.done":
                    bookings += 1
                    output = json.dumps({"booking": bookings})
                    item = {"type": "function_call_output", "call_id": event["call_id"], "output": output}
                    service.send(json.dumps({"type": "conversation.item.create", "item": item}))
                elif event["type"] == "response.done" and event["response"]["output"][0]["type"] == "function_call":
                    service.send('{"type": "response.create"}')
                elif event["type"] == "response.done":
                    raise SystemExit(0)
    except ConnectionClosed:
        pass
raise SystemExit(3)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("findings", "word"), [([], "booked twice"), (["--findings", "off"], "ok")])
def test_a_client_that_books_again_over_a_new_connection_does_not_survive(
    findings: list[str], word: str, tmp_path: Path
):
    scenario = "sequence: [[{call: {name: book_room, arguments: {day: 6}}}], [{say: Booked.}]]"
    (tmp_path / "scenario.yaml").write_text(scenario, encoding="utf-8")
    (tmp_path / "client.py").write_text(RETRIES_BLINDLY, encoding="utf-8")
    choice = ["--do", "close: 1011", "--at", "response.content_part.added", "--pacing", "burst", "--json", *findings]
    command = [str(tmp_path / "scenario.yaml"), "--", sys.executable, str(tmp_path / "client.py")]
    result = CliRunner().invoke(faults, ["sweep", *choice, *command])
    told = json.loads(result.stdout.splitlines()[-1])
    assert [run["outcome"] for run in told["runs"]] == [word], result.output
    assert result.exit_code == (word != "ok")
    assert "1 of 1: " in result.stderr


@pytest.mark.slow
def test_a_plan_that_is_not_survived_is_printed_at_its_smallest(command: list[str], tmp_path: Path):
    plan = tmp_path / "plan.yaml"
    one, it, other = "{at: ping, do: drop}", "{at: response.created, do: {close: 1000}}", "{at: ping, do: duplicate}"
    plan.write_text(f"faults: [{one}, {it}, {other}]", encoding="utf-8")
    result = CliRunner().invoke(faults, ["sweep", "--faults", str(plan), *command])
    assert result.exit_code == 1, result.output
    assert list(map(as_line, parse(result.stdout).faults)) == [it]


@pytest.mark.slow
def test_a_command_that_fails_by_itself_is_bad_input(command: list[str]):
    result = CliRunner().invoke(faults, ["sweep", command[0], "--", sys.executable, "-c", "raise SystemExit(9)"])
    assert result.exit_code == 2
    assert "fails without any fault (exit 9)" in result.output


def test_a_command_that_is_none_is_bad_input(tmp_path: Path):
    result = CliRunner().invoke(faults, ["sweep", "cassettes/scenarios/booking.yaml", "--", "no-such-command"])
    assert (result.exit_code, result.stderr) == (
        2,
        "Error: there is no command 'no-such-command'; give one that can be run\n",
    )


def test_a_fault_file_is_checked_from_the_command_line(tmp_path: Path):
    path = tmp_path / "faults.yaml"
    path.write_text("faults:\n  - {at: time: 5s, do: reset}\n", encoding="utf-8")
    assert CliRunner().invoke(faults, ["check", str(path)]).output == "{at: 'time: 5s', do: reset}\n"
    path.write_text("faults:\n  - {at: response.done, do: dorp}\n", encoding="utf-8")
    result = CliRunner().invoke(faults, ["check", str(path)])
    assert result.exit_code == 2
    assert "faults.yaml:2:29: faults[0].do: unknown fault 'dorp'; did you mean 'drop'?" in result.output
