"""The tools of the clinic's assistant and their arguments. The docstrings of the arguments are for the model."""

from __future__ import annotations

import secrets
from datetime import date, time
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from clinic_agent.call.tool import Arguments, Result, Tool
from clinic_agent.call.tool import Tools as Tools
from clinic_agent.call.turn import END_CALL, TRANSFER
from clinic_agent.clinic.clinic import Clinic, ServiceName
from clinic_agent.clinic.schedule import Booking

FIND_INFORMATION = "find_information"

Time = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="start time, 24-hour HH:MM")]
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=2, max_length=80),
    Field(description="full name of the patient"),
]
Reference = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=40),
    Field(description="reference of the appointment, such as DC-0706-0930"),
]


Question = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    Field(description="what the caller wants to know, in English, such as: price of a dental cleaning"),
]


class FindInformation(Arguments):
    """Search what the clinic tells about itself: prices, payment, address, parking, what to bring, how to prepare."""

    question: Question


class CheckAvailability(Arguments):
    """Look up the free appointment times for a service on a date."""

    service: ServiceName
    date: date


class BookAppointment(Arguments):
    """Book an appointment. Call it only after the caller chose a free time and gave a name."""

    service: ServiceName
    date: date
    time: Time
    name: Name


class RescheduleAppointment(Arguments):
    """Move a booked appointment to another free time. Call it only after the caller chose one."""

    reference: Reference
    name: Name
    date: date
    time: Time


class CancelAppointment(Arguments):
    """Cancel a booked appointment. Call it only after the caller said yes to it."""

    reference: Reference
    name: Name


class TransferToHuman(Arguments):
    """Hand the call to a person at once: a medical emergency, or the caller asks for somebody."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class EndCall(Arguments):
    """End the call once nothing is left to do; say goodbye after it."""


def clinic_tools(clinic: Clinic, call_key: str | None = None) -> Tools:
    """The clinic's tools for one phone call. Without `call_key`, a random one is used."""

    def find_information(request: FindInformation, _: str) -> Result:
        found = clinic.information.search(request.question)
        result: Result = {"found": [{"title": section.title, "text": section.text} for section in found]}
        return result if found else {**result, "titles": clinic.information.titles}

    def check_availability(request: CheckAvailability, _: str) -> Result:
        slots = [f"{start:%H:%M}" for start in clinic.free(request.service, request.date)]
        found: Result = {"service": request.service, "date": request.date.isoformat(), "slots": slots}
        if not slots:
            later = clinic.next_free_day(request.service, request.date)
            found["next_free_date"] = later and later.isoformat()
        return found

    def book_appointment(request: BookAppointment, key: str) -> Result:
        return _booking_result(
            clinic.book(request.service, request.date, time.fromisoformat(request.time), request.name, key=key)
        )

    def reschedule_appointment(request: RescheduleAppointment, key: str) -> Result:
        moved = clinic.reschedule(
            request.reference, request.name, request.date, time.fromisoformat(request.time), key=key
        )
        return _booking_result(moved)

    def cancel_appointment(request: CancelAppointment, key: str) -> Result:
        return {"cancelled": _booking_result(clinic.cancel(request.reference, request.name, key=key))}

    def transfer_to_human(request: TransferToHuman, key: str) -> Result:
        return {"transferred_to": clinic.transfer(request.reason, key=key)}

    def end_call(request: EndCall, _: str) -> Result:
        return {"ended": True}

    tools: tuple[Tool[Any], ...] = (
        Tool("check_availability", CheckAvailability, check_availability, reads=True),
        Tool("book_appointment", BookAppointment, book_appointment),
        Tool("reschedule_appointment", RescheduleAppointment, reschedule_appointment),
        Tool("cancel_appointment", CancelAppointment, cancel_appointment),
        Tool(FIND_INFORMATION, FindInformation, find_information, reads=True),
        Tool(TRANSFER, TransferToHuman, transfer_to_human),
        Tool(END_CALL, EndCall, end_call, reads=True),
    )
    return Tools({tool.name: tool for tool in tools}, secrets.token_hex(16) if call_key is None else call_key)


def _booking_result(booking: Booking) -> Result:
    """A booking as the result of a tool."""
    return {
        "reference": booking.reference,
        "service": booking.service,
        "date": booking.date.isoformat(),
        "time": f"{booking.time:%H:%M}",
        "name": booking.name,
    }
