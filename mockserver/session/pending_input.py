"""The input since the last response: texts, spoken turns, results. It becomes the responder's turn and the usage."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from mockserver.protocol.conversation import Item
from mockserver.protocol.facts import ResponseCounts
from mockserver.responders.base import UNINTELLIGIBLE, Result, Turn
from mockserver.session.transcription import Heard

MOST_KEYS = 100
"""Keys of the telephone that one turn may have."""


class Question:
    """What a response answers. Its words are complete once they are `known`."""

    def __init__(
        self, counts: ResponseCounts, heard: Sequence[Heard], turn: Callable[[], Turn], instructions: str
    ) -> None:
        self.counts = counts
        self.instructions = instructions
        self.heard = heard
        self._turn = turn
        self._count()

    def turn(self) -> Turn:
        """The responder's turn, once all words are known."""
        self._count()
        return self._turn()

    def _count(self) -> None:
        self.counts.heard = [each.words for each in self.heard if each.words is not None]


class PendingInput:
    """Collects a connection's input, and hands it over once per response."""

    def __init__(self) -> None:
        self._typed: list[str] = []
        self._heard: list[Heard] = []
        self._results: list[Result] = []
        self._taken: tuple[list[str], list[Heard], list[Result]] = ([], [], [])
        self._pressed = ""
        self._names: dict[str, str] = {}
        self._turns = 0
        self.turns_heard = 0
        """Spoken turns so far, earlier connections included."""

    def typed(self, text: str) -> None:
        """The user wrote a text."""
        self._typed.append(text)

    def press(self, digit: str) -> None:
        """The caller pressed a key. Of those that nobody answers, the last MOST_KEYS are kept."""
        self._pressed = (self._pressed + digit)[-MOST_KEYS:]

    def heard(self, heard: Heard) -> None:
        """The user spoke a turn."""
        self.turns_heard += 1
        self._heard.append(heard)

    def answered(self) -> None:
        """An assistant's message that the client adds answers the texts before it (recordings). That it answers tool
        results too is a guess; clients that restore a conversation count on it."""
        self._typed.clear()
        self._results.clear()

    def called(self, call_id: str, name: str) -> None:
        """Note the function of a call. LiveKit sends long ids back as 32 digits of their SHA-256."""
        self._names[call_id] = name
        self._names[hashlib.sha256(call_id.encode()).hexdigest()[:32]] = name

    def result(self, call_id: str, output: str) -> None:
        """The client returned a function's output. The name of an unknown call is empty."""
        self._results.append(Result(self._names.get(call_id, ""), output))

    def declined(self, name: str, output: str) -> None:
        """The client refused a call that the service wanted to make itself."""
        self._results.append(Result(name, output))

    def take(self, instructions: str, *, silence: bool = False) -> Question:
        """Hand over all that is new. `silence`: the user said nothing for the idle time."""
        typed, heard, results, number = self._typed, self._heard, tuple(self._results), self._turns
        pressed, self._pressed = self._pressed, ""

        def turn() -> Turn:
            says = " ".join([*typed, *(each.words or UNINTELLIGIBLE for each in heard)]) or None
            by = heard[-1].by if heard else None
            return Turn(number, says, results, bool(heard), silence, instructions, by, pressed)

        self._turns += 1
        self._taken = (self._typed, self._heard, self._results)
        self._typed, self._heard, self._results = [], [], []
        counts = ResponseCounts(typed=typed, heard_ms=sum(each.ms for each in heard))
        return Question(counts, heard, turn, instructions)

    def of_items(self, items: Iterable[Item], instructions: str) -> Question:
        """A turn about these items alone. New input stays pending."""
        context = tuple(items)
        messages = [item for item in context if item.kind == "message" and item.role == "user"]
        results = [item for item in context if item.kind == "result"]
        says = messages[-1].text if messages else None
        outputs = tuple(Result(self._names.get(item.call_id, ""), item.output) for item in results)
        turn = Turn(self._turns, says, outputs, instructions=instructions)
        self._turns += 1
        counts = ResponseCounts(typed=[item.text for item in messages], context=context)
        return Question(counts, (), lambda: turn, instructions)

    def restore(self) -> None:
        """The last response was cancelled for another one: that one gets its input, if there is nothing new."""
        if not (self._typed or self._heard or self._results):
            self._typed, self._heard, self._results = self._taken
            self._turns -= 1

    def give_back(self) -> None:
        """The last response was dropped: what it took is pending again, except the last spoken turn, which goes on."""
        typed, heard, results = self._taken
        self._typed, self._heard, self._results = typed + self._typed, heard[:-1] + self._heard, results + self._results
        self._turns -= 1
        self.turns_heard -= 1

    def clear(self) -> None:
        """Forget what waits, and what the last response took."""
        self._typed, self._heard, self._results, self._pressed = [], [], [], ""
        self._taken = ([], [], [])
