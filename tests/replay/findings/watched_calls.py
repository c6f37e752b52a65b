"""Calls to check: a talk with the mock, in virtual time, that is watched from its first frame to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from mockserver.dialects.names import dialect_name
from mockserver.responders.base import Call, Responder, Say, Step
from replay.findings import Finding, Levels, Setting
from replay.findings.handshake import handshake
from replay.findings.watch import Watcher
from tests.mockserver.talk import Script, Talk

DIALECTS = ("xai", "openai")
MODELS = {"xai": "grok-voice-think-fast-2.0", "openai": "gpt-realtime"}
Setup = Callable[[str], Mapping[str, object]]


class WatchedCall(Talk):
    """A talk, and what is found in it. `with` ends it, and looks at everything once more."""

    def __init__(
        self,
        dialect: str = "xai",
        *replies: list[Step],
        update: Mapping[str, object] | None = None,
        pacing: str = "live",
        levels: Setting = None,
        write_tools: tuple[str, ...] | None = None,
        heard: tuple[str, ...] = (),
        responder: Responder | None = None,
        watcher: Watcher | None = None,
        opened_s: float = 0.0,
        query: tuple[tuple[str, str], ...] = (),
    ) -> None:
        # The prepared replies call tools that no test declares.
        given = {"all": levels} if isinstance(levels, str) else dict(levels or {})
        self.watcher = watcher or Watcher(Levels({"undeclared-call": "off", **given}, write_tools))
        asked = handshake([("model", MODELS[dialect.partition("@")[0]]), *query], [("authorization", "Bearer key")])
        watch = self.watcher.open("s", dialect_name(dialect), asked, now=opened_s)
        script = responder or Script(*replies, heard=heard)
        super().__init__(script, dialect=dialect, pacing=pacing, model=MODELS[dialect.partition("@")[0]], watch=watch)
        self.dialect = dialect
        if update is not None:
            self.configure(**update)

    def configure(self, **session: object) -> None:
        """Send a session.update; `turn_detection` goes where the dialect has it."""
        if self.dialect == "openai":
            session = {"type": "realtime", **session}
            if "turn_detection" in session:
                audio = dict(session.get("audio") or {})  # type: ignore[call-overload]
                audio["input"] = {**audio.get("input", {}), "turn_detection": session.pop("turn_detection")}
                session["audio"] = audio
        self.send("session.update", session=session)

    def answer(self, call_id: str, output: str = '{"slots": ["9:00"]}') -> None:
        """Send a tool's result."""
        self.create("function_call_output", call_id=call_id, output=output)

    def called(self) -> str:
        """Wait for a response with a call to be over; gives the call's id."""
        call_id = str(self.until("response.function_call_arguments.done")["call_id"])
        self.until("response.done")
        return call_id

    def end(self) -> None:
        """Hang up."""
        assert self.watch is not None
        self.watch.closed(self.now)

    @property
    def findings(self) -> list[Finding]:
        assert self.watch is not None
        self.watch.tick(self.now)
        return list(self.watcher.findings)

    @property
    def rules(self) -> list[str]:
        return [finding.rule for finding in self.findings]


@contextmanager
def watched_call(dialect: str = "xai", *replies: list[Step], **settings: object) -> Iterator[WatchedCall]:
    """A watched_call that hangs up at its end."""
    told = WatchedCall(dialect, *replies, **settings)  # type: ignore[arg-type]
    yield told
    told.end()


def calling(name: str = "check_availability", **arguments: object) -> list[Step]:
    """A reply that is one function call."""
    return [Call(name, arguments or {"date": "2026-07-06"})]


LONG: list[Step] = [Say("This goes on for quite a while, word after word, and then for some more. " * 3)]
