"""Questions of the control plane to all servers that share a state, this one among them.

A single server asks itself.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from typing import Any, Literal

import orjson
from typing_extensions import assert_never

from mockserver.dialects.handshake import Refusal
from mockserver.faults.files import as_line, parse
from mockserver.faults.injection_points import is_request
from mockserver.faults.kinds import Fault
from mockserver.responders.base import Responder
from mockserver.responders.scenario import Scenario
from mockserver.server import session_copies, session_views
from mockserver.server.accounts import Team
from mockserver.server.calls.phone_numbers import PhoneNumber
from mockserver.server.journal import Journal, JournalEntry, SessionLog, Way
from mockserver.server.namespaces import Namespace, Namespaces
from mockserver.server.service import MockService
from mockserver.server.state import conversations
from mockserver.server.state.port import Copies, Copy, CopyUpdate
from mockserver.server.waiting import TooManyWait, Wanted

What = Literal[
    "sessions",
    "session",
    "journal",
    "ledger",
    "total",
    "findings",
    "refusals",
    "unused",
    "limits",
    "faults",
    "seen",
    "frame",
    "came",
    "calls",
    "call",
    "end call",
    "reset",
]
View = Literal["call", "sound", "tape", "scenario"]
"""A session as the viewer, a player, a cassette or a scenario has it."""
VIEW_S = 30.0
"""Seconds that another server may take for a view."""
_OF_THE_LIVING = ("reset", "limits", "faults", "calls", "call", "end call")
"""What no copy of a server that is gone answers."""
_OF_FRAMES = ("journal", "seen", "frame", "came")
COUNTED = (
    "servers that share their state would each count for themselves: leave out `times`, which only faults of requests"
    " may have"
)


def follow(service: MockService, part: str, text: str | None) -> None:
    """Play a scenario, or the faults, that a client put on any server, or have its phone numbers; None removes it.
    Raises ScenarioError and FaultError."""
    if part == "scenario":
        service.play(None if text is None else Scenario.parse(text))
    elif text is not None and part == "numbers":
        service.know_numbers(orjson.loads(text))
    elif text is not None:
        plan = orjson.loads(text)
        service.faults.become([(id, parse(line).faults[0]) for id, line in plan["faults"]], plan["seed"])
        service.refit()


Numbered = list[tuple[int, Fault]]
"""Faults with their ids."""


async def change_faults(service: MockService, changed: Callable[[Numbered], Numbered], seed: str | None = None) -> None:
    """Change the faults of all servers. `changed` gives a fault that is new the id 0. Raises StateLost."""

    def plan(text: str | None) -> str:
        if text is None:  # nobody changed them: they are those of the start on all servers
            known: dict[str, Any] = {
                "seed": service.faults.seed,
                "last": len(service.faults.armed),
                "faults": service.faults.numbered,
            }
        else:
            known = orjson.loads(text)
            known["faults"] = [(id, parse(line).faults[0]) for id, line in known["faults"]]
        last, found = known["last"], []
        for id, fault in changed(known["faults"]):
            last += id == 0
            found.append([id or last, as_line(fault)])
        return orjson.dumps({"seed": seed or known["seed"], "last": last, "faults": found}).decode()

    await service.state.change("faults", plan)


async def register_number(service: MockService, team: Team, asked: object) -> PhoneNumber | Refusal:
    """Register a phone number for a team, on all servers; or why not. Raises StateLost."""
    if service.state.shared == "no":
        return service.register_number(team, asked)
    made: PhoneNumber | Refusal | None = None

    def numbers(text: str | None) -> str:
        nonlocal made
        known = service.numbers.beside([] if text is None else orjson.loads(text), service.accounts.team)
        made = known.register(team, asked, service.options.webhook)
        return orjson.dumps(known.packed()).decode()

    await service.state.change("numbers", numbers)
    assert made is not None
    return made


async def put(service: MockService, part: str, text: str | None) -> None:
    """Play it on all servers: in the store first, so that all play the same if that is lost. Raises ScenarioError,
    FaultError and StateLost."""
    if service.state.shared == "no":
        follow(service, part, text)
    else:
        await service.state.put(part, text)


async def ask(service: MockService, what: What, **arguments: object) -> list[Any]:
    """The answers of all servers, this one's first, and of those that are gone. Raises StateLost."""
    question = {"what": what, **arguments}
    copies: Copies = "none" if what in _OF_THE_LIVING else "rows" if what in _OF_FRAMES else "records"
    return [answer(service, question), *await service.state.ask_others(question, copies)]


