"""Responders that play a recorded conversation: its texts, calls, pauses and audio, in the recorded order.

The frames are the session's, with new ids: the client may cancel, interrupt, or be slower than the recorded one.
RecordedResponder plays one conversation, RecordedSession the one of several that its client is following.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

import numpy as np

from mockserver.audio.codecs import audio_format, decoder_for, resample
from mockserver.protocol.pacing import RATE
from mockserver.responders.base import Call, Fail, HeardText, Pause, Say, Segment, Source, Step, Turn
from replay.cassette.content import Called, Failed, Paused, Piece, RecordedConversation, Spoken
from replay.cassette.content import ResponseStep as Recorded
from replay.cassette.recording import Moment
from replay.outlets import clean
from replay.playback.library import Narrowing, Plays, Script
from replay.playback.sound import Utterance
from replay.playback.verbatim import MOST_MISMATCHES
from replay.playback.words import Said, said_apart

NO_FURTHER_RESPONSE = "The recording has no further answer."
"""Said beyond the recorded responses, since a live model always says something."""

UNLIKE = 0.35
"""Speech that is this far from the recorded one, of 1, is reported as other speech. A guess: two takes of one sentence
differ by less than two sentences do, and no threshold separates them all."""
PAUSE_MS = 150.0
"""Milliseconds of silence after which a spoken turn may be over: less than any turn detection waits."""
_QUOTED = 80


class RecordedResponder:
    """One conversation of a recording. The n-th response is the n-th recorded one, whatever the input."""

    def __init__(self, chapter: RecordedConversation) -> None:
        self.given = 0
        """Responses given so far, over all connections of the conversation."""
        self.source = Source()
        self._chapter = chapter

    @property
    def unmatched(self) -> int:
        """Responses beyond the recorded ones."""
        return max(0, self.given - len(self._chapter.exchanges))

    @property
    def unserved(self) -> int:
        """Recorded responses that were not requested so far."""
        return max(0, len(self._chapter.exchanges) - self.given)

    def hear(self, turn_number: int) -> str | None:
        """The recorded transcript of the spoken turn of that number."""
        heard = self._chapter.heard
        return heard[turn_number] if 0 <= turn_number < len(heard) else None

    def reply(self, turn: Turn) -> Iterable[Step]:
        """The next recorded response; its audio is decoded step by step."""
        number, self.given = self.given, self.given + 1
        self.source = Source(f"recorded response {number + 1} of {len(self._chapter.exchanges)}")
        if number >= len(self._chapter.exchanges):
            return [Say(NO_FURTHER_RESPONSE)]
        return _steps(self._chapter.exchanges[number].steps)


@dataclass(frozen=True, slots=True)
class RecordedChoice:
    """A recorded conversation that a session may get."""

    name: str
    conversation: RecordedConversation
    script: Script

    @property
    def has_speech(self) -> bool:
        """Whether what the user said is recorded; a sideband has no sound."""
        return any(
            each.type == "input_audio_buffer.append" for line in self.conversation.lines for each in line.moments
        )


@dataclass(slots=True)
class Followed:
    """What a report needs of a session, also after its end.

    `choice`: the conversation in use; None before the first response. `left`: where the client left the recorded words,
    a line each, for the first 100 times.
    """

    played: RecordedResponder
    choice: RecordedChoice | None = None
    left: list[str] = field(default_factory=list)

    def unused(self) -> Iterator[str]:
        """Recorded responses that were not requested, and requests that had no recorded response."""
        choice, played = self.choice, self.played
        if choice is None:
            return
        if played.unserved:
            answered = choice.script.words.answering(played.given)
            what = f", from that to {_quoted(answered[-1])} on" if answered else ""
            recorded = played.given + played.unserved
            yield f"{choice.name}: {played.unserved} of {recorded} recorded responses were never requested{what}"
        if played.unmatched:
            yield f"{choice.name}: {played.unmatched} more responses were requested than recorded"


class RecordedSession:
    """Responds from the recorded conversation that the client is following.

    Conversations that begin in the same way stay in question. Responses come from one of them until the client says
    what only others have. `tied` is called after the first turn if others are as near as the one in use, with its name
    and theirs.
    """

    def __init__(self, choices: Sequence[RecordedChoice], plays: Plays, tied: Callable[[str, list[str]], None]) -> None:
        self.source = Source()
        self.followed = Followed(RecordedResponder(choices[0].conversation))
        self._choices = choices
        self._plays = plays
        self._tied = tied
        self._narrowing = Narrowing([each.script for each in choices])
        self._at: int | None = None
        """The conversation in use; None before the first response."""
        self.hears = any(each.has_speech for each in choices)
        """Whether what the user says can be compared with any of them."""

    def take(self, sent: Moment) -> None:
        """A client's message."""
        self._narrowing.take(sent)

    def next_connection(self) -> None:
        """The client resumes its conversation on another connection."""
        self._narrowing.live.next_connection()

    def hear(self, turn_number: int) -> HeardText | None:
        """The recorded transcript of the spoken turn of that number; none while the user speaks and it may be one of
        several."""
        choices = self._choices
        near, speech = self._narrowing.near, self._narrowing.live.speech
        if speech.loud and speech.silent_ms < PAUSE_MS:
            texts = {RecordedResponder(choices[at].conversation).hear(turn_number) for at in near}
            return texts.pop() if len(texts) == 1 else None
        conversation = choices[self._nearest(self._narrowing.near_speech())].conversation
        return RecordedResponder(conversation).hear(turn_number)

    def reply(self, turn: Turn) -> Iterable[Step]:
        """The next recorded response; its audio is decoded step by step."""
        live, first, followed = self._narrowing.live, self._at is None, self.followed
        live.heard(silence=turn.spoken and not live.unanswered)
        self._narrowing.narrow()
        at = self._nearest(self._narrowing.near)
        if at != self._at:
            if self._at is not None:
                self._plays.drop(self._at)
            self._plays.begin(at)
            self._at, followed.choice = at, self._choices[at]
            played = RecordedResponder(followed.choice.conversation)
            played.given, followed.played = followed.played.given, played
        if first and (rivals := [self._choices[each].name for each in self._narrowing.near if each != at]):
            self._tied(self._choices[at].name, rivals)
        number, said = followed.played.given, live.response()
        steps = followed.played.reply(turn)
        left = self._left(self._choices[at], number, said)
        if left and len(followed.left) < MOST_MISMATCHES:
            followed.left.append(left)
        self.source = replace(followed.played.source, unrecorded=left)
        return steps

    def _nearest(self, near: Sequence[int]) -> int:
        return self._at if self._at is not None and self._at in near else self._plays.next(near)

    def _left(self, choice: RecordedChoice, number: int, said: Sequence[Said]) -> str:
        """How the client left the recorded words before its response of that number; empty if it did not."""
        words, ignored = choice.script.words, choice.script.ignored
        recorded = len(choice.conversation.exchanges)
        if number >= recorded:
            return f"{choice.name} has {recorded} responses; the client asked for response {number + 1}"
        pairs = zip_longest(_audible(words.answering(number)), _audible(said))
        for there, here in pairs:
            if here is not None and there is not None:
                apart = said_apart(there, here, ignored)
                if apart == 0.0 or (isinstance(there, Utterance) and apart < UNLIKE):
                    continue
            expected, got = ("nothing" if each is None else _quoted(each) for each in (there, here))
            where = f"before response {number + 1} of {recorded} in {choice.name}"
            return f"the client said {got}, recorded is {expected} {where}"
        return ""


