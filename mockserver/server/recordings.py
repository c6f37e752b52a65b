"""Recordings as a server's content: replayed adaptively, by a session with recorded content, or verbatim.

replay/playback/library.py chooses the recording whose client says the same; responders/recorded.py and
replay/playback/verbatim.py play it.
"""

from __future__ import annotations

import base64
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from functools import partial

from mockserver.audio.codecs import decoder_for, resample
from mockserver.audio.formats import Samples
from mockserver.calls.declared import DeclaredFormats, in_format
from mockserver.calls.playout import RATE
from mockserver.dialects.base import Dialect
from mockserver.protocol.commands import Rejected
from mockserver.protocol.facts import Malformed
from mockserver.protocol.peer import Peer, Quiet, Rest
from mockserver.responders.base import Responder
from mockserver.responders.recorded import Followed, RecordedChoice, RecordedSession
from mockserver.server.shelf import Shelf
from mockserver.session.session import Session
from replay.cassette.call_sound import appended
from replay.cassette.content import recorded_conversations
from replay.cassette.file import BadCassette
from replay.cassette.frames import Close, Frame, Sound
from replay.cassette.json_text import event_in
from replay.cassette.json_values import object_at, text_at
from replay.cassette.may_differ import Ignored
from replay.cassette.recording import Line, Recording, message, typed
from replay.cassette.records import Response
from replay.findings.call import APPEND
from replay.outlets import logger
from replay.playback.library import Candidate, Chooser, Plays, Script
from replay.playback.reading import READ_AHEAD
from replay.playback.verbatim import ALLOWED, Mismatch, Player, Track
from replay.playback.words import Words
from replay.secrets.media import is_base64

MOST_PLAYINGS = 1_000
"""Connections that a report covers; the oldest are dropped."""
_OF_A_TRACK = (APPEND, "session.created", "session.updated")
_LOG = logger(__name__)


class AdaptiveReplay:
    """The recordings of a file or folder, as content of sessions.

    Each session gets the recorded conversation whose client says what its own client says. Of equals, it gets the one
    that was played least so far, and of these the first. path: also a Shelf, which is read already. ignore: what may
    differ in texts and settings; see `ignored`. Raises what Shelf raises.
    """

    def __init__(self, path: str | os.PathLike[str] | Shelf, ignore: Iterable[str] = ()) -> None:
        shelf = path if isinstance(path, Shelf) else Shelf(path, ignore)
        found = shelf.recordings
        self.name = shelf.name
        """Of the file or folder."""
        self.dialect = shelf.dialect
        """The dialect of the recorded service, if it is known."""
        shown = (text_at(object_at(event, "session"), "model") for event in found[0].server_events())
        self.model = next(filter(None, shown), None)
        """The model of its session, as events show it."""
        accepted = next((line.accepted_with for line in found[0].lines if line.accepted_with), None)
        self.accepted_with = None if accepted is None else event_in(accepted)
        """The session that a recorded call was accepted with."""
        self.caller = partial(_said_on_a_track, found[0])
        """What the caller of its first call said: seconds since the call began, and samples."""
        self._is_folder = shelf.is_folder
        pairs = zip(found, shelf.may_differ, strict=True)
        self._choices = [each for recording, may_differ in pairs for each in _choices(recording, may_differ)]
        self.rewind()

    def rewind(self) -> None:
        """Forget which conversations were played."""
        self._plays = Plays()
        self._followed: deque[Followed] = deque(maxlen=MOST_PLAYINGS)

    def afresh(self) -> AdaptiveReplay:
        """The same recordings, of which nothing has been played."""
        fresh = copy(self)
        fresh.rewind()
        return fresh

    def responder(self) -> Responder:
        """The responder of a new session."""
        tied = _warn_of_rivals if self._is_folder else _tie
        session = RecordedSession(self._choices, self._plays, tied)
        self._followed.append(session.followed)  # the session is freed with its conversation
        return session

    def report(self) -> list[str]:
        """Where clients left the recorded words, a line each."""
        return [line for each in self._followed for line in each.left]

    def unused(self) -> list[str]:
        """Recorded responses that were not requested, requests that had no recorded response, and of a file the
        conversations that never began, a line each."""
        lines = [line for each in self._followed for line in each.unused()]
        if self._is_folder:
            return lines
        return lines + [f"{each.name} never began" for n, each in enumerate(self._choices) if not self._plays.counts[n]]


