"""Questions of the control plane to all servers that share a state, this one among them.

A single server asks itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from mockserver.faults.files import FaultFile, parse
from mockserver.faults.kinds import Fault, NetworkFault, RequestFault, WebhookFault
from mockserver.responders.base import Responder
from mockserver.responders.scenario import Scenario
from mockserver.server import session_copies
from mockserver.server.service import MockService
from mockserver.server.state import conversations
from mockserver.server.state.port import Copies, Copy, CopyUpdate

What = Literal["sessions", "session", "journal", "ledger", "total", "findings", "refusals", "unused", "reset"]
COUNTED = (
    "servers that share their state would each count for themselves: leave out `times`, and for requests `nth`,"
    " `session` and `probability`"
)


async def ask(service: MockService, what: What, **arguments: object) -> list[Any]:
    """The answers of all servers, this one's first, and of those that are gone. Raises StateLost."""
    question = {"what": what, **arguments}
    copies: Copies = "none" if what == "reset" else "rows" if what == "journal" else "records"
    return [answer(service, question), *await service.state.ask_others(question, copies)]


class Member:
    """Implements the port's `Member` for the root of a server."""

    def __init__(self, service: MockService) -> None:
        self._service = service
        self._copier = session_copies.SessionCopier(service)

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

    def answer_of(self, copy: Copy, question: Mapping[str, Any], *, current: bool) -> object:
        return session_copies.answers_of(copy, question, current=current)

    def update(self, now: float, *, anew: bool) -> CopyUpdate:
        return self._copier.update(now, anew=anew)

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
            return session_copies.total_as_json(service.journal.total())
        case "findings" if question["session"] is not None:
            service.findings()  # those that only time shows, too
            return None if log is None else [each.as_json() for each in log.findings]
        case "findings":
            return [each.as_json() for each in service.findings()]
        case "refusals":
            return session_copies.refusals(service)
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


def counted_by_each(fault: Fault) -> bool:
    """Whether a fault counts over sessions or requests, which each server would do for itself."""
    if isinstance(fault, RequestFault | WebhookFault | NetworkFault):
        return (fault.times, fault.nth, fault.session, fault.probability) != (None, None, None, 1)
    return fault.times is not None
