"""A responder that repeats the user's words: for a first try of a client, and for load tests."""

from __future__ import annotations

from collections.abc import Iterable

from mockserver.responders.base import Say, Source, Step, Turn

MOST_CHARACTERS = 2_000
"""Characters that are repeated, about two minutes of speech."""


class EchoResponder:
    """Repeats the user's words, or the tool's result."""

    source = Source("echo")

    def hear(self, turn_number: int) -> str | None:
        return None

    def reply(self, turn: Turn) -> Iterable[Step]:
        if turn.results:
            return [Say(f"The result is {result.output[:MOST_CHARACTERS]}") for result in turn.results]
        if turn.says:
            return [Say(f"You said: {turn.says[:MOST_CHARACTERS]}")]
        return [Say("Hello! How can I help you?")]
