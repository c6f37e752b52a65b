"""A responder that plays a recorded conversation: its texts, calls, pauses and audio, in the recorded order.

The frames are the session's, with new ids: the client may cancel, interrupt, or be slower than the recorded one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from mockserver.audio.codecs import audio_format, decoder_for, resample
from mockserver.protocol.pacing import RATE
from mockserver.responders.base import Call, Fail, Pause, Say, Segment, Source, Step, Turn
from replay.cassette.content import Called, Failed, Paused, Piece, RecordedConversation, Spoken
from replay.cassette.content import ResponseStep as Recorded

NO_FURTHER_RESPONSE = "The recording has no further answer."
"""Said beyond the recorded responses, since a live model always says something."""


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
    encoded = (np.concatenate([decoder.push(data) for data in piece.sound]) for piece in pieces)
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
