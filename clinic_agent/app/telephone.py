"""The route of incoming telephone calls: it checks the webhook and answers at once; the call runs in the background."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from clinic_agent.app.call_store import CallRecord, Frame, PhoneFacts, call_record
from clinic_agent.app.problems import Problem
from clinic_agent.app.settings import today
from clinic_agent.app.state import AppState, State
from clinic_agent.app.webhook import BadWebhook, verify
from clinic_agent.call.call_control import CallControl
from clinic_agent.call.connection import CallFailed
from clinic_agent.call.turn import Event
from clinic_agent.clinic.safety import CallLock
from clinic_agent.clinic.telephone import answer_phone

INCOMING = "realtime.call.incoming"
MAX_BODY_BYTES = 65_536
BUSY = 486
"""SIP status for a caller while too many calls are in progress."""
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")
_log = logging.getLogger(__name__)  # noqa: TID251  # realtape's command prints it without secrets
router = APIRouter()


class IncomingAnswer(BaseModel):
    """What the clinic does about a webhook."""

    status: Literal["answering", "busy", "repeated", "ignored"]


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A telephone call that rings: its id, and the `From` and `To` of its SIP headers, empty if they are missing."""

    id: str
    caller: str
    called: str


_INCOMING: dict[str, Any] = {
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "description": "The webhook `realtime.call.incoming` of xAI or OpenAI, signed after Standard Webhooks.",
            "content": {
                "application/json": {
                    "schema": {"type": "object", "required": ["type", "data"]},
                    "example": {
                        "object": "event",
                        "id": "evt_123",
                        "type": INCOMING,
                        "created_at": 1750000000,
                        "data": {
                            "call_id": "00000000-0000-0000-0000-000000000000",
                            "sip_headers": [{"name": "From", "value": "+14155550100"}],
                        },
                    },
                }
            },
        }
    }
}


@router.post("/calls/incoming", **_INCOMING)
async def incoming(request: Request, state: State) -> IncomingAnswer:
    """Take the webhook of an incoming telephone call, and answer the call. Needs the signature of the service.

    A webhook that comes again gets 200, and the call is answered once.
    """
    keys = state.settings.webhook_keys
    if not keys:
        raise Problem(403, "this server answers no telephone; set CLINIC_WEBHOOK_SECRET to the secret of the webhook")
    body = await request.body()
    if len(body) > MAX_BODY_BYTES:
        raise Problem(413, f"a webhook has at most {MAX_BODY_BYTES >> 10} KiB")
    try:
        webhook_id = verify(keys, request.headers, body, state.store.now().timestamp())
    except BadWebhook as bad:
        _log.warning("POST /calls/incoming: refused with %d: %s", bad.status, bad)
        raise Problem(bad.status, str(bad)) from bad
    call = _incoming_call(body)
    if call is None:
        return IncomingAnswer(status="ignored")
    calls = state.phone_calls
    if not calls.first(f"webhook {webhook_id}", f"call {call.id}"):
        _log.info("POST /calls/incoming: call %s is known; the webhook came again", call.id)
        return IncomingAnswer(status="repeated")
    if calls.busy:
        _log.warning("POST /calls/incoming: too many calls; call %s is declined", call.id)
        calls.start(call.id, _decline(state, call))
        return IncomingAnswer(status="busy")
    calls.start(call.id, _answer(state, call))
    return IncomingAnswer(status="answering")


def _incoming_call(body: bytes) -> IncomingCall | None:
    """The call in a webhook; None: it reports something else. Raises Problem for a malformed one."""
    try:
        event = json.loads(body)
        if event["type"] != INCOMING:
            return None
        data = event["data"]
        call_id = data["call_id"]
        headers = {str(each["name"]).lower(): str(each["value"]) for each in data.get("sip_headers") or ()}
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError) as error:
        raise Problem(400, f"this is no webhook of an incoming call ({type(error).__name__})") from error
    if not isinstance(call_id, str) or not _CALL_ID.fullmatch(call_id):
        raise Problem(400, "data.call_id has to be a name of letters, digits, - and _")
    return IncomingCall(call_id, headers.get("from", "")[:200], headers.get("to", "")[:200])


async def _decline(state: AppState, call: IncomingCall) -> None:
    """Let the caller hear that the line is busy. That xAI ends a call that only rings by `hangup` is a guess."""
    config = state.settings.config
    control = CallControl(config, call.id)
    try:
        await (control.reject(BUSY) if config.dialect == "openai" else control.hang_up())
    except CallFailed as failed:
        _log.warning("phone call %s: %s", call.id, failed)


async def _answer(state: AppState, call: IncomingCall) -> None:
    """Run a call and keep its record. The record is made when it rings, so that a crash does not lose the call."""
    settings, store, lock = state.settings, state.store, CallLock(state.settings.day)
    began, frames = store.now(), list[Frame]()
    facts = PhoneFacts(call.caller, call.called)
    keep = store.watcher(frames)
    known: list[str | None] = [None]

    def record() -> CallRecord:
        model, emergency = settings.config.model, lock.emergency
        return CallRecord(call.id, call.id, began, store.now(), "phone", model, None, None, emergency, (), 0, facts)

    def watch(way: Literal["sent", "received"], event: Event) -> None:
        keep(way, event)
        if lock.emergency != known[0]:  # a person sees the call while it lasts, and can release it
            known[0] = lock.emergency
            state.note(partial(store.put, record()))

    state.keep(call.id, lock)
    state.note(partial(store.put, record()))
    report = await answer_phone(
        settings.config,
        call.id,
        state.assistant(lock),
        lock,
        priced_on=today(),
        watch=watch,
        hand_over_to=settings.hand_over_to,
        notice=store.notice,
    )
    steps = tuple((step.at_s, step.what) for step in report.steps)
    facts = PhoneFacts(call.caller, call.called, report.ended, report.keys, steps, report.cost_is_estimate)
    made = call_record(report.call, "phone", began, store.now(), lock, facts)
    state.note(partial(store.add, made, frames))
    if report.call.failure is not None:
        _log.warning("phone call %s broke off: %s", call.id, report.call.failure)
