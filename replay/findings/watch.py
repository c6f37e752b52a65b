"""Watching live or recorded connections: messages go to the rules and to the state of their connection.

messages.py reads those of a live connection; lint.py has those of a recording.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from replay.cassette.json_text import Event
from replay.cassette.json_values import NOTHING, text_at
from replay.findings.call import (
    ACCEPTED,
    CLOSED,
    ITEM,
    OPENED,
    READ,
    TICK,
    Attempt,
    CallState,
    CallStep,
    CarriedOut,
    Handshake,
)
from replay.findings.finding import Finding, Found, Level
from replay.findings.levels import Levels
from replay.findings.rules.access import SOON_S, given_up, key_in_browser
from replay.findings.rules.items import NOTHING_S, TOLD_S, UNANSWERED_S
from replay.findings.rules.running_totals import doubled, summed
from replay.findings.rules.table import (
    APPENDED_TRANSCRIPTS,
    KEY_IN_BROWSER,
    NO_RETRY,
    SUMMED_BILLABLE_SECONDS,
    Rule,
)
from replay.findings.rules.tools import GRACE_S
from replay.findings.rules.turns import STILL_S
from replay.outlets import clean, logger, printable

PER_SESSION, PER_WATCHER = 100, 2_000
"""Findings kept per session, and in all. Further ones are counted."""
MAX_ATTEMPTS = 200
LONGEST_MESSAGE = 1_000
"""Characters of a finding's message."""
_TICK_S = 0.5
_AFTER_S = 0.01
_LOG = logger(__name__)


class Watch:
    """One watched connection. Times are seconds since it opened."""

    def __init__(self, watcher: Watcher, session: str, call: CallState, attempt: Attempt) -> None:
        self.session = session
        self.call = call
        self.attempt = attempt
        self.findings: list[Finding] = []
        self.more = 0
        """Findings beyond PER_SESSION."""
        self._watcher = watcher
        self._reported: set[tuple[str, str]] = set()
        self.messages = 0
        """Messages so far, both ways."""
        self.wanted = watcher.wanted
        """The types of the server's events that the state or a rule needs."""
        self._due: float | None = None
        self._due_since: float | None = None
        """The step after which `due` has not been worked out yet."""
        self._looked = 0.0
        self._over = False

    @property
    def due(self) -> float | None:
        """When a rule may find something without a further frame. Whoever has a clock then calls `tick`."""
        if self._due_since is not None:
            self._due, self._due_since = overdue(self.call, self._due_since), None
        return self._due

    # Live messages: see messages.py. What it is told, it judges at once.

    def sent(self, at: float, kind: str, event: Event) -> None:
        """The client sent an event."""
        if not self._over:
            try:
                self._step(CallStep(at, "sent", kind, event, self.messages - 1))
            except Exception:
                self._stop_watching()

    def received(self, at: float, kind: str, event: Event) -> None:
        """The server sent an event."""
        if not self._over:
            try:
                self._step(CallStep(at, "received", kind, event, self.messages - 1))
            except Exception:
                self._stop_watching()

    def appended(self, at: float, data: str, start: int, end: int) -> None:
        """The client sent audio, as the base64 in `data[start:end]`."""
        if not self._over:
            try:
                self.call.audio.append(at, data, start, end, not self.call.vad)
                if at - self._looked >= _TICK_S:
                    self._look(at)
            except Exception:
                self._stop_watching()

    def packet(self, at: float, data: bytes) -> None:
        """The client sent a binary message."""
        if not self._over:
            try:
                self.call.audio.packet(at, data)
                if at - self._looked >= _TICK_S:
                    self._look(at)
            except Exception:
                self._stop_watching()

    def spoke(self, at: float, size: int, event: bytes = b"") -> None:
        """The server sent that many bytes of audio."""
        if not self._over:
            self.call.output_audio(at, size / self.call.audio.out_bytes_per_s)

    def _stop_watching(self) -> None:
        """An error in a rule must not end a call."""
        _LOG.exception("session %s: error in a findings rule; the session is no longer watched", self.session)
        self._over = True

    # Recorded frames, already parsed.

    def recorded(self, step: CallStep, sound: bytes | str | None = None, *, seconds: float | None = None) -> None:
        """A recorded frame. `sound`: the audio in it, if it carries audio. `seconds`: its duration, if the recording
        has it.
        """
        self.messages += 1
        call, at = self.call, step.at
        if sound is None:
            self._step(step._replace(number=self.messages - 1))
        elif step.way == "received":
            size = len(sound) * 3 // 4 if isinstance(sound, str) else len(sound)
            call.output_audio(at, size / call.audio.out_bytes_per_s if seconds is None else seconds)
        else:
            if isinstance(sound, str):
                call.audio.append(at, sound, 0, len(sound), not call.vad)
            else:
                call.audio.packet(at, sound)
            if at - self._looked >= _TICK_S:
                self._look(at)

    def passed(self) -> None:
        """A frame passed that no rule judges: sound on a track of a call."""
        self.messages += 1

    def opened(self) -> None:
        """Check the handshake."""
        self._at(OPENED, 0.0)

    def tick(self, at: float) -> None:
        """Time has passed: report what is overdue."""
        if not self._over:
            self._now(TICK, at)
            self._due_since = at

    def hung_up(self) -> None:
        """The client closes the connection before the server does."""
        self.attempt.hung_up = True

    def closed(self, at: float) -> None:
        """The connection ended."""
        self.tick(at)
        if not self._over:
            self._now(CLOSED, at)
        self._over, self._due, self._due_since = True, None, None
        self.attempt.end(at, self.call)
        self.call.close()

    def _now(self, type: str, at: float) -> None:
        try:
            self._at(type, max(at, self._looked))
        except Exception:
            self._stop_watching()

    def _step(self, step: CallStep) -> None:
        if step.at - self._looked >= _TICK_S:
            self._look(step.at)
        levels = self._watcher.levels
        if step.way == "received":
            rules = levels.received.get(step.type)
        elif step.type == ITEM:
            rules = levels.sent_items.get(text_at(step.event, "item", "type"), levels.sent.get(ITEM))
        else:
            rules = levels.sent.get(step.type)
        if rules:
            self._run(rules, step)
        self.call.take(step)
        if step.type == ITEM and self.call.carried_out:
            self._watcher.carried_out = True
        self._due_since = step.at

    def _look(self, at: float) -> None:
        self._looked = at
        self._at(TICK, at)

    def _at(self, type: str, at: float) -> None:
        """What is no message: the handshake, time passing, or the end."""
        step = CallStep(at, "sent", type, NOTHING, max(0, self.messages - 1))
        self._run(self._watcher.levels.sent.get(type, ()), step)

    def _run(self, rules: Iterable[Rule], step: CallStep) -> None:
        call = self.call
        for rule in rules:
            needs = rule.needs
            if needs is None or needs(call):
                for found in rule.check(call, step):
                    self.report(rule, self._watcher.levels[rule.id], found, step)

    def judge(self, rule: Rule, found: Iterable[Found]) -> None:
        """Report what a rule found that looks at no step."""
        if (level := self._watcher.levels[rule.id]) != "off":
            for each in found:
                self.report(rule, level, each, CallStep(self._looked, "sent", CLOSED, number=max(0, self.messages - 1)))

    def report(self, rule: Rule, level: Level, found: Found, step: CallStep) -> None:
        """Keep what a rule found at a step, once for each cause."""
        if (rule.id, found.cause) in self._reported:
            return
        if len(self.findings) >= PER_SESSION:
            self.more += 1
            return
        self._reported.add((rule.id, found.cause))
        at = step.at if found.at is None else found.at
        if not self.session:
            at += self.attempt.at
        place = step.number if found.frame is None else found.frame
        frame = None if step.type == OPENED else place
        finding = Finding(
            rule.id,
            level,
            at,
            frame,
            printable(clean(found.message[: 2 * LONGEST_MESSAGE]))[:LONGEST_MESSAGE],
            rule.fix,
            self.session,
        )
        self.findings.append(finding)
        self._watcher.note(finding, rule)


