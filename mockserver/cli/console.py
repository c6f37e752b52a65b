"""The console of `serve`: notices in, lines out. Pure but for `Console`, which writes them.

Colours mark what somebody looks for: red what is wrong with a client, yellow what is refused, green a turn.
"""

from __future__ import annotations

import json
import logging
import queue
import re
import sys
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from math import floor, inf
from time import monotonic
from typing import Any, Literal, TextIO

from typing_extensions import assert_never

from mockserver.server.notices import (
    CallAnswered,
    CallClosed,
    CallEnded,
    CallOpened,
    CallRang,
    CallReferred,
    CallRejected,
    ErrorSent,
    HandshakeRefused,
    MistakeFound,
    Notice,
    RouteRefused,
    TlsRefused,
    TurnAnswered,
)
from replay.outlets import CleanFormatter, clean, cleaner, printable, printable_lines

LogFormat = Literal["text", "json"]
GATHER_S = 0.05
"""Seconds in which lines are gathered for the next write. Waking the writer for each would cost a turn more than its
line does."""
WAITING = 2_000
"""Lines that wait for a slow reader. Further ones are dropped and counted: a full pipe must not stop the server."""
TURNS_PER_S = 50
"""Completed turns of a second that are shown as text. Nobody reads more, and a line takes a busy server's time."""
_SHORT, _LONG = 90, 300
"""Characters of a text, and of an error, that a line shows."""
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "dim": "2", "bold": "1"}
_NAMES: dict[type[Notice], str] = {
    CallOpened: "opened",
    TurnAnswered: "turn",
    ErrorSent: "error",
    MistakeFound: "finding",
    HandshakeRefused: "handshake_refused",
    RouteRefused: "route_refused",
    TlsRefused: "tls_refused",
    CallClosed: "closed",
    CallRang: "call_rang",
    CallAnswered: "call_answered",
    CallRejected: "call_rejected",
    CallReferred: "call_referred",
    CallEnded: "call_ended",
}
_FIELDS = {kind: [part.name for part in fields(kind)] for kind in _NAMES}

MOST_UNUSED = 6
"""Lines about what no client used, of each kind."""
_LINE = re.compile(r"[^:]*(?::\\[^:]*)?:(\d+): ")

_ABOUT = re.compile(r"session (\S+): ")
"""The beginning of a log record about a session."""

Paint = Callable[[str, str], str]
"""A text in a colour; or the text, where there are no colours."""


def coloured(text: str, colour: str) -> str:
    """A text in a colour of the terminal."""
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def plain(text: str, colour: str) -> str:
    """The text alone."""
    return text


def has_colours(stream: TextIO, environment: dict[str, str]) -> bool:
    """Whether lines may be coloured: on a terminal, unless NO_COLOR is set or TERM is `dumb`."""
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


@dataclass(frozen=True, slots=True)
class Start:
    """What a server begins with."""

    version: str
    dialect: str
    content: str
    ws: str
    http: str
    inspector: str


def banner(start: Start, paint: Paint) -> list[str]:
    """The first lines: what is served, where, and how a client gets here."""
    return [
        f"{paint('realtape', 'bold')} {start.version} · {start.dialect} · {start.content}",
        f"  {'clients':<10} {paint(start.ws, 'cyan')}",
        f"  {'requests':<10} {paint(start.http, 'cyan')}",
        f"  {'inspector':<10} {paint(start.inspector, 'cyan')}",
        f"  {'workbench':<10} {paint(start.inspector + 'workbench', 'cyan')}",
        "  point a client here, for example",
        *(f"    {line}" for line in _client(start)),
        "",
    ]


def _client(start: Start) -> list[str]:
    if start.dialect.startswith("xai"):
        return [
            'export XAI_API_KEY="any"   # every key is accepted, unless --api-key names some',
            f"export XAI_REALTIME_URL={start.ws}",
            f'websockets.connect("{start.ws}", additional_headers={{"Authorization": "Bearer any"}})',
        ]
    return [
        'export OPENAI_API_KEY="any"   # every key is accepted, unless --api-key names some',
        f"export OPENAI_BASE_URL={start.http}",
        'openai.AsyncOpenAI().realtime.connect(model="gpt-realtime")',
    ]


