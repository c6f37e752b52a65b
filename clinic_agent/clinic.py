"""The clinic itself: services, opening hours, free times, bookings.

Pure and in memory: today's date is an argument, the schedule follows from the tables below, and nothing is stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Literal

NAME = "Maple Street Clinic"
BOOKABLE_DAYS = 180

ServiceName = Literal["dental cleaning", "dental check-up", "general consultation", "vaccination"]


@dataclass(frozen=True, slots=True)
class Service:
    """One kind of appointment: how long it takes and when on a day it may start."""

    minutes: int
    starts: tuple[time, ...]


SERVICES: dict[ServiceName, Service] = {
    "dental cleaning": Service(45, (time(9, 30), time(11, 0), time(14, 30))),
    "dental check-up": Service(30, (time(9, 0), time(10, 30), time(15, 0))),
    "general consultation": Service(20, (time(9, 20), time(11, 40), time(13, 0), time(16, 20))),
    "vaccination": Service(10, (time(10, 0), time(15, 30))),
}

_WEEKDAY_HOURS = (time(9), time(17))
OPENING_HOURS: dict[int, tuple[time, time]] = {**dict.fromkeys(range(5), _WEEKDAY_HOURS), 5: (time(9), time(12))}
"""Opening and closing time by weekday, Monday is 0; a day that is missing is closed."""


class ClinicError(Exception):
    """The clinic cannot do what was asked; the message is fit to be told to the caller."""


@dataclass(frozen=True, slots=True)
class Booking:
    """A confirmed appointment."""

    reference: str
    service: ServiceName
    date: date
    time: time
    name: str


@dataclass(slots=True)
class Clinic:
    """The schedule as it stands. Each service has its own calendar; one appointment fits in one slot."""

    today: date
    bookings: dict[tuple[ServiceName, date, time], Booking] = field(default_factory=dict)
    transfers: list[str] = field(default_factory=list)

    def free(self, service: ServiceName, day: date) -> list[time]:
        """Start times still free on a day, earliest first; empty when closed or fully booked.

        Raises ClinicError for a day that is past, is today, or is more than 180 days ahead.
        """
        if day <= self.today:
            raise ClinicError(f"{day} cannot be booked; appointments start the day after today, {self.today}")
        if day > self.today + timedelta(days=BOOKABLE_DAYS):
            raise ClinicError(f"{day} is too far ahead; appointments open {BOOKABLE_DAYS} days in advance")
        return [start for start in _starts(service, day) if (service, day, start) not in self.bookings]

    def next_free_day(self, service: ServiceName, after: date) -> date | None:
        """The first later day with a free time, or None within the days that can be booked."""
        last = self.today + timedelta(days=BOOKABLE_DAYS)
        day = after + timedelta(days=1)
        while day <= last:
            if self.free(service, day):
                return day
            day += timedelta(days=1)
        return None

    def book(self, service: ServiceName, day: date, start: time, name: str) -> Booking:
        """Book a free time. Asking again for the same person and time returns the booking already made.

        Raises ClinicError when the time is taken by somebody else or was never on offer.
        """
        made = self.bookings.get((service, day, start))
        if made is not None and made.name.casefold() == name.casefold():
            return made
        free = self.free(service, day)
        if start not in free:
            others = ", ".join(f"{other:%H:%M}" for other in free) or "none"
            raise ClinicError(f"{start:%H:%M} on {day} is not free; free that day: {others}")
        booking = Booking(_reference(service, day, start), service, day, start, name)
        self.bookings[service, day, start] = booking
        return booking

    def transfer(self, reason: str) -> str:
        """Hand the caller to a person; returns who takes over."""
        self.transfers.append(reason)
        return "the nurse on duty"


def _starts(service: ServiceName, day: date) -> list[time]:
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


def _reference(service: ServiceName, day: date, start: time) -> str:
    # One slot holds one appointment, so service, day and time name it; short enough to be read out.
    initials = "".join(word[0] for word in service.split()).upper()
    return f"{initials}-{day:%m%d}-{start:%H%M}"