@dataclass
class Watcher:
    """All connections of one server or one recording. Only here do mistakes show that a client makes across
    connections.

    `levels`: which rules are on. `log`: called with each new finding and its rule; once only for an advisory rule.
    """

    levels: Levels = field(default_factory=Levels)
    log: Callable[[Finding, Rule], None] | None = None
    findings: deque[Finding] = field(default_factory=lambda: deque(maxlen=PER_WATCHER))
    attempts: deque[Attempt] = field(default_factory=lambda: deque(maxlen=MAX_ATTEMPTS))
    carried_out: bool = False
    """Whether any client carried out a call."""
    _advised: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.wanted = READ.union(self.levels.received)
        """The types that are read of what the service sends."""

    def open(
        self,
        session: str,
        service: str | None,
        handshake: Handshake,
        *,
        now: float = 0.0,
        timed: bool = True,
        conversation: str = "",
        unmatched: Callable[[], str] | None = None,
        unrecorded: Callable[[], str] | None = None,
    ) -> Watch:
        """Begin to watch a connection that was accepted at `now`, in seconds on a clock that all connections share.
        `unmatched` says why no rule of a scenario answered the last turn, `unrecorded` how that turn left the recorded
        words."""
        call = CallState(service, handshake, timed=timed, write_tools=self.levels.write_tools)
        call.earlier_attempts = self.attempts
        if self.carried_out:
            call.carried_out_before = carried_out_before(call.earlier_attempts, handshake, now)
        if unmatched is not None:
            call.unmatched = unmatched
        if unrecorded is not None:
            call.unrecorded = unrecorded
        attempt = Attempt(handshake, now, conversation=conversation, carried_out=call.carried_out)
        watch = Watch(self, session, call, attempt)
        call.opened_at = now
        watch.opened()
        call.earlier_attempts = ()
        self.attempts.append(attempt)
        return watch

    def refused(
        self, service: str | None, handshake: Handshake, now: float, status: int, retry_after_s: float | None
    ) -> None:
        """The server refused a connection at `now`."""
        call = CallState(service, handshake)
        call.earlier_attempts, call.opened_at = self.attempts, now
        watch = Watch(self, "", call, Attempt(handshake, now, status, retry_after_s))
        watch.opened()
        self.attempts.append(watch.attempt)

    def browser_call(self, handshake: Handshake, now: float) -> None:
        """A client secret was requested."""
        call = CallState(None, handshake)
        watch = Watch(self, "", call, Attempt(handshake, now))
        watch.judge(KEY_IN_BROWSER, key_in_browser(call, CallStep(0.0, "sent", OPENED)))

    def ended(self) -> None:
        """No further connection comes."""
        watch = Watch(self, "", CallState(None, Handshake()), Attempt(Handshake(), 0.0))
        watch.judge(NO_RETRY, given_up(tuple(self.attempts)))

    def remark(self, rule: Rule, found: Found) -> None:
        """Report what belongs to no connection."""
        watch = Watch(self, "", CallState(None, Handshake()), Attempt(Handshake(), 0.0))
        if (level := self.levels[rule.id]) != "off":
            watch.report(rule, level, found, CallStep(0.0, "sent", OPENED))

    def claim(
        self, watches: list[Watch], *, transcript: str | None = None, billable_audio_seconds: float | None = None
    ) -> list[Finding]:
        """Compare what a client made of running totals with what the service sent.

        `transcript`: the user's words as the client shows them. `billable_audio_seconds`: what the client counted over
        all these connections. Returns the new findings.
        """
        seen = len(self.findings)
        for watch in watches if transcript is not None else ():
            watch.judge(APPENDED_TRANSCRIPTS, doubled(watch.call, transcript or "", "shown"))
        if billable_audio_seconds is not None and watches:
            totals = [watch.call.billable for watch in watches]
            watches[-1].judge(SUMMED_BILLABLE_SECONDS, summed(totals, billable_audio_seconds))
        return list(self.findings)[seen:]

    def reset(self) -> None:
        """Forget all findings and connections."""
        self.findings.clear()
        self.attempts.clear()
        self.carried_out = False
        self._advised.clear()

    def note(self, finding: Finding, rule: Rule) -> None:
        """Keep a finding and log it. The same words of an advisory rule are logged once, not for each connection."""
        self.findings.append(finding)
        told = (rule.id, finding.message)
        if self.log is not None and told not in self._advised:
            self.log(finding, rule)
        if rule.advice and len(self._advised) < PER_WATCHER:
            self._advised.add(told)


