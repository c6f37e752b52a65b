"""Recordings as a server's content: replayed adaptively, by a session with recorded content, or verbatim.

replay/playback/library.py chooses the recording that begins as a connection does; responders/recorded.py and
replay/playback/verbatim.py play it.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property, partial

from mockserver.dialects.base import Dialect
from mockserver.dialects.names import dialect_on
from mockserver.protocol.commands import Rejected
from mockserver.protocol.facts import Malformed
from mockserver.protocol.peer import Peer
from mockserver.responders.base import HeardText, Responder, Source, Step, Turn
from mockserver.responders.recorded import RecordedResponder
from replay.cassette.content import recorded_conversations
from replay.cassette.frames import Frame
from replay.cassette.json_values import number_at
from replay.cassette.recording import Line, Recording, message
from replay.cassette.records import Response
from replay.playback.library import Beginning, Candidate, Chooser, EmptyLibrary, beginning, nearest, recordings
from replay.playback.matching import ignored
from replay.playback.verbatim import ALLOWED, Mismatch, Player, Track, track

MOST_PLAYINGS = 1_000
"""Connections that a report covers; the oldest are dropped."""
_FAR_MS = 4e12
"""Milliseconds since 1970, in the year 2096."""
_LOG = logging.getLogger(__name__)


class AdaptiveReplay:
    """The recordings of a file or folder, as content of sessions.

    Each new connection gets the next conversation of a recording; with a folder, the recording that begins as the
    connection does. Raises EmptyLibrary, BadCassette, UnreadableRecording and OSError.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._recordings = [each for each in recordings(path) if not all(line.refused for line in each.lines)]
        if not self._recordings:
            raise EmptyLibrary(f"{path}: the service refused every connection in it; play that with --verbatim")
        self._conversations = [recorded_conversations(recording) for recording in self._recordings]
        self._begun = 0
        self._responders: deque[tuple[str, RecordedResponder]] = deque(maxlen=MOST_PLAYINGS)

    @property
    def dialect(self) -> str | None:
        """The dialect of the recorded service, if it is known."""
        return _dialect_of(self._recordings[0])

    def responder(self) -> Responder:
        """The responder of a new connection."""
        if len(self._recordings) > 1:
            return NearestRecording([self._choice(index) for index in range(len(self._recordings))])
        own = self._conversations[0]
        number, self._begun = self._begun % len(own), self._begun + 1
        return self._counted(self._name(number), RecordedResponder(own[number]))

    def unused(self) -> list[str]:
        """Recorded responses that were not requested, and requests that had no recorded response, a line each."""
        if len(self._recordings) > 1:
            return [line for name, played in self._responders if played.given for line in _unused(name, played)]
        begun = [line for name, played in self._responders for line in _unused(name, played)]
        return begun + [
            f"{self._name(number)} never began" for number in range(self._begun, len(self._conversations[0]))
        ]

    def _name(self, number: int) -> str:
        name = self._recordings[0].name
        return name if len(self._conversations[0]) == 1 else f"{name}, conversation {number + 1}"

    def _counted(self, name: str, responder: RecordedResponder) -> RecordedResponder:
        self._responders.append((name, responder))
        return responder

    def _choice(self, index: int) -> RecordingChoice:
        recording = self._recordings[index]
        line = next(line for line in recording.lines if not line.refused)
        return RecordingChoice(
            recording.name,
            beginning(line),
            self._counted(recording.name, RecordedResponder(self._conversations[index][0])),
        )


@dataclass(frozen=True, slots=True)
class RecordingChoice:
    """A recording that a connection may get."""

    name: str
    begins: Beginning
    responder: RecordedResponder


class NearestRecording:
    """Responds from the recording whose beginning is nearest to the connection's. The first response settles which."""

    def __init__(self, choices: Sequence[RecordingChoice]) -> None:
        self.live = Beginning()
        """What the client has sent so far; see `with_client_messages`."""
        self._choices = choices
        self._chosen: RecordedResponder | None = None
        self.source = Source()

    def hear(self, turn_number: int) -> HeardText | None:
        """The transcript in the nearest recording."""
        return (self._chosen or self._nearest()[0].responder).hear(turn_number)

    def reply(self, turn: Turn) -> Iterable[Step]:
        """The next recorded response."""
        if self._chosen is None:
            self.live.over = True
            chosen, *rivals = self._nearest()
            _warn_of_rivals(chosen.name, [rival.name for rival in rivals])
            self._chosen = chosen.responder
        steps = self._chosen.reply(turn)
        self.source = self._chosen.source
        return steps

    def _nearest(self) -> list[RecordingChoice]:
        return [self._choices[at] for at in nearest([choice.begins for choice in self._choices], self.live)]


def with_client_messages(peer: Peer, responder: Responder) -> Peer:
    """The peer; if the responder chooses among recordings, it sees the client's messages first."""
    return _ObservedPeer(peer, responder) if isinstance(responder, NearestRecording) else peer


