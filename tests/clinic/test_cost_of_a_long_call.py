"""One answer to what a call costs: the agent's sum, the mock's ledger and the bill of the recording are the same."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from clinic_agent.call.cost import AUDIO_PRICES, LATEST, Cost
from clinic_agent.call.open_mic import microphone
from clinic_agent.call.playback import Playback
from clinic_agent.call.scripted_caller import After, Cue, During, ScriptedCaller
from clinic_agent.clinic.assistant import calling, clinic_assistant, run_open_call
from clinic_agent.clinic.clinic import Clinic
from clinic_agent.config import Config
from mockserver.server import virtual_time
from mockserver.server.journal import UsageTotals
from realtape import MockServer
from replay.billing.bill import bill
from replay.cassette.recording import Recording
from tests.clinic.phone import TODAY, clip

SCENARIO = Path(__file__).with_name("long_call.yaml")
DATES = {"xai@2026-07": date(2026, 7, 31), "xai@2026-08": date(2026, 8, 31), "xai@2026-10": date(2026, 10, 31)}
MODELS = (*AUDIO_PRICES[-1].usd_per_minute, LATEST, "no-such-model")
NEAR = Decimal("0.000001")


async def long_call(config: Config, day: date, turns: int) -> Cost:
    """A call of random turns: typed, spoken, with a hosted tool, with a tool, and with one that fails."""
    chance, assistant = random.Random(turns), clinic_assistant(Clinic(TODAY))
    failing = assistant.tools.failing(["check_availability"])
    words = clip("booking-1")
    async with calling(config, assistant, priced_on=day, plays=False) as call:
        for _ in range(turns):
            call.tools = failing if chance.random() < 0.3 else assistant.tools
            match chance.choice(("typed", "spoken", "hosted", "tool")):
                case "typed":
                    await call.say("Hello " * chance.randrange(1, 20))
                case "spoken":
                    await call.say(words[: 2 * chance.randrange(2400, len(words) // 2)])
                case "hosted":
                    await call.say("How is the weather?")
                    call.charge({"web_search": 2})  # xAI shows no event of it
                case _:
                    await call.say("What is free?")
        return call.cost


async def interrupted_call(config: Config, day: date) -> Cost:
    """A call over an open microphone in which the caller interrupts three times."""
    cues = [Cue(After(0, 0.5), clip("booking-1"))]
    cues += [Cue(During(number, 0.4), clip("booking-2")) for number in (1, 2, 3)]
    cues.append(Cue(After(4, 1.0)))

    def caller(hearing: Playback) -> AsyncIterator[bytes]:
        return microphone(ScriptedCaller(cues, hearing).speak)

    report, recording = await run_open_call(config, caller, clinic_assistant(Clinic(TODAY)), priced_on=day)
    assert report.failure is None
    assert len(recording.dropped) == 3
    return report.cost


@pytest.mark.parametrize(("dialect", "day"), DATES.items(), ids=list(DATES))
@pytest.mark.slow
def test_agent_ledger_and_bill_agree_about_the_model_whose_price_moved(dialect: str, day: date, tmp_path: Path):
    agree(dialect, day, LATEST, dialect == "xai@2026-08", 8, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("telephony", [False, True], ids=["", "telephone"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("dialect", "day"), DATES.items(), ids=list(DATES))
def test_agent_ledger_and_bill_agree_for_every_model_and_date(
    dialect: str, day: date, model: str, telephony: bool, tmp_path: Path
):
    agree(dialect, day, model, telephony, 40, tmp_path)


def agree(dialect: str, day: date, model: str, telephony: bool, turns: int, tmp_path: Path) -> None:
    """Make a long call and an interrupted one, and compare the agent's sum with the ledger's and, as a recording does
    not show a telephone number, else with the bill's."""
    record = None if telephony else tmp_path

    async def main() -> tuple[list[Cost], UsageTotals, list[Path]]:
        async with MockServer(
            SCENARIO, dialect=dialect, voice="tone", pacing="live", record=record, telephony=telephony
        ) as mock:
            config = Config(mock.ws_url, mock.http_url, mock.api_key, model, telephony=telephony)
            costs = [await long_call(config, day, turns), await interrupted_call(config, day)]
            charged = mock.ledger
        return costs, charged, mock.cassettes

    costs, charged, tapes = virtual_time.run(main())
    assert [cost.telephony_s > 0 for cost in costs] == [telephony] * 2
    assert abs(total(costs) - charged.total_usd) < NEAR
    assert charged.telephony_s == sum(cost.telephony_s for cost in costs)
    if not telephony:  # of the bill, the hosted searches of xAI are no part: a recording does not show them
        billed = [bill(Recording.read(tape), day).usd for tape in tapes]
        assert abs(total(replace(cost, hosted_calls={}) for cost in costs) - sum(billed, Decimal(0))) < NEAR
    surcharge = total(costs) - total(replace(cost, telephony=False) for cost in costs)
    seconds = sum(cost.input_s + cost.output_s for cost in costs) if telephony else 0
    assert surcharge == pytest.approx(Decimal(float(seconds) / 60 * 0.01), abs=NEAR)


def total(costs: Iterable[Cost]) -> Decimal:
    """The sum in USD. Each of the costs has a price."""
    return sum((cost.usd or Decimal("NaN") for cost in costs), Decimal(0))