class Lines:
    """Notices as lines. It knows by which number a call was announced."""

    def __init__(self, paint: Paint = plain, form: LogFormat = "text") -> None:
        self._paint = paint
        self.form = form
        self._calls: dict[str, int] = {}
        self._traces: dict[str, dict[str, str]] = {}
        """The ids of the spans of sessions that go on, by session."""
        self._last = 0

    def of(self, notice: Notice, at: float) -> list[str]:
        """The lines of a notice at Unix second `at`, without secrets."""
        notice = _cleaned(notice, self.form)
        if isinstance(notice, CallOpened):
            self._last = notice.number or self._last + 1
            self._calls[notice.session] = self._last
            if notice.trace_id:
                self._traces[notice.session] = {"trace_id": notice.trace_id, "span_id": notice.span_id}
        session = notice.finding.session if isinstance(notice, MistakeFound) else getattr(notice, "session", "")
        number = self._calls.get(session, 0)
        trace = self._traces.get(session, {})
        if isinstance(notice, CallClosed):
            self._calls.pop(notice.session, None)
            self._traces.pop(notice.session, None)
        if self.form == "json":
            values: dict[str, Any] = {
                "call": number or None,
                **({"session": session} if session else {}),
                **asdict(notice),
            }
            if isinstance(notice, CallOpened):
                del values["number"]  # it is that of the call
            ids = {name: values.pop(name, "") or trace.get(name, "") for name in ("trace_id", "span_id")}
            return [_json(_NAMES[type(notice)], at, {**values, **{name: id for name, id in ids.items() if id}})]
        who = self._paint(f"call {number}", "dim") if number else self._paint("server", "dim")
        first, *more = self._told(notice)
        return [f"{who}  {first}", *(f"        {line}" for line in more)]

    def note(self, level: str, text: str, at: float) -> list[str]:
        """A line of the log, or of the server about itself, without secrets."""
        text = clean(text)
        if self.form == "text":
            text = printable_lines(text)  # a traceback has lines
        if self.form == "json":
            about = _ABOUT.match(text)
            session = about[1] if about and about[1] in self._calls else ""
            known = {"call": self._calls[session], "session": session} if session else {}
            return [_json("log", at, {"level": level, "message": text, **known, **self._traces.get(session, {})})]
        colour = {"error": "red", "warning": "yellow"}.get(level)
        head = self._paint(f"{level}:", colour) if colour else f"{level}:"
        return [f"{head} {text}"]

    def unshown(self, turns: int) -> list[str]:
        """A line about turns that were not shown."""
        more = f"{turns:,} more turns were answered" if turns > 1 else "one more turn was answered"
        return [
            f"{self._paint('server', 'dim')}  {more}: {TURNS_PER_S} a second are shown, and --log-format json shows all"
        ]

    def started(self, start: Start, at: float) -> list[str]:
        """The banner."""
        return [_json("started", at, asdict(start))] if self.form == "json" else banner(start, self._paint)

    def _told(self, notice: Notice) -> Iterator[str]:
        paint = self._paint
        match notice:
            case CallOpened():
                client = f" by {_cut(notice.client, 60)}" if notice.client else ""
                resumed = f", resumes {notice.resumes}" if notice.resumes else ""
                yield f"opened{client} · {notice.dialect} {notice.model}{resumed}"
            case TurnAnswered():
                yield from self._turn(notice)
            case ErrorSent(code=code, message=message):
                yield (
                    f"{paint('error sent', 'red')}  {code}: {_cut(message, _LONG)}"
                    if code
                    else (f"{paint('error sent', 'red')}  {_cut(message, _LONG)}")
                )
            case MistakeFound(finding=finding, advice=advice):
                colour = "red" if finding.level == "error" and not advice else "yellow"
                yield f"{paint(finding.rule, colour)}  {finding.level}: {_cut(finding.message, _LONG)}"
                yield from textwrap.wrap(f"fix: {finding.fix}", 110)
            case HandshakeRefused():
                yield f"{paint('refused', 'yellow')}  handshake with {notice.status}: {_cut(notice.error, _LONG)}"
                yield f"likely: {notice.cause}"
            case RouteRefused():
                route = f"{notice.method} {_cut(notice.path, 100)}"
                yield f"{paint('refused', 'yellow')}  {route} with {notice.status}"
                yield f"likely: {notice.cause}"
            case TlsRefused(address=address):
                yield f"{paint('refused', 'yellow')}  a client spoke TLS to this plain port"
                yield f"likely: the address is wss:// or https://; use ws://{address}, or start with --tls"
            case CallClosed():
                who = " by the client" if notice.by_client else " by the server"
                if notice.reason.startswith("hung up by "):  # of a call, whose channels the server closes for its end
                    who = ""
                reason = f" ({_cut(notice.reason, 80)})" if notice.reason else ""
                count = "1 turn" if notice.turns == 1 else f"{notice.turns} turns"
                cost = f", {notice.usd} USD" if notice.usd else ""
                yield f"closed {notice.code}{reason}{who} after {notice.seconds:.1f} s: {count}{cost}"
            case CallRang(id=id):
                ends = [
                    f"from {notice.caller}" if notice.caller else "",
                    f"to {notice.called}" if notice.called else "",
                ]
                yield " ".join(filter(None, [paint("a call rings", "cyan"), *ends, f"· {id}"]))
            case CallAnswered(id=id):
                yield f"accepted · {id}"
            case CallRejected(id=id, status=status):
                yield f"{paint('call rejected', 'yellow')} with {status} · {id}"
            case CallReferred(id=id, uri=uri, refused=refused):
                outcome = "" if refused is None else f", which refuses with {refused}"
                yield f"call handed over to {_cut(uri, 100)}{outcome} · {id}"
            case CallEnded(id=id, reason=reason):
                yield f"call ended: {_cut(reason, 100)} · {id}"
            case _:
                assert_never(notice)

    def _turn(self, turn: TurnAnswered) -> Iterator[str]:
        asked = " + ".join(each if each.startswith("the result of") else _quoted(each) for each in turn.asked)
        by = f" heard by {turn.heard_by}" if turn.heard_by else ""
        source = f", answered by {turn.source}" if turn.source else ""
        yield f"{self._paint(f'turn {turn.number}', 'green')}  {asked or '(no input)'}{by}{source}"
        parts = [_quoted(turn.says)] if turn.says else []
        parts += [self._paint(_cut(call, _SHORT), "cyan") for call in turn.calls]
        if turn.first_audio_s is not None:
            parts += [f"first audio {turn.first_audio_s:.2f} s", f"{turn.audio_s:.1f} s of audio"]
        parts += [f"{turn.usd} USD"] if turn.usd else []
        if turn.status != "completed":
            ended = turn.status + (f": {_cut(turn.reason, _LONG)}" if turn.reason else "")
            parts.insert(0, self._paint(ended, "red" if turn.status == "failed" else "yellow"))
        yield " · ".join(parts)