async def namespaces(here: Namespaces) -> list[dict[str, Any]]:
    """The namespaces of all servers. Raises StateLost."""
    others = await here.root.state.ask_others({"what": "namespaces"})
    return [*map(shown, here), *(each for rows in others for each in rows)]


def shown(namespace: Namespace) -> dict[str, Any]:
    """A namespace as the control plane shows it, but for its addresses."""
    service = namespace.service
    return {
        "id": namespace.id,
        "dialect": service.options.dialect,
        "sessions": len(service.journal.sessions) + service.journal.dropped_sessions,
        "open_sessions": len(service.open_sessions),
    }


class Member:
    """Implements the port's `Member` for the root of a server."""

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces
        self._service = service = namespaces.root
        self._copier = session_copies.SessionCopier(service)
        self._views = session_views.SessionViews()

    async def answer(self, question: Mapping[str, Any]) -> object:
        arguments = {name: value for name, value in question.items() if name != "what"}
        match question["what"]:
            case "view":
                return await view(self._service, self._views, **arguments)
            case "wait":
                return await wait(self._service, **arguments)
            case "namespaces":
                return [shown(each) for each in self._namespaces]
            case "call sound":
                return await _call_sound(self._service, **arguments)
            case _:
                return answer(self._service, question)

    async def follow(self, part: str, text: str | float | None) -> None:
        if isinstance(text, str) or text is None:
            follow(self._service, part, text)
        else:
            clock = self._service.clock
            await clock.advance(ms=max(0.0, text - 1000 * clock.now()))

    def answer_of(self, copy: Copy, question: Mapping[str, Any], *, current: bool) -> object:
        return session_copies.answers_of(copy, question, current=current)

    def update(self, now: float, *, anew: bool) -> CopyUpdate:
        return self._copier.update(now, anew=anew)

    def responder(self, scenario: str) -> Responder:
        return self._service.factory.responder(scenario, self._service.clock.unix())


async def view(
    service: MockService, views: session_views.SessionViews, kind: View, session: str, since: int, skipped: int
) -> Any:
    """A view of a session, as JSON has it: a tape in Base64. None for a session that this server does not know."""
    if (log := service.journal.find(session)) is None:
        return None
    match kind:
        case "call":
            service.findings()  # those that only time shows, too
            return await views.document(log, since, skipped, service.clock.unix())
        case "sound":
            return await views.sound(log)
        case "tape":
            data = await asyncio.to_thread(session_views.cassette, log, service.secrets)
            return base64.b64encode(data).decode()
        case "scenario":
            return await asyncio.to_thread(session_views.scenario, log, service.secrets)
        case _:
            assert_never(kind)


async def viewed(
    service: MockService, views: session_views.SessionViews, kind: View, session: str, since: int = 0, skipped: int = 0
) -> Any:
    """A view of a session, by the server that knows it. None without any. Raises StateLost."""
    if (found := await view(service, views, kind, session, since, skipped)) is not None:
        return found
    question = {"what": "view", "kind": kind, "session": session, "since": since, "skipped": skipped}
    answers = await service.state.ask_others(question, slow_s=VIEW_S, one=True)
    return next((each for each in answers if each is not None), None)


async def call_sound(service: MockService, id: str) -> str | None:
    """Both sides of a call over the telephone, by the server that has it: a WAV file in Base64. Raises StateLost."""
    if (found := await _call_sound(service, id)) is not None:
        return found
    answers = await service.state.ask_others({"what": "call sound", "id": id}, slow_s=VIEW_S, one=True)
    return next((each for each in answers if each is not None), None)


async def _call_sound(service: MockService, id: str) -> str | None:
    if (call := service.phone.get(id)) is None:
        return None
    return base64.b64encode(await asyncio.to_thread(call.wav)).decode()


