"""What a client says on a connection: the settings of its session, and what it types and speaks, in order.

It distinguishes recordings, and shows when a client leaves the recorded words. Messages that say nothing, such as
`response.create` or the result of a tool, do not count here; matching.py compares every message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from replay.cassette.frames import Close, Reset
from replay.cassette.json_values import objects, text_at, value_at
from replay.cassette.may_differ import NOTHING, Ignored
from replay.cassette.recording import Line, Moment
from replay.playback.matching import SCRUBBED, ClientIds, field_differences, fits
from replay.playback.reading import Reading
from replay.playback.sound import APPEND, SoundClock, Speech, Utterance, is_sound

Said = str | Utterance
"""A typed text, or a stretch of speech."""
OTHER_KIND, NOTHING_SAID = 2.0, 3.0
"""Distances of a text from speech, and of anything from a conversation that is over."""
_COMPARED = 2_000
"""Characters of a text."""
_ITEM = "conversation.item.create"
_TEXT = "item.content[0].text"
COMMIT = "input_audio_buffer.commit"
_MARKS = re.compile(r"[\W_]+")
_WORD = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]|[^\s\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]+")
"""A word, or a character of Thai, Lao, Japanese and Chinese, which do not put spaces between words."""


class Words:
    """What was said so far: `settings` of each `session.update`, and `said`. `answered`: by response, how many of
    `said` came before it.

    `recorded`: connections of a recording, of which the client's words are read when they are asked for.
    """

    def __init__(self, recorded: Iterable[Line] = ()) -> None:
        self.settings: list[Any] = []
        self.said: list[Said] = []
        self.answered: list[int] = []
        self.speech: Speech
        """Audio that is not part of `said` yet."""
        self._early = False
        self.reading = Reading(self._messages(recorded))
        self.next_connection()

    def settings_at(self, at: int) -> Any:
        """The settings of that number; None behind the last."""
        return self.settings[at] if self.reading.until(lambda: len(self.settings) > at) else None

    def said_at(self, at: int) -> Said | None:
        """What was said in that place; None behind the last."""
        return self.said[at] if self.reading.until(lambda: len(self.said) > at) else None

    def _messages(self, lines: Iterable[Line]) -> Iterator[None]:
        """Read message by message."""
        commits = announced = early = 0
        for line in lines:
            self.next_connection()
            for moment in line.moments:
                yield
                if moment.way == "sent":
                    if not isinstance(moment.frame, Close | Reset):
                        self.take(moment)
                        announced += text_at(moment.event, "item", "type") == "force_message"
                        commits += moment.type == COMMIT
                elif moment.type == "input_audio_buffer.committed":
                    if commits:
                        commits -= 1  # the client ended the turn, and goes on sending audio
                    elif early and not self.speech.loud:
                        early -= 1
                    else:
                        self.heard()
                elif moment.type == "response.created":
                    if announced:
                        announced -= 1  # the client's own text, not a response of the model
                        continue
                    if self.speech.loud:
                        self.heard()  # xAI answers a spoken turn before it is committed (recordings)
                        early += 1
                    self.response()

    def next_connection(self) -> None:
        """A resumed conversation goes on in another connection, with an audio format of its own."""
        self._clock = SoundClock()
        self.speech = Speech(self._clock)

    def take(self, sent: Moment) -> None:
        """A client's message."""
        if is_sound(sent):
            self.speech.take(sent)
            return
        self._clock.take(sent)
        if sent.type == "session.update":
            self.settings.append(value_at(sent.event, "session"))
        elif sent.type == _ITEM:
            self._item(sent)
        elif sent.type in (COMMIT, "response.create"):
            self.heard(silence=sent.type == COMMIT)
        elif sent.type == "input_audio_buffer.clear":
            self.speech.clear()

    def _item(self, sent: Moment) -> None:
        parts = objects(value_at(sent.event, "item", "content"))
        texts = "".join(text_at(part, "text") for part in parts)
        if texts:
            self.heard(silence=False)
            self.said.append(texts)
        for part in parts:
            if text_at(part, "audio"):
                self.speech.take(Moment(sent.at_s, "sent", sent.frame, {"type": APPEND, "audio": part["audio"]}))
                self.heard()

    def heard(self, *, silence: bool = True, early: bool = False) -> None:
        """A spoken turn is over. `silence`: a turn without any speech counts too. `early`: the client may still commit
        it."""
        if self.speech.loud or (silence and self.speech.ms and not self._early):
            self.said.append(self.speech.end())
        else:
            self.speech.clear()
        self._early = early

    @property
    def unanswered(self) -> list[Said]:
        """What was said since the last response."""
        return self.said[self.answered[-1] if self.answered else 0 :]

    def answering(self, number: int) -> list[Said]:
        """What the response of that number, from 0, answers."""
        if not self.reading.until(lambda: len(self.answered) > number):
            return []
        return self.said[self.answered[number - 1] if number else 0 : self.answered[number]]

    def response(self) -> list[Said]:
        """A response begins. What it answers."""
        said = self.unanswered
        self.answered.append(len(self.said))
        return said


def settings_apart(recorded: Any, live: Any, ignored: Ignored = NOTHING) -> int:
    """The number of settings that differ."""
    theirs, ours = ({"type": "", "session": {} if each is None else each} for each in (recorded, live))
    return len(field_differences(theirs, ours, ClientIds(()), ignored=ignored))


def said_apart(recorded: Said | None, live: Said, ignored: Ignored = NOTHING) -> float:
    """From 0, the same, to 1; above, what cannot be compared. The words of a text count, and their order."""
    if recorded is None:
        return NOTHING_SAID
    if isinstance(recorded, Utterance) and isinstance(live, Utterance):
        return recorded.distance(live)
    if not (isinstance(recorded, str) and isinstance(live, str)):
        return OTHER_KIND
    if (SCRUBBED.search(recorded) and fits(recorded, live)) or ignored.covers(_TEXT, recorded, live):
        return 0.0
    one, other = (_plain(each, ignored) for each in (recorded, live))
    if one == other and (one or recorded == live):
        return 0.0
    there, here = (_WORD.findall(each[:_COMPARED]) for each in (one, other))
    return max(0.01, round(1 - 2 * _common(there, here) / max(1, len(there) + len(here)), 2))


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence, by the bits of Hyyrö's algorithm. Its time does not depend on how
    often a word is repeated, as that of difflib does."""
    places: dict[str, int] = {}
    for at, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << at
    every = (1 << len(one)) - 1
    unmatched = every
    for word in other:
        found = unmatched & places.get(word, 0)
        unmatched = (unmatched + found | unmatched - found) & every
    return len(one) - unmatched.bit_count()


def _plain(text: str, ignored: Ignored) -> str:
    return _MARKS.sub(" ", ignored.without(text).casefold()).strip()
