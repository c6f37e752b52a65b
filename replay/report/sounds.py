"""Whether the sound on a cassette is whole: each piece decodes, and is as long as the events around it say.

A recording may have been shortened on purpose, by whoever published it: what no piece of a cassette keeps is not
expected of the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial

from replay.billing.meter import AUDIO_TOKENS_PER_S, Meter, tokens_of
from replay.cassette.base64_text import decoded
from replay.cassette.cut_sound import SOUND_FIELDS
from replay.cassette.frames import Binary, Text
from replay.cassette.json_text import Event
from replay.cassette.json_values import text_at
from replay.cassette.records import Record

READ = frozenset({*SOUND_FIELDS, "response.created", "response.done"})
"""Types of the events that a check reads."""
_ROUNDED_MS = 1
"""A length in milliseconds may be rounded by so much."""
_ROUNDED_TOKENS = 2
"""The tokens of a response may be rounded by so much, and by a hundredth."""


class SoundCheck:
    """Takes the records of one cassette in order."""

    def __init__(self) -> None:
        self._meters = defaultdict[int, Meter](partial(Meter, None))
        self._kept: set[str] = set()
        """The claims that at least one piece of sound keeps."""
        self._broken: list[tuple[str, str]] = []
        """Claim and sentence of each piece that does not keep one."""
        self._seconds: dict[tuple[int, str], Fraction] = {}
        """By connection and response: its sound so far."""

    def take(
        self, where: Callable[[], str], record: Record, kind: str, event: Event | None, sound: bytes | None
    ) -> Iterator[str]:
        """What is wrong with the sound of this record by itself. `where` names its place. `kind` is the type of its
        event, and `event` the event itself if the type is one of READ. `sound`: that of the event, if it is known."""
        content = record.content
        if not isinstance(content, Text | Binary):
            return
        if sound is not None and record.way == "sent":
            return
        meter = self._meters[record.connection]
        if sound is not None and kind != "input_audio_buffer.append":
            seconds = meter.seconds_of(record.way, sound)
        else:
            seconds = meter.count(record.way, content)
        if kind == "response.done" and record.way == "received":
            self._response(where, record.connection, event or {})
        if kind not in SOUND_FIELDS or event is None:
            return
        coded = text_at(event, SOUND_FIELDS[kind])
        try:
            data = decoded(coded, strictly=True) if sound is None else sound
        except ValueError:
            if "<scrubbed:" in coded:
                yield "its sound is damaged: letters of it were taken for a key and replaced; record it again"
            elif record.way == "received":  # a client's mistake is no damage: the service answered it
                yield "its sound does not decode (no base64); record it again"
            return
        if record.way == "sent":
            return
        response = record.connection, text_at(event, "response_id")
        self._seconds[response] = self._seconds.get(response, Fraction(0)) + seconds
        if meter.encoding("received") == "pcm" and not self._keeps("samples", len(data) % 2 == 0):
            self._broken.append(("samples", f"{where()}: its sound ends within a sample ({len(data)} bytes)"))
        told = event.get("audio_duration_ms")
        if isinstance(told, int | float) and not isinstance(told, bool):
            long = float(seconds * 1000)
            if not self._keeps("ms", abs(long - told) <= _ROUNDED_MS):
                self._broken.append(("ms", f"{where()}: {long:g} ms of sound, and it says {told:g} ms"))

    def ended(self) -> Iterator[str]:
        """Each claim that some pieces keep, and one does not."""
        for claim, sentence in self._broken:
            if claim in self._kept:
                yield f"{sentence}; a part of it is missing"

    def _response(self, where: Callable[[], str], connection: int, event: Event) -> None:
        response = event.get("response")
        seconds = self._seconds.pop((connection, text_at(response, "id")), None)
        tokens = tokens_of(event).audio_out
        if seconds is None or not tokens or text_at(response, "status") != "completed":
            return
        counted = float(seconds * AUDIO_TOKENS_PER_S["received"])
        if not self._keeps("tokens", abs(counted - tokens) <= max(_ROUNDED_TOKENS, tokens / 100)):
            told_s = tokens / AUDIO_TOKENS_PER_S["received"]
            sentence = f"{where()}: {float(seconds):.2f} s of sound, and its usage tells {told_s:.2f} s"
            self._broken.append(("tokens", sentence))

    def _keeps(self, claim: str, kept: bool) -> bool:
        if kept:
            self._kept.add(claim)
        return kept
