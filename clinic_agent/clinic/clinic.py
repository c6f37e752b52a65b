"""The rules of the clinic: services, opening hours, and which appointments can be booked, moved and cancelled.

Today's date is an argument. The offered times follow from the tables below; a Schedule keeps the bookings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Literal

from clinic_agent.call.tool import ToolRefused
from clinic_agent.clinic.information import Information, information
from clinic_agent.clinic.schedule import Booking, MemorySchedule, NotBooked, Schedule, SlotTaken

NAME = "Maple Street Clinic"
BOOKABLE_DAYS = 180

ServiceName = Literal["dental cleaning", "dental check-up", "general consultation", "vaccination"]


@dataclass(frozen=True, slots=True)
class Service:
    """One kind of appointment: its length in minutes and its start times on a day."""

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
"""Opening and closing time by weekday (Monday is 0). On other days the clinic is closed."""


class ClinicError(ToolRefused):
    """The clinic cannot fulfil a request; the message is suitable for the caller."""


@dataclass(frozen=True, slots=True)
class Clinic:
    """The clinic on one day: its free times and its bookings. Each service has its own calendar.

    Methods that write take an idempotency key, see Schedule. Methods raise ClinicError for a request that cannot be
    fulfilled, and Unavailable if the schedule cannot answer.
    """

    today: date
    schedule: Schedule = field(default_factory=MemorySchedule)
    information: Information = field(default_factory=information)

    def free(self, service: str, day: date) -> list[time]:
        """Free start times on a day, earliest first; empty if the clinic is closed or fully booked.

        Raises ClinicError for today, a past day, and a day more than 180 days ahead.
        """
        if day <= self.today:
            raise ClinicError(f"{day} cannot be booked; appointments start the day after today, {self.today}")
        if day > self.today + timedelta(days=BOOKABLE_DAYS):
            raise ClinicError(f"{day} is too far ahead; appointments open {BOOKABLE_DAYS} days in advance")
        starts = _starts(service, day)
        taken = self.schedule.taken(service, day) if starts else ()
        return [start for start in starts if start not in taken]

    def next_free_day(self, service: str, after: date) -> date | None:
        """The first day after `after` with a free time; None if no bookable day has one."""
        last = self.today + timedelta(days=BOOKABLE_DAYS)
        day = max(after, self.today) + timedelta(days=1)
        while day <= last:
            if self.free(service, day):
                return day
            day += timedelta(days=1)
        return None

    def book(self, service: str, day: date, start: time, name: str, *, key: str = "") -> Booking:
        """Book a free time. If the same name already has it, that booking is returned."""
        done = self.schedule.done(key)
        if done is not None and done.added is not None:
            return done.added
        return self._changed(key, None, Booking(_reference(service, day, start), service, day, start, name))

    def reschedule(self, reference: str, name: str, day: date, start: time, *, key: str = "") -> Booking:
        """Move an appointment to a free time of the same service; on failure the old one is kept."""
        done = self.schedule.done(key)
        if done is not None and done.added is not None:
            return done.added
        old = self._booked(reference, name)
        new = Booking(_reference(old.service, day, start), old.service, day, start, old.name)
        return self._changed(key, old, new)

    def cancel(self, reference: str, name: str, *, key: str = "") -> Booking:
        """Cancel an appointment; returns it."""
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
        """Transfer the caller to a person; returns the person's role."""
        self.schedule.transfer(key, reason)
        return "the nurse on duty"

    def _booked(self, reference: str, name: str) -> Booking:
        """A future appointment with this reference and name; the reference alone can be guessed."""
        booking = self.schedule.find(reference.strip().upper())
        if booking is None or _folded(booking.name) != _folded(name):
            raise _unknown(reference)
        if booking.date <= self.today:
            raise ClinicError(f"{booking.reference} was for {booking.date}; it can no longer be changed")
        return booking

    def _changed(self, key: str, old: Booking | None, new: Booking) -> Booking:
        self.free(new.service, new.date)  # raises for a day that cannot be booked
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
    """A name for comparison, without differences in capitals and spaces."""
    return " ".join(name.split()).casefold()


def _unknown(reference: str) -> ClinicError:
    return ClinicError(f"there is no appointment {reference[:40]} under that name; ask for both again")


def _reference(service: str, day: date, start: time) -> str:
    # A slot holds one appointment, so service, day and time identify it. The text is short enough to be read out.
    initials = "".join(word[0] for word in service.split()).upper()
    return f"{initials}-{day:%m%d}-{start:%H%M}"
