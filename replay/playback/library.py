"""Recordings, and the choice among them: the one whose client says what the client at hand says.

Recordings that begin in the same way stay in question until the client says something that only some of them have.
verbatim.py plays one recording.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from typing_extensions import Never

from replay.cassette.frames import Outgoing, Text
from replay.cassette.json_text import Event, event_in
from replay.cassette.may_differ import NOTHING, Ignored
from replay.cassette.recording import Moment, message
from replay.playback.id_map import IdMap
from replay.playback.sound import Utterance, is_sound
from replay.playback.verbatim import Player
from replay.playback.words import Said, Words, said_apart, settings_apart

PATIENCE_S = 1.0
"""Seconds without audio, or of silence, after which a spoken turn counts as ended."""

MOST_TAKEN = 100_000
"""Messages of a client that are kept for a later choice; then the one in use is final."""
MOST_TAKEN_BYTES = 16 * 2**20
"""As MOST_TAKEN, in bytes of audio and characters of text."""


@dataclass(frozen=True, slots=True)
class Script:
    """What the client of a recording said, and what may differ."""

    words: Words
    ignored: Ignored = NOTHING


class Narrowing:
    """Which of several recordings a client may be following. `near`: their indices, in order; never empty.

    Each settings and each turn leave those that have the nearest settings or turn in the same place. `live` is what the
    client said so far, without settings that were compared.
    """

    def __init__(self, scripts: Sequence[Script]) -> None:
        self.live = Words()
        self.near = list(range(len(scripts)))
        self._scripts = scripts
        self._settings = self._said = 0
        """Compared so far."""

    def take(self, sent: Moment) -> None:
        """A client's message."""
        self.live.take(sent)
        self.narrow()

    def narrow(self) -> None:
        """Look at what was said since the last time."""
        live = self.live
        for settings in live.settings:
            self._keep(partial(_settings_at, at=self._settings, live=settings))
            self._settings += 1
        live.settings.clear()  # a client may change them often
        for at in range(self._said, len(live.said)):
            self._keep(partial(_said_at, at=at, live=live.said[at]))
        self._said = len(live.said)

    def near_speech(self) -> list[int]:
        """As `near`, if the spoken turn that goes on were over."""
        speech, turn = self.live.speech, len(self.live.said)
        if len(self.near) == 1 or not speech.ms:
            return self.near
        so_far = speech.so_far()
        distances = {at: _said_at(self._scripts[at], turn, so_far) for at in self.near}
        return [at for at in self.near if distances[at] == min(distances.values())]

    def longest_ms(self) -> float:
        """How long the next turn is in the recordings, in milliseconds of speech; 0 if nobody speaks in it."""
        turn = len(self.live.said)
        following = (each.said_at(turn) for each in self._near_words())
        return max((each.ms for each in following if isinstance(each, Utterance)), default=0.0)

    @property
    def exhausted(self) -> bool:
        """Whether nothing was said after this in any of those that are near."""
        return all(each.said_at(len(self.live.said)) is None for each in self._near_words())

    def _near_words(self) -> list[Words]:
        return [self._scripts[at].words for at in self.near]

    def _keep(self, distance: Callable[[Script], float]) -> None:
        if len(self.near) > 1:
            distances = {at: distance(self._scripts[at]) for at in self.near}
            self.near = [at for at in self.near if distances[at] == min(distances.values())]


def _settings_at(script: Script, at: int, live: object) -> float:
    return settings_apart(script.words.settings_at(at), live, script.ignored)


def _said_at(script: Script, at: int, live: Said) -> float:
    return said_apart(script.words.said_at(at), live, script.ignored)