class _ObservedPeer:
    """A Peer whose client's messages a NearestRecording sees before the peer does."""

    def __init__(self, peer: Peer, responder: NearestRecording) -> None:
        self._peer = peer
        self._responder = responder
        self.lost = peer.lost
        self.next_due = peer.next_due
        self.take_output = peer.take_output
        self.take_requests = peer.take_requests
        self.deliver = peer.deliver

    def receive(self, data: str | bytes, now: float) -> None:
        if not self._responder.live.over:
            self._responder.live.take(message(data, now))
        self._peer.receive(data, now)


class VerbatimReplay:
    """The recordings of a file or folder, replayed frame by frame.

    The n-th connection gets the n-th recorded connection, after the last the first again; with a folder, the one that
    begins as it does. speed: above 0; 1 is as recorded. allow: types of server events that may remain unsent without a
    line in the report. ignore: what may differ in messages; see `ignored`. Raises ValueError for
    the speed or ignore, EmptyLibrary, BadCassette, UnreadableRecording and OSError.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        speed: float = 1.0,
        allow: Iterable[str] = (),
        ignore: Iterable[str] = (),
    ) -> None:
        if not speed > 0:
            raise ValueError(f"speed {speed} is not above 0; 1 is as recorded, inf at once")
        found = recordings(path)
        self.dialect = _dialect_of(found[0])
        """The dialect of the recorded service, if it is known."""
        self._chooses = len(found) > 1
        self._connections = [
            _VerbatimConnection(_connection_name(each, n), line) for each in found for n, line in enumerate(each.lines)
        ]
        if self._chooses:
            self._connections = [each for each in self._connections if not each.line.refused]
            if not self._connections:
                raise EmptyLibrary(f"{path}: the service refused every connection in it; play one file of it alone")
        self._speed = speed
        self._ignored = ignored(ignore)
        self._allowed = frozenset((*ALLOWED, *allow))
        self.rewind()

    def rewind(self) -> None:
        """Begin with the first connection again, and with an empty report."""
        self._opened = 0
        self._playings: deque[Player | Chooser] = deque(maxlen=MOST_PLAYINGS)

    def refusal(self) -> Response | None:
        """The recorded answer, if the next connection was refused. With a folder there is no next connection: None."""
        if self._chooses or not self._next.line.refused:
            return None
        refused = self._next.line.response
        self._opened += 1
        return refused

    def peer(self, dialect: Dialect) -> Peer:
        """The peer of a new connection. `dialect` renders the `error` events that report a mismatch to the client."""

        def error_event(mismatch: Mismatch) -> Iterable[Frame]:
            rejected = Rejected(f"Not as recorded: {mismatch}", param=mismatch.path or None)
            return dialect.render(Malformed(rejected), mismatch.at_s)

        def player(part: _VerbatimConnection) -> Player:
            return Player(part.name, part.track, error_event, speed=self._speed, ignored=self._ignored)

        if self._chooses:
            candidates = [Candidate(each.name, each.begins, partial(player, each)) for each in self._connections]
            self._playings.append(Chooser(candidates, _warn_of_rivals))
        else:
            self._playings.append(player(self._next))
            self._opened += 1
        return self._playings[-1]

    def report(self) -> list[str]:
        """What differed from the recording, over all connections so far, a line each; empty if nothing did."""
        players = [each.player if isinstance(each, Chooser) else each for each in self._playings]
        lines = [f"{player.name}: {line}" for player in players for line in player.report(self._allowed).lines()]
        unopened = [] if self._chooses else self._connections[self._opened :]
        return lines + [f"{each.name}: never opened by the client" for each in unopened]

    @property
    def _next(self) -> _VerbatimConnection:
        return self._connections[self._opened % len(self._connections)]


class _VerbatimConnection:
    """A recorded connection, prepared when it is first needed."""

    def __init__(self, name: str, line: Line) -> None:
        self.name = name
        self.line = line

    @cached_property
    def track(self) -> Track:
        return track(self.line)

    @cached_property
    def begins(self) -> Beginning:
        return beginning(self.line)


def _unused(name: str, responder: RecordedResponder) -> Iterable[str]:
    if responder.unserved:
        recorded = responder.given + responder.unserved
        yield f"{name}: {responder.unserved} of {recorded} recorded responses were never requested"
    if responder.unmatched:
        yield f"{name}: {responder.unmatched} more responses were requested than recorded"


def _warn_of_rivals(chosen: str, rivals: Sequence[str]) -> None:
    """Log that other recordings begin in the same way."""
    if rivals:
        _LOG.warning(
            "%s is replayed, though %s begins in the same way: give them different session settings",
            chosen,
            ", ".join(rivals),
        )


def _connection_name(recording: Recording, number: int) -> str:
    return recording.name if len(recording.lines) == 1 else f"{recording.name}, connection {number + 1}"


def _dialect_of(recording: Recording) -> str | None:
    """The dialect of a recording: what it says, else its service. A session of xAI that no mock made has that of its
    day."""
    service = recording.service
    if service != "xai" or recording.origin == "mock":
        return service
    instants = (number_at(event, "timestamp") for event in recording.received() if event.get("type") == "ping")
    unix_ms = next((each for each in instants if each is not None and 0 < each < _FAR_MS), None)
    if unix_ms is None:
        return service
    return dialect_on("xai", datetime.fromtimestamp(unix_ms / 1000, timezone.utc).date())
