"""Questions of the control plane to all servers that share a state, this one among them.

A single server asks itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Literal

from mockserver.faults.files import FaultFile, parse
from mockserver.faults.kinds import Fault, NetworkFault, RequestFault, WebhookFault
from mockserver.responders.base import Responder
from mockserver.responders.scenario import Scenario
from mockserver.server.journal import UsageTotals
from mockserver.server.notices import RouteRefused
from mockserver.server.service import MockService
from mockserver.server.state import conversations
from replay.outlets import clean

What = Literal["sessions", "session", "journal", "ledger", "total", "findings", "refusals", "unused", "reset"]
COUNTED = (
    "servers that share their state would each count for themselves: leave out `times`, and for requests `nth`,"
    " `session` and `probability`"
)
_SUMS = ("audio_in_s", "audio_out_s", "text_items", "telephony_s", "exact_usd")


async def ask(service: MockService, what: What, **arguments: object) -> list[Any]:
    """The answers of all servers, this one's first. Raises StateLost."""
    question = {"what": what, **arguments}
    return [answer(service, question), *await service.state.ask_others(question)]


class Member:
    """Implements the port's `Member` for the root of a server."""

    def __init__(self, service: MockService) -> None:
        self._service = service

    def answer(self, question: Mapping[str, Any]) -> object:
        return answer(self._service, question)

    def follow(self, part: str, text: str | None) -> None:
        """Play a scenario, or the faults, that a client put on any server; None removes it. Raises ScenarioError and
        FaultError."""
        if part == "scenario":
            self._service.play(None if text is None else Scenario.parse(text))
        else:
            file = FaultFile(()) if text is None else parse(text)
            self._service.set_faults(file.faults, file.seed)

    def responder(self, scenario: str) -> Responder:
        return self._service.factory.responder(scenario, self._service.clock.unix())


def answer(service: MockService, question: Mapping[str, Any]) -> object:
    """The answer of one server, as JSON has it. None for a session that it does not know."""
    log = service.journal.find(question["session"]) if question.get("session") is not None else None
    match question["what"]:
        case "sessions":
            return [each.summary() for each in service.journal.sessions]
        case "session":
            return None if log is None else {**log.summary(), "ledger": log.ledger.as_json()}
        case "journal" if question["session"] is not None:
            return None if log is None else log.shown(question["whole"], question["since"])
        case "journal":
            logs = service.journal.sessions
            return [{"session": each.id, **row} for each in logs for row in each.shown(question["whole"])]
        case "ledger":
            return None if log is None else log.ledger.as_json()
        case "total":
            total = service.journal.total()
            sums = {name: str(getattr(total, name)) for name in _SUMS}
            return {"sessions": total.sessions, "hosted_calls": dict(total.hosted_calls), **sums}
        case "findings" if question["session"] is not None:
            service.findings()  # those that only time shows, too
            return None if log is None else [each.as_json() for each in log.findings]
        case "findings":
            return [each.as_json() for each in service.findings()]
        case "refusals":
            return [
                {
                    "at": unix,
                    "method": notice.method if isinstance(notice, RouteRefused) else "GET",
                    "path": clean(notice.path),
                    "status": notice.status,
                    "error": "" if isinstance(notice, RouteRefused) else clean(notice.error),
                    "cause": clean(notice.cause),
                }
                for unix, notice in service.refusals
            ]
        case "unused":
            return service.unused()
        case "conversation":
            return _conversation(service, **{name: question[name] for name in ("team", "id", "kept_s")})
        case "reset":
            service.reset()
            if question["to_start"]:
                service.play_as_at_start()
            return len(service.open_sessions)
        case unknown:
            raise ValueError(f"another server asks for {unknown!r}: all servers of a fleet need one version")


def _conversation(service: MockService, team: str, id: str, kept_s: float) -> str | None:
    """A conversation that this server knows, for another to resume it."""
    if (known := service.accounts.team(bytes.fromhex(team))) is None:
        return None
    memory = service.resumable(known, id, kept_s)
    data = None if memory is None else conversations.packed(memory)
    return None if data is None else data.decode()


def total_of(answers: list[Any]) -> UsageTotals:
    """The sum of what the servers answered to `total`."""
    total = UsageTotals()
    for each in answers:
        total.sessions += each["sessions"]
        total.hosted_calls.update(each["hosted_calls"])
        for name in _SUMS:
            setattr(total, name, getattr(total, name) + Fraction(each[name]))
    total.text_items = int(total.text_items)
    return total


def counted_by_each(fault: Fault) -> bool:
    """Whether a fault counts over sessions or requests, which each server would do for itself."""
    if isinstance(fault, RequestFault | WebhookFault | NetworkFault):
        return (fault.times, fault.nth, fault.session, fault.probability) != (None, None, None, 1)
    return fault.times is not None
