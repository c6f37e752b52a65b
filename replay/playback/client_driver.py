"""Replays the client of a recording: sends its frames to a server and compares the server's events with the recorded
ones.

Audio goes out at its recorded pace, like a microphone's. Every other frame goes out once as many server events have
arrived as the recorded client had seen, and as long after them. Ids of the service are replaced by those of this
server; tool calls are answered with the recorded results. Connections follow one another as recorded. Connections that
were open at the same time are replayed one after the other.

Whether the conversation makes sense is not judged. compare.py defines the differences.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from replay.billing.meter import Meter
from replay.billing.prices import PriceTable
from replay.cassette.frames import Binary, Close, Reset, Text
from replay.cassette.json_text import Event, event_in
from replay.cassette.json_values import object_at, text_at
from replay.cassette.may_differ import NOTHING, Ignored
from replay.cassette.recording import Line, Recording, without_sound
from replay.cassette.records import Content, Record, Request, Response, Way, public_address
from replay.dialing import direct
from replay.diff.compare import Difference, compare, unless
from replay.playback.id_map import IdMap

PATIENCE_S = 15.0
"""How much later than recorded a server event may come, in seconds, before the replay goes on without it."""
STREAM_GAP_S = 0.5
"""Audio that follows audio within this many seconds is one stream, and waits for no event."""
TICK_S = 1e-6
"""What is due within this many seconds is due now: clocks are floats, and a shorter wait may not move them."""
MAX_MESSAGE = 64 << 20
CLOSE_WAIT_S = 5.0
_TURN_WORDS = frozenset({"session.update", "input_audio_buffer.commit", "input_audio_buffer.clear"})
"""Events that audio must not overtake."""

_MILESTONES = frozenset(
    """session.created session.updated conversation.created conversation.item.deleted conversation.item.truncated
    input_audio_buffer.committed input_audio_buffer.cleared response.created response.function_call_arguments.done
    response.done error""".split()
)
"""Events that come whatever the audio is. The replay waits for these and no others."""
_KEPT_QUERY = "scrubbed:"

Note = Callable[[int, Way, Content], None]


class CannotReplay(Exception):
    """The server cannot be used, or the recording has nothing to send. The message says what to do."""


class CannotConnect(CannotReplay):
    """The server refuses the connection, or is not there."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop: seconds, or USD. `max_usd` needs `prices`."""

    max_seconds: float | None = None
    max_usd: Fraction | None = None
    prices: PriceTable | None = None


UNLIMITED = Limits()


@dataclass(slots=True)
class Outcome:
    """The result of a replay.

    `expected`, `received`: the recorded and the actual server events, without their sound. `overdue`: what the replay
    waited for in vain. `stopped`: the limit or other reason that ended it early, or None. `usd`: its cost, 0 without
    prices. `seconds`: how long it took. `ignored`: what may differ.
    """

    expected: list[Event] = field(default_factory=list)
    received: list[Event] = field(default_factory=list)
    overdue: list[str] = field(default_factory=list)
    stopped: str | None = None
    usd: Fraction = Fraction(0)
    seconds: float = 0.0
    ignored: Ignored = NOTHING

    def drift(self) -> list[Difference]:
        """The differences in form; empty if there are none."""
        return unless(compare(self.expected, self.received), self.ignored)

    @property
    def same(self) -> bool:
        """Whether the replay was complete and equal to the recording."""
        return self.stopped is None and not self.overdue and not self.drift()


