"""Watching: one connection's frames on their way to the rules, and the connections of one server or recording together.

Cheap where much goes by. Of a frame only its type is read, at its front; its JSON is parsed when a rule or the picture
of the call wants it, and sound never is: its length tells its duration.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from replay.findings import Finding, Found, Level, Levels, Rule
from replay.findings.access import given_up, key_in_browser
from replay.findings.call import APPEND, CLOSED, DELTA, OPENED, READ, TICK, Call, Handshake, Step, text
from replay.findings.table import RULES
from replay.findings.visits import Visit
from replay.findings.words import doubled, summed
from replay.frames import Binary, Text

PER_SESSION, PER_WATCHER = 100, 2_000
"""Findings kept; further ones are counted."""
MAX_VISITS = 200
_FRONT = 64
_AUDIO = re.compile(r'"audio"\s*:\s*"')
_TICK_S = 0.25
_LOG = logging.getLogger(__name__)

_BY_KEY: dict[str, list[Rule]] = {}
for _rule in RULES:
    for _key in _rule.on:
        _BY_KEY.setdefault(_key, []).append(_rule)
_WANTED = frozenset(key.partition(" ")[2] for key in (*READ, *_BY_KEY) if key.startswith("received "))
_WANTED_BYTES = frozenset(kind.encode() for kind in _WANTED)
_DELTA_START = b'{"type":"' + DELTA.encode() + b'"'


class Watch:
    """One connection. Times are seconds since it opened."""

    def __init__(self, watcher: Watcher, session: str, call: Call, visit: Visit) -> None:
        self.session = session
        self.call = call
        self.visit = visit
        self.findings: list[Finding] = []
        self.more = 0
        """Findings that were not kept."""
        self._watcher = watcher
        self._told: set[tuple[str, str]] = set()
        self._frames = 0
        self._looked = 0.0
        self._over = False

    # Live frames, as they are on the wire.

    def sent(self, at: float, data: str | bytes) -> None:
        """The client sent a message."""
        if not self._over:
            self._frames += 1
            self._guarded(self._sent, at, data)

    def received(self, at: float, frame: Text | Binary) -> None:
        """The service sent a message."""
        if not self._over:
            self._frames += 1
            self._guarded(self._received, at, frame)

    def _sent(self, at: float, data: str | bytes) -> None:
        if isinstance(data, bytes):
            self._sound_in(at, data)
        elif (coded := _appended(data)) is not None:
            self._sound_in(at, coded)
        else:
            kind, event = _read(data)
            if kind == APPEND:
                self._sound_in(at, text(event.get("audio")))
            else:
                self._step(Step(at, "sent", kind, event, self._frames - 1))

    def _received(self, at: float, frame: Text | Binary) -> None:
        if isinstance(frame, Text):
            data = frame.data
            if data.startswith(_DELTA_START):
                start = data.find(b'"delta":"') + 9
                self._sound_out(at, (data.find(b'"', start) - start) * 3 // 4)
            elif data.startswith(b'{"type":"') and data[9 : data.find(b'"', 9)] not in _WANTED_BYTES:
                return
            else:
                self._step(Step(at, "received", *_read(data), self._frames - 1))
        else:
            self._sound_out(at, len(frame.data))

    # Recorded ones, which were parsed already.

    def recorded(self, step: Step, sound: bytes | str | None = None, *, seconds: float | None = None) -> None:
        """A recorded frame. `sound` is what it carries, if that is its kind; `seconds` how long it is, if told."""
        self._frames += 1
        step = Step(step.at, step.way, step.type, step.event, self._frames - 1)
        if sound is None:
            self._step(step)
        elif step.way == "sent":
            self._sound_in(step.at, sound)
        else:
            size = len(sound) * 3 // 4 if isinstance(sound, str) else len(sound)
            self._sound_out(step.at, size, seconds)

    def tick(self, at: float) -> None:
        """Time has passed: what is overdue is told."""
        if not self._over:
            self._guarded(self._run, Step(max(at, self._looked), "sent", TICK, number=max(0, self._frames - 1)))

    def closed(self, at: float) -> None:
        """The connection is over."""
        self.tick(at)
        if not self._over:
            self._guarded(self._run, Step(max(at, self._looked), "sent", CLOSED, number=max(0, self._frames - 1)))
        self._over = True
        self.visit.end(at, self.call)
        self.call.close()

    def opened(self) -> None:
        """Look at the handshake."""
        self._guarded(self._run, Step(0.0, "sent", OPENED))

    def _guarded(self, work: Callable[..., None], *given: object) -> None:
        """A mistake in a rule must not end a call."""
        try:
            work(*given)
        except Exception:
            _LOG.exception("session %s: error inside the findings; it is not watched any more", self.session)
            self._over = True

    def _sound_in(self, at: float, sound: str | bytes) -> None:
        heard = self.call.sound
        if isinstance(sound, str):
            heard.append(at, sound, listen=not self.call.vad)
        else:
            heard.packet(at, sound)
        self._look(at)

    def _sound_out(self, at: float, size: int, seconds: float | None = None) -> None:
        self.call.sounded(at, size / self.call.sound.out_bytes_per_s if seconds is None else seconds)

    def _step(self, step: Step) -> None:
        self._look(step.at)
        self._run(step)
        self.call.take(step)

    def _look(self, at: float) -> None:
        if at - self._looked >= _TICK_S:
            self._looked = at
            self._run(Step(at, "sent", TICK, number=max(0, self._frames - 1)))

    def _run(self, step: Step) -> None:
        for rule in _BY_KEY.get(step.key, ()):
            level = self._watcher.levels[rule.id]
            if level == "off":
                continue
            for found in rule.check(self.call, step):
                self._tell(rule, level, found, step)

    def judge(self, rule_id: str, found: Iterable[Found]) -> None:
        """Take in what a rule says that does not look by itself."""
        rule = next(rule for rule in RULES if rule.id == rule_id)
        if (level := self._watcher.levels[rule_id]) != "off":
            for each in found:
                self._tell(rule, level, each, Step(self._looked, "sent", CLOSED, number=max(0, self._frames - 1)))

    def _tell(self, rule: Rule, level: Level, found: Found, step: Step) -> None:
        if (rule.id, found.cause) in self._told:
            return
        if len(self.findings) >= PER_SESSION:
            self.more += 1
            return
        self._told.add((rule.id, found.cause))
        at = step.at if found.at is None else found.at
        place = step.number if found.frame is None else found.frame
        frame = None if step.type == OPENED else place
        finding = Finding(rule.id, level, at, frame, found.message, rule.fix, self.session)
        self.findings.append(finding)
        self._watcher.note(finding)


@dataclass(slots=True)
class Watcher:
    """All connections of one server, or of one recording: what a client does from one to the next shows only here."""

    levels: Levels = field(default_factory=Levels)
    log: Callable[[Finding], None] | None = None
    findings: deque[Finding] = field(default_factory=lambda: deque(maxlen=PER_WATCHER))
    visits: deque[Visit] = field(default_factory=lambda: deque(maxlen=MAX_VISITS))

    def open(
        self,
        session: str,
        service: str | None,
        handshake: Handshake,
        *,
        now: float = 0.0,
        timed: bool = True,
        conversation: str = "",
    ) -> Watch:
        """Begin to watch a connection that was let in at `now`, in seconds of whatever clock."""
        call = Call(service, handshake, timed=timed)
        call.earlier = tuple(self.visits)
        visit = Visit(handshake, now, conversation=conversation)
        self.visits.append(visit)
        watch = Watch(self, session, call, visit)
        call.opened = now
        watch.opened()
        call.earlier = ()
        return watch

    def refused(
        self, service: str | None, handshake: Handshake, now: float, status: int, retry_after_s: float | None
    ) -> None:
        """A connection was not let in."""
        call = Call(service, handshake)
        call.earlier, call.opened = tuple(self.visits), now
        watch = Watch(self, "", call, Visit(handshake, now, status, retry_after_s))
        self.visits.append(watch.visit)
        watch.opened()

    def browser_call(self, asked: Handshake) -> None:
        """A request for a client secret."""
        call = Call(None, asked)
        watch = Watch(self, "", call, Visit(asked, 0.0))
        watch.judge("key-in-browser", key_in_browser(call, Step(0.0, "sent", OPENED)))

    def ended(self) -> None:
        """Nothing more comes."""
        watch = Watch(self, "", Call(None, Handshake()), Visit(Handshake(), 0.0))
        watch.judge("no-retry", given_up(tuple(self.visits)))

    def claim(
        self, watches: list[Watch], *, transcript: str | None = None, billable_audio_seconds: float | None = None
    ) -> list[Finding]:
        """Judge what a client made of running totals: the caller's words as it shows them, and the seconds that it
        counted over all these connections. Gives what is wrong with it."""
        seen = len(self.findings)
        for watch in watches if transcript is not None else ():
            watch.judge("appended-transcripts", doubled(watch.call, transcript or "", "shown"))
        if billable_audio_seconds is not None and watches:
            totals = [watch.call.billable for watch in watches]
            watches[-1].judge("summed-billable-seconds", summed(totals, billable_audio_seconds))
        return list(self.findings)[seen:]

    def reset(self) -> None:
        """Forget what was found."""
        self.findings.clear()
        self.visits.clear()

    def note(self, finding: Finding) -> None:
        """Keep a finding, and tell who wants to know."""
        self.findings.append(finding)
        if self.log is not None:
            self.log(finding)


def _appended(data: str) -> str | None:
    """The sound in a client's append, found without parsing; None for any other message."""
    if APPEND not in data[:_FRONT] and (len(data) < _FRONT or APPEND not in data[-2 * _FRONT :]):
        return None
    found = _AUDIO.search(data, 0, 4 * _FRONT)
    if found is None:
        return None
    coded = data[found.end() : data.find('"', found.end())]
    return None if "\\" in coded else coded


def _read(data: str | bytes) -> tuple[str, dict[str, Any]]:
    """Type and event of a message; an empty type for what is none."""
    try:
        event = orjson.loads(data)
    except ValueError:
        return "", {}
    kind = event.get("type") if isinstance(event, dict) else None
    return (kind, event) if isinstance(kind, str) else ("", {})