def _audible(said: Iterable[Said]) -> list[Said]:
    """Without speech that cannot be compared: silence, and Opus."""
    return [each for each in said if isinstance(each, str) or each.peaks]


def _quoted(said: Said) -> str:
    text = repr(clean(said)) if isinstance(said, str) else str(said)
    return text if len(text) <= _QUOTED else f"{text[: _QUOTED - 2]}…'"


def _steps(recorded: Sequence[Recorded]) -> Iterator[Step]:
    spoke = False
    for step in recorded:
        match step:
            case Spoken():
                if step.text:
                    yield Say(step.text, segments=_segments(step), item="new" if spoke else "")
                    spoke = True
            case Called(name, arguments):
                yield Call(name, arguments)
            case Paused(ms):
                yield Pause(ms)
            case Failed(code, message, kind):
                yield Fail(code, message, kind)


def _segments(spoken: Spoken) -> tuple[Segment, ...]:
    """The recorded audio at 24 kHz; empty if some of it is missing, so that the text is synthesized."""
    pieces = _joined(spoken.pieces) if spoken.whole else []
    known = audio_format(spoken.format.type, spoken.format.rate)
    if known.kind == "static":  # it cannot be decoded
        return ()
    decoder = decoder_for(known)
    encoded = (np.concatenate([decoder.push(each.read()) for each in piece.sound]) for piece in pieces)
    sounds = [resample(sound, known.rate, RATE) for sound in encoded]
    if not all(map(len, sounds)):
        return ()
    return tuple(Segment(piece.text, sound) for piece, sound in zip(pieces, sounds, strict=True))


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Pieces that have both text and audio. A piece that lacks one joins the piece before it, or the first one."""
    joined: list[Piece] = []
    for piece in pieces:
        if joined and not (piece.text and piece.sound and joined[-1].text and joined[-1].sound):
            joined[-1] = Piece(joined[-1].text + piece.text, [*joined[-1].sound, *piece.sound])
        else:
            joined.append(Piece(piece.text, list(piece.sound)))
    return joined if joined and joined[0].sound else []
