"""The control plane under /_mock/: read sessions, journal and ledger; replace scenario and faults; move the clock.

Who may use it: guard.py.
"""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, get_args

import orjson
from aiohttp import hdrs, web
from typing_extensions import assert_never

from mockserver.faults.armed import MOST_KEPT
from mockserver.faults.files import FaultError, FaultFile, parse
from mockserver.faults.kinds import Fault
from mockserver.responders.scenario import Scenario, ScenarioError
from mockserver.server import fleet, forwarding, inspector, session_views
from mockserver.server.addresses import Addresses, environment
from mockserver.server.calls import ring_body
from mockserver.server.calls.registry import TooManyCalls
from mockserver.server.clock import MAX_ADVANCE_S
from mockserver.server.guard import Problem, guarded, page_guarded
from mockserver.server.http import body_of
from mockserver.server.isolated_file import parse as parse_isolated
from mockserver.server.journal import Way, presentable
from mockserver.server.namespaces import ID, Namespace, Namespaces, TooManyNamespaces
from mockserver.server.openapi import description
from mockserver.server.options import ECHO
from mockserver.server.recordings import AdaptiveReplay, VerbatimReplay
from mockserver.server.refusals import check_open
from mockserver.server.service import MockService
from mockserver.server.session_copies import total_of
from mockserver.server.shelf import EmptyLibrary
from mockserver.server.waiting import DEFAULT_MS, LONGEST_MS, Wanted
from replay.cassette.conversation import UnreadableRecording
from replay.cassette.file import BadCassette
from replay.findings import LEVELS
from replay.outlets import clean

NO_SESSION = "there is no session of that id; GET /_mock/sessions lists them"
NO_VIEW = (
    "the server of that session is gone, and its audio with it; /_mock/journal, /_mock/ledger and /_mock/findings"
    " with ?session=ID have the rest"
)
MOST_NAMED = 12
"""Types of frames that a refusal names."""
NO_CALL = "there is no call of that id; GET /_mock/calls lists them"
CLOSING_S = 0.25
"""How long clients may take to answer the close frame when their namespace ends."""


def routes(namespaces: Namespaces) -> Iterable[web.RouteDef]:
    """Every route of the control plane, guarded: those of the server, and those that each namespace has."""
    token = namespaces.root.options.admin_token
    server = _Server(namespaces)
    for method, path, answer in (
        (hdrs.METH_GET, "/openapi.json", server.openapi),
        (hdrs.METH_GET, "/namespaces", server.list),
        (hdrs.METH_POST, "/namespaces", server.open),
        (hdrs.METH_DELETE, f"/namespaces/{{namespace:{ID}}}", server.end),
    ):
        yield web.route(method, f"/_mock{path}", guarded(answer, token))
    for method, path, ask in (
        (hdrs.METH_GET, "/health", _Plane.health),
        (hdrs.METH_GET, "/metrics", _Plane.metrics),
        (hdrs.METH_GET, "/sessions", _Plane.sessions),
        (hdrs.METH_GET, "/sessions/{id}", _Plane.session),
        (hdrs.METH_GET, "/sessions/{id}/call", _Plane.call),
        (hdrs.METH_GET, "/sessions/{id}/sound", _Plane.sound),
        (hdrs.METH_GET, "/sessions/{id}/tape", _Plane.tape),
        (hdrs.METH_GET, "/sessions/{id}/scenario", _Plane.as_scenario),
        (hdrs.METH_GET, "/calls", _Plane.calls),
        (hdrs.METH_GET, "/calls/{id}", _Plane.placed_call),
        (hdrs.METH_DELETE, "/calls/{id}", _Plane.end_call),
        (hdrs.METH_POST, "/calls", _Plane.ring),
        (hdrs.METH_GET, "/calls/{id}/audio", _Plane.call_audio),
        (hdrs.METH_GET, "/limits", _Plane.limits),
        (hdrs.METH_GET, "/faults/kinds", _Plane.fault_kinds),
        (hdrs.METH_GET, "/journal", _Plane.journal),
        (hdrs.METH_GET, "/ledger", _Plane.ledger),
        (hdrs.METH_GET, "/findings", _Plane.findings),
        (hdrs.METH_GET, "/wait", _Plane.wait),
        (hdrs.METH_GET, "/refusals", _Plane.refusals),
        (hdrs.METH_GET, "/unused", _Plane.unused),
        (hdrs.METH_GET, "/report", _Plane.report),
        (hdrs.METH_GET, "/scenario", _Plane.scenario),
        (hdrs.METH_PUT, "/scenario", _Plane.replace_scenario),
        (hdrs.METH_DELETE, "/scenario", _Plane.remove_scenario),
        (hdrs.METH_GET, "/faults", _Plane.faults),
        (hdrs.METH_PUT, "/faults", _Plane.replace_faults),
        (hdrs.METH_POST, "/faults", _Plane.add_faults),
        (hdrs.METH_DELETE, "/faults", _Plane.remove_faults),
        (hdrs.METH_DELETE, "/faults/{which}", _Plane.remove_faults),
        (hdrs.METH_POST, "/clock/advance", _Plane.advance),
        (hdrs.METH_POST, "/reset", _Plane.reset),
    ):
        answer = partial(server.ask, ask)
        for prefix in ("", f"/namespaces/{{namespace:{ID}}}"):
            yield web.route(method, f"/_mock{prefix}{path}", guarded(answer, token))
    for path in ("/_mock", "/_mock/"):
        yield web.get(path, page_guarded(lambda request: inspector.answer(), token))


