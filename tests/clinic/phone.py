"""One suite for each way to answer the agent: a scenario at each pacing, a cassette as a scenario, a cassette verbatim.

A test names a behaviour (`behaviour("booking")`) and gets a `phone`, which calls a URL with a key, as the agent does.
Time is virtual, so the tests do not wait for playback.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from clinic_agent.call.cost import Cost, audio_prices
from clinic_agent.call.open_mic import microphone
from clinic_agent.call.pcm import read_wav
from clinic_agent.call.playback import Playback
from clinic_agent.call.report import CallReport
from clinic_agent.call.retry import RetryPolicy
from clinic_agent.call.scripted_caller import Cue, ScriptedCaller
from clinic_agent.clinic.assistant import calling, clinic_assistant, run_open_call
from clinic_agent.clinic.clinic import Clinic
from clinic_agent.clinic.schedule import Booking
from clinic_agent.config import Config
from mockserver.server.journal import UsageTotals
from mockserver.testing.mock_server import MockServer
from realtape.suite import cuttable_proxy
from replay.billing.bill import bill
from replay.billing.prices import dollars
from replay.cassette.recording import Recording

CASSETTES = Path(__file__).parents[2] / "cassettes"
TODAY = date(2026, 7, 1)
RETRY = RetryPolicy(seed=7)
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


def behaviour(name: str, *, tape: bool = True, live: bool = False) -> pytest.MarkDecorator:
    """Run a test with each way to answer: the scenario of this name and, with `tape`, the cassette.

    With `live` the test does not depend on the words of the answers, so it can also run against the live service.
    """
    return pytest.mark.behaviour(name, tape=tape, live=live)


def ways(name: str, *, tape: bool, live: bool) -> dict[str, dict[str, object]]:
    """Options of the `realtime` marker, by the name of the way."""
    scenario: dict[str, object] = {"scenario": CASSETTES / "scenarios" / f"{name}.yaml", "voice": "tone"}
    if live:
        return {"the service": scenario}
    virtual: dict[str, object] = {"time": "virtual", "unused": "off"}
    played = {f"mock, {pacing}": scenario | virtual | {"pacing": pacing} for pacing in PACINGS}
    if tape:
        recording = virtual | {"cassette": CASSETTES / f"{name}.tape"}
        played |= {"tape, acted again": recording, "tape, verbatim": recording | {"verbatim": True}}
    return played


@dataclass
class Phone:
    """Makes calls to one service, for one clinic."""

    mock: MockServer
    """The mock, or the live service with the same interface."""
    clinic: Clinic
    retry: RetryPolicy = RETRY
    broken: tuple[str, ...] = ()
    """Tools that fail."""
    tape: Path | None = None
    """The cassette that is played verbatim, if there is one."""
    line_breaks: bool = False
    """Audio is lost with a connection: each side may count audio that the other did not receive."""
    forgiven: Collection[str] = ()
    """Rules whose findings are expected."""
    lost_after: int | None = None
    """The number of turns after which the connection is cut."""

    async def call(self, *words: str | bytes) -> CallReport:
        """One call with these turns; its cost has to equal the ledger's, to the last digit of the ledger."""
        before = self.mock.ledger
        assistant = clinic_assistant(self.clinic)
        assistant = replace(assistant, tools=assistant.tools.failing(self.broken))
        async with cuttable_proxy(urlsplit(self.mock.ws_url).port or 0) as (port, cut):
            url = f"ws://127.0.0.1:{port}/v1/realtime"
            config = Config(url, self.mock.http_url, self.mock.api_key)
            async with calling(config, assistant, priced_on=TODAY, retry=self.retry) as call:
                for number, each in enumerate(words):
                    if number == self.lost_after:
                        cut()
                        await asyncio.sleep(0.1)
                    await call.say(each)
                report = call.report()
        self.billed(report.cost, before)
        return report

    async def talk(self, cues: list[Cue]) -> CallReport:
        """One call over an open microphone, with a scripted caller."""
        before = self.mock.ledger
        config = Config(self.mock.ws_url, self.mock.http_url, self.mock.api_key)

        def caller(hearing: Playback) -> AsyncIterator[bytes]:
            return microphone(ScriptedCaller(cues, hearing).speak)

        assistant = clinic_assistant(self.clinic)
        report, _ = await run_open_call(config, caller, assistant, priced_on=TODAY, retry=self.retry)
        self.billed(report.cost, before)
        return report

    def billed(self, cost: Cost, before: UsageTotals) -> None:
        """The agent's cost equals the mock's or, if a cassette is played, the cassette's."""
        assert cost.usd is not None
        now = self.mock.ledger
        charged = now.total_usd - before.total_usd
        if self.tape is not None:
            charged = bill(Recording.read(self.tape), TODAY).usd
            assert self.mock.report == []  # no difference from the cassette
        if self.line_breaks:
            unheard_s = now.audio_out_s - before.audio_out_s - cost.output_s
            unsent_s = cost.input_s - now.audio_in_s + before.audio_in_s
            assert unheard_s >= 0 and 0 <= unsent_s <= Fraction(1, 10)  # one message of the microphone
            charged += dollars((unsent_s - unheard_s) / 60 * (audio_prices(cost.on).of(cost.model) or 0))
        assert abs(cost.usd - charged) < Decimal("0.000002")

    @property
    def booked(self) -> list[Booking]:
        """The bookings in the calendar."""
        return self.clinic.schedule.bookings()


def tools(report: CallReport) -> list[str]:
    """The tools that were run, in order."""
    return [run.name for turn in report.turns for run in turn.tools]


def said(report: CallReport) -> str:
    """The transcript of the assistant."""
    return " ".join(turn.said for turn in report.turns)


def wholly(report: CallReport, turns: int) -> None:
    """The call is complete."""
    assert report.failure is None
    assert len(report.turns) == turns
    assert all(turn.status == "completed" and turn.audio for turn in report.turns)


def asks_again(text: str) -> bool:
    """Whether the text asks to repeat something, in any words."""
    return re.search(r"again|repeat|sorry|did(n't| not) (understand|catch|hear)", text, re.IGNORECASE) is not None
