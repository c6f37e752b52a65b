"""The clinic itself: services, opening hours, what may be booked and by whom it may be changed.

Today's date is an argument, what is on offer follows from the tables below, and who has which slot is kept by a
Schedule.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Literal

from clinic_agent.call.tool import ToolRefused
from clinic_agent.clinic.schedule import Booking, MemorySchedule, NotBooked, Schedule, SlotTaken

NAME = "Maple Street Clinic"
BOOKABLE_DAYS = 180

ServiceName = Literal["dental cleaning", "dental check-up", "general consultation", "vaccination"]


@dataclass(frozen=True, slots=True)
class Service:
    """One kind of appointment: how long it takes and when on a day it may start."""

    minutes: int
    starts: tuple[time, ...]


SERVICES: dict[str, Service] = {
    "dental cleaning": Service(45, (time(9, 30), time(11, 0), time(14, 30))),
    "dental check-up": Service(30, (time(9, 0), time(10, 30), time(15, 0))),
    "general consultation": Service(20, (time(9, 20), time(11, 40), time(13, 0), time(16, 20))),
    "vaccination": Service(10, (time(10, 0), time(15, 30))),
}

_WEEKDAY_HOURS = (time(9), time(17))
OPENING_HOURS: dict[int, tuple[time, time]] = {**dict.fromkeys(range(5), _WEEKDAY_HOURS), 5: (time(9), time(12))}
"""Opening and closing time by weekday, Monday is 0; a day that is missing is closed."""


class ClinicError(ToolRefused):
    """The clinic cannot do what was asked; the message is fit to be told to the caller."""


@dataclass(frozen=True, slots=True)
class Clinic:
    """What is on offer as of `today`, and who has it. Each service has its own calendar.

    Methods that write take an idempotency key, see Schedule. All raise ClinicError for what cannot be done, and
    Unavailable when the schedule cannot answer.
    """

    today: date
    schedule: Schedule = field(default_factory=MemorySchedule)

    def free(self, service: str, day: date) -> list[time]:
        """Start times still free on a day, earliest first; empty when closed or fully booked.

        Raises ClinicError for a day that is past, is today, or is more than 180 days ahead.
        """
        if day <= self.today:
            raise ClinicError(f"{day} cannot be booked; appointments start the day after today, {self.today}")
        if day > self.today + timedelta(days=BOOKABLE_DAYS):
            raise ClinicError(f"{day} is too far ahead; appointments open {BOOKABLE_DAYS} days in advance")
        starts = _starts(service, day)
        taken = self.schedule.taken(service, day) if starts else ()
        return [start for start in starts if start not in taken]

    def next_free_day(self, service: str, after: date) -> date | None:
        """The first later day with a free time, or None within the days that can be booked."""
        last = self.today + timedelta(days=BOOKABLE_DAYS)
        day = max(after, self.today) + timedelta(days=1)
        while day <= last:
            if self.free(service, day):
                return day
            day += timedelta(days=1)
        return None

    def book(self, service: str, day: date, start: time, name: str, *, key: str = "") -> Booking:
        """Book a free time. Asking again for the same person and time returns the booking already made."""
        done = self.schedule.done(key)
        if done is not None and done.added is not None:
            return done.added
        return self._changed(key, None, Booking(_reference(service, day, start), service, day, start, name))

    def reschedule(self, reference: str, name: str, day: date, start: time, *, key: str = "") -> Booking:
        """Move an appointment to a free time of the same service; if that fails, the old one stands."""
        done = self.schedule.done(key)
        if done is not None and done.added is not None:
            return done.added
        old = self._booked(reference, name)
        new = Booking(_reference(old.service, day, start), old.service, day, start, old.name)
        return self._changed(key, old, new)

    def cancel(self, reference: str, name: str, *, key: str = "") -> Booking:
        """Give an appointment up; returns what it was."""
        done = self.schedule.done(key)
        if done is not None and done.removed is not None:
            return done.removed
        old = self._booked(reference, name)
        try:
            self.schedule.change(key, remove=old)
        except NotBooked as gone:
            raise _unknown(reference) from gone
        return old

    def transfer(self, reason: str, *, key: str = "") -> str:
        """Hand the caller to a person; returns who takes over."""
        self.schedule.transfer(key, reason)
        return "the nurse on duty"

    def _booked(self, reference: str, name: str) -> Booking:
        """A coming appointment, for the one whose it is: references can be guessed."""
        booking = self.schedule.find(reference.strip().upper())
        if booking is None or _folded(booking.name) != _folded(name):
            raise _unknown(reference)
        if booking.date <= self.today:
            raise ClinicError(f"{booking.reference} was for {booking.date}; it can no longer be changed")
        return booking

    def _changed(self, key: str, old: Booking | None, new: Booking) -> Booking:
        self.free(new.service, new.date)  # whether the day can be booked at all
        try:
            if new.time not in _starts(new.service, new.date):
                raise self._not_free(new)
            return self.schedule.change(key, remove=old, add=new).added or new
        except SlotTaken as taken:
            if old is None and _folded(taken.booking.name) == _folded(new.name):
                return taken.booking
            raise self._not_free(new) from taken
        except NotBooked as gone:
            raise _unknown(old.reference if old else new.reference) from gone

    def _not_free(self, wanted: Booking) -> ClinicError:
        others = ", ".join(f"{other:%H:%M}" for other in self.free(wanted.service, wanted.date)) or "none"
        return ClinicError(f"{wanted.time:%H:%M} on {wanted.date} is not free; free that day: {others}")


def _starts(service: str, day: date) -> list[time]:
    hours = OPENING_HOURS.get(day.weekday())
    if hours is None:
        return []
    opens, closes = (datetime.combine(day, hour) for hour in hours)
    length = timedelta(minutes=SERVICES[service].minutes)
    return [
        start
        for start in SERVICES[service].starts
        if opens <= datetime.combine(day, start) and datetime.combine(day, start) + length <= closes
    ]


def _folded(name: str) -> str:
    """A name as it is compared: however it is spelt in capitals and blanks."""
    return " ".join(name.split()).casefold()


def _unknown(reference: str) -> ClinicError:
    return ClinicError(f"there is no appointment {reference[:40]} under that name; ask for both again")


def _reference(service: str, day: date, start: time) -> str:
    # One slot holds one appointment, so service, day and time name it; short enough to be read out.
    initials = "".join(word[0] for word in service.split()).upper()
    return f"{initials}-{day:%m%d}-{start:%H%M}"
