"""What the parts of a session share: its conversation, ledger, voice and servers, and how a fact is reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from itertools import chain

from mockserver.audio.tts.base import Synthesizer
from mockserver.billing.ledger import Ledger
from mockserver.dialects.base import Dialect
from mockserver.protocol.commands import ON_TRACKS, Respond, Settings
from mockserver.protocol.conversation import Conversation
from mockserver.protocol.facts import Fact, Response, ResponseCounts
from mockserver.protocol.ids import LateStream
from mockserver.responders.base import Hosted, Responder, Step, Turn
from mockserver.session.asking import Requests
from mockserver.session.score import Scores
from mockserver.session.steps import Agenda
from mockserver.session.tool_servers import ToolServers
from replay.cassette.frames import Passage
from replay.values import value


@value
class SessionContext:
    """What a running response needs of its session."""

    dialect: Dialect
    conversation: Conversation
    ledger: Ledger
    voice: Synthesizer
    pacing: str
    latencies: LateStream
    emit: Callable[[Fact, float], None]
    """Reports a fact at an instant."""
    send: Callable[[Passage, float], None]
    """Sends what needs no report."""
    joins: Callable[[], bool]
    """Whether a passage may be sent: nobody looks at single facts or frames."""
    closed: Callable[[Response, float], None]
    """Called when a response is over, however it ended."""
    ended: Callable[[float], None]
    """Called when a response was not cut, but came to its own end."""
    requests: Requests
    servers: ToolServers
    """The MCP servers of the session, and the calls to them."""
    unfinished: list[Iterator[Step]] = field(default_factory=list)
    """What responses that ended with a call to an MCP server have yet to do."""
    words: Callable[[], Mapping[str, str]] = dict
    """The words of spoken turns, by item id."""
    breath_s: float = 0.0
    """Seconds between the start of a response and its first step."""
    scores: Scores = field(default_factory=Scores)
    awaiting_approval: dict[str, tuple[Hosted, Iterator[Step]]] = field(default_factory=dict)
    """Calls that wait for the client's approval, by the id of the request, each with the steps after it."""

    def changed(self, settings: Settings, changes: Mapping[str, object]) -> Settings:
        """The settings with a client's changes by field."""
        return settings.changed({**changes, **ON_TRACKS} if self.dialect.traits.media else changes)

    def steps(self, responder: Responder, turn: Turn) -> Iterable[Step]:
        """The steps of a response: the unfinished ones if the turn brings nothing new, else the responder's."""
        unfinished = Agenda(chain.from_iterable(list(self.unfinished)))
        self.unfinished.clear()
        return unfinished if turn.empty and unfinished.following() is not None else responder.reply(turn)


def new_response(
    session: SessionContext, known: Settings, command: Respond, counts: ResponseCounts, now: float
) -> Response:
    """A response as the client asks for it. `known` are the settings of the session."""
    if session.dialect.traits.responses.counted_input == "whole" and not counts.context:
        counts.context = tuple(session.conversation)
    settings = session.changed(known, command.changes)
    session.servers.list(settings.servers, known.servers, now)
    response_id = session.dialect.ids.response(now)
    return Response(response_id, command.metadata, counts=counts, settings=settings, aside=command.aside)