def shortened(unused: Sequence[str], first: Iterable[str] = (), most: int = MOST_UNUSED) -> list[str]:
    """Lines about what no client used, at most `most` of a kind; of the rest the number and some of the lines of the
    file. Places in `first` come first: there is something wrong with them."""
    wrong = tuple(first)
    kinds: dict[str, list[str]] = {}
    for line in sorted(unused, key=lambda each: not each.startswith(wrong) if wrong else True):
        kinds.setdefault(" ".join(line.split()[-2:]), []).append(line)
    shown: list[str] = []
    for kind, lines in kinds.items():
        shown += lines[:most]
        if rest := lines[most:]:
            places = [found[1] for line in rest if (found := _LINE.match(line))]
            named = f" (lines {', '.join(places[:3])}{', …' if len(places) > 3 else ''})" if places else ""
            shown.append(f"and {len(rest)} more {kind}{named}; --log-format json lists all")
    return shown


def _cleaned(notice: Notice, form: LogFormat) -> Notice:
    """The notice without secrets, and as text without what moves a cursor. A finding has neither secrets nor that."""
    changed: dict[str, Any] = {}
    clean_now = cleaner()
    for name in _FIELDS[type(notice)]:
        value = cleaned = getattr(notice, name)
        if value and isinstance(value, str):
            cleaned = clean_now(value)
            if form == "text":
                cleaned = printable(cleaned)
        elif value and isinstance(value, tuple):
            cleaned = tuple(map(clean_now, value))  # as text each is cut, which leaves what is printable
        if cleaned != value:
            changed[name] = cleaned
    return replace(notice, **changed) if changed else notice