class ClientDriver:
    """Replays one recording.

    `url`: the server's WebSocket address. `api_key`: sent as a Bearer token. `speed`: 2 is twice as fast. `limits`: see
    Limits. `note`: called with connection, direction and content of everything that crosses. `patience_s`: see
    PATIENCE_S. `ignored`: what may differ. `until`: ends the replay when it is done; its result is the reason.
    """

    def __init__(
        self,
        recording: Recording,
        url: str,
        api_key: str,
        *,
        speed: float = 1.0,
        limits: Limits = UNLIMITED,
        note: Note = lambda *_: None,
        patience_s: float = PATIENCE_S,
        ignored: Ignored = NOTHING,
        until: asyncio.Future[str] | None = None,
    ) -> None:
        self.outcome = Outcome(ignored=ignored)
        self.opened_s: float | None = None
        """When the first connection was opened, on the event loop's clock."""
        self._lines = [line for line in recording.lines if not line.refused]
        self._url = url
        self._api_key = api_key
        self._speed = speed
        self._limits = limits
        self._note = note
        self._patience_s = patience_s
        self._until = until
        self._ids = IdMap()
        self._spent = Fraction(0)

    async def run(self) -> Outcome:
        """Replay the whole recording. Raises CannotReplay if a connection cannot be opened."""
        if not any(moment.way == "sent" for line in self._lines for moment in line.moments):
            raise CannotReplay("the recording has no frame of a client; record a call, or give another recording")
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        replaying = loop.create_task(self._lines_in_order())
        ends: list[asyncio.Task[None] | asyncio.Future[str]] = [replaying]
        if self._until is not None:
            ends.append(self._until)
        try:
            await asyncio.wait(ends, timeout=self._limits.max_seconds, return_when=asyncio.FIRST_COMPLETED)
            if self._until is not None and self._until.done() and not replaying.done():
                self.outcome.stopped = self._until.result()
            elif not replaying.done():
                self.outcome.stopped = f"the limit of {self._limits.max_seconds:g} s is reached"
        finally:
            replaying.cancel()
            await asyncio.wait([replaying])
        if not replaying.cancelled():
            replaying.result()  # raises what the replay raised
        self.outcome.seconds = loop.time() - begun_s
        return self.outcome

    async def _lines_in_order(self) -> None:
        loop = asyncio.get_running_loop()
        self.opened_s = loop.time()
        before: Line | None = None
        for number, line in enumerate(self._lines):
            if before is not None and before.moments:
                await asyncio.sleep(max(0.0, line.opened_s - before.moments[-1].at_s) / self._speed)
            await self._one_line(number, line)
            if self.outcome.stopped is not None:
                return
            before = line

    async def _one_line(self, number: int, line: Line) -> None:
        url = self._address(line)
        shown, target = public_address(url), urlunsplit(("", "", *urlsplit(url)[2:4], ""))
        self._note(number, "sent", Request("GET", target, (("authorization", f"Bearer {self._api_key}"),)))
        try:
            socket = await connect(
                url,
                additional_headers={"Authorization": f"Bearer {self._api_key}"},
                compression=None,
                max_size=MAX_MESSAGE,
                close_timeout=CLOSE_WAIT_S,
                **direct(url),
            )
        except InvalidStatus as refused:
            status = refused.response.status_code
            self._note(number, "received", Response(status, (), bytes(refused.response.body or b"")))
            raise CannotConnect(f"{shown} refused connection {number} with HTTP {status}; check the key") from None
        except (OSError, WebSocketException, asyncio.TimeoutError) as problem:
            raise CannotConnect(f"cannot reach {shown} ({type(problem).__name__}); start that server") from problem
        self._note(number, "received", Response(101, ()))
        self._ids.next_connection()
        async with socket:
            driver = _ConnectionDriver(self, number, line, socket)
            await driver.run()
            self._spent += driver.usd
            self.outcome.usd = self._spent

    def _address(self, line: Line) -> str:
        """The address with the recorded client's query. Parameters of the address itself take precedence."""
        parts = urlsplit(self._url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        recorded = parse_qsl(urlsplit(line.request.target).query, keep_blank_values=True) if line.request else []
        if not recorded:  # without a recorded handshake: the model that the session names
            created = next((moment.event for moment in line.moments if moment.type == "session.created"), None)
            recorded = [("model", model)] if (model := text_at(created, "session", "model")) else []
        for name, value in recorded:
            if _KEPT_QUERY not in value:
                query.setdefault(name, self._ids.live_id(value) or value)
        return urlunsplit(parts._replace(query=urlencode(query), fragment=""))

    def spent(self, so_far: Fraction) -> bool:
        """Whether the limit in USD is reached. The outcome then says so."""
        self.outcome.usd = self._spent + so_far
        most = self._limits.max_usd
        if most is None or self.outcome.usd < most:
            return False
        self.outcome.stopped = f"the limit of {float(most):g} USD is reached"
        return True


class _ConnectionDriver:
    """One connection: a queue of audio, a queue of other frames, and the events that arrived."""

    def __init__(self, driver: ClientDriver, number: int, line: Line, socket: ClientConnection) -> None:
        self._driver = driver
        self._outcome = driver.outcome
        self._number = number
        self._line = line
        self._socket = socket
        self._loop = asyncio.get_running_loop()
        self._opened_s = self._loop.time()
        self._meter = Meter(None)
        self._news = asyncio.Event()
        self._lost = False
        self._arrived_s: dict[str, list[float]] = {}
        """By milestone: when each one arrived."""
        self._steps, self._awaited = _steps(line, driver._ids)
        self._sent_s: dict[int, float] = {}
        """By index of a frame: when it went out."""

    @property
    def usd(self) -> Fraction:
        prices = self._driver._limits.prices
        return self._meter.usd(prices, self._loop.time() - self._opened_s) if prices else Fraction(0)

    async def run(self) -> None:
        """Send all frames, receive until the recording's end was reached here, then hang up as recorded."""
        events = (each.event for each in self._line.moments if each.way == "received" and each.event)
        self._outcome.expected += map(without_sound, events)
        reader = self._loop.create_task(self._read())
        try:
            try:
                await self._send_all()
                await self._last_answers()
            except asyncio.CancelledError:  # the replay is to end now: the caller closes the connection
                self._driver._note(self._number, "sent", Close(1000))
                raise
            await self._hang_up()
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _read(self) -> None:
        try:
            async for data in self._socket:
                frame = Text(data.encode()) if isinstance(data, str) else Binary(data)
                self._crossed("received", frame)
                event = event_in(frame.data) if isinstance(frame, Text) else None
                if event is not None:
                    self._outcome.received.append(without_sound(event))
                    self._driver._ids.received(event)
                    name = _milestone(event)
                    if name is not None:
                        self._arrived_s.setdefault(name, []).append(self._loop.time())
                self._news.set()
        finally:
            self._lost = True
            self._news.set()

    def _crossed(self, way: Way, frame: Text | Binary) -> None:
        self._driver._note(self._number, way, frame)
        self._meter.count(way, frame)

    async def _send_all(self) -> None:
        sound = deque(step for step in self._steps if step.is_sound)
        words = deque(step for step in self._steps if not step.is_sound)
        while (sound or words) and not self._lost and not self._driver.spent(self.usd):
            self._news.clear()
            heads = [queue for queue in (sound, words) if queue]
            dues = [self._due(queue[0]) for queue in heads]
            now = self._loop.time()
            ready = [queue for queue, due in zip(heads, dues, strict=True) if due is not None and due <= now + TICK_S]
            if ready:
                await self._send(min(ready, key=lambda queue: queue[0].index).popleft())
                continue
            for queue in heads:
                self._check_patience(queue[0], now)
            await self._wait(min([due for due in dues if due is not None], default=now + self._driver._patience_s))

    def _check_patience(self, step: _Send, now: float) -> None:
        if not self._missing(step) or any(index not in self._sent_s for index in step.after):
            return
        if step.blocked_s is None:
            step.blocked_s = now
            self._loop.call_later(self._driver._patience_s, self._news.set)
        elif now - step.blocked_s >= self._driver._patience_s:
            self._give_up(step)
            self._news.set()

    def _due(self, step: _Send) -> float | None:
        """When a frame goes out; None while what it waits for is missing."""
        if any(index not in self._sent_s for index in step.after) or self._missing(step):
            return None
        anchors = [(self._opened_s, self._line.opened_s)]
        if step.before is not None:
            anchors.append((self._sent_s[step.before], self._steps[step.before].at_s))
        if step.awaits is not None and not step.awaits.given_up:
            arrivals = self._arrived_s.get(step.awaits.name, [])
            anchors.append((arrivals[step.awaits.count - 1], step.awaits.at_s))
        # The frame follows whatever happened last before it in the recording.
        here_s, there_s = max(anchors, key=lambda anchor: anchor[1])
        return max(here_s + max(0.0, step.at_s - there_s) / self._driver._speed, *(here for here, _ in anchors))

    def _missing(self, step: _Send) -> bool:
        awaits = step.awaits
        return awaits is not None and not awaits.given_up and len(self._arrived_s.get(awaits.name, [])) < awaits.count

    def _give_up(self, step: _Send) -> None:
        assert step.awaits is not None
        step.awaits.given_up = True
        self._outcome.overdue.append(f"{step.awaits} did not arrive; {step.type} was sent without it")

    async def _wait(self, until_s: float) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._news.wait(), max(TICK_S, until_s - self._loop.time()))

    async def _send(self, step: _Send) -> None:
        frame = self._line.moments[step.at].frame
        assert isinstance(frame, Text | Binary)
        self._sent_s[step.index] = self._loop.time()
        if isinstance(frame, Text):
            if step.call_id is not None and self._driver._ids.live_call_id(step.call_id) is None:
                self._outcome.overdue.append("a tool result was not sent: its call did not arrive")
                return
            frame = Text(self._driver._ids.rewritten(frame.data))
        self._crossed("sent", frame)
        with contextlib.suppress(ConnectionClosed):
            await self._socket.send(frame.data.decode(errors="replace") if isinstance(frame, Text) else frame.data)

    async def _last_answers(self) -> None:
        """Wait for the recording's last milestone, then as long as the recording went on after it."""
        end_s = self._line.moments[-1].at_s if self._line.moments else 0.0
        last = _Send(len(self._steps), len(self._line.moments), end_s, "the end", self._awaited)
        patience_s = self._loop.time() + self._driver._patience_s
        while not self._lost and self._outcome.stopped is None and self._missing(last):
            self._news.clear()
            if self._loop.time() >= patience_s:
                self._give_up(last)
                break
            await self._wait(patience_s)
            self._driver.spent(self.usd)
        last.before = max(self._sent_s, default=None)
        due = self._due(last)
        while due is not None and not self._lost and self._outcome.stopped is None and self._loop.time() + TICK_S < due:
            self._news.clear()
            await self._wait(due)

    async def _hang_up(self) -> None:
        """As recorded. A client cannot make the server lose a connection; closing abruptly comes nearest."""
        end = next((each for each in reversed(self._line.moments) if isinstance(each.frame, Close | Reset)), None)
        frame = end.frame if end is not None else Close()
        if isinstance(frame, Reset) and self._outcome.stopped is None:
            self._driver._note(self._number, "sent", Reset())
            self._socket.transport.abort()
            return
        if self._lost:
            code, reason = self._socket.close_code, self._socket.close_reason
            received = Reset() if code is None or code == 1006 else Close(code, reason or "")
            self._driver._note(self._number, "received", received)
            return
        code, reason = (frame.code, frame.reason) if isinstance(frame, Close) else (1000, "")
        if not (code == 1000 or 3000 <= code < 5000 or code in (1001, 1011)):
            code, reason = 1000, ""
        self._driver._note(self._number, "sent", Close(code, reason))
        await self._socket.close(code, reason)


