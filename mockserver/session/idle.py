"""What happens while nothing is said: keep-alive events, and the silent turn after the idle time."""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import count

from mockserver.audio.vad.detector import FRAME_MS
from mockserver.protocol.commands import Part
from mockserver.protocol.conversation import Item
from mockserver.protocol.facts import Committed, Fact, ItemAdded, KeptAlive, TimedOut
from mockserver.session.context import SessionContext
from mockserver.session.input_audio import InputBuffer
from mockserver.session.response import RunningResponse
from mockserver.session.scheduler import Run


def keep_alive(interval_s: float, emit: Callable[[Fact, float], None]) -> Run:
    """Emit a keep-alive event every so many seconds of the connection."""
    for number in count(1):
        yield number * interval_s
        emit(KeptAlive(), number * interval_s)


def silent_turn(
    session: SessionContext,
    input: InputBuffer,
    running: RunningResponse | None,
    timeout_ms: int,
    now: float,
    *,
    new_item: Callable[[float], Item],
) -> Generator[float, None, tuple[Item, float]]:
    """Wait for the idle time after the response, then commit the silence as an item; returns it, and that instant.

    Positions count the audio that arrived. Guesses: that the item is announced, and that it comes without any audio.
    """
    note, quiet_ms = session.dialect.traits.turns.idle_note, 0.0
    if running is not None and note:  # played for the whole length of the response after its end (recorded)
        now += running.response.counts.audio_seconds
        yield now
        quiet_ms = input.clock_ms
    elif running is not None:
        now = max(now, running.played_s)
    now += timeout_ms / 1000
    yield now
    end_ms = max(timeout_ms, round(input.clock_ms))
    start_ms = end_ms - timeout_ms
    if note:  # whole frames of the detector (recorded)
        start_ms, end_ms = (ms // FRAME_MS * FRAME_MS for ms in (min(round(quiet_ms), start_ms), end_ms))
    item = new_item(now)
    item.heard_ms = end_ms - start_ms if note else 0.0
    input.take()
    session.emit(TimedOut(item, start_ms, end_ms), now)
    if note:
        told = Item(session.dialect.ids.item(now), "message", "system", parts=[Part("input_text", note)])
        session.conversation.add(told)
        session.emit(ItemAdded(told), now)
    session.conversation.add(item)
    session.emit(Committed(item, announced=False), now)
    return item, now
