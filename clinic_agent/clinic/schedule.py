"""The interface of a calendar of bookings, and a calendar in memory.

Services and opening hours are in clinic.py. The calendar in a file is in schedule_sqlite.py.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import date, time
from typing import Protocol


class SlotTaken(Exception):
    """The slot is taken by `booking`. Nothing was changed."""

    def __init__(self, booking: Booking) -> None:
        super().__init__(f"{booking.service} on {booking.date} at {booking.time:%H:%M} is taken")
        self.booking = booking


class NotBooked(Exception):
    """The appointment to be removed is not in the calendar. Nothing was changed."""


Slot = tuple[str, date, time]
"""Service, date and start time; a slot holds one appointment."""


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
        """The slot of this booking; no two bookings have the same one."""
        return (self.service, self.date, self.time)


@dataclass(frozen=True, slots=True)
class Change:
    """The effect of one write: an appointment removed, one added, or both."""

    removed: Booking | None = None
    added: Booking | None = None

    def touches(self, other: Change) -> bool:
        """Whether both changes have an appointment in common."""
        mine, theirs = ({change.removed, change.added} - {None} for change in (self, other))
        return bool(mine & theirs)


class Schedule(Protocol):
    """A calendar of bookings. Its methods are thread-safe, and each write is atomic.

    A write has an idempotency key. A repeated key returns the first change and writes nothing, until another write
    touches the same appointment. The key "" means no key. Each method may raise Unavailable.
    """

    def taken(self, service: str, day: date) -> frozenset[time]:
        """The booked start times of one service on a day."""
        ...

    def find(self, reference: str) -> Booking | None:
        """The booking with this reference; the latest one if several years have it."""
        ...

    def bookings(self) -> list[Booking]:
        """All bookings, in order of date, time and service."""
        ...

    def done(self, key: str) -> Change | None:
        """The change written with this key, until another write touches the same appointment."""
        ...

    def change(self, key: str, *, remove: Booking | None = None, add: Booking | None = None) -> Change:
        """Remove an appointment, add one, or do both in one step.

        Raises NotBooked if `remove` is not in the calendar as given, SlotTaken if the slot of `add` is taken.
        """
        ...

    def transfer(self, key: str, reason: str) -> None:
        """Record that a caller was transferred to a person, with the reason."""
        ...

    def transfers(self) -> list[str]:
        """The reasons of all transfers, oldest first."""
        ...


@dataclass(slots=True)
class MemorySchedule:
    """A calendar in memory, lost when the program ends."""

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
            change = Change(remove, add)
            self._done = {known: each for known, each in self._done.items() if not each.touches(change)}
            if key:
                self._done[key] = change
            return change

    def transfer(self, key: str, reason: str) -> None:
        """See Schedule."""
        with self._lock:
            if not key or key not in (known for known, _ in self._transfers):
                self._transfers.append((key, reason))

    def transfers(self) -> list[str]:
        """See Schedule."""
        return [reason for _, reason in self._transfers]