async def wait(
    service: MockService,
    type: str,
    session: str | None,
    way: Way | None,
    nth: int | None,
    seconds: float,
    whole: bool,
    already: Mapping[str, int] | None = None,
) -> dict[str, Any] | None:
    """The next frame of a type on this server, or the nth so far; None if it does not come. `already`: how many each
    server had; then only whether one more came. Where too many wait, the answer says so as `refused`."""
    journal, wanted = service.journal, Wanted(type, session, way)
    came = [] if nth is None and already is None else seen(journal, wanted)
    if already is not None:
        nth = already.get(service.state.server, 0) + 1
    left = 1 if nth is None else nth - len(came)
    try:
        found = came[nth - 1] if left < 1 and nth else await journal.waiting.wait(wanted, left, seconds)
    except TooManyWait as problem:
        return {"refused": str(problem)}
    if found is None:
        return None
    log, entry = found
    return {"session": log.id, **entry.shown(whole)}


async def waited(
    service: MockService, wanted: Wanted, nth: int | None, seconds: float, whole: bool
) -> dict[str, Any] | None:
    """The next frame of a type on any server, or the nth so far of all, in the order of time; None if it does not come.
    Raises StateLost."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    question = {"type": wanted.type, "session": wanted.session, "way": wanted.way, "whole": whole}
    if service.state.shared == "no" or nth is None:
        return await _first(service, {**question, "nth": nth, "seconds": seconds})
    while True:
        kind = [wanted.type, wanted.session, wanted.way]
        answers = await ask(service, "seen", wanted=kind)
        frames = sorted(frame for each in answers for frame in each["frames"])
        if len(frames) >= nth:
            _, session, number = frames[nth - 1]
            shown = await ask(service, "frame", session=session, wanted=kind, number=number, whole=whole)
            return next((each for each in shown if each is not None), None)
        already = {each["server"]: len(each["frames"]) for each in answers}
        rest = {**question, "nth": None, "seconds": max(0.0, until - loop.time()), "already": already}
        if (came := await _first(service, rest)) is None or "refused" in came:
            return came


async def _first(service: MockService, question: dict[str, Any]) -> dict[str, Any] | None:
    """What the first server answers to `wait` that has an answer."""
    if service.state.shared == "no":
        return await wait(service, **question)
    loop = asyncio.get_running_loop()
    others = service.state.ask_others({"what": "wait", **question}, slow_s=max(1.0, question["seconds"]), one=True)
    here, there = loop.create_task(wait(service, **question)), loop.create_task(others)
    try:
        await asyncio.wait([here, there], return_when=asyncio.FIRST_COMPLETED)
        found = [*(await there if there.done() else []), await here if here.done() else None]
        if all(each is None for each in found):
            found = [await here, *await there]
        return next((each for each in found if each is not None), None)
    finally:
        here.cancel()
        there.cancel()


def seen(journal: Journal, wanted: Wanted) -> list[tuple[SessionLog, JournalEntry]]:
    """The frames of the kind that are kept, in the order of time."""
    found = [
        (log, entry) for log in journal.sessions for entry in log.entries if wanted.wants(log.id, entry.way, entry.type)
    ]
    return sorted(found, key=lambda each: each[0].opened + each[1].at)


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
        case "faults":
            return [armed.as_json() for armed in service.faults.armed]
        case "limits":
            return session_views.limits(service)
        case "seen":
            return session_copies.numbered(service.state.server, service.journal.sessions, question["wanted"])
        case "frame":
            return None if log is None else session_copies.frame_of(log, question)
        case "came":
            return session_copies.types_of(service.journal.sessions, question["only"])
        case "calls":
            return [each.as_json() for each in service.calls.listed]
        case "call":
            return None if (call := service.calls.get(question["call"])) is None else call.as_json()
        case "end call":
            if (call := service.calls.get(question["call"])) is None:
                return None
            service.calls.end(call, "caller")
            return call.as_json()
        case "owner":
            return None if service.calls.get(question["call"]) is None else service.address
        case "conversation":
            return _conversation(service, **{name: question[name] for name in ("team", "id", "kept_s")})
        case "reset":
            service.reset()
            if question["to_start"]:
                service.play_as_at_start()
                if service.state.shared != "no":
                    service.faults.renumber()  # so that all servers have the same ids
            return len(service.open_sessions) + service.calls.going_on
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
    """Whether a fault counts over sessions, which each server would do for itself."""
    return fault.times is not None and not is_request(fault.at)
