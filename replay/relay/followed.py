"""What a relay tells of its sessions: spans, and lines of a log. It reads what is recorded, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import assert_never

from replay.cassette.frames import Binary, Close, Reset, Text
from replay.cassette.records import Content, Request, Response, Way
from replay.tracing.milestones import (
    ErrorCame,
    FirstOutput,
    Milestone,
    Milestones,
    ResponseBegan,
    ResponseEnded,
    SessionNamed,
    ToolRan,
    Transcribed,
    add_newest,
)

if TYPE_CHECKING:  # needs the extra `otel`
    from replay.tracing.spans import SessionSpans, Tracing

Line = Mapping[str, object]
_GOOD = (1000, 1001, 1005)
"""Close codes of sessions that did not fail."""


@dataclass(frozen=True, slots=True)
class Following:
    """Who follows the sessions of a relay. `unix`: the Unix second. `tracing`: makes spans; None for none. `tell`:
    called with each line of the log; None for none."""

    unix: Callable[[], float]
    tracing: Tracing | None = None
    tell: Callable[[Line], None] | None = None


class FollowedSession:
    """One connection to a relay. Times are seconds since `opened`, a Unix second. `number`: from 1."""

    def __init__(
        self,
        following: Following,
        number: int,
        opened: float,
        dialect: str,
        model: str | None,
        context: Mapping[str, str],
        about: Mapping[str, str | int],
    ) -> None:
        self._tell = following.tell
        self._opened = opened
        self._known: dict[str, object] = {"call": number, "session": ""}
        self._about = {"dialect": dialect, "model": model or ""}
        self._client = ""
        self.spans: SessionSpans | None = None
        if following.tracing is not None:
            self.spans = following.tracing.session("relay", opened, dialect, model, context, about)
        self._milestones = Milestones()
        self._began: dict[str, float] = {}
        """When responses began that go on, by their ids."""
        self._first: dict[str, float] = {}
        """Seconds until their first audio."""
        self._turns = 0
        self._announced = self._over = False

    def note(self, at: float, way: Way, content: Content) -> None:
        """Something crossed the relay."""
        match content:
            case Text(data) if way == "received":
                self._take(at, self._milestones.read(at, data))
            case Binary() if way == "received":
                self._take(at, self._milestones.sound())
            case Request(headers=headers):
                self._client = next((value for name, value in headers if name.lower() == "user-agent"), "")
            case Response(status) if status != 101:
                self._line("handshake_refused", at, {"status": status})
                self._close(at, str(status))
            case Close(code, reason) if not self._over:
                self._closed(at, code, reason, way)
            case Reset() if not self._over:
                self._closed(at, 1006, "connection lost", way)
            case _:
                pass

    def ended(self, at: float) -> None:
        """Nothing more will cross the relay. A session whose end nobody noted was lost."""
        if not self._over:
            self._closed(at, 1006, "connection lost", "received")

    def _closed(self, at: float, code: int, reason: str, way: Way) -> None:
        self._announce(at)
        if self.spans is not None:
            self.spans.note(realtape__close_code=code)
        told = {"code": code, "reason": reason, "by_client": way == "sent", "seconds": round(at, 3)}
        self._line("closed", at, {**told, "turns": self._turns})
        self._close(at, "" if code in _GOOD else str(code))

    def _close(self, at: float, error: str) -> None:
        self._over = True
        if self.spans is not None:
            self.spans.closed(at, self._milestones.unfinished(), error)

    def _announce(self, at: float) -> None:
        """The session is known by its id, or it will not be."""
        if not self._announced:
            self._announced = True
            self._line("opened", at, {**self._about, "client": self._client})

    def _take(self, at: float, milestone: Milestone | None) -> None:
        if milestone is None:
            return
        span_id = ""
        match milestone:
            case SessionNamed():
                if milestone.session:
                    self._known["session"] = milestone.session
                    self._announce(at)
            case ResponseBegan(id):
                add_newest(self._began, id, at)
            case FirstOutput(response, audio):
                if audio and response in self._began:
                    add_newest(self._first, response, at - self._began[response])
            case ResponseEnded(id, status, error):
                self._turns += 1
                span_id = "" if self.spans is None else self.spans.response_id(id)
                self._began.pop(id, None)
                first = self._first.pop(id, None)
                told: dict[str, object] = {"number": self._turns, "status": status, "reason": error, "response": id}
                told["first_audio_s"] = None if first is None else round(first, 3)
                self._line("turn", at, told, span_id)
            case ErrorCame(code):
                self._line("error", at, {"code": code})
            case ToolRan() | Transcribed():
                pass
            case _:
                assert_never(milestone)
        if self.spans is not None:
            self.spans.take(at, milestone)

    def _line(self, event: str, at: float, values: Mapping[str, object], span_id: str = "") -> None:
        if self._tell is None:
            return
        ids = {}
        if self.spans is not None:
            ids = {"trace_id": self.spans.trace_id, "span_id": span_id or self.spans.span_id}
        self._tell({"event": event, "at": round(self._opened + at, 3), **self._known, **values, **ids})
