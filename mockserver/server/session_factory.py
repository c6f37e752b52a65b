"""What answers each new connection: a live session, a recording that is replayed, or a refusal on an open socket.

No sockets and no accounts: the caller has admitted the client, and hands over its limits and what it resumes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import Any, Literal

from mockserver.audio.asr import AUTO, MISSING, transcriber_named
from mockserver.audio.asr_process import TranscribingProcess
from mockserver.audio.tts import CachedSynthesizer, shared, synthesizer_named
from mockserver.audio.tts.base import Synthesizer
from mockserver.audio.vad.detector import EngineFactory, engine_named
from mockserver.billing.ledger import Ledger
from mockserver.dialects.base import Dialect, Opening, Traits
from mockserver.dialects.handshake import Refusal
from mockserver.dialects.registry import SERVICES
from mockserver.dialects.schema import Checked, SchemaMismatch
from mockserver.protocol.commands import Rejected
from mockserver.protocol.facts import Expired, Malformed
from mockserver.protocol.limits import Limits
from mockserver.protocol.peer import ExpiringPeer, Peer, RefusedPeer
from mockserver.responders.base import Responder
from mockserver.responders.chat import ChatResponder
from mockserver.responders.echo import EchoResponder
from mockserver.responders.scenario import Scenario, ScenarioError
from mockserver.server.chat import ChatEndpoint
from mockserver.server.options import Options
from mockserver.server.recordings import AdaptiveReplay, VerbatimReplay, with_client_messages
from mockserver.server.requests import AsksServers, Outside
from mockserver.session.resumption import Memory
from mockserver.session.session import Session
from mockserver.session.transcription import Hearing
from replay.cassette.frames import Close, Frame
from replay.version import install_command

_LOG = logging.getLogger(__name__)


Understands = Literal["recognised", "clips", "scripted"]


@dataclass(frozen=True, slots=True)
class Served:
    """What answers one connection."""

    dialect: Dialect
    peer: Peer
    ledger: Ledger
    session: Session | None = None
    """None if the connection is refused, or if a recording is played verbatim."""


class SessionFactory:
    """Makes what answers new connections: without content set, sessions that repeat the user's words."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.verbatim: VerbatimReplay | None = None
        """The recordings that are played frame by frame instead of sessions."""
        self.unused: Callable[[], list[str]] = list
        """Rules, clips and recorded responses that no client has used so far, a line each."""
        self.recordings: AdaptiveReplay | VerbatimReplay | None = None
        """The recordings that are played, in either way."""
        self._responder: Callable[[float], Responder] = lambda now: ChatResponder() if options.chat else EchoResponder()
        """Of a connection that opens at that Unix second."""
        chosen = options.transcriber
        self.outside = Outside(
            transcriber_named(chosen) if isinstance(chosen, str) else chosen,
            ChatEndpoint(options.chat, options.chat_model or "", options.chat_key) if options.chat else None,
            _mcp_client() if options.mcp == "live" else None,
        )
        """What can be done for sessions."""
        self._hearing = Hearing(transcribes=self._transcribes)
        self._traits: dict[str, Traits] = {}
        self._opened = 0

    def play(self, scenario: Scenario) -> None:
        """Answer new connections by this scenario. Raises ScenarioError for a known clip that cannot be used."""
        try:
            hearing = Hearing.of(scenario, transcribes=self._transcribes, order=self.options.hearing)
        except (OSError, ValueError) as problem:
            raise ScenarioError(f"hears: {problem}") from problem
        tally = scenario.tally()
        chats = self.outside.chat is not None
        self._responder = lambda now: scenario.responder(
            tally, datetime.fromtimestamp(now, timezone.utc).date(), chats=chats
        )
        self._hearing, self.verbatim, self.recordings = hearing, None, None
        self.unused = lambda: [*tally.unused(), *scenario.unheard(hearing.recognised)]

    def play_recordings(self, recordings: AdaptiveReplay | VerbatimReplay) -> None:
        """Answer new connections with what was recorded."""
        self.recordings = recordings
        if isinstance(recordings, AdaptiveReplay):
            self._responder = lambda now: recordings.responder()
            self.verbatim, self.unused = None, recordings.unused
            self._hearing = Hearing(order="script")
        else:
            self.verbatim, self.unused = recordings, recordings.report

    def restart(self) -> None:
        """Number connections from the first again, so that they get the same ids and random choices again."""
        self._opened = 0

    def traits(self, dialect: str) -> Traits:
        """The traits of a dialect, by its dated name."""
        if dialect not in self._traits:
            self._traits[dialect] = SERVICES[dialect].open(Opening(seed="", epoch=0.0)).traits
        return self._traits[dialect]

    @cached_property
    def voice(self) -> Synthesizer:
        """The synthesizer that all sessions share. Raises RuntimeError, saying what to install, if it cannot speak."""
        return shared(synthesizer_named(self.options.voice))

    @property
    def clip_bytes(self) -> int:
        """Bytes of the spoken clips that are kept."""
        voice = self.__dict__.get("voice")  # not to make one for a look
        return voice.held_bytes if isinstance(voice, CachedSynthesizer) else 0

    @cached_property
    def engine(self) -> EngineFactory:
        """The voice activity detector of all sessions. Raises ImportError, saying what to install."""
        return engine_named(self.options.vad)

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
    ) -> Served:
        """What answers a new connection, which opens at the Unix second `now`."""
        seed = self._next_seed()
        opening = Opening(seed, now, model, resumed is not None, query, secret, limits.session_s)
        dialect = SERVICES[dialect_name].open(opening)
        if self.verbatim is not None:
            return Served(dialect, self.verbatim.peer(dialect), Ledger(dialect.prices, dialect.model))
        responder = self._responder(now)
        session = Session(
            dialect,
            responder,
            self.voice,
            seed=seed,
            pacing=self.options.pacing,
            resumed=resumed,
            opened=now,
            snapshot_s=limits.snapshot_s,
            hearing=self._hearing,
            engine=self.engine,
            breath_s=dialect.traits.responses.breath_s,
            asks_servers=self.outside.servers is not None,
        )
        session.ledger.telephone = self.options.telephony
        if resumed is not None and len(resumed.history(now)) < len(resumed.history(None)):
            _LOG.warning(
                "conversation %s resumes from a stale snapshot: the client reconnected within %g ms",
                resumed.conversation.id,
                limits.snapshot_s * 1000,
            )

        def last_frames(at: float, idle: bool) -> Iterable[Frame]:
            return dialect.render(Expired(limits.idle_s if idle else limits.session_s, idle), at)

        peer = ExpiringPeer(with_client_messages(session), limits.session_s, limits.idle_s, last_frames)
        return Served(dialect, peer, session.ledger, session)

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
    def _transcribes(self) -> bool:
        return self.outside.transcriber is not None

    @property
    def deaf(self) -> str | None:
        """That a transcriber was looked for and none is installed, with the command that brings one; else None."""
        return MISSING if self.options.transcriber == AUTO and not self._transcribes else None

    @property
    def understands(self) -> Understands:
        """How spoken words are found: `recognised` by a transcriber, as known `clips`, or `scripted` alone."""
        if self._transcribes:
            return "recognised"
        return "clips" if self._hearing.clips is not None else "scripted"

    def load_transcriber(self) -> None:
        """Load the transcriber before a session needs it. Raises ImportError, FileNotFoundError and RuntimeError."""
        if isinstance(self.outside.transcriber, TranscribingProcess):
            self.outside.transcriber.load()

    def _next_seed(self) -> str:
        seed = f"{self.options.seed}/{self._opened}"
        self._opened += 1
        return seed


def _mcp_client() -> AsksServers:
    """Raises ImportError, saying what to install."""
    try:
        from mockserver.server.mcp_client import McpClient  # an extra
    except ImportError as missing:
        raise ImportError(f"--mcp live needs {missing.name}; install it with: {install_command('mcp')}") from missing
    return McpClient()
