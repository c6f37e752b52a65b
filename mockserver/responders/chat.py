"""A responder that leaves every response to a language model."""

from __future__ import annotations

from collections.abc import Iterable

from mockserver.responders.base import Chat, Source, Step, Turn


class ChatResponder:
    """Lets the model answer, whatever came."""

    source = Source("the language model")

    def hear(self, turn_number: int) -> str | None:
        return None

    def reply(self, turn: Turn) -> Iterable[Step]:
        return [Chat()]
