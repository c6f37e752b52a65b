"""The clinic answers the telephone: what it does with the webhook, the call, and what goes wrong with either."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from clinic_agent.app.call_store import CallRecord
from clinic_agent.app.routes import create_app
from clinic_agent.app.settings import AppSettings
from clinic_agent.app.state import AppState
from clinic_agent.clinic.schedule import MemorySchedule
from clinic_agent.config import Dialect
from realtape import virtual_time
from tests.clinic_agent.app.phone_service import CALL, PhoneService, Side
from tests.clinic_agent.app.test_webhook import KEY, NOW, signed
from tests.clinic_agent.app_server import TODAY, asking

PERSON = "tel:+14155550123"
TOKEN = "a-login-token-for-tests"
RINGS = {
    "type": "realtime.call.incoming",
    "data": {"call_id": CALL, "sip_headers": [{"name": "From", "value": "+14155550100"}]},
}


@dataclass
class Rung:
    """What a call came to."""

    answers: list[Any]
    record: CallRecord | None
    commands: list[str]
    events: list[dict[str, Any]] = field(default_factory=list)


def ring(
    data: Path,
    *sidebands: Callable[[Side], Awaitable[None]],
    dialect: Dialect = "openai",
    answers: dict[str, list[tuple[int, Any]]] | None = None,
    webhooks: list[tuple[dict[str, str], bytes]] | None = None,
    hangs_up_after: float | None = None,
    **settings: Any,
) -> Rung:
    """Let it ring, wait until the call is over, and give what it came to."""

    @virtual_time
    async def main() -> Rung:
        async with PhoneService(answers=answers or {}, sidebands=list(sidebands)).serving(dialect) as service:
            given: dict[str, Any] = {"webhook_keys": (KEY,), "hand_over_to": PERSON, "token": TOKEN} | settings
            app = create_app(AppSettings(service.config, data, today=TODAY, **given), MemorySchedule())
            state: AppState = app.state.clinic
            state.store.now = lambda: datetime.fromtimestamp(NOW + asyncio.get_running_loop().time(), timezone.utc)
            body = json.dumps(RINGS).encode()
            async with asking(app) as http:
                posted = [
                    await http.post("/calls/incoming", content=sent, headers=headers)
                    for headers, sent in webhooks or [(signed(body=body, at=NOW), body)]
                ]
                if hangs_up_after is not None:
                    await asyncio.sleep(hangs_up_after)
                    await state.phone_calls.close()
                await state.phone_calls.join()
                shown = (await http.get("/calls", headers={"Authorization": f"Bearer {TOKEN}"})).json()
            record = state.store.find(CALL)
            assert [each["id"] for each in shown] == ([CALL] if record else [])
            return Rung(posted, record, [command for command, _ in service.commands], service.events)

    result = main()
    assert isinstance(result, Rung)
    return result


async def greets(side: Side) -> None:
    await side.until("response.create")
    await side.says("hello", "Maple Street Clinic, how can I help you?")
    await asyncio.sleep(2)
    await side.played("hello")


async def ends(side: Side) -> None:
    """The caller has what he wants; the assistant says goodbye, which plays for three seconds."""
    await side.hears("thanks", "Thank you, goodbye.")
    await side.calls("end", "end_call")
    await side.until("response.create")
    await side.says("bye", "Goodbye.")
    await asyncio.sleep(3)
    await side.played("bye")
    await side.until("nothing")


async def a_short_call(side: Side) -> None:
    await greets(side)
    await ends(side)


async def loses(side: Side) -> None:
    await side.until("response.create")
    assert side.socket._req is not None and side.socket._req.transport is not None
    side.socket._req.transport.abort()


def what(record: CallRecord | None) -> list[str]:
    assert record is not None and record.phone is not None
    return [step for _, step in record.phone.steps]


@pytest.mark.parametrize(
    ("dialect", "first"),
    [("openai", ["accept", "hangup"]), ("xai", ["hangup"])],
)
def test_the_clinic_answers_greets_and_hangs_up_when_the_goodbye_was_heard(dialect: Dialect, first, tmp_path: Path):
    rung = ring(tmp_path, a_short_call, dialect=dialect)
    assert [(each.status_code, each.json()) for each in rung.answers] == [(200, {"status": "answering"})]
    assert rung.commands == first
    record = rung.record
    assert record is not None and record.phone is not None
    assert (record.front, record.phone.ended, record.failure) == ("phone", "assistant", None)
    assert record.phone.caller == "+14155550100"
    assert [turn["said"] for turn in record.turns] == ["Maple Street Clinic, how can I help you?", "Goodbye."]
    assert sum(turn["audio_out_s"] for turn in record.turns) == pytest.approx(5.0, abs=0.2)
    update = next((event for event in rung.events if event["type"] == "session.update"), None)
    assert (update is None) is (dialect == "openai")
    if update is not None:
        assert "format" not in json.dumps(update["session"]["audio"])
        assert "greet the caller" in update["session"]["instructions"]


def test_webhooks_that_come_again_are_answered_once_and_forged_ones_never(tmp_path: Path, caplog):
    body = json.dumps(RINGS).encode()
    again, other = (signed(name, body=body) for name in ("wh_1", "wh_2"))
    ping = b'{"type": "realtime.something.else"}'
    forged = (signed(body=body, key=bytes(24)), body)
    webhooks = [forged, (again, body), (again, body), (other, body), (signed("wh_3", body=ping), ping)]
    with caplog.at_level(logging.WARNING):
        rung = ring(tmp_path, a_short_call, webhooks=webhooks)
    told = [(each.status_code, each.json().get("status")) for each in rung.answers]
    assert told == [(401, 401), (200, "answering"), (200, "repeated"), (200, "repeated"), (200, "ignored")]
    assert rung.commands == ["accept", "hangup"]
    assert "refused with 401" in caplog.text and "whsec" not in caplog.text


def test_without_a_secret_no_telephone_is_answered(tmp_path: Path):
    rung = ring(tmp_path, webhook_keys=())
    assert (rung.answers[0].status_code, rung.record) == (403, None)
    assert "CLINIC_WEBHOOK_SECRET" in rung.answers[0].json()["detail"]


async def an_emergency(side: Side) -> None:
    await greets(side)
    await side.hears("u", "I have chest pain and I can't breathe.")
    await side.says("r", "Please dial the emergency number.")  # a model that does not transfer
    await asyncio.sleep(2)
    await side.played("r")
    await side.until("response.create")
    await side.says("s", "Nobody takes the call.")
    await asyncio.sleep(2)
    await side.played("s")
    await side.socket.close(code=1000)


def test_an_emergency_goes_to_a_person_even_if_the_model_forgets(tmp_path: Path):
    rung = ring(tmp_path, an_emergency)
    assert rung.commands == ["accept", "refer"]
    assert rung.record is not None and rung.record.phone is not None
    assert (rung.record.phone.ended, rung.record.emergency) == ("transfer", "can't breath")


def test_a_transfer_that_fails_leaves_the_caller_with_the_assistant(tmp_path: Path):
    refused = {"refer": [(502, {"error": "transfer rejected by downstream: SIP 486 Busy"})]}
    rung = ring(tmp_path, an_emergency, dialect="xai", answers=refused)
    assert rung.commands == ["refer"]
    assert what(rung.record)[-2:] == [
        "transfer failed: transfer rejected by downstream: SIP 486 Busy",
        "the caller hung up",
    ]
    told = [event for event in rung.events if event["type"] == "conversation.item.create"]
    assert "SIP 486 Busy" in json.dumps(told) and told[0]["item"]["role"] == "system"


async def presses_zero(side: Side) -> None:
    await greets(side)
    await side.send("input_audio_buffer.dtmf_event_received", event="0")
    await side.until("nothing")


def test_the_key_zero_asks_for_a_person(tmp_path: Path):
    rung = ring(tmp_path, presses_zero)
    assert rung.record is not None and rung.record.phone is not None
    assert (rung.commands[-1], rung.record.phone.keys, rung.record.phone.ended) == ("refer", "0", "transfer")


def test_a_lost_sideband_is_attached_again_while_the_call_lives(tmp_path: Path):
    rung = ring(tmp_path, loses, a_short_call)
    assert what(rung.record) == ["incoming call", "accepted", "attached", "sideband lost", "attached", "hung up"]
    gone = ring(tmp_path / "gone", loses)
    assert what(gone.record)[-2:] == ["sideband lost", "the caller hung up"]


async def hangs_up_during_a_tool(side: Side) -> None:
    await greets(side)
    await side.hears("u", "Is there anything free on July sixth?")
    await side.calls("c", "check_availability", service="dental cleaning", date="2026-07-06")
    await side.socket.close(code=1000)


def test_a_caller_who_hangs_up_while_a_tool_runs_leaves_a_record_of_it(tmp_path: Path):
    rung = ring(tmp_path, hangs_up_during_a_tool)
    assert rung.record is not None and rung.record.phone is not None
    assert (rung.record.phone.ended, rung.record.failure) == ("caller", None)
    assert rung.record.turns[-1]["tools"][0]["name"] == "check_availability"


@pytest.mark.parametrize(
    ("status", "commands", "ended"),
    [(404, ["accept"], "caller"), (400, ["accept", "reject"], "clinic"), (503, ["accept"] * 3 + ["reject"], "clinic")],
)
def test_an_accept_that_is_refused(status: int, commands: list[str], ended: str, tmp_path: Path):
    rung = ring(tmp_path, answers={"accept": [(status, {"error": {"message": "no"}})] * 3})
    assert rung.record is not None and rung.record.phone is not None
    assert (rung.commands, rung.record.phone.ended, list(rung.record.turns)) == (commands, ended, [])


def test_a_server_that_stops_ends_its_calls(tmp_path: Path):
    async def waits(side: Side) -> None:
        await greets(side)
        await side.until("nothing")

    rung = ring(tmp_path, waits, hangs_up_after=4.0, hand_over_to=None)
    assert rung.commands == ["accept", "hangup"]
    assert rung.record is not None and rung.record.failure == "the clinic's server stopped"
