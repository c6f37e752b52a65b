"""What answers each new connection: a live session, a recording that is replayed, or a refusal on an open socket.

No sockets and no accounts: the caller has admitted the client, and hands over its limits and what it resumes.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Literal

from typing_extensions import assert_never

from mockserver.audio.clip_matching import KnownClip
from mockserver.billing.ledger import Ledger
from mockserver.dialects.base import Dialect, Opening, Traits
from mockserver.dialects.handshake import Refusal
from mockserver.dialects.registry import SERVICES
from mockserver.dialects.schema import Checked, SchemaMismatch
from mockserver.protocol.commands import Rejected
from mockserver.protocol.facts import Expired, Malformed
from mockserver.protocol.limits import NO_LIMITS, Limits
from mockserver.protocol.peer import ExpiringPeer, Peer, RefusedPeer
from mockserver.responders.base import Responder
from mockserver.responders.chat import ChatResponder
from mockserver.responders.echo import EchoResponder
from mockserver.responders.scenario import Scenario, ScenarioError
from mockserver.server.equipment import Equipment
from mockserver.server.options import ECHO, Options
from mockserver.server.recordings import AdaptiveReplay, VerbatimReplay, with_client_messages
from mockserver.session.resumption import Memory
from mockserver.session.session import Session
from mockserver.session.transcription import Hearing
from replay.cassette.frames import Close, Frame, Sound
from replay.outlets import logger
from replay.plugins import plugin_maker
from replay.values import value

_LOG = logger(__name__)


Understands = Literal["recognised", "clips", "scripted"]
Content = Scenario | AdaptiveReplay | VerbatimReplay | None
"""What decides the answers; without any, the responder of the options does: by default the echo."""


def afresh(content: Content) -> Content:
    """The same content as if no client had used it."""
    return content if content is None or isinstance(content, Scenario) else content.afresh()


@value
class Served:
    """What answers one connection."""

    dialect: Dialect
    peer: Peer
    ledger: Ledger
    session: Session | None = None
    """None if the connection is refused, or if a recording is played verbatim."""
    number: int | None = None
    """That of the session among all of a fleet, from 0; None without a fleet."""


MOST_KNOWN = 200
"""Clips that are known beside those of the scenario; the oldest is forgotten first."""
MOST_LATELY = 4
"""Scenarios whose conversations go on here although they began on another server."""


class SessionFactory:
    """Makes what answers new connections: without content set, sessions that repeat the user's words."""

    def __init__(self, options: Options, equipment: Equipment) -> None:
        self.options = options
        self.equipment = equipment
        self.content: Content = None
        """What answers new connections."""
        self.verbatim: VerbatimReplay | None = None
        """The recordings that are played frame by frame instead of sessions."""
        self.unused: Callable[[], list[str]]
        """Rules, clips and recorded responses that no client has used so far, a line each."""
        self._responder: Callable[[float], Responder]
        """Of a connection that opens at that Unix second."""
        self._lately: OrderedDict[str, Callable[[float], Responder]] = OrderedDict()
        """What made responders of the scenarios that were played last, by their digests."""
        self._hearing: Hearing
        self._own = _responder_of(options)
        self.play(None)
        self.known: deque[KnownClip] = deque(maxlen=MOST_KNOWN)
        """Clips that users of any new session may play, with their words, besides those of the scenario."""
        self._traits: dict[str, Traits] = {}
        self._limits: dict[str, Limits] = {}
        """Of teams without limits of their own, by dialect."""
        self._opened = 0

    def play(self, content: Content) -> None:
        """Answer new connections by this content. Raises ScenarioError for a known clip that cannot be used."""
        match content:
            case None:
                self._responder = lambda now: self._own()
                self._hearing, self.verbatim, self.unused = Hearing(transcribes=self.equipment.transcribes), None, list
            case Scenario():
                self._play_scenario(content)
            case AdaptiveReplay():
                self._responder = lambda now: content.responder()
                self.verbatim, self.unused = None, content.unused
                self._hearing = Hearing(order="script")
            case VerbatimReplay():
                self.verbatim, self.unused = content, content.report
            case _:
                assert_never(content)
        self.content = content

    def hearing(self, scenario: Scenario) -> Hearing:
        """How sessions of a scenario find the words of speech. Raises ScenarioError for a known clip that cannot be
        used."""
        try:
            return Hearing.of(scenario, transcribes=self.equipment.transcribes, order=self.options.hearing)
        except (OSError, ValueError) as problem:
            raise ScenarioError(f"hears: {problem}") from problem

    def _play_scenario(self, scenario: Scenario) -> None:
        hearing = self.hearing(scenario)
        tally = scenario.tally()
        chats = self.equipment.outside.chat is not None
        self._responder = lambda now: scenario.responder(
            tally, datetime.fromtimestamp(now, timezone.utc).date(), chats=chats
        )
        self._lately[scenario.digest] = self._responder
        self._lately.move_to_end(scenario.digest)
        if len(self._lately) > MOST_LATELY:
            self._lately.popitem(last=False)
        self._hearing, self.verbatim = hearing, None
        self.unused = lambda: [*tally.unused(), *scenario.unheard(hearing.recognised)]

    def responder(self, scenario: str, now: float) -> Responder:
        """A responder for a conversation that began on another server, by the digest of its scenario. Of the present
        content if that scenario was not played here lately."""
        return self._lately.get(scenario, self._responder)(now)

    @property
    def recordings(self) -> AdaptiveReplay | VerbatimReplay | None:
        """The recordings that are played, in either way."""
        return self.content if isinstance(self.content, AdaptiveReplay | VerbatimReplay) else None

    def restart(self) -> None:
        """Number connections from the first again, so that they get the same ids and random choices again."""
        self._opened = 0

    def traits(self, dialect: str) -> Traits:
        """The traits of a dialect, by its dated name."""
        if dialect not in self._traits:
            opened = SERVICES[dialect].open(Opening(seed="", epoch=0.0))
            opened.parse('{"type":"response.cancel"}', opened.traits.settings())  # no first event waits for validators
            self._traits[dialect] = opened.traits
        return self._traits[dialect]

    def limits(self, own: Limits, dialect: str) -> Limits:
        """The limits of a team: its own, else those of the accounts file, else of the options, else of the service."""
        if own is NO_LIMITS and (known := self._limits.get(dialect)) is not None:
            return known
        file, options = self.options.accounts, self.options
        everybody = options.limits if file is None else file.limits.over(options.limits)
        limits = own.over(everybody).over(self.traits(dialect).limits)
        if own is NO_LIMITS:
            self._limits[dialect] = limits
        return limits

    def open(
        self,
        dialect_name: str,
        *,
        now: float,
        limits: Limits,
        model: str | None = None,
        resumed: Memory | None = None,
        query: tuple[tuple[str, str], ...] = (),
        secret: Mapping[str, Any] | None = None,
        call_id: str | None = None,
        known: Sequence[KnownClip] = (),
        number: int | None = None,
    ) -> Served:
        """What answers a new connection, or the call of that id, which opens at the Unix second `now`. `known`: what
        its user is going to play, with its words. `number`: that of the session among all of a fleet."""
        seed = self._next_seed() if number is None else f"{self.options.seed}/{number}"
        opening = Opening(seed, now, model, resumed is not None, query, secret, limits.session_s, call_id)
        dialect = SERVICES[dialect_name].open(opening)
        if self.verbatim is not None:
            return Served(dialect, self.verbatim.peer(dialect), Ledger(dialect.prices, dialect.model), number=number)
        responder = self._responder(now)
        session = Session(
            dialect,
            responder,
            self.equipment.voice,
            seed=seed,
            pacing=self.options.pacing,
            resumed=resumed,
            opened=now,
            snapshot_s=limits.snapshot_s,
            hearing=self._hearing.also([*known, *self.known]) if known or self.known else self._hearing,
            engine=self.equipment.engine,
            breath_s=dialect.traits.responses.breath_s,
            asks_servers=self.equipment.outside.servers is not None,
            scores=self.equipment.scores,
        )
        session.ledger.telephone = self.options.telephony
        if resumed is not None and len(resumed.history(now)) < len(resumed.history(None)):
            _LOG.warning(
                "conversation %s resumes from a stale snapshot: the client reconnected within %g ms",
                resumed.conversation.id,
                limits.snapshot_s * 1000,
            )

        def last_frames(at: float, idle: bool) -> Iterable[Frame | Sound]:
            return dialect.render(Expired(limits.idle_s if idle else limits.session_s, idle), at)

        peer = ExpiringPeer(with_client_messages(session), limits.session_s, limits.idle_s, last_frames)
        return Served(dialect, peer, session.ledger, session, number)

    def refusing(self, dialect_name: str, refusal: Refusal, close_code: int, now: float) -> Served:
        """A peer that sends the refusal as an `error` event, and then closes."""
        dialect = SERVICES[dialect_name].open(Opening(self._next_seed(), now))
        rejected = Rejected(refusal.error, refusal.kind, refusal.code or None)
        reason = ".".join(filter(None, (refusal.kind, refusal.code)))
        frames = (*dialect.render(Malformed(rejected), 0.0), Close(close_code, reason))
        return Served(dialect, RefusedPeer(frames), Ledger(dialect.prices, dialect.model))

    def checked(self, served: Served, report: Callable[[SchemaMismatch], None]) -> Peer:
        """The peer, with each event validated against the dialect's schema if the option `check` is on. Recorded events
        are not: the mock did not make them."""
        if not self.options.check or self.verbatim is not None:
            return served.peer
        schema = SERVICES[served.dialect.name].schema
        return Checked(served.peer, schema, lambda problem: report(SchemaMismatch(problem)))

    @property
    def understands(self) -> Understands:
        """How spoken words are found: `recognised` by a transcriber, as known `clips`, or `scripted` alone."""
        if self.equipment.transcribes:
            return "recognised"
        return "clips" if self._hearing.clips is not None else "scripted"

    def _next_seed(self) -> str:
        seed = f"{self.options.seed}/{self._opened}"
        self._opened += 1
        return seed


def _responder_of(options: Options) -> Callable[[], Responder]:
    """What makes the responder of a session without content. Raises PluginError for a plugin that cannot be used."""
    if not isinstance(options.responder, str):
        return options.responder
    if options.responder == ECHO:
        return ChatResponder if options.chat else EchoResponder
    make = plugin_maker("realtape.responders", options.responder)
    assert make is not None, "Options has looked it up"
    make()  # a fault of the plugin shows at the start
    return make
