"""What one namespace of a server serves, without HTTP: who is admitted, open sessions, journal, findings, faults.

A server has one namespace, the root, and those that namespaces.py makes while it runs. app.py takes requests and asks
here; session_factory.py makes what answers a connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

from mockserver.audio.tts import CLIP_BYTES
from mockserver.calls.call import Call
from mockserver.dialects.handshake import Denied, HandshakeRequest, Refusal
from mockserver.dialects.registry import SERVICES
from mockserver.dialects.schema import SchemaMismatch
from mockserver.faults.armed import FaultTarget
from mockserver.faults.fault_set import FaultSet
from mockserver.faults.kinds import Fault
from mockserver.protocol.limits import Limits
from mockserver.protocol.peer import Peer
from mockserver.responders.base import Source
from mockserver.responders.scenario import Scenario
from mockserver.server.accounts import MAX_REMEMBERED, RESUMABLE_BYTES, Accounts, Team
from mockserver.server.calls.phone import MOST_SOUND_BYTES, Phone, PhoneCall, Ring
from mockserver.server.calls.phone_numbers import PhoneNumber, PhoneNumbers
from mockserver.server.calls.recorded_caller import RecordedCaller
from mockserver.server.calls.registry import MOST_CALLS, CallEntry, CallRegistry
from mockserver.server.calls.running_call import RunningCall
from mockserver.server.clock import Clock
from mockserver.server.equipment import Equipment
from mockserver.server.journal import Journal, SessionLog
from mockserver.server.metrics import AllCounts, Metrics
from mockserver.server.narration import Narration
from mockserver.server.notices import (
    CallOpened,
    HandshakeRefused,
    MistakeFound,
    Notice,
    RouteRefused,
    tell_of_namespace,
)
from mockserver.server.options import Options
from mockserver.server.recordings import AdaptiveReplay
from mockserver.server.requests import RequestRunner
from mockserver.server.session_factory import Content, Served, SessionFactory, afresh
from mockserver.server.session_recorder import SessionRecorder
from mockserver.server.state.memory import MemoryState
from mockserver.server.state.port import Seat, State
from mockserver.server.tracing import TracedNarration
from mockserver.session.resumption import Memory
from mockserver.session.score import SCORE_BYTES
from mockserver.session.session import Session
from replay.cassette.recording import CALL_HEADER
from replay.cassette.records import Request, Response
from replay.findings import Finding, Levels, Rule
from replay.findings.call import Handshake as ClientHandshake
from replay.findings.finding import Found
from replay.findings.handshake import handshake as handshake_read
from replay.findings.rules.table import UNREACHABLE_RULE
from replay.findings.watch import PER_WATCHER, Watcher
from replay.outlets import Held, logger
from replay.secrets import values

if TYPE_CHECKING:  # needs the extra `otel`
    from replay.tracing.spans import Tracing

MOST_ERRORS = 1000
"""Schema mismatches that are kept; each event may bring one."""
MOST_REFUSALS = 1000
"""Refused handshakes and requests that are kept."""
_LOG = logger(__name__)
_FINDINGS = logger("realtape.findings")
_SEVERITY = {"warn": logging.WARNING, "error": logging.ERROR}


class OpenConnection(Protocol):
    """What the service asks of a connection. Its own implementation is connection.py."""

    error: Exception | None

    def find_overdue(self) -> None:
        """Look for client mistakes that only time shows."""

    def refit(self, fit: Callable[[Peer, float], Peer]) -> None:
        """Replace the peer by what `fit` makes of it and of the connection's time."""

    def close(self, code: int, reason: str = "") -> None:
        """Send a close frame, and abort the connection unless the client answers in time."""

    def reset(self, reason: str) -> None:
        """Reset the TCP connection. Unsent bytes are lost."""


@dataclass(slots=True, eq=False)
class OpenSession:
    """A session while its connection is open."""

    team: Team
    session: Session | None
    """None if the connection is refused, or if a recording is played verbatim."""
    connection: OpenConnection
    target: FaultTarget
    task: asyncio.Task[Any] | None = None
    """What serves the connection."""


@dataclass(frozen=True, slots=True)
class AtStart:
    """What a namespace played when it started."""

    content: Content = None
    faults: tuple[Fault, ...] = ()
    faults_seed: str = ""


