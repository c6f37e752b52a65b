"""A recorded conversation as other tools' formats hold it, with or without times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal


class UnreadableRecording(Exception):
    """The file is not a recording of the format that it was read as. The message says where and what to do."""


@dataclass(frozen=True, slots=True)
class Message:
    """One event; `sent` is client to server. The keys of `event` are in wire order. `at_s`: seconds since the
    connection opened, None if the recorder kept no times.
    """

    way: Literal["sent", "received"]
    event: Mapping[str, Any]
    at_s: float | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection ended. Steps after it belong to the next connection."""

    code: int = 1000
    reason: str = ""
    at_s: float | None = None


ConversationStep = Message | Closed


@dataclass(frozen=True, slots=True)
class HttpExchange:
    """An HTTP request and its response, beside the events. `after`: the number of steps before it.
    `recorded_at`: ISO 8601, if the file has it.
    """

    method: str
    url: str
    request_headers: tuple[tuple[str, str], ...]
    request_body: bytes
    status: int
    response_headers: tuple[tuple[str, str], ...]
    response_body: bytes
    after: int
    recorded_at: str | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """The steps of one conversation in the order in which the client saw them, over one connection or several, and
    the HTTP exchanges beside it.
    """

    name: str
    steps: tuple[ConversationStep, ...]
    exchanges: tuple[HttpExchange, ...] = ()

    def received(self) -> list[Mapping[str, Any]]:
        """The server's events, over all connections."""
        return [step.event for step in self.steps if isinstance(step, Message) and step.way == "received"]

    def sent(self) -> list[Mapping[str, Any]]:
        """The client's events, over all connections."""
        return [step.event for step in self.steps if isinstance(step, Message) and step.way == "sent"]

    def connections(self) -> Iterator[tuple[ConversationStep, ...]]:
        """The steps of each connection, with its closing step if there is one."""
        begin = 0
        for at, step in enumerate(self.steps, start=1):
            if isinstance(step, Closed) or at == len(self.steps):
                yield self.steps[begin:at]
                begin = at
