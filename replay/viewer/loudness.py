"""The audio of a call as the viewer gets it: a bounded curve of peaks to draw, and the samples to play."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from math import ceil
from typing import Any

from replay.cassette import g711
from replay.report.soundtrack import Piece, Soundtrack

COLUMNS_PER_S = 100.0
"""Peaks per second of a call of up to 20 minutes."""
MOST_COLUMNS = 120_000
"""Peaks of one side. A longer call has fewer per second."""
MOST_PCM = 12 << 20
"""Bytes of PCM16 that a document holds as they are. More is encoded as mu-law, which halves it."""
MOST_SOUND = 96 << 20
"""Bytes of encoded audio of one document. A call with more is drawn and not played."""
_SILENCE = 0.06
"""A column below this share of the loudest one counts as silence when the end of speech is looked for (a guess)."""


class Peaks:
    """The loudness of one side: the peak of each column, from 0 to 255."""

    def __init__(self) -> None:
        self.per_s = COLUMNS_PER_S
        self.columns = bytearray()

    def add(self, piece: Piece) -> None:
        """Add audio. Where there is audio already, the louder counts."""
        while piece.end_s * self.per_s >= MOST_COLUMNS:
            self._halve()
        first, last = int(piece.start_s * self.per_s), ceil(piece.end_s * self.per_s)
        self.columns.extend(bytes(max(0, last - len(self.columns))))
        for column in range(first, last):
            begin, end = (round((at / self.per_s - piece.start_s) * piece.rate) for at in (column, column + 1))
            if part := piece.samples[max(0, begin) : max(0, end)]:
                self.columns[column] = max(self.columns[column], min(255, max(max(part), -min(part)) >> 7))

    def cut(self, at_s: float) -> None:
        """Remove what comes after `at_s`."""
        del self.columns[ceil(at_s * self.per_s) :]

    def voice_end(self, start_s: float, end_s: float) -> float | None:
        """When the voice between two times ended, in seconds; None if there is only silence."""
        first = int(start_s * self.per_s)
        part = self.columns[first : ceil(end_s * self.per_s)]
        loudest = max(part, default=0)
        if loudest < 4:
            return None
        last = next(at for at in range(len(part) - 1, -1, -1) if part[at] > loudest * _SILENCE)
        return (first + last + 1) / self.per_s

    def as_json(self) -> dict[str, Any]:
        """`per_s`: columns per second. `columns`: one byte each, base64."""
        return {"per_s": self.per_s, "columns": b64encode(self.columns).decode()}

    def _halve(self) -> None:
        if len(self.columns) % 2:
            self.columns.append(0)
        self.columns = bytearray(map(max, self.columns[::2], self.columns[1::2]))
        self.per_s /= 2


def _playable(sound: Soundtrack) -> tuple[list[Piece], str]:
    """The pieces of a call and their encoding, `pcm` or `pcmu`. No pieces if that is too much."""
    count = sum(len(piece.samples) for piece in sound.pieces)
    lossy = 2 * count > MOST_PCM
    too_much = count * (1 if lossy else 2) > MOST_SOUND
    return [] if too_much else [piece for piece in sound.pieces if piece.samples], "pcmu" if lossy else "pcm"


def sound_of(sound: Soundtrack) -> dict[str, Any]:
    """The audio for the viewer's player: `pieces`, or the `problem` that there are none."""
    pieces, encoding = _playable(sound)
    told = [{**_told(piece, encoding), "data": "".join(_data(piece, encoding))} for piece in pieces]
    return {"pieces": told, "problem": _problem(sound, len(told))}


def sound_texts(sound: Soundtrack) -> Iterator[str]:
    """The JSON of `sound_of` in texts of at most twenty seconds of sound."""
    pieces, encoding = _playable(sound)
    yield '{"pieces":['
    for number, piece in enumerate(pieces):
        told = json.dumps(_told(piece, encoding), separators=(",", ":"))
        yield f'{"," if number else ""}{told[:-1]},"data":"'
        yield from _data(piece, encoding)
        yield '"}'
    yield f'],"problem":{json.dumps(_problem(sound, len(pieces)))}}}'


def _told(piece: Piece, encoding: str) -> dict[str, Any]:
    side = "caller" if piece.side == "sent" else "service"
    return {"side": side, "start_s": piece.start_s, "rate": piece.rate, "encoding": encoding}


def _data(piece: Piece, encoding: str) -> Iterator[str]:
    """The samples in base64. A block has a whole number of threes of bytes, so that only the last one is padded."""
    for samples in piece.blocks():
        data = g711.encode(samples, "pcmu") if encoding == "pcmu" else g711.little_endian(samples)
        yield b64encode(data).decode()


def _problem(sound: Soundtrack, playable_pieces: int) -> str:
    if playable_pieces or not any(piece.samples for piece in sound.pieces):
        return ""
    return f"This call has more than {MOST_SOUND >> 20} MB of audio; `realtape export --wav FOLDER` writes it."