def overdue(call: CallState, now: float) -> float | None:
    """The next instant after `now` at which a rule may find something without a frame, in seconds; None if there is
    none.

    Services answer most mistakes with silence, so a call must be checked again when nothing happens.
    """
    soonest: float | None = None
    if not (call.asked or call.audio.appends or call.responses or call.over_tracks):
        soonest = _sooner(soonest, NOTHING_S, now)
    if call.unanswered is not None and call.active is None:
        soonest = _sooner(soonest, max(call.unanswered.at, call.done_at) + UNANSWERED_S, now)
    if call.interrupted is not None:
        soonest = _sooner(soonest, call.interrupted.at + TOLD_S, now)
    if call.results and call.active is None:
        soonest = _sooner(soonest, max(call.results[-1].answered_at, call.done_at, call.plays_until) + GRACE_S, now)
    if call.speech_at is not None and call.audio.last_at is not None:
        soonest = _sooner(soonest, max(call.speech_at, call.audio.last_at) + STILL_S, now)
    return soonest


def _sooner(known: float | None, instant: float, now: float) -> float | None:
    """The sooner of two instants; the second counts, with a little more, if it is to come."""
    instant += _AFTER_S
    return instant if instant > now and (known is None or instant < known) else known


def carried_out_before(earlier: Sequence[Attempt], handshake: Handshake, now: float) -> tuple[CarriedOut, ...]:
    """What the client carried out in the connections that a new one continues: those of the same conversation, and a
    chain of connections that were lost, each a short time before the next."""
    done: list[CarriedOut] = []
    resumed, opened_at = handshake.query.get("conversation_id"), now
    for attempt in reversed(earlier):
        if attempt.handshake.who != handshake.who or attempt.status != ACCEPTED:
            continue
        lost = attempt.closed_at is not None and not attempt.left and opened_at - attempt.closed_at <= SOON_S
        if lost:
            opened_at = attempt.at
        if lost or (resumed and attempt.conversation == resumed):
            done += attempt.carried_out
    return tuple(done)