def _said_on_a_track(recording: Recording) -> list[tuple[float, bytes]]:
    line = next((each for each in recording.lines if each.over_tracks), None)
    moments = () if line is None else (each for _, each in typed(line.moments, lambda kind: kind in _OF_A_TRACK))
    began, declared, said = 0.0 if line is None else line.opened_s, DeclaredFormats(), list[tuple[float, bytes]]()
    for moment in moments:
        if moment.way == "received":
            declared.read(object_at(moment.event, "session"))
        elif is_base64(sound := text_at(moment.event, "audio")):
            samples = decoder_for(declared.input).push(base64.b64decode(sound))
            pcm = resample(samples, declared.input.rate, RATE).astype("<i2", copy=False).tobytes()
            said.append((moment.at_s - began, pcm))
    return said


def _choices(recording: Recording, may_differ: Ignored) -> Iterator[RecordedChoice]:
    conversations = recorded_conversations(recording)
    for number, each in enumerate(conversations, start=1):
        name = recording.name if len(conversations) == 1 else f"{recording.name}, conversation {number}"
        words = Words(each.lines)
        words.reading.on(READ_AHEAD)
        yield RecordedChoice(name, each, Script(words, may_differ))


def with_client_messages(session: Session) -> Peer:
    """The session as a peer; if a recording answers it, the recording sees the client's messages first."""
    return _ObservedSession(session) if isinstance(session.memory.responder, RecordedSession) else session


class _ObservedSession:
    """A session whose client's messages its RecordedSession sees first. A session that resumes a conversation has
    another one from then on."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._declared = DeclaredFormats()
        self.lost = session.lost
        self.next_due = session.next_due
        self.take_output = session.take_output
        self.take_requests = session.take_requests
        self.deliver = session.deliver
        self.press = session.press
        self.truncate = session.truncate

    def hear(self, samples: Samples, now: float) -> None:
        if isinstance(responder := self._session.memory.responder, RecordedSession) and responder.hears:
            sound = in_format(samples.astype("<i2", copy=False).tobytes(), self._declared.input)
            responder.take(message(appended(sound), now))
        self._session.hear(samples, now)

    def receive(self, data: str | bytes, now: float) -> Rest | Quiet | None:
        self._declared.update(data)
        sent, before = message(data, now), self._session.memory.responder
        if isinstance(before, RecordedSession):
            before.take(sent)
        rest = self._session.receive(data, now)
        after = self._session.memory.responder
        if after is not before and isinstance(after, RecordedSession):
            after.next_connection()
            after.take(sent)
        return rest


class VerbatimReplay:
    """The recordings of a file or folder, replayed frame by frame.

    Each connection gets the recorded one whose client says what its own client says. Of equals, it gets the one that
    was played least so far, and of these the first. In a file, a refused handshake is refused again when it is next in
    that order. path: also a Shelf, which is read already. speed: above 0; 1 is as recorded. allow: types of server
    events that may remain unsent without a line in the report. ignore: what may differ in messages; see `ignored`.
    Raises what Shelf raises.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | Shelf,
        speed: float = 1.0,
        allow: Iterable[str] = (),
        ignore: Iterable[str] = (),
    ) -> None:
        shelf = path if isinstance(path, Shelf) else Shelf(path, ignore, verbatim=True, speed=speed)
        found = shelf.recordings
        self.name = shelf.name
        """Of the file or folder."""
        self.dialect = shelf.dialect
        """The dialect of the recorded service, if it is known."""
        self.caller = partial(_said_on_a_track, found[0])
        """What the caller of its first call said: seconds since the call began, and samples."""
        self._is_folder = shelf.is_folder
        self._connections = [
            _VerbatimConnection(_connection_name(each, n), line, may_differ)
            for each, may_differ in zip(found, shelf.may_differ, strict=True)
            for n, line in enumerate(each.lines)
            if not (self._is_folder and line.refused)
        ]
        accepted = [each for each in self._connections if not each.line.refused]
        for each in accepted:
            each.track.reading.on(READ_AHEAD)  # now, rather than in the first handshake
            if len(accepted) > 1:
                each.words.reading.on(READ_AHEAD)
        self._speed = shelf.speed
        self._allowed = frozenset((*ALLOWED, *allow))
        self.rewind()

    def rewind(self) -> None:
        """Forget which connections were played, and begin an empty report."""
        self._plays = Plays()
        self._playings: deque[Chooser] = deque(maxlen=MOST_PLAYINGS)

    def afresh(self) -> VerbatimReplay:
        """The same recordings, from the first connection on, with an empty report of their own."""
        fresh = copy(self)
        fresh.rewind()
        return fresh

    def refusal(self) -> Response | None:
        """The recorded answer, if the next connection was refused."""
        at = self._plays.next(range(len(self._connections)))
        if not (line := self._connections[at].line).refused:
            return None
        self._plays.begin(at)
        return line.response

    def peer(self, dialect: Dialect) -> Peer:
        """The peer of a new connection. `dialect` renders the `error` events that report a mismatch to the client."""

        def error_event(mismatch: Mismatch) -> Iterable[Frame | Sound]:
            rejected = Rejected(f"Not as recorded: {mismatch}", param=mismatch.path or None)
            return dialect.render(Malformed(rejected), mismatch.at_s)

        def player(part: _VerbatimConnection) -> Player:
            return Player(part.name, part.track, error_event, speed=self._speed, ignored=part.ignored)

        accepted = [(at, each) for at, each in enumerate(self._connections) if not each.line.refused]
        candidates = [
            # A single one is not compared with anything.
            Candidate(
                at,
                each.name,
                Script(each.words if len(accepted) > 1 else Words(), each.ignored),
                partial(player, each),
            )
            for at, each in accepted
        ]
        self._playings.append(Chooser(candidates, self._plays, _warn_of_rivals if self._is_folder else _tie))
        return _RecordedConnection(self._playings[-1])

    def report(self) -> list[str]:
        """What differed from the recording, over all connections so far, a line each; empty if nothing did."""
        players = [each.player for each in self._playings]
        lines = [f"{player.name}: {line}" for player in players for line in self._differences(player)]
        return lines if self._is_folder else [*lines, *self._miscounted()]

    def _differences(self, player: Player) -> list[str]:
        try:
            return player.report(self._allowed).lines()
        except BadCassette as problem:  # somebody shortened it meanwhile
            return [str(problem)]

    def _miscounted(self) -> Iterator[str]:
        """The recorded connections that were never opened, or more than once, as by a client that reconnects."""
        for at, each in enumerate(self._connections):
            times = self._plays.counts[at]
            if not times:
                yield f"{each.name}: never opened by the client"
            elif times > 1:
                yield f"{each.name}: opened {times} times by the client, recorded once"


