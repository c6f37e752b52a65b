"""The clinic's side of a telephone call, from the incoming call to the report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from clinic_agent.call.connection import CallTool, Watcher, watched_by
from clinic_agent.call.phone_call import PHONE_RETRY, Ended, PhoneCall, Step
from clinic_agent.call.report import CallReport
from clinic_agent.call.retry import RetryPolicy
from clinic_agent.call.tool import Result
from clinic_agent.call.tracing import traced
from clinic_agent.call.turn import TRANSFER
from clinic_agent.clinic.assistant import Assistant, phone_config
from clinic_agent.clinic.clinic import NAME
from clinic_agent.clinic.safety import CallLock
from clinic_agent.config import Config


@dataclass(frozen=True, slots=True)
class PhoneReport:
    """A telephone call: its turns and cost, what was done with it, which keys were pressed, and who ended it.

    `cost_is_estimate`: the service did not tell all that the cost counts.
    """

    call: CallReport
    steps: tuple[Step, ...]
    keys: str
    ended: Ended | None
    cost_is_estimate: bool = False


def greeting(notice: str) -> str:
    """What the model is told for the first response of a telephone call. `notice`: what callers have to hear."""
    told = f'. Then say: "{notice}"' if notice else ""
    return f"The call has just been connected: greet the caller in the name of {NAME} and ask how you can help{told}\n"


async def answer_phone(
    config: Config,
    call_id: str,
    assistant: Assistant,
    lock: CallLock,
    *,
    priced_on: date,
    watch: Watcher,
    hand_over_to: str | None = None,
    notice: str = "",
    retry: RetryPolicy = PHONE_RETRY,
) -> PhoneReport:
    """Answer an incoming telephone call and run it to its end.

    `lock` is that of the assistant's tools. `hand_over_to`: `sip:` or `tel:` address of a person who takes
    emergencies and callers who ask for one; None: nobody does, and the assistant says so.
    """
    with traced(config) as trace:
        call = PhoneCall(
            trace.config,
            call_id,
            phone_config(config, assistant),
            trace.tools(assistant.tools.call if hand_over_to is not None else _without_person(assistant.tools.call)),
            greeting=greeting(notice),
            urgent=lambda: lock.emergency is not None,
            hand_over_to=hand_over_to,
            priced_on=priced_on,
            retry=retry,
            watch=watched_by(assistant.watch, trace.watch, watch),
        )
        trace.conversation(call_id)
        await call.run()
        trace.result(call.cost, call.failure)
        report = CallReport(call_id, call.cost.model, call.turns(), call.cost, call.failure)
        return PhoneReport(report, tuple(call.steps), call.keys, call.ended, call.cost_is_estimate)


def _without_person(call_tool: CallTool) -> CallTool:
    """The same tools, where nobody takes calls: a transfer is noted for a call back, and fails."""

    def call(name: str, arguments: str) -> Result:
        result = call_tool(name, arguments)
        if name != TRANSFER or "error" in result:
            return result
        return {
            "error": "nobody can take the call now; in an emergency name the emergency number, else offer a call back"
        }

    return call
