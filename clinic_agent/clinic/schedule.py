"""Who has which slot: what a calendar has to be able to do, and one that lives in memory.

It knows no services and no opening hours: see clinic.py. The one that outlives the program is in schedule_sqlite.py.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import date, time
from typing import Protocol


class SlotTaken(Exception):
    """Somebody has the slot: `booking`. Nothing was changed."""

    def __init__(self, booking: Booking) -> None:
        super().__init__(f"{booking.service} on {booking.date} at {booking.time:%H:%M} is taken")
        self.booking = booking


class NotBooked(Exception):
    """The appointment that was to be given up is not, or no longer, in the calendar. Nothing was changed."""


Slot = tuple[str, date, time]
"""Service, date and start; it holds one appointment."""


@dataclass(frozen=True, slots=True)
class Booking:
    """A confirmed appointment."""

    reference: str
    service: str
    date: date
    time: time
    name: str

    @property
    def slot(self) -> Slot:
        """What only one booking can have."""
        return (self.service, self.date, self.time)


@dataclass(frozen=True, slots=True)
class Change:
    """What one write did: an appointment given up, one made, or both at once."""

    removed: Booking | None = None
    added: Booking | None = None

    def touches(self, other: Change) -> bool:
        """Whether both are about an appointment that is the same in both."""
        mine, theirs = ({change.removed, change.added} - {None} for change in (self, other))
        return bool(mine & theirs)


class Schedule(Protocol):
    """A calendar. Any number of threads may use one, and each write happens whole or not at all.

    A write carries an idempotency key: the same key again gives what was done the first time and changes nothing, until
    another write is about the same appointment. The key "" stands for none. Any method may raise Unavailable.
    """

    def taken(self, service: str, day: date) -> frozenset[time]:
        """The start times of one service that are booked on a day."""
        ...

    def find(self, reference: str) -> Booking | None:
        """The booking with this reference; of several over the years the latest."""
        ...

    def bookings(self) -> list[Booking]:
        """All of them, in order of date, time and service."""
        ...

    def done(self, key: str) -> Change | None:
        """What the write with this key did, as long as that holds."""
        ...

    def change(self, key: str, *, remove: Booking | None = None, add: Booking | None = None) -> Change:
        """Give up one appointment, make one, or both in one step.

        Raises NotBooked when `remove` is not there as it is given, SlotTaken when somebody has the slot of `add`.
        """
        ...

    def transfer(self, key: str, reason: str) -> None:
        """Note that a caller was handed to a person, and why."""
        ...

    def transfers(self) -> list[str]:
        """The reasons of all transfers, oldest first."""
        ...


@dataclass(slots=True)
class MemorySchedule:
    """A calendar that ends with the program."""

    _booked: dict[Slot, Booking] = field(default_factory=dict)
    _done: dict[str, Change] = field(default_factory=dict)
    _transfers: list[tuple[str, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def taken(self, service: str, day: date) -> frozenset[time]:
        """See Schedule."""
        return frozenset(each.time for each in self.bookings() if (each.service, each.date) == (service, day))

    def find(self, reference: str) -> Booking | None:
        """See Schedule."""
        return next((each for each in reversed(self.bookings()) if each.reference == reference), None)

    def bookings(self) -> list[Booking]:
        """See Schedule."""
        with self._lock:
            return sorted(self._booked.values(), key=lambda each: (each.date, each.time, each.service))

    def done(self, key: str) -> Change | None:
        """See Schedule."""
        return self._done.get(key)

    def change(self, key: str, *, remove: Booking | None = None, add: Booking | None = None) -> Change:
        """See Schedule."""
        with self._lock:
            if key in self._done:
                return self._done[key]
            if remove is not None and self._booked.get(remove.slot) != remove:
                raise NotBooked(remove.reference)
            holder = self._booked.get(add.slot) if add is not None else None
            if holder is not None and holder != remove:
                raise SlotTaken(holder)
            if remove is not None:
                del self._booked[remove.slot]
            if add is not None:
                self._booked[add.slot] = add
            return self._remember(key, Change(remove, add))

    def transfer(self, key: str, reason: str) -> None:
        """See Schedule."""
        with self._lock:
            if not key or key not in (known for known, _ in self._transfers):
                self._transfers.append((key, reason))

    def transfers(self) -> list[str]:
        """See Schedule."""
        return [reason for _, reason in self._transfers]

    def _remember(self, key: str, change: Change) -> Change:
        self._done = {known: each for known, each in self._done.items() if not each.touches(change)}
        if key:
            self._done[key] = change
        return change