class _RecordedConnection:
    """A recorded connection that is played. On a call, what the caller says counts as appended."""

    def __init__(self, recorded: Chooser) -> None:
        self._recorded = recorded
        self._declared = DeclaredFormats()
        self.lost = recorded.lost
        self.next_due = recorded.next_due
        self.take_output = recorded.take_output
        self.take_requests = recorded.take_requests
        self.deliver = recorded.deliver

    def hear(self, samples: Samples, now: float) -> None:
        """Count the caller's sound as the recorded client's."""
        sound = in_format(samples.astype("<i2", copy=False).tobytes(), self._declared.input)
        self._recorded.receive(appended(sound), now)

    def receive(self, data: str | bytes, now: float) -> None:
        """A client's message."""
        self._declared.update(data)
        self._recorded.receive(data, now)

    def press(self, digit: str, now: float) -> None:
        """Ignored: the recording goes on as it did."""

    def truncate(self, item_id: str, played_ms: int, now: float) -> None:
        """Ignored: the recording truncates as it did."""


class _VerbatimConnection:
    """A recorded connection."""

    def __init__(self, name: str, line: Line, may_differ: Ignored) -> None:
        self.name = name
        if line.ended_by_request:  # the client hangs up again, and gets the close frame then
            end = len(line.moments)
            while end and isinstance(line.moments[end - 1].frame, Close):
                end -= 1
            line = replace(line, moments=line.moments[:end])
        self.line = line
        self.ignored = may_differ
        self.track = Track(line)
        self.words = Words([line])


def _tie(chosen: str, rivals: Sequence[str]) -> None:
    """Within a file, equal connections are played in their order."""


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