T = TypeVar("T")


class _Server:
    """One method for each route of the whole server, from a request to JSON."""

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces
        self._views = session_views.SessionViews()

    async def openapi(self, request: web.Request) -> object:
        """The OpenAPI description of these routes."""
        origin = Addresses(request.host, secure=request.secure).origin
        return description(self._namespaces.root.options.admin_token is not None, origin)

    async def list(self, request: web.Request) -> object:
        """The namespaces besides the root, oldest first."""
        found = sorted(await fleet.namespaces(self._namespaces), key=lambda each: int(each["id"].partition("-")[2]))
        return [_shown(request, each) for each in found]

    async def open(self, request: web.Request) -> object:
        """Makes a namespace."""
        try:
            isolated = await asyncio.to_thread(parse_isolated, (await body_of(request)).decode())  # reads cassettes
            made = await self._namespaces.open(isolated)
        except (ValueError, OSError, UnreadableRecording, BadCassette, EmptyLibrary) as problem:
            raise Problem(400, str(problem)) from problem
        except TooManyNamespaces as problem:
            raise Problem(429, str(problem)) from problem
        places = _addresses(request, made.id)
        variables = environment(places.ws, places.http, made.keys["xai"], made.keys["openai"])
        shown = _shown(request, fleet.shown(made))
        return {**shown, "api_key": made.api_key, "api_keys": made.keys, "environment": variables}

    async def end(self, request: web.Request) -> object:
        """Ends a namespace; its open sessions are closed (1001)."""
        found = await self._find(request.match_info["namespace"])
        if isinstance(found, str):
            return await forwarding.forward(request, found)
        await self._namespaces.end(found, CLOSING_S)
        return {"status": "ok"}

    async def ask(self, ask: Callable[[_Plane, web.Request], Awaitable[object]], request: web.Request) -> object:
        """The answer of the root or of a namespace."""
        if (id := request.match_info.get("namespace")) is None:
            return await ask(_Plane(self._namespaces.root, self._views), request)
        found = await self._find(id)
        if isinstance(found, str):
            return await forwarding.forward(request, found)
        return await ask(_Plane(found.service, self._views), request)

    async def _find(self, id: str) -> Namespace | str:
        """A namespace of this server, or the address of the server that has it."""
        if (found := self._namespaces.find(id)) is not None:
            return found
        elsewhere = await self._namespaces.root.state.look((), id)
        if elsewhere is None or elsewhere.address is None:
            raise Problem(404, "there is no namespace of that id; GET /_mock/namespaces lists them")
        return elsewhere.address