def _cut(text: str, most: int) -> str:
    """One line of at most that many characters, with nothing that moves a cursor."""
    line = " ".join(printable(text).split())
    return line if len(line) <= most else line[: most - 3] + "..."


def _quoted(text: str) -> str:
    return f'"{_cut(text, _SHORT)}"'


def _json(event: str, at: float, values: dict[str, object]) -> str:
    return json.dumps({"event": event, "at": round(at, 3), **values}, ensure_ascii=True, default=str)


class Console:
    """Writes lines to a stream in a thread of its own, so that a reader that stops reading stops nothing else. As text,
    it shows so many turns a second, and how many more there were."""

    def __init__(self, lines: Lines, stream: TextIO | None = None, now: Callable[[], float] = monotonic) -> None:
        """`now`: seconds of a clock that never goes back."""
        self.lines = lines
        self._now = now
        self._second = -1.0
        self._turns = 0
        """Turns in this second."""
        self._unshown = 0
        """Turns so far that were not shown. Only the thread that tells changes it, as only the writer what it told."""
        self._stream = stream or sys.stderr
        self._queue: queue.SimpleQueue[str | tuple[Notice, float] | None] = queue.SimpleQueue()
        self._dropped = 0
        self._last = 0.0
        """The Unix second of the latest notice."""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write, name="console", daemon=True)
        self._thread.start()

    def put(self, lines: Iterable[str]) -> None:
        """Write these lines, when the stream takes them."""
        for line in lines:
            self._put(line)

    def tell(self, notice: Notice, at: float) -> None:
        """Write the lines of a notice at Unix second `at`. The thread makes them: looking for secrets takes time."""
        self._last = at
        if not (isinstance(notice, TurnAnswered) and notice.status == "completed" and self._crowded()):
            self._put((notice, at))

    def _crowded(self) -> bool:
        """Count a turn; whether there are too many in this second to show it."""
        if self.lines.form == "json":
            return False
        if (second := floor(self._now())) != self._second:
            self._second, self._turns = second, 0
        self._turns += 1
        if self._turns <= TURNS_PER_S:
            return False
        self._unshown += 1
        return True

    def _put(self, what: str | tuple[Notice, float]) -> None:
        if self._queue.qsize() < WAITING:
            self._queue.put(what)
        else:
            self._dropped += 1

    def close(self, wait_s: float = 2.0) -> None:
        """Write what is left, for at most that long."""
        if self._dropped:
            count = "1 line was" if self._dropped == 1 else f"{self._dropped} lines were"
            text = f"{count} dropped: nobody read them"
            for line in self.lines.note("warning", text, self._last):
                self._queue.put(line)
        self._queue.put(None)
        self._closing.set()
        self._thread.join(wait_s)

    def _write(self) -> None:
        counted, due, over = 0, inf, False
        while not over:
            lines, over = self._next(1.0 if self._unshown > counted else None)
            if (unshown := self._unshown - counted) and due == inf:
                due = self._now() + 1
            if unshown and (over or self._now() >= due):
                lines, counted, due = [*lines, *self.lines.unshown(unshown)], counted + unshown, inf
            try:
                self._stream.write("".join(f"{line}\n" for line in lines))
                if self._queue.empty():
                    self._stream.flush()
                    self._closing.wait(GATHER_S)
            except (OSError, ValueError):  # closed
                return

    def _next(self, wait_s: float | None) -> tuple[list[str], bool]:
        """The next lines, none after a wait in vain, and whether nothing comes after them."""
        try:
            what = self._queue.get(timeout=wait_s)
        except queue.Empty:
            return [], False
        if what is None:
            return [], True
        return [what] if isinstance(what, str) else self.lines.of(*what), False


class ConsoleHandler(logging.Handler):
    """Log records as lines of the console. Findings have lines of their own."""

    def __init__(self, console: Console, now: Callable[[], float]) -> None:
        super().__init__(logging.WARNING)
        self.setFormatter(CleanFormatter())
        self._console = console
        self._now = now

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "realtape.findings":
            text = self.format(record)
            self._console.put(self._console.lines.note(record.levelname.lower(), text, self._now()))
