"""One suite for whatever answers: the mock by a scenario at every pace, a recording acted again, a recording as it is.

A test says what happens (`behaviour("booking")`) and gets a `phone`: it makes calls to an address with a key, and knows
no more of what is there than the agent does. Time is virtual, so that nobody waits for answers to be heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from clinic_agent.assistant import calling, clinic_assistant
from clinic_agent.clinic import Clinic
from clinic_agent.config import Config
from clinic_agent.patience import Patience
from clinic_agent.report import CallReport
from clinic_agent.schedule import Booking
from clinic_agent.speech import read_wav
from mockserver.mock import MockServer
from realtape_suite import wire
from replay.bill import bill
from replay.recording import Recording

CASSETTES = Path(__file__).parents[2] / "cassettes"
TODAY = date(2026, 7, 1)
PATIENCE = Patience(seed=7)
PACINGS = ("live", "realtime", "burst")

ASK = "I would like a dental cleaning on July sixth."
CHOOSE = "The nine thirty slot, please. My name is Maria Lopez."
MARIA = {
    "reference": "DC-0706-0930",
    "service": "dental cleaning",
    "date": "2026-07-06",
    "time": "09:30",
    "name": "Maria Lopez",
}


def clip(name: str) -> bytes:
    """A spoken turn of cassettes/voices."""
    return read_wav(CASSETTES / "voices" / f"{name}.wav")


def behaviour(name: str, *, tape: bool = True) -> pytest.MarkDecorator:
    """Play a behaviour in every way there is: `phone` is then in the test's arguments."""
    scenario = {"scenario": CASSETTES / "scenarios" / f"{name}.yaml", "voice": "tone"}
    ways = {f"mock, {pacing}": scenario | {"pacing": pacing} for pacing in PACINGS}
    if tape:
        recording: dict[str, object] = {"cassette": CASSETTES / f"{name}.tape"}
        ways |= {"tape, acted again": recording, "tape, verbatim": recording | {"verbatim": True}}
    params = [
        pytest.param(options, id=way, marks=pytest.mark.realtime(time="virtual", unused="off", **options))
        for way, options in ways.items()
    ]
    return pytest.mark.parametrize("phone", params, indirect=True)


@dataclass
class Phone:
    """Calls one address, one clinic."""

    mock: MockServer
    clinic: Clinic
    patience: Patience = PATIENCE
    broken: tuple[str, ...] = ()
    """Tools that are out of order."""
    tape: Path | None = None
    """The recording that is played as it is, if one is."""
    lost_after: int | None = None
    """The connection is cut after so many turns."""

    async def call(self, *words: str | bytes) -> CallReport:
        """One call, of so many turns; its bill is held against the ledger, to the last digit of that one."""
        before = self.mock.ledger.total_usd
        assistant = clinic_assistant(self.clinic)
        assistant = replace(assistant, tools=assistant.tools.failing(self.broken))
        async with wire(urlsplit(self.mock.ws_url).port or 0) as (port, cut):
            url = f"ws://127.0.0.1:{port}/v1/realtime"
            config = Config(url, self.mock.http_url, self.mock.api_key)
            async with calling(config, assistant, priced_on=TODAY, patience=self.patience) as call:
                for number, each in enumerate(words):
                    if number == self.lost_after:
                        cut()
                        await asyncio.sleep(0.1)
                    await call.say(each)
                report = call.report()
        self.billed(report, before)
        return report

    def billed(self, report: CallReport, before: Decimal) -> None:
        """The agent's own bill is the mock's, or that of the recording, which a mock only plays."""
        counted = report.cost.usd
        assert counted is not None
        charged = self.mock.ledger.total_usd - before
        if self.tape is not None:
            charged = bill(Recording.read(self.tape), TODAY).usd
            assert self.mock.report == []  # all went as it was recorded
        assert abs(counted - charged) < Decimal("0.000001")

    @property
    def booked(self) -> list[Booking]:
        """What is in the calendar."""
        return self.clinic.schedule.bookings()


def tools(report: CallReport) -> list[str]:
    """The tools that were run, in order."""
    return [run.name for turn in report.turns for run in turn.tools]


def said(report: CallReport) -> str:
    """All that the assistant said."""
    return " ".join(turn.said for turn in report.turns)


def wholly(report: CallReport, turns: Sequence[str] | int) -> None:
    """The call went to its end."""
    assert report.failure is None
    assert len(report.turns) == turns
    assert all(turn.status == "completed" and turn.audio for turn in report.turns)