def _addresses(request: web.Request, id: str) -> Addresses:
    return Addresses(request.host, id, request.secure)


def _shown(request: web.Request, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """With the addresses of the host that was asked."""
    id = namespace["id"]
    places = _addresses(request, id)
    return {"id": id, "ws": places.ws, "http": places.http, "control": places.control, **namespace}


class _Plane:
    """One method for each route of a namespace, from a request to JSON."""

    def __init__(self, service: MockService, views: session_views.SessionViews) -> None:
        self._service = service
        self._views = views

    async def health(self, request: web.Request) -> object:
        service = self._service
        return {
            "status": "ok",
            "dialect": service.options.dialect,
            "open_sessions": len(service.open_sessions),
            "errors": len(service.errors),
            "memory": service.memory(),
            "words": service.factory.understands,
            "clock": {"rate": service.clock.rate, "now": service.clock.now(), "unix": service.clock.unix()},
        }

    async def metrics(self, request: web.Request) -> object:
        """Counts for Prometheus, in its text format."""
        from mockserver.server.metrics_page import CONTENT_TYPE, metrics_page  # 30 ms that no other request needs

        counts = self._service.counts
        page = metrics_page(self._service) if counts is None else await counts.page()
        return web.Response(body=page, headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})

    async def sessions(self, request: web.Request) -> object:
        found = [each for answered in await fleet.ask(self._service, "sessions") for each in answered]
        in_order = sorted(found, key=lambda each: (each["number"], each["opened"]))
        return in_order if self._service.state.shared != "no" else found

    async def session(self, request: web.Request) -> object:
        return await self._of_session(request.match_info["id"], "session")

    async def call(self, request: web.Request) -> object:
        """The session as the viewer's document; `?since=N` leaves out its first N frames."""
        return await self._view(request, "call", _count(request, "since"), _count(request, "skipped"))

    async def sound(self, request: web.Request) -> object:
        """The session's audio, for the viewer."""
        return await self._view(request, "sound")

    async def tape(self, request: web.Request) -> object:
        """The session so far as a cassette, without secrets."""
        data = base64.b64decode(await self._view(request, "tape"))
        return web.Response(body=data, content_type="application/octet-stream")

    async def as_scenario(self, request: web.Request) -> object:
        """The session so far as a scenario file, without secrets."""
        return web.Response(text=await self._view(request, "scenario"), content_type="application/yaml")

    async def calls(self, request: web.Request) -> object:
        """Calls that ring, go on, or are over, oldest first."""
        found = [each for answered in await fleet.ask(self._service, "calls") for each in answered]
        if self._service.state.shared != "no":
            found.sort(key=lambda each: (each["rang_at"], each["id"]))
        return found

    async def placed_call(self, request: web.Request) -> object:
        """One call."""
        return await self._of_call(request, "call")

    async def end_call(self, request: web.Request) -> object:
        """Hangs up for the caller, or stops the ringing. A call that is over stays as it is."""
        return await self._of_call(request, "end call")

    async def ring(self, request: web.Request) -> object:
        """Lets the phone ring. The answer comes at once: the call is announced to the webhook meanwhile."""
        service, body = self._service, await body_of(request)
        try:
            voice, own = service.factory.equipment.voice, service.options.webhook
            ring = await asyncio.to_thread(ring_body.parse, body, voice, own)  # speaks
            check_open(service)  # it may have ended meanwhile
            call = service.ring(ring, await service.state.number("calls"))
        except ValueError as problem:
            raise Problem(400, str(problem)) from problem
        except TooManyCalls as problem:
            raise Problem(429, str(problem)) from problem
        return call.entry.as_json()

    async def call_audio(self, request: web.Request) -> object:
        """Both sides of a call over the telephone as a stereo WAV file at 8 kHz: left the caller, right the agent."""
        sound = await fleet.call_sound(self._service, request.match_info["id"])
        if sound is None:
            raise Problem(404, NO_CALL)
        return web.Response(body=base64.b64decode(sound), content_type="audio/wav")

    async def limits(self, request: web.Request) -> object:
        """How many sessions each team has open, and how many it may have."""
        found: dict[str, dict[str, Any]] = {}
        for each in [each for answered in await fleet.ask(self._service, "limits") for each in answered]:
            known = found.setdefault(each["id"], {**each, "sessions": 0})
            known["sessions"] += each["sessions"]
        return [{name: value for name, value in each.items() if name != "id"} for each in found.values()]

    async def fault_kinds(self, request: web.Request) -> object:
        """Each kind of fault with an example."""
        return session_views.fault_kinds()

    async def journal(self, request: web.Request) -> object:
        """Frames; `?audio=full` does not shorten audio. Without `?session=`, each frame names its session; with it,
        `?since=N` leaves out the session's first N frames."""
        whole, since = request.query.get("audio") == "full", _count(request, "since")
        if (session_id := request.query.get("session")) is not None:
            return await self._of_session(session_id, "journal", whole=whole, since=since)
        answers = await fleet.ask(self._service, "journal", session=None, whole=whole)
        return [row for answered in answers for row in answered]

    async def ledger(self, request: web.Request) -> object:
        """The ledger of one session, or the sum over all."""
        if (session_id := request.query.get("session")) is not None:
            return await self._of_session(session_id, "ledger")
        return total_of(await fleet.ask(self._service, "total")).as_json()

    async def findings(self, request: web.Request) -> object:
        """Findings of one session or of all, of one level or of all. Those at a handshake have an empty session id."""
        if (session_id := request.query.get("session")) is not None:
            found = await self._of_session(session_id, "findings")
        else:
            answers = await fleet.ask(self._service, "findings", session=None)
            found = [each for answered in answers for each in answered]
        level = _one_of(request, "level", LEVELS)
        return [finding for finding in found if level in (None, finding["level"])]

    async def wait(self, request: web.Request) -> object:
        """The next frame of a type, as the journal shows it, once it crosses the wire; with `nth`, the nth so far."""
        query = request.query
        if not (type := query.get("type", "")):
            raise Problem(400, "say what to wait for: type=response.done; * stands for any characters")
        ms = _whole(request, "ms", least=0, most=LONGEST_MS, default=DEFAULT_MS)
        wanted = Wanted(type, query.get("session"), _one_of(request, "way", get_args(Way)))
        nth = None if query.get("nth", "next") == "next" else _whole(request, "nth", least=1, most=1_000_000)
        found = await fleet.waited(self._service, wanted, nth, ms / 1000, query.get("audio") == "full")
        if found is None:
            counts = Counter[str]()
            for each in await fleet.ask(self._service, "came", only=wanted.session):
                counts.update(each)
            raise Problem(408, f"no {type} came within {ms} ms; {_what_came(counts)}")
        if "refused" in found:
            raise Problem(429, found["refused"])
        return found

    async def refusals(self, request: web.Request) -> object:
        """Handshakes and requests that were refused, with the likely cause."""
        found = [each for answered in await fleet.ask(self._service, "refusals") for each in answered]
        return sorted(found, key=lambda each: each["at"]) if self._service.state.shared != "no" else found

    async def unused(self, request: web.Request) -> object:
        """What no client has used so far of the scenario, the recordings and the faults, a line each."""
        here, *others = await fleet.ask(self._service, "unused")
        return [line for line in here if all(line in each for each in others if each is not None)]

    async def report(self, request: web.Request) -> object:
        """Where clients left the recording that is played, a line each."""
        return self._service.report()

    async def scenario(self, request: web.Request) -> object:
        """What answers new connections."""
        shown = {"plays": "echo", "name": "", "verbatim": False, "scenario": None}
        match content := self._service.factory.content:
            case None:
                responder = self._service.options.responder
                if responder != ECHO:
                    return {**shown, "plays": "responder", "name": responder if isinstance(responder, str) else ""}
                return {**shown, "plays": "chat"} if self._service.options.chat else shown
            case Scenario():
                return {**shown, "plays": "scenario", "name": content.name, "scenario": presentable(content.document)}
            case AdaptiveReplay() | VerbatimReplay():
                verbatim = isinstance(content, VerbatimReplay)
                return {**shown, "plays": "cassette", "name": content.name, "verbatim": verbatim}
            case _:
                assert_never(content)

    async def replace_scenario(self, request: web.Request) -> object:
        """Replaces the scenario for new connections. Open connections keep theirs."""
        try:
            text = (await body_of(request)).decode()
            self._service.factory.hearing(Scenario.parse(text))  # before any server plays it
            await fleet.put(self._service, "scenario", text)
        except (ScenarioError, UnicodeDecodeError) as problem:
            raise Problem(400, str(problem)) from problem
        return {"status": "ok", "applies_to": "new connections"}

    async def remove_scenario(self, request: web.Request) -> object:
        """Removes the scenario, or the recording: new connections hear their own words, or a language model's."""
        await fleet.put(self._service, "scenario", None)
        return {"status": "ok", "applies_to": "new connections"}

    async def faults(self, request: web.Request) -> object:
        """The faults that are on, how often each was triggered, and where."""
        here, *others = await fleet.ask(self._service, "faults")
        for shown in here:
            for each in (each for answered in others for each in answered if each["id"] == shown["id"]):
                shown["fired"] += each["fired"]
                shown["where"] = [*shown["where"], *each["where"]][:MOST_KEPT]
        return {"seed": self._service.faults.seed, "faults": here}

    async def replace_faults(self, request: web.Request) -> object:
        """Replaces the faults, for open connections too."""
        file = await _fault_file(request)
        if self._service.state.shared != "no" and any(map(fleet.counted_by_each, file.faults)):
            raise Problem(501, fleet.COUNTED)
        if self._service.state.shared == "no":
            self._service.set_faults(file.faults, file.seed)
        else:
            await fleet.change_faults(self._service, lambda known: [(0, each) for each in file.faults], file.seed)
        return await self.faults(request)

    async def add_faults(self, request: web.Request) -> object:
        """Adds one fault, or the faults of a file."""
        file = await _fault_file(request)
        if self._service.state.shared != "no":
            if any(map(fleet.counted_by_each, file.faults)):
                raise Problem(501, fleet.COUNTED)
            await fleet.change_faults(self._service, lambda known: [*known, *((0, each) for each in file.faults)])
            return await self.faults(request)
        for fault in file.faults:
            self._service.faults.add(fault)
        self._service.refit()
        return await self.faults(request)

    async def remove_faults(self, request: web.Request) -> object:
        """Removes all faults, or those of an id or name."""
        which = request.match_info.get("which")

        def named(each: tuple[int, Fault]) -> bool:
            return which in (None, str(each[0]), each[1].name or None)

        if which is not None and not any(map(named, self._service.faults.numbered)):
            raise Problem(404, "there is no fault of that id or name; GET /_mock/faults lists them")
        if self._service.state.shared == "no":
            self._service.faults.remove(which)
            self._service.refit()
        else:
            await fleet.change_faults(self._service, lambda known: [each for each in known if not named(each)])
        return await self.faults(request)

    async def advance(self, request: web.Request) -> object:
        """Moves the clock by `{"ms": N}`. Answers once everything that is due by then has happened."""
        clock = self._service.clock
        if not clock.manual:
            raise Problem(409, "the clock runs by itself; start the server with --clock manual to move it")
        ms = await _milliseconds(request)
        if self._service.state.shared == "no":
            await clock.advance(ms=ms)
        else:
            await self._service.state.advance(ms)
        return {"now": clock.now(), "unix": clock.unix()}

    async def reset(self, request: web.Request) -> object:
        """Forgets sessions, journal, ledgers and findings, and rewinds a recording. Open connections go on, unseen.
        With `{"to": "start"}`, scenario and faults are those of the start again."""
        body = await body_of(request)
        asked = _json(body) if body.strip() else {}
        if asked not in ({}, {"to": "start"}):
            raise Problem(400, 'the body must be {"to": "start"}, or empty')
        still_open = await fleet.ask(self._service, "reset", to_start=bool(asked))
        await self._service.state.forget_past()
        if asked:
            await self._service.state.forget_put()
        if not any(still_open):
            await self._service.state.restart_numbers()
        return {"status": "ok"}

    async def _of_call(self, request: web.Request, what: fleet.What) -> Any:
        """What the server answers that has a call."""
        for answered in await fleet.ask(self._service, what, call=request.match_info["id"]):
            if answered is not None:
                return answered
        raise Problem(404, NO_CALL)

    async def _of_session(self, id: str, what: fleet.What, **arguments: object) -> Any:
        """What the server answers that knows a session."""
        for answered in await fleet.ask(self._service, what, session=id, **arguments):
            if answered is not None:
                return answered
        raise Problem(404, NO_SESSION)

    async def _view(self, request: web.Request, kind: fleet.View, since: int = 0, skipped: int = 0) -> Any:
        id = request.match_info["id"]
        found = await fleet.viewed(self._service, self._views, kind, id, since, skipped)
        if found is None:
            await self._of_session(id, "session")
            raise Problem(404, NO_VIEW)
        return found