@dataclass(slots=True)
class _Awaited:
    """The n-th milestone of a type on this connection, and when it was recorded."""

    name: str
    count: int
    at_s: float
    given_up: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({self.count}.)"


@dataclass(slots=True)
class _Send:
    """A recorded client frame.

    `at`: its index in the recording. `after`: frames that must have gone out before it. `awaits`: the event that must
    have arrived. `before`: the frame that it followed in the recording.
    """

    index: int
    at: int
    at_s: float
    type: str
    awaits: _Awaited | None
    is_sound: bool = False
    after: tuple[int, ...] = ()
    before: int | None = None
    call_id: str | None = None
    blocked_s: float | None = None


def _steps(line: Line, ids: IdMap) -> tuple[list[_Send], _Awaited | None]:
    """The client's frames of one connection, with what each waits for, and what its end waits for. `ids` learns the
    recorded ids on the way."""
    steps: list[_Send] = []
    seen: Counter[str] = Counter()
    last: tuple[str, float] | None = None
    last_sound: int | None = None
    last_words: int | None = None
    last_of_turn: int | None = None
    ids.next_recorded_connection()
    for at, moment in enumerate(line.moments):
        if moment.way == "received":
            if moment.event is not None:
                ids.recorded(moment.event)
                if (name := _milestone(moment.event)) is not None:
                    seen[name] += 1
                    last = name, moment.at_s
            continue
        if not isinstance(moment.frame, Text | Binary):
            continue
        index = len(steps)
        is_sound = isinstance(moment.frame, Binary) or moment.type == "input_audio_buffer.append"
        step = _Send(index, at, moment.at_s, moment.type, _awaited(seen, last), is_sound)
        step.before = index - 1 if index else None
        if is_sound and last_sound is not None and moment.at_s - steps[last_sound].at_s <= STREAM_GAP_S:
            step.awaits, step.before = None, last_sound
            step.after = tuple({last_sound, *([last_of_turn] if last_of_turn is not None else [])})
        else:
            step.after = tuple(each for each in (last_sound, last_words) if each is not None)
        item = object_at(moment.event, "item")
        if moment.type == "conversation.item.create" and item.get("type") == "function_call_output":
            step.call_id = text_at(item, "call_id") if isinstance(item.get("call_id"), str) else None
        steps.append(step)
        if is_sound:
            last_sound = index
        else:
            last_words = index
            if moment.type in _TURN_WORDS:
                last_of_turn = index
    return steps, _awaited(seen, last)


def _awaited(seen: Counter[str], last: tuple[str, float] | None) -> _Awaited | None:
    """The last milestone of those seen."""
    return None if last is None else _Awaited(last[0], seen[last[0]], last[1])


def _milestone(event: Event) -> str | None:
    kind = event.get("type")
    return kind if kind in _MILESTONES else None


def records_into(write: Callable[[Record], None], now_us: Callable[[], int]) -> Note:
    """A `note` function that makes records."""
    return lambda connection, way, content: write(Record(now_us(), connection, way, content))
