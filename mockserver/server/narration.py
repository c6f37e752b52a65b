"""Follows the messages of one connection, and tells its turns, its errors and its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mockserver.billing.ledger import Ledger
from mockserver.responders.base import Source
from mockserver.server.notices import CallClosed, CallOpened, ErrorSent, Notice, TurnAnswered
from mockserver.session.ears import HeardTurn
from replay.billing.prices import UnknownPrice, dollars_in
from replay.billing.ratio import NONE, Ratio, difference, quotient
from replay.cassette.json_text import Event
from replay.cassette.json_values import object_at, object_in, text_at, text_in
from replay.findings.call import ITEM, said_in

_LONGEST = 2_000
"""Characters of a text that are kept."""
_MOST = 20
"""Inputs, and calls, of one turn that are kept."""


class Narration:
    """One connection, told to `tell`. Times are seconds since it opened."""

    wanted = frozenset(
        (
            "response.created",
            "response.output_item.done",
            "response.done",
            "response.output_audio_transcript.done",
            "response.output_text.done",
            "error",
        )
    )

    """The types of the server's events that it is told."""

    def __init__(
        self,
        opened: CallOpened,
        tell: Callable[[Notice], None],
        ledger: Ledger,
        heard: Sequence[HeardTurn] = (),
        source: Callable[[], Source] = Source,
    ) -> None:
        self.messages = 0
        """Messages so far, both ways."""
        self._session = opened.session
        self._tell = tell
        self._ledger = ledger
        self._heard = heard
        self._source = source
        self._last_heard: HeardTurn | None = None
        self._asked: list[str] = []
        self._names: dict[str, str] = {}
        self._paid = self._audio_s = NONE
        self._turns = 0
        self._begin(0.0)
        tell(opened)

    def _begin(self, at: float) -> None:
        """Of the response that goes on."""
        self._began = at
        self._first_audio: float | None = None
        self._says: list[str] = []
        self._calls: list[str] = []

    def sent(self, at: float, kind: str, event: Event) -> None:
        """The client sent an event."""
        if kind != ITEM or len(self._asked) >= _MOST:
            return
        item = object_at(event, "item")
        if item.get("type") == "function_call_output":
            name = self._names.get(text_at(item, "call_id"), "an unknown call")
            self._asked.append(f"the result of {name}")
        elif item.get("role") == "user" and (said := said_in(item)):
            self._asked.append(said[:_LONGEST])

    def appended(self, at: float, data: str, start: int, end: int) -> None:
        """The client sent audio: what it says comes with the turn."""

    def packet(self, at: float, data: bytes) -> None:
        """The client sent audio: what it says comes with the turn."""

    def spoke(self, at: float, size: int, event: bytes = b"") -> None:
        """The server sent audio."""
        self._first_audio = at if self._first_audio is None else self._first_audio

    def received(self, at: float, kind: str, event: Event) -> None:
        """The server sent an event."""
        match kind:
            case "response.created":
                self._begin(at)
            case "response.output_audio_transcript.done":
                self._says.append(text_at(event, "transcript"))
            case "response.output_text.done":
                self._says.append(text_at(event, "text"))
            case "response.output_item.done" if object_at(event, "item").get("type") == "function_call":
                item = object_at(event, "item")
                if len(self._calls) < _MOST:
                    self._names[text_at(item, "call_id")] = text_at(item, "name")
                    self._calls.append(f"{text_at(item, 'name')} {text_at(item, 'arguments')}"[:_LONGEST])
            case "response.done":
                self._answered(object_at(event, "response"))
            case "error":
                error = object_at(event, "error")
                code = text_at(error, "code") or text_at(error, "type")
                self._tell(ErrorSent(self._session, code, text_at(error, "message")[:_LONGEST]))
            case _:
                pass

    def closed(self, at: float, code: int, reason: str, by_client: bool) -> None:
        """The connection is over."""
        self._tell(CallClosed(self._session, code, reason, by_client, at, self._turns, _cost(self._total())))

    def _answered(self, response: Event) -> None:
        self._turns += 1
        spoken = self._newly_heard() if self._heard else []
        total, audio_s = self._total(), self._ledger.spoken_s
        details = object_in(response, "status_details")
        error = object_in(details, "error")
        why = (text_in(error, "code"), text_in(error, "message"), text_in(details, "reason")) if details else None
        self._tell(
            TurnAnswered(
                self._session,
                self._turns,
                (*self._asked, *[turn.words[:_LONGEST] for turn in spoken]),
                spoken[-1].heard_by if spoken else "",
                self._source().place,
                " ".join(filter(None, self._says))[:_LONGEST],
                tuple(self._calls),
                None if self._first_audio is None else self._first_audio - self._began,
                quotient(difference(audio_s, self._audio_s)),
                _cost(total, self._paid),
                text_in(response, "status"),
                "" if why is None else ": ".join(dict.fromkeys(filter(None, why))),
                text_in(response, "id"),
            )
        )
        self._asked.clear()
        self._paid, self._audio_s = total or NONE, audio_s
        if len(self._names) > _MOST:
            self._names = dict(list(self._names.items())[-_MOST:])

    def _newly_heard(self) -> list[HeardTurn]:
        """The spoken turns since the last response, oldest first."""
        fresh: list[HeardTurn] = []
        for turn in reversed(self._heard):
            if turn is self._last_heard or len(fresh) >= _MOST:
                break
            fresh.append(turn)
        self._last_heard = fresh[0] if fresh else self._last_heard
        return fresh[::-1]

    def _total(self) -> Ratio | None:
        try:
            return self._ledger.usd
        except UnknownPrice:
            return None


def _cost(total: Ratio | None, before: Ratio = NONE) -> str:
    return "" if total is None else dollars_in(difference(total, before))