class MockService:
    """One namespace. `start` must be called on the event loop that serves, before any other method but `play` and
    `set_faults`."""

    def __init__(
        self,
        options: Options,
        log_type: type[SessionLog] = SessionLog,
        *,
        root: MockService | None = None,
        name: str = "",
        resumable_bytes: int = RESUMABLE_BYTES,
    ) -> None:
        """`log_type` is what the journal keeps of each session. `root`: the namespace whose equipment and folder of
        recordings it shares, if this is not the root itself; then it has a `name`.

        Raises OSError if the folder for recordings cannot be written to.
        """
        self.options = options
        self.name = name
        self._root = self if root is None else root
        equipment: Equipment = Equipment(options) if root is None else root.factory.equipment
        self.factory: SessionFactory = SessionFactory(options, equipment)
        self.accounts = Accounts(
            keys=options.api_keys,
            blocked=options.blocked_keys,
            file=options.accounts,
            seed=f"{options.seed}/{name}" if name else options.seed,  # a client secret belongs to one namespace
            resumable_bytes=resumable_bytes,
        )
        self.state: State = MemoryState(self.accounts)
        """What it shares with other servers, if it is one of a fleet."""
        self.metrics = Metrics()
        self.counts: AllCounts | None = None
        """Those of all workers of a port; None without workers."""
        self.journal = Journal(options.journal_bytes, log_type=log_type)
        self.watcher = Watcher(Levels(options.findings, options.write_tools), self._found)
        """Looks for mistakes of clients."""
        keys = [key for account in (options.accounts.accounts if options.accounts else ()) for key in account.keys]
        self.secrets = replace(
            options.secrets,
            values=(
                *options.secrets.values,
                *options.api_keys,
                *options.blocked_keys,
                *keys,
                *((options.webhook_secret,) if options.webhook_secret else ()),
            ),
        )
        """What no cassette, log, page or message holds."""
        self._held: Held | None = None
        """Looks for them and for the keys of clients while this runs."""
        self.recorder: SessionRecorder | None = None
        if root is not None:
            self.recorder = None if root.recorder is None else root.recorder.beside()
        elif options.record is not None:
            self.recorder = SessionRecorder(options.record, self.secrets)
        self.serious_findings = 0
        """Findings of severity `error` since the start, of all namespaces in the root; `reset` does not forget them."""
        self.errors: list[Exception] = []
        """Failures inside the mock, oldest first."""
        self.open_sessions: dict[str, OpenSession] = {}
        """By session id."""
        self.most_open: int = 0 if root is None else root.most_open
        """How many sessions may be open at the same time, of all teams; 0 before the server listens."""
        self.faults = FaultSet(seed=options.seed)
        self.clock: Clock
        self.requests: RequestRunner
        """Does what sessions ask for."""
        self.refusals: deque[tuple[float, HandshakeRefused | RouteRefused]] = deque(maxlen=MOST_REFUSALS)
        """Handshakes and requests that were refused, oldest first, each with its Unix second."""
        self.tell: Callable[[Notice], None] | None = None
        if root is not None and root.tell is not None:
            self.tell = partial(tell_of_namespace, root.tell, name)
        """Who is told what goes on; see notices.py."""
        self.tracing: Tracing | None = None
        """Makes spans of sessions, of all namespaces in the root; None without OpenTelemetry."""
        self.at_start = AtStart()
        self.over = False
        """Whether it has stopped, or is about to."""
        self.held_requests: set[asyncio.Future[bool]] = set()
        """Handshakes and other requests that a fault delays; False ends the delay because the namespace ends."""
        self.last_end = 0.0
        """When the last session ended, in seconds of the loop."""
        self.calls = CallRegistry(self._call_id, self._open_call, lambda seat: self.state.leave(seat), self.told)
        """Calls over the telephone or WebRTC."""
        self.numbers = PhoneNumbers(f"{options.seed}/{name}")
        """The phone numbers that clients registered."""
        self.phone: Phone
        """Makes calls over the telephone."""
        self.sidebands: dict[OpenConnection, asyncio.Task[Any] | None] = {}
        """The sockets beside calls, with what serves each."""
        self.address: str | None = None
        """Host and port at which the other servers of its fleet reach it; None for one alone."""
        self._connections = self._calls_made = 0

    def told(self, notice: Notice) -> None:
        """Count it, tell whoever listens, and keep what was refused."""
        self.metrics.note(notice)
        if isinstance(notice, HandshakeRefused | RouteRefused):
            self.refusals.append((self.clock.unix(), notice))
        if self.tell is not None:
            self.tell(notice)

    def narrate(
        self, log: SessionLog, served: Served, opened: CallOpened, context: Mapping[str, str] | None = None
    ) -> None:
        """Follow a connection that was accepted. `context`: see `replay.tracing.context`."""
        session = served.session
        heard = () if session is None else session.heard
        source = Source if session is None else lambda: session.responder.source
        if (tracing := self._root.tracing) is None:
            log.narration = Narration(opened, self.told, served.ledger, heard, source)
            return
        about = {"realtape.session.id": log.id, "gen_ai.conversation.id": log.conversation_id}
        about |= {"realtape.namespace": self.name} if self.name else {}
        spans = tracing.session("service", log.opened, opened.dialect, opened.model, context or {}, about)
        log.narration = TracedNarration(spans, opened, self.told, served.ledger, heard, source)

    def start(self) -> None:
        """Start the clock."""
        self.over = False
        self._held = Held(self.secrets)
        self.clock = Clock(self.options.clock_rate)
        self.requests = RequestRunner(self.factory.equipment.outside, self.clock, self.metrics.worked)
        seed = f"{self.options.seed}/{self.name}"
        told = self._crowded, self.watcher.remark
        self.phone = Phone(self.calls, self.clock, self.faults, self.state, self.options, self.numbers, *told, seed)
        faults = tuple(armed.fault for armed in self.faults.armed)
        self.at_start = AtStart(self.factory.content, faults, self.faults.seed)

    async def stop(self, reason: str, closing_s: float) -> None:
        """Close the connections that are open (1001), then finish the recordings and the search for findings. Frames
        that are on their way to a client are sent before the close frame, if the client reads them in `closing_s`.
        Requests that a fault delays are not served any more."""
        self.over = True
        for held in self.held_requests:
            if not held.done():
                held.set_result(False)
        self.calls.stop(reason)
        serving = [*(each.task for each in self.open_sessions.values()), *self.sidebands.values()]
        tasks = [task for task in serving if task is not None]
        for each in list(self.open_sessions.values()):
            each.connection.close(1001, reason)
        if tasks:
            await asyncio.wait(tasks, timeout=closing_s)
        for left_open in [*(each.connection for each in self.open_sessions.values()), *self.sidebands]:
            left_open.reset(reason)
        left = [task for task in tasks if not task.done()]
        if left:
            await asyncio.wait(left, timeout=closing_s)
        self.journal.waiting.give_up()
        await self.phone.stop()
        await self.requests.stop()
        if self.recorder is not None:
            await self.recorder.finished()
        self.watcher.ended()
        if self._held is not None:
            self._held.close()

    def play(self, content: Content) -> None:
        """Answer new connections by this content; a rule that no turn can reach is a finding. Raises ScenarioError."""
        self.factory.play(content)
        if isinstance(content, Scenario):
            for line in content.unreachable(chats=self.factory.equipment.outside.chat is not None):
                self.watcher.remark(UNREACHABLE_RULE, Found(line, line))

    def play_as_at_start(self) -> None:
        """Answer new connections by what the namespace started with, as if no client had used it; with its faults."""
        self.play(afresh(self.at_start.content))
        self.set_faults(self.at_start.faults, self.at_start.faults_seed)

    # Admission.

    def limits(self, team: Team, dialect: str) -> Limits:
        """A team's limits: its own, else those of the accounts file, else of the options, else of the service."""
        return self.factory.limits(team.limits, dialect)

    async def admit(self, dialect: str, asked: HandshakeRequest, query: tuple[tuple[str, str], ...]) -> Seat | Refusal:
        """Admit a handshake: the seat that its team has until `state.leave`; or the refusal. Raises StateLost."""
        team = await self.admit_join(dialect, asked, query)
        if isinstance(team, Refusal):
            return team
        seat = await self.state.take_seat(team, self.limits(team, dialect).max_sessions)
        return SERVICES[dialect].handshake.refuse(seat, asked.credential) if isinstance(seat, Denied) else seat

    async def admit_join(
        self, dialect: str, asked: HandshakeRequest, query: tuple[tuple[str, str], ...]
    ) -> Team | Refusal:
        """The team of a handshake that joins a call, which is no session of its own; or the refusal."""
        handshake = SERVICES[dialect].handshake
        self._learn(asked.credential)
        team = await self._within_rate(self.accounts.bearer(asked.credential, self.clock.unix()), dialect)
        if isinstance(team, Denied):
            return handshake.refuse(team, asked.credential)
        return handshake.check(asked, self.accounts.session_of(asked.credential), query) or team

    async def admit_request(self, dialect: str, key: str | None) -> Team | Refusal:
        """The team of a request over HTTP that only an API key may make; or the refusal."""
        self._learn(key)
        team = await self._within_rate(self.accounts.owner(key), dialect)
        return SERVICES[dialect].handshake.refuse(team, key) if isinstance(team, Denied) else team

    async def admit_offer(self, dialect: str, credential: str | None) -> Team | Refusal:
        """The team that offers a call over WebRTC, with an API key or a client secret."""
        self._learn(credential)
        team = await self._within_rate(self.accounts.bearer(credential, self.clock.unix()), dialect)
        return SERVICES[dialect].handshake.refuse(team, credential) if isinstance(team, Denied) else team

    async def client_secret(self, dialect: str, team: Team, body: bytes) -> Mapping[str, object] | Refusal:
        """A new client secret as the service answers it, for a request's body. Raises StateLost."""
        handshake = SERVICES[dialect].handshake
        seconds = handshake.lifetime(body, self.limits(team, dialect))
        if isinstance(seconds, Refusal):
            return seconds
        secret = await self.state.mint(
            team,
            handshake.secret_prefix,
            seconds,
            self.clock.unix(),
            digits=handshake.secret_digits,
            session=handshake.session(body),
        )
        return handshake.secret(secret)

    def _learn(self, *credentials: str | None) -> None:
        """A client's key is a secret wherever it says it, unless it is made of words, as in tests."""
        for each in credentials:
            if self._held is not None and each and not values.ordinary(each):
                self._held.learn(each)

    async def _within_rate(self, team: Team | Denied, dialect: str) -> Team | Denied:
        if isinstance(team, Denied):
            return team
        per_minute = self.limits(team, dialect).requests_per_minute
        return await self.state.count_request(team, self.clock.unix(), per_minute) or team

    # Sessions.

    async def open(
        self, dialect: str, asked: HandshakeRequest, seat: Seat, query: tuple[tuple[str, str], ...]
    ) -> Served:
        """What answers an admitted handshake. Raises StateLost."""
        team = seat.team
        limits = self.limits(team, dialect)
        resumed = None
        if (known := asked.conversation_id) is not None:
            own = self.resumable(team, known, limits.resumption_s)
            resumed = await self.state.recall(team, known, own, self.clock.unix(), limits.resumption_s)
        return self.factory.open(
            dialect,
            now=self.clock.unix(),
            limits=limits,
            model=asked.model,
            resumed=resumed,
            query=query,
            secret=self.accounts.session_of(asked.credential),
            number=seat.number,
        )

    def begin(self, served: Served) -> tuple[SessionLog, FaultTarget]:
        """Begin the log of a connection, and number it for the faults."""
        ids = served.dialect.ids
        conversation_id = served.session.conversation.id if served.session else ids.conversation
        self._connections = self._connections + 1 if served.number is None else served.number + 1
        log = self.journal.open(ids.session, conversation_id, self.clock.unix(), served.ledger)
        log.dialect, log.number = served.dialect.name, self._connections
        if served.session is not None:
            log.heard = served.session.heard
        return log, FaultTarget(self._connections, log.id, served.dialect, served.session)

    # Calls.

    def _call_id(self, dialect: str, number: int | None) -> str:
        self._calls_made = self._calls_made + 1 if number is None else number
        return SERVICES[dialect].calls.new_id(f"{self.options.seed}/call {self._calls_made}", self.clock.unix())

    def ring(self, ring: Ring, number: int | None = None) -> PhoneCall:
        """Let the phone ring. `number`: as `State.number` gives it. Raises NoWebhook, BadSecret, TooManyCalls."""
        self._learn(ring.webhook_secret)
        return self.phone.ring(ring, number)

    def register_number(self, team: Team, asked: object) -> PhoneNumber | Refusal:
        """Register a phone number for a team; or why not."""
        number = self.numbers.register(team, asked, self.options.webhook)
        self._learn(*self.numbers.secrets)
        return number

    def know_numbers(self, packed: Iterable[Mapping[str, Any]]) -> None:
        """Have the phone numbers that clients registered at any server."""
        self.numbers.become(packed, self.accounts.team)
        self._learn(*self.numbers.secrets)

    def _crowded(self, team: Team | None, dialect: str) -> bool:
        """Whether a team (None: any) has as many sessions open as it may."""
        teams = {each.team for each in self.open_sessions.values()} if team is None else {team}
        most = ((each, self.limits(each, dialect).max_sessions) for each in teams)
        return any(limit is not None and each.sessions >= limit for each, limit in most)

    def _open_call(
        self, entry: CallEntry, session: Mapping[str, Any] | None, number: int | None, on_over: Callable[[], None]
    ) -> RunningCall:
        """Open the session of a call that was accepted."""
        assert entry.team is not None
        recording = self.factory.content if entry.recorded else None
        recording = recording if isinstance(recording, AdaptiveReplay) else None
        limits = self.limits(entry.team, entry.dialect)
        served = self.factory.open(
            entry.dialect,
            now=self.clock.unix(),
            limits=limits,
            resumed=self.resumable(entry.team, entry.resumes, limits.resumption_s),
            model=recording.model if recording is not None else None,
            secret=session if session is not None or recording is None else recording.accepted_with,
            call_id=entry.id,
            known=entry.known,
            number=number,
        )
        if served.session is not None and entry.came == "phone":
            served.session.ledger.telephone = True
        log, target = self.begin(served)
        log.came, log.call_id = entry.came, entry.id
        if self.recorder is not None:
            # As the WebSocket that would carry its sound in events: no service has a call of that id any more.
            url, model = "ws://127.0.0.1/v1/realtime", served.ledger.model
            request = Request("GET", f"/v1/realtime?{urlencode({'model': model})}", ((CALL_HEADER, entry.id),))
            unix = self.clock.unix()
            log.recording = self.recorder.open(
                log.id, served.dialect.name, url, model, request, Response(101, ()), unix
            )
        client, shown = f"{entry.came} {entry.caller}".rstrip(), 0 if number is None else number + 1
        self.narrate(log, served, CallOpened(log.id, served.dialect.name, served.ledger.model, client, number=shown))
        if not self.watcher.levels.silent:
            asked = handshake_read([("call_id", entry.id)], [], known=False)
            self.watch(log, served, asked)

        def over() -> None:
            self.end(log.id)
            on_over()

        running = RunningCall(
            entry.id,
            Call(self.peer(served, target), None if served.session is None else served.dialect.render),
            self.clock,
            log,
            self.requests,
            on_over=over,
            awaits_channel=entry.came == "webrtc" or entry.dialect.startswith("xai@"),
        )
        self.open_sessions[log.id] = OpenSession(entry.team, served.session, running, target)
        if entry.recorded and self.factory.recordings is not None:
            RecordedCaller(running, self.clock, self.factory.recordings.caller())
        return running

    def watch(self, log: SessionLog, served: Served, asked: ClientHandshake) -> None:
        """Look for mistakes of the client of a session."""
        watch = partial(self.watcher.open, log.id, served.dialect.name, asked, now=self.clock.now())
        session = served.session
        log.watch = (
            watch()
            if session is None
            else watch(
                unmatched=lambda: session.responder.source.unmatched,
                unrecorded=lambda: session.responder.source.unrecorded,
            )
        )

    def peer(self, served: Served, target: FaultTarget) -> Peer:
        """The peer of a connection: its events validated if the options say so, and the faults around it."""

        def report(problem: SchemaMismatch) -> None:
            _LOG.error("session %s: a bug of the mock: %s", target.session_id, problem)
            self.failed(problem)

        return self.faults.fit(self.factory.checked(served, report), 0.0, target)

    def end(self, session_id: str) -> None:
        """A connection is over: keep its conversation if it can be resumed, and its error."""
        closed = self.open_sessions.pop(session_id)
        self.last_end = asyncio.get_running_loop().time()
        if (session := closed.session) is not None:
            if session.settings.resumable:
                kept_s = self.limits(closed.team, closed.target.dialect.name).resumption_s
                self.state.remember(closed.team, session.memory, self.clock.unix(), kept_s)
            session.release()
        if closed.connection.error is not None:
            self.failed(closed.connection.error)

    def failed(self, error: Exception) -> None:
        """Keep an error of the mock: the first 1,000 of them."""
        if len(self.errors) < MOST_ERRORS:
            self.errors.append(error)

    def resumable(self, team: Team, conversation_id: str | None, kept_s: float) -> Memory | None:
        """The conversation to resume, if this server knows it. Its connection may be lost without the server having
        noticed."""
        if conversation_id is None:
            return None
        for open_session in self.open_sessions.values():
            known = open_session.session
            if known is None or open_session.team is not team or not known.settings.resumable:
                continue
            if known.conversation.id == conversation_id:
                return known.memory
        return self.accounts.recall(team, conversation_id, self.clock.unix(), kept_s)

    # What the control plane and tests ask for.

    def findings(self) -> list[Finding]:
        """Mistakes of clients so far, including what is overdue by now."""
        for open_session in list(self.open_sessions.values()):
            open_session.connection.find_overdue()
        return list(self.watcher.findings)

    def memory(self) -> dict[str, dict[str, int]]:
        """What is open or kept between connections: how much, and how much at most."""
        counts = self.accounts.counts
        return {
            "sessions": {"count": len(self.open_sessions), "most": self.most_open},
            "journal": {"bytes": self.journal.held_bytes, "most_bytes": self.journal.max_bytes},
            "resumable": {
                "count": counts["resumable"],
                "bytes": self.accounts.resumable_bytes,
                "most_bytes": self.accounts.most_resumable_bytes,
            },
            "clips": {"bytes": self.factory.equipment.clip_bytes, "most_bytes": CLIP_BYTES + SCORE_BYTES},
            "secrets": {"count": counts["secrets"], "most": MAX_REMEMBERED},
            "teams": {"count": counts["teams"], "most": MAX_REMEMBERED},
            "findings": {"count": len(self.watcher.findings), "most": PER_WATCHER},
            "errors": {"count": len(self.errors), "most": MOST_ERRORS},
            "refusals": {"count": len(self.refusals), "most": MOST_REFUSALS},
            "calls": {"count": self.calls.going_on, "most": MOST_CALLS},
            "call_sound": {"bytes": self.phone.sound_bytes, "most_bytes": MOST_SOUND_BYTES},
        }

    def unused(self) -> list[str]:
        """Content that no client has used so far, and faults that were certain to trigger and did not, a line each."""
        return [*self.factory.unused(), *self.faults.unused()]

    def report(self) -> list[str]:
        """Where clients left the recordings that are played, a line each; empty without recordings."""
        return [] if self.factory.recordings is None else self.factory.recordings.report()

    def set_faults(self, faults: Iterable[Fault], seed: str | None = None) -> None:
        """Replace all faults, for open connections too."""
        self.faults.replace(faults, seed)
        self.refit()

    def refit(self) -> None:
        """Apply a change of `faults` to open connections."""
        for open_session in self.open_sessions.values():
            open_session.connection.refit(partial(self.faults.fit, target=open_session.target))

    def reset(self) -> None:
        """Forget sessions, journal, ledgers, findings, errors; rewind a recording. Open connections go on, unseen.

        If none is open, connections count from the first again: the same traffic then gets the same ids as after a
        start. Otherwise the ids of open sessions would be given twice.
        """
        self.journal.reset()
        self.watcher.reset()
        self.faults.forget()
        if not self.open_sessions:
            self.factory.restart()
            self._connections = 0
        self.calls.reset()
        if not self.calls.listed:
            self._calls_made = 0
        if self.factory.recordings is not None:
            self.factory.recordings.rewind()
        self.errors.clear()
        self.refusals.clear()

    def _found(self, finding: Finding, rule: Rule) -> None:
        self._root.serious_findings += finding.level == "error"
        severity = logging.INFO if rule.advice else _SEVERITY[finding.level]
        _FINDINGS.log(severity, "%s: %s", f"session {finding.session}" if finding.session else "no session", finding)
        self.told(MistakeFound(finding, rule.advice))
