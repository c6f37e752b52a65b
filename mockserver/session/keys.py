"""The keys that the caller presses: reported at once, and part of what the next response answers.

xAI hands them to the model as a text, which it answers: after `#`, after a pause, or when the caller speaks (vendor's
page). How that shows on the wire is a guess: as a message of the user. OpenAI only reports each key (vendor's page).
"""

from __future__ import annotations

from collections.abc import Callable

from mockserver.protocol.commands import Part
from mockserver.protocol.conversation import Item
from mockserver.protocol.facts import DigitPressed, ItemAdded
from mockserver.session.context import SessionContext
from mockserver.session.pending_input import MOST_KEYS, PendingInput
from mockserver.session.scheduler import Run, Scheduler

KEYS = "keys"
"""Name of the run that waits for a further key."""


class Keys:
    """The keys of one session."""

    def __init__(
        self,
        session: SessionContext,
        scheduler: Scheduler,
        pending: PendingInput,
        answers: Callable[[float], None],
    ) -> None:
        """`answers` is called when the model is to answer the keys."""
        self._session = session
        self._scheduler = scheduler
        self._pending = pending
        self._answers = answers
        self._pressed = ""

    def press(self, digit: str, now: float) -> None:
        """Report a key."""
        self._session.emit(DigitPressed(digit), now)
        self._pending.press(digit)
        if (pause_s := self._session.dialect.traits.turns.keys_pause_s) is None:
            return
        self._pressed += digit
        if digit == "#" or len(self._pressed) >= MOST_KEYS:
            self._flush(now)
        else:
            self._scheduler.start(KEYS, self._wait(now + pause_s))

    def speaks(self, now: float) -> None:
        """The caller speaks: the keys are part of that turn."""
        self._hand_over(now)

    def _wait(self, until: float) -> Run:
        yield until
        self._flush(until)

    def _flush(self, now: float) -> None:
        self._hand_over(now)
        self._answers(now)

    def _hand_over(self, now: float) -> None:
        """Put the keys into the conversation as a text."""
        text, self._pressed = self._pressed, ""
        if not text:
            return
        self._scheduler.drop(KEYS)
        item = Item(self._session.dialect.ids.item(now), "message", "user", parts=[Part("input_text", text)])
        self._session.conversation.add(item)
        self._session.emit(ItemAdded(item), now)
        self._pending.typed(text)
