"""What a server gives from recordings: re-enacted, by a session with a recording's words, or verbatim, frame by frame.

Which recording a client is having is decided in replay/playback/library.py. How one is played is in
replay/playback/verbatim.py and responders/recorded.py. No sockets here: see app.py.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from mockserver.dialects.base import Dialect
from mockserver.protocol.commands import Rejected
from mockserver.protocol.facts import Malformed
from mockserver.protocol.peer import Peer
from mockserver.responders.base import NotTranscribed, Responder, Step, Turn
from mockserver.responders.recorded import Tape
from replay.cassette.content import recorded_conversations
from replay.cassette.frames import Frame
from replay.cassette.recording import Line, Recording, message
from replay.cassette.records import Response
from replay.playback.library import Beginning, Candidate, Chooser, EmptyLibrary, beginning, nearest, recordings
from replay.playback.verbatim import ALLOWED, Mismatch, Player, Track, track

MOST_PLAYINGS = 1_000
"""How many playings a report goes back."""
_LOG = logging.getLogger(__name__)


class Reenacted:
    """The recordings of a file or folder as responders.

    Raises EmptyLibrary, BadCassette, UnreadableRecording and OSError. A recording of several conversations gives one
    to each new connection, in turn. Of a folder, each connection gets the recording that begins as it does.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._recordings = [each for each in recordings(path) if not all(line.refused for line in each.lines)]
        if not self._recordings:
            raise EmptyLibrary(f"{path}: the service refused every connection in it; play that with --verbatim")
        self._chapters = [recorded_conversations(recording) for recording in self._recordings]
        self._begun = 0
        self._tapes: deque[tuple[str, Tape]] = deque(maxlen=MOST_PLAYINGS)

    @property
    def dialect(self) -> str | None:
        """The service that was recorded, if that is known."""
        return self._recordings[0].service

    def responder(self) -> Responder:
        """For a new connection."""
        if len(self._recordings) > 1:
            return Casting([self._part(index) for index in range(len(self._recordings))])
        own = self._chapters[0]
        number, self._begun = self._begun % len(own), self._begun + 1
        return self._watched(self._name(number), Tape(own[number]))

    def unused(self) -> list[str]:
        """Recorded responses that nobody asked for, and asked ones that were not recorded, a line each."""
        if len(self._recordings) > 1:
            return [line for name, tape in self._tapes if tape.given for line in _unused(name, tape)]
        begun = [line for name, tape in self._tapes for line in _unused(name, tape)]
        return begun + [f"{self._name(number)} never began" for number in range(self._begun, len(self._chapters[0]))]

    def _name(self, number: int) -> str:
        name = self._recordings[0].name
        return name if len(self._chapters[0]) == 1 else f"{name}, conversation {number + 1}"

    def _watched(self, name: str, tape: Tape) -> Tape:
        self._tapes.append((name, tape))
        return tape

    def _part(self, index: int) -> Part:
        recording = self._recordings[index]
        line = next(line for line in recording.lines if not line.refused)
        return Part(recording.name, beginning(line), self._watched(recording.name, Tape(self._chapters[index][0])))


@dataclass(frozen=True, slots=True)
class Part:
    """A recording that a new connection may be having."""

    name: str
    begins: Beginning
    tape: Tape


class Casting:
    """A responder that becomes the recording's which begins as its connection does, at the first response."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.live = Beginning()
        """Told by `overheard` what the client sends."""
        self._parts = parts
        self._tape: Tape | None = None

    def hear(self, turn_number: int) -> str | NotTranscribed | None:
        """What the nearest recording's service understood."""
        return (self._tape or self._near()[0].tape).hear(turn_number)

    def reply(self, turn: Turn) -> Iterable[Step]:
        """The next response of the recording; the first one settles which."""
        if self._tape is None:
            self.live.over = True
            chosen, *rivals = self._near()
            _warn(chosen.name, [part.name for part in rivals])
            self._tape = chosen.tape
        return self._tape.reply(turn)

    def _near(self) -> list[Part]:
        return [self._parts[at] for at in nearest([part.begins for part in self._parts], self.live)]


def overheard(peer: Peer, responder: Responder) -> Peer:
    """The peer; if the responder is a casting one, so that it sees what the client sends."""
    return _Overheard(peer, responder) if isinstance(responder, Casting) else peer