class Plays:
    """How often each of several recordings is being played or was. Of equals, the one that was played least is next."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()

    def next(self, near: Iterable[int]) -> int:
        """The one to play of these: among those that were played least, the first."""
        return min(near, key=lambda at: (self.counts[at], at))

    def begin(self, at: int) -> None:
        """A connection plays it."""
        self.counts[at] += 1

    def drop(self, at: int) -> None:
        """The connection turned out to follow another one."""
        self.counts[at] -= 1


@dataclass(frozen=True, slots=True)
class Candidate:
    """A recorded connection to choose from: its `number` among all. `player` makes a new player for it."""

    number: int
    name: str
    script: Script
    player: Callable[[], Player]


class Chooser:
    """A Peer that plays the recorded connection that its client is following.

    Until that is clear it plays one of those in question. If another one turns out to be right, that one goes on; what
    the client has already got, such as its greeting, keeps its ids. Speech is held back until it can be compared: until
    the user is silent for a second, or has spoken longer than in any recording. `tied` is called after the first turn
    if others are as near as the one in use, with its name and theirs.
    """

    def __init__(
        self, candidates: Sequence[Candidate], plays: Plays, tied: Callable[[str, list[str]], None] = lambda *_: None
    ) -> None:
        self._candidates = candidates
        self._plays = plays
        self._tied = tied
        self._narrowing = Narrowing([each.script for each in candidates])
        self._taken: list[tuple[str | bytes, float]] = []
        self._held: list[tuple[str | bytes, float]] = []
        self._bytes = 0
        """Of `_taken` and `_held`."""
        self._seen: list[Event] = []
        """Events that the client has got while the choice was open."""
        self._inward: IdMap | None = None
        """Ids that the client got from another recording, to those of the one in use."""
        self._outward: IdMap | None = None
        """The other way round."""
        self._spoke = False
        self._at = self._next()
        plays.begin(candidates[self._at].number)
        self.player = candidates[self._at].player()
        """The player in use."""

    def receive(self, data: str | bytes, now: float) -> None:
        """Take a client's message."""
        if self._decided:
            self._pass_on(data, now)
            return
        sent = message(data, now)
        self._held.append((data, now))
        self._bytes += len(data)
        if not is_sound(sent):
            self._narrowing.take(sent)
        else:
            speech, longest_ms = self._narrowing.live.speech, self._narrowing.longest_ms()
            speech.take(sent)
            if longest_ms and speech.loud:
                ends = speech.loud_ms > longest_ms or speech.silent_ms >= 1000 * PATIENCE_S
                if not ends and not self._full:
                    return
                self._turn_over()
        self._go_on()

    def lost(self, now: float) -> None:
        """The client has disconnected. What it sent is forgotten: reports outlive many clients."""
        self.player.lost(now)
        self._held = []
        self._settle()

    def next_due(self) -> float | None:
        """When the next frame leaves, or a spoken turn counts as ended."""
        patience = [self._held[-1][1] + PATIENCE_S] if self._held else []
        due = self.player.next_due()
        return min(patience if due is None else [*patience, due], default=None)

    def take_requests(self) -> Sequence[Never]:
        """It asks for nothing."""
        return ()

    def deliver(self, result: object, now: float) -> None:
        """It waits for nothing."""

    def take_output(self, now: float) -> list[Outgoing]:
        """All frames up to and including `now`."""
        if self._held and now >= self._held[-1][1] + PATIENCE_S:
            self._turn_over()
            self._go_on()
        out = self.player.take_output(now)
        if (ids := self._outward) is not None:
            out = [
                Outgoing(each.at, Text(ids.rewritten(each.frame.data))) if isinstance(each.frame, Text) else each
                for each in out
            ]
        if not self._decided:
            events = (event_in(each.frame.data) for each in out if isinstance(each.frame, Text))
            self._seen += [event for event in events if event is not None]
        return out

    @property
    def _decided(self) -> bool:
        return len(self._narrowing.near) == 1 and not self._held

    @property
    def _full(self) -> bool:
        return len(self._taken) + len(self._held) > MOST_TAKEN or self._bytes > MOST_TAKEN_BYTES

    def _settle(self) -> None:
        """The choice is final: nothing is kept for a later one."""
        self._narrowing.near = [self._at]
        self._taken, self._seen, self._bytes = [], [], 0

    def _next(self) -> int:
        near = {self._candidates[at].number: at for at in self._narrowing.near}
        return near[self._plays.next(near)]

    def _turn_over(self) -> None:
        self._narrowing.live.heard(early=True)
        self._narrowing.narrow()

    def _go_on(self) -> None:
        """Pass on what was held back, to a recording that the client may be following."""
        if self._at not in self._narrowing.near:
            self._switch(self._next())
        for data, now in self._held:
            if len(self._narrowing.near) > 1:
                self._keep_accepting(message(data, now))
            self._pass_on(data, now)
            self._taken.append((data, now))
        self._held = []
        rivals = [self._candidates[at].name for at in self._narrowing.near if at != self._at]
        if self._narrowing.live.said and not self._spoke:
            self._spoke = True
            if rivals:
                self._tied(self.player.name, rivals)
        if self._full or self._decided or (self.player.complete and self._narrowing.exhausted):
            self._settle()

    def _keep_accepting(self, sent: Moment) -> None:
        """Leave those in question whose recorded client sent this message; if there are none, all of them."""
        refused: list[int] = []
        first = self._at
        while not self.player.accepts(self._with_recorded_ids(sent)):
            refused.append(self._at)
            left = [at for at in self._narrowing.near if at not in refused]
            if not left:
                self._switch(first)
                return
            self._switch(left[0])
        self._narrowing.near = [at for at in self._narrowing.near if at not in refused]

    def _with_recorded_ids(self, sent: Moment) -> Moment:
        """The message as the recording in use has it: with its ids, where the client got others."""
        if self._inward is None or sent.event is None or not isinstance(sent.frame, Text):
            return sent
        return message(self._inward.rewritten(sent.frame.data).decode(errors="surrogatepass"), sent.at_s)

    def _pass_on(self, data: str | bytes, now: float) -> None:
        if self._inward is not None:
            frame = self._with_recorded_ids(message(data, now)).frame
            data = frame.data.decode(errors="surrogatepass") if isinstance(frame, Text) else data
        self.player.receive(data, now)

    def _switch(self, at: int) -> None:
        """Go on with another recording, as if it had been played from the beginning."""
        unsent = self.player.due_frames
        self._plays.drop(self._candidates[self._at].number)
        self._plays.begin(self._candidates[at].number)
        self._at, self.player = at, self._candidates[at].player()
        self._inward, self._outward = IdMap(), IdMap()
        for event in self.player.events(len(self._taken)):
            self._outward.recorded(event)
            self._inward.received(event)
        for event in self._seen:
            self._outward.received(event)
            self._inward.recorded(event)
        for data, now in self._taken:
            self._pass_on(data, now)
        self.player.skip(self.player.due_frames - unsent)
