"""Assertions about conversations, for tests. A failed assertion shows the conversation around the place.

They are part of MockServer and LiveService, for all of their sessions together, and of TestedSession, for one session.
Times are the server's. An assertion about tool calls, cancellations or truncations also fails if there were none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any, NamedTuple, Protocol

from mockserver.server.journal import SessionLog
from mockserver.testing.timeline import conversation_text, moments, sound_seconds
from replay.cassette.json_text import Event
from replay.cassette.recording import Moment
from replay.cassette.records import Way

_ROWS = 30
"""Lines of the conversation that a message shows."""
_AUDIO_DELTAS = ("response.output_audio.delta", "response.audio.delta")
_SIDES: dict[str, Way] = {"client": "sent", "server": "received"}
_SLACK_MS = 1.0
"""`audio_end_ms` is a whole number, and may have been rounded up."""


class UsedQuantities(Protocol):
    """The quantities of a ledger that assertions need."""

    @property
    def audio_in_s(self) -> Fraction: ...

    @property
    def audio_out_s(self) -> Fraction: ...

    @property
    def total_usd(self) -> Decimal: ...


class SeenFrame(NamedTuple):
    """One frame, in seconds since the first session opened."""

    at_s: float
    session: int
    moment: Moment

    @property
    def type(self) -> str:
        return self.moment.type

    @property
    def event(self) -> Event:
        return self.moment.event or {}


class Assertions:
    """Each raises AssertionError. Events are named by type; `*` stands for any characters. Write `client ` or `server `
    before a type that both sides send: `response.create`, `*.delta`, `server (close)`, `(binary)`."""

    @property
    def logs(self) -> Sequence[SessionLog]:
        """The sessions that the assertions are about."""
        raise NotImplementedError

    @property
    def ledger(self) -> UsedQuantities:
        """The sum of what these sessions used."""
        raise NotImplementedError

    def assert_order(self, *types: str) -> None:
        """Events of these types came in this order; others may have come between them."""
        __tracebackhide__ = True
        happened = self._happened()
        at, last = 0, ""
        for type_ in types:
            found = next((i for i in range(at, len(happened)) if _is(happened[i], type_)), None)
            if found is None:
                earlier = [each for each in happened[:at] if _is(each, type_)]
                when = f"only before, at {earlier[-1].at_s:.3f} s" if earlier else "not at all"
                place = earlier[-1] if earlier else (happened[at - 1] if at else None)
                raise self._failure(f"expected {type_}{last and f' after {last}'}; it came {when}", place)
            at, last = found + 1, type_

    def assert_count(
        self, type: str, times: int | None = None, *, at_least: int | None = None, at_most: int | None = None
    ) -> None:
        """The number of events of this type: exactly `times`, or within bounds. Without a number, at least one."""
        __tracebackhide__ = True
        if times is None and at_least is None and at_most is None:
            at_least = 1
        found = [each for each in self._happened() if _is(each, type)]
        least, most = (times, times) if times is not None else (at_least or 0, at_most)
        if len(found) < least or (most is not None and len(found) > most):
            surplus = found[most] if most is not None and len(found) > most else None
            raise self._failure(f"expected {type} {_bounds(least, most)} times; it came {len(found)} times", surplus)

    def assert_audio_in(self, *, at_least: float = 0.0, at_most: float | None = None) -> None:
        """The seconds of audio that the client sent are within bounds."""
        __tracebackhide__ = True
        self._within("the client sent", float(self.ledger.audio_in_s), at_least, at_most)

    def assert_audio_out(self, *, at_least: float = 0.0, at_most: float | None = None) -> None:
        """The seconds of audio that the server sent are within bounds."""
        __tracebackhide__ = True
        self._within("the server sent", float(self.ledger.audio_out_s), at_least, at_most)

    def assert_cost_at_most(self, usd: Decimal | float | str) -> None:
        """The cost, by the prices of the service, is at most this amount of USD."""
        __tracebackhide__ = True
        spent = self.ledger.total_usd
        if spent > Decimal(str(usd)):
            heard, spoken = float(self.ledger.audio_in_s), float(self.ledger.audio_out_s)
            raise self._failure(
                f"expected at most {usd} USD; {heard:.2f} s in and {spoken:.2f} s out came to {spent} USD"
            )

    def assert_no_errors(self) -> None:
        """The server sent no `error` event, and no response failed."""
        __tracebackhide__ = True
        for each in self._happened():
            if _is(each, "server error"):
                raise self._failure(f"an error event came: {part(each.event, 'error', 'message')}", each)
            if each.type == "response.done" and part(each.event, "response", "status") == "failed":
                reason = part(each.event, "response", "status_details", "error", "message")
                raise self._failure(f"response {part(each.event, 'response', 'id')} failed: {reason}", each)

    def assert_tool_result_within(self, ms: float, name: str | None = None) -> None:
        """The client sent the result of every function call (of that function) within `ms` milliseconds."""
        __tracebackhide__ = True
        calls = [each for each in self._happened() if each.type == "response.function_call_arguments.done"]
        calls = [call for call in calls if name in (None, call.event.get("name"))]
        if not calls:
            raise self._failure(f"no call of {name or 'a function'} was made")
        for call in calls:
            self._check_result(call, ms)

    def assert_nothing_sent_after_cancel(self) -> None:
        """The server sent nothing of a cancelled or incomplete response after its `response.done`. That includes binary
        audio, until the next response begins."""
        __tracebackhide__ = True
        over: dict[tuple[int, Any], SeenFrame] = {}
        latest: dict[int, Any] = {}
        for each in self._happened():
            spoken = latest.get(each.session) if _is(each, "server (binary)") else each.event.get("response_id")
            if each.moment.way == "received" and (cut := over.get((each.session, spoken))) is not None:
                since_ms = (each.at_s - cut.at_s) * 1000
                raise self._failure(f"{each.type} came {since_ms:.0f} ms after response {spoken} was cancelled", each)
            if each.type == "response.created":
                latest[each.session] = part(each.event, "response", "id")
            if each.type == "response.done" and part(each.event, "response", "status") in ("cancelled", "incomplete"):
                over[each.session, part(each.event, "response", "id")] = each
        if not over:
            raise self._failure("no response was cancelled")

    def assert_truncated_as_heard(self) -> None:
        """No `conversation.item.truncate` claims more audio than had been sent of the item, or than a client could have
        played: each chunk plays from when it was sent, or from the end of the chunk before it."""
        __tracebackhide__ = True
        truncated = 0
        for number, log in enumerate(self.logs):
            for moment, sent_ms, played_ms in _truncations(log):
                truncated += 1
                claimed = (moment.event or {}).get("audio_end_ms")
                bound = min(sent_ms, played_ms)
                if not isinstance(claimed, int | float) or not 0 <= claimed <= bound + _SLACK_MS:
                    place = SeenFrame(moment.at_s + self._opened_s(log), number, moment)
                    raise self._failure(
                        f"truncated at {claimed} ms; {sent_ms:.0f} ms of it had been sent, "
                        f"of which {played_ms:.0f} ms could have been played",
                        place,
                    )
        if not truncated:
            raise self._failure("no conversation.item.truncate was sent")

    def _check_result(self, call: SeenFrame, ms: float) -> None:
        __tracebackhide__ = True
        name, call_id = call.event.get("name"), call.event.get("call_id")
        for each in self._happened():
            item = each.event.get("item")
            is_result = each.type == "conversation.item.create" and part(item, "type") == "function_call_output"
            if is_result and each.session == call.session and part(item, "call_id") == call_id:
                took_ms = round((each.at_s - call.at_s) * 1000, 3)
                if took_ms > ms:
                    raise self._failure(f"the result of {name} took {took_ms:.0f} ms; expected at most {ms:g} ms", each)
                return
        raise self._failure(f"{name} ({call_id}) got no result; expected one within {ms:g} ms", call)

    def _within(self, who: str, seconds: float, at_least: float, at_most: float | None) -> None:
        __tracebackhide__ = True
        if seconds < at_least or (at_most is not None and seconds > at_most):
            raise self._failure(f"expected {_bounds(at_least, at_most)} seconds of audio; {who} {seconds:.3f} s")

    def _happened(self) -> list[SeenFrame]:
        """Every frame of every session, in the order of time."""
        found = [
            SeenFrame(moment.at_s + self._opened_s(log), number, moment)
            for number, log in enumerate(self.logs)
            for moment in moments(log)
        ]
        return sorted(found, key=lambda each: each.at_s)

    def _opened_s(self, log: SessionLog) -> float:
        return log.opened - self.logs[0].opened

    def _failure(self, problem: str, place: SeenFrame | None = None) -> AssertionError:
        """The problem, and the conversation around the place."""
        return AssertionError(
            f"{problem}\n{conversation_text(self.logs, None if place is None else place.at_s, _ROWS)}"
        )


def _is(each: SeenFrame, type: str) -> bool:
    side, _, name = type.rpartition(" ")
    if side and side not in _SIDES:
        raise ValueError(f"{type!r} begins with neither 'client ' nor 'server '")
    return fnmatchcase(each.type, name) and (not side or each.moment.way == _SIDES[side])


def _bounds(least: float, most: float | None) -> str:
    if least == most:
        return f"{least:g}"
    if most is None:
        return f"at least {least:g}"
    return f"at most {most:g}" if not least else f"{least:g} to {most:g}"


def part(value: Any, *keys: str) -> Any:
    """The value under these nested keys; None if there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _truncations(log: SessionLog) -> Iterator[tuple[Moment, float, float]]:
    """Each truncation, with the milliseconds of its item that had been sent and that could have been played."""
    pieces: dict[str, list[tuple[float, float]]] = {}
    free_s, item_id = 0.0, ""
    for moment, sound_s in sound_seconds(moments(log)):
        item_id = _spoken_item(moment) or item_id
        if moment.way == "received" and sound_s:
            begins_s = max(moment.at_s, free_s)
            free_s = begins_s + sound_s
            pieces.setdefault(item_id, []).append((begins_s, sound_s))
        elif moment.type == "conversation.item.truncate":
            sent = pieces.get(str((moment.event or {}).get("item_id")), [])
            played_s = sum(min(max(moment.at_s - begins_s, 0.0), lasts_s) for begins_s, lasts_s in sent)
            yield moment, 1000 * sum(lasts_s for _, lasts_s in sent), 1000 * played_s
            free_s = min(free_s, moment.at_s)  # the client drops what it has not played


def _spoken_item(moment: Moment) -> str:
    """The item that audio belongs to from here on; binary audio messages name none."""
    event = moment.event or {}
    if moment.type in _AUDIO_DELTAS:
        return str(event.get("item_id", ""))
    if moment.type == "response.output_item.added" and part(event, "item", "type") == "message":
        return str(part(event, "item", "id"))
    return ""