def _count(request: web.Request, name: str) -> int:
    count = request.query.get(name, "0")
    if not count.isdecimal():
        raise Problem(400, f"{name} must be a number of frames, 0 or more, not {count[:20]!r}")
    return int(count)


async def _fault_file(request: web.Request) -> FaultFile:
    try:
        return parse((await body_of(request)).decode())
    except (FaultError, UnicodeDecodeError) as problem:
        raise Problem(400, str(problem)) from problem


async def _milliseconds(request: web.Request) -> float:
    body = _json(await body_of(request))
    ms = body.get("ms") if isinstance(body, dict) else None
    if not isinstance(ms, int | float) or isinstance(ms, bool) or not 0 <= ms <= MAX_ADVANCE_S * 1000:
        raise Problem(400, f'the body must be {{"ms": N}} with N from 0 to {MAX_ADVANCE_S * 1000:.0f}')
    return ms


def _json(body: bytes) -> object:
    """The body's value; None if it is not JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _whole(request: web.Request, name: str, *, least: int, most: int, default: int | None = None) -> int:
    """A whole number of the query."""
    given = request.query.get(name, "" if default is None else str(default))
    if not (given.isascii() and given.isdecimal()) or not least <= int(given[:10]) <= most:
        raise Problem(400, f"{name} must be a whole number from {least} to {most}, not {given[:20]!r}")
    return int(given[:10])


def _one_of(request: web.Request, name: str, known: Sequence[T]) -> T | None:
    """One of the known words in the query; None without any."""
    given = request.query.get(name)
    found = next((each for each in known if each == given), None)
    if given is not None and found is None:
        raise Problem(400, f"{name} must be {' or '.join(map(str, known))}, not {given[:20]!r}")
    return found


def _what_came(counts: Counter[str]) -> str:
    """The types of the frames that are kept, in words."""
    came = ", ".join(f"{clean(type)[:64]} {count}x" for type, count in counts.most_common(MOST_NAMED))
    return f"until then came {came}" if came else "no frame came at all"