class _Overheard:
    """A Peer whose client's messages a casting responder sees before it does."""

    def __init__(self, peer: Peer, casting: Casting) -> None:
        self._peer = peer
        self._casting = casting
        self.lost = peer.lost
        self.next_due = peer.next_due
        self.take_output = peer.take_output

    def receive(self, data: str | bytes, now: float) -> None:
        if not self._casting.live.over:
            self._casting.live.take(message(data, now))
        self._peer.receive(data, now)


class Verbatim:
    """The recordings of a file or folder, frame by frame. Raises what Reenacted does, and ValueError for the speed.

    Of one recording, the n-th connection gets the n-th recorded one, after the last the first again. Of a folder, each
    connection gets the recorded one that begins as it does. `allow` names types of server events that a client may
    leave without anybody being told.
    """

    def __init__(self, path: str | os.PathLike[str], speed: float = 1.0, allow: Iterable[str] = ()) -> None:
        if not speed > 0:
            raise ValueError(f"speed {speed} is not above 0; 1 is as recorded, inf at once")
        found = recordings(path)
        self.dialect = found[0].service
        """The service that was recorded, if that is known."""
        self._chooses = len(found) > 1
        self._parts = [_Part(_name(each, n), line) for each in found for n, line in enumerate(each.lines)]
        if self._chooses:
            self._parts = [part for part in self._parts if not part.line.refused]
            if not self._parts:
                raise EmptyLibrary(f"{path}: the service refused every connection in it; play one file of it alone")
        self._speed = speed
        self._allowed = frozenset((*ALLOWED, *allow))
        self.rewind()

    def rewind(self) -> None:
        """From the first connection again, with an empty report."""
        self._opened = 0
        self._playings: deque[Player | Chooser] = deque(maxlen=MOST_PLAYINGS)

    def refusal(self) -> Response | None:
        """The recorded answer, if the connection that is next was refused. Of a folder none is next, so none is."""
        if self._chooses or not self._next.line.refused:
            return None
        refused = self._next.line.response
        self._opened += 1
        return refused

    def peer(self, dialect: Dialect) -> Peer:
        """For a new connection. `dialect` gives the errors that tell a client of a mismatch their shape."""

        def complain(mismatch: Mismatch) -> Iterable[Frame]:
            told = Rejected(f"Not as recorded: {mismatch}", param=mismatch.path or None)
            return dialect.render(Malformed(told), mismatch.at_s)

        def player(part: _Part) -> Player:
            return Player(part.name, part.track, complain, speed=self._speed)

        if self._chooses:
            candidates = [Candidate(part.name, part.begins, partial(player, part)) for part in self._parts]
            self._playings.append(Chooser(candidates, _warn))
        else:
            self._playings.append(player(self._next))
            self._opened += 1
        return self._playings[-1]

    def report(self) -> list[str]:
        """What was not as recorded, over all connections so far; empty if all went as it should."""
        players = [each.player if isinstance(each, Chooser) else each for each in self._playings]
        told = [f"{player.name}: {line}" for player in players for line in player.report(self._allowed).lines()]
        unopened = [] if self._chooses else self._parts[self._opened :]
        return told + [f"{part.name}: never opened by the client" for part in unopened]

    @property
    def _next(self) -> _Part:
        return self._parts[self._opened % len(self._parts)]


class _Part:
    """A recorded connection, arranged when it is first needed."""

    def __init__(self, name: str, line: Line) -> None:
        self.name = name
        self.line = line

    @cached_property
    def track(self) -> Track:
        return track(self.line)

    @cached_property
    def begins(self) -> Beginning:
        return beginning(self.line)


def _unused(name: str, tape: Tape) -> Iterable[str]:
    if tape.unserved:
        yield f"{name}: {tape.unserved} of {tape.given + tape.unserved} recorded responses were never asked for"
    if tape.unmatched:
        yield f"{name}: {tape.unmatched} more responses were asked for than recorded"


def _warn(chosen: str, rivals: Sequence[str]) -> None:
    """Say that a choice was none."""
    if rivals:
        _LOG.warning("%s is played, though %s begins alike: let their settings differ", chosen, ", ".join(rivals))


def _name(recording: Recording, number: int) -> str:
    return recording.name if len(recording.lines) == 1 else f"{recording.name}, connection {number + 1}"
