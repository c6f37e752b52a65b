"""What the assistant can do: the functions offered to the model, their schemas, and the one place that runs them.

A tool never raises. Whatever goes wrong comes back as `{"error": "..."}`, in words the model can pass on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, time
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from clinic_agent.clinic import Clinic, ClinicError, ServiceName
from clinic_agent.schedule import Booking, Unavailable
from clinic_agent.turn import END_CALL

MAX_ARGUMENTS_CHARS = 10_000
READ_ATTEMPTS = 3
"""How often a tool that only reads is tried while what it reads from cannot answer. One that writes is tried once."""

Result = dict[str, Any]
_log = logging.getLogger(__name__)


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


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


class CheckAvailability(_Arguments):
    """Look up the free appointment times for a service on a date."""

    service: ServiceName
    date: date


class BookAppointment(_Arguments):
    """Book an appointment. Call it only after the caller chose a free time and gave a name."""

    service: ServiceName
    date: date
    time: Time
    name: Name


class RescheduleAppointment(_Arguments):
    """Move a booked appointment to another free time. Call it only after the caller chose one."""

    reference: Reference
    name: Name
    date: date
    time: Time


class CancelAppointment(_Arguments):
    """Cancel a booked appointment. Call it only after the caller said yes to it."""

    reference: Reference
    name: Name


class TransferToHuman(_Arguments):
    """Hand the call to a person at once: a medical emergency, or the caller asks for somebody."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class EndCall(_Arguments):
    """End the call once nothing is left to do; say goodbye after it."""


A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Tool(Generic[A]):
    """One function: its name, its arguments (whose docstring describes it to the model), and what it does.

    `run` takes the arguments and an idempotency key: the same for the same arguments in the same call. A tool that does
    not only read has to give its first result again for a key it knows. `run` may raise ClinicError, whose message is
    fit to be told to the caller, and Unavailable; anything else that it raises is logged and not told.
    """

    name: str
    arguments: type[A]
    run: Callable[[A, str], Result]
    reads: bool = False

    def schema(self) -> dict[str, Any]:
        """The tool as `session.tools` takes it, in the flat function form."""
        parameters = self.arguments.model_json_schema(schema_generator=_Untitled)
        del parameters["title"]
        description = parameters.pop("description")
        return {"type": "function", "name": self.name, "description": description, "parameters": parameters}

    def call(self, arguments: str, call_key: str = "") -> Result:
        """Run on a JSON text of arguments, within the phone call that `call_key` stands for. Never raises."""
        if len(arguments) > MAX_ARGUMENTS_CHARS:
            return {"error": f"{self.name}: arguments are longer than {MAX_ARGUMENTS_CHARS} characters; shorten them"}
        try:
            asked = self.arguments.model_validate_json(arguments)
            return self._tried(asked, _key(call_key, self.name, asked))
        except ValidationError as error:
            return {"error": f"{self.name}: {_first_problem(error)}"}
        except ClinicError as error:
            return {"error": str(error)}
        except Unavailable as error:
            _log.warning("tool %s: %s", self.name, error)
            return {"error": f"{self.name} did not get through, and nothing was changed; it may be called once more"}
        except Exception:
            # The caller must not hear internals; whoever runs the clinic finds them in the log.
            _log.exception("tool %s failed", self.name)
            return {"error": _out_of_order(self.name)}

    def broken(self) -> Tool[A]:
        """The same tool, out of order."""

        def fail(asked: A, key: str) -> Result:
            raise ClinicError(_out_of_order(self.name))

        return replace(self, run=fail)

    def _tried(self, asked: A, key: str) -> Result:
        for _ in range(READ_ATTEMPTS - 1 if self.reads else 0):
            try:
                return self.run(asked, key)
            except Unavailable as error:
                _log.warning("tool %s: %s; trying again", self.name, error)
        return self.run(asked, key)


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools of one phone call, by name. `call_key` tells this call from all others."""

    by_name: Mapping[str, Tool[Any]]
    call_key: str = ""

    def schemas(self) -> list[dict[str, Any]]:
        """All tools as `session.tools` takes them."""
        return [tool.schema() for tool in self.by_name.values()]

    def call(self, name: str, arguments: str) -> Result:
        """Run a tool by name on a JSON text of arguments. Never raises."""
        tool = self.by_name.get(name)
        if tool is None:
            return {"error": f"there is no tool {name[:80]!r}; there are {', '.join(self.by_name)}"}
        return tool.call(arguments, self.call_key)

    def failing(self, names: Collection[str]) -> Tools:
        """The same tools, of which those named are out of order. Raises ValueError for a name that is none of them."""
        if unknown := sorted(set(names) - set(self.by_name)):
            raise ValueError(f"there is no tool {unknown[0][:80]!r}; there are {', '.join(self.by_name)}")
        broken = {name: self.by_name[name].broken() for name in names}
        return replace(self, by_name={**self.by_name, **broken})


def _out_of_order(name: str) -> str:
    return f"{name} is out of order; apologise and offer to have somebody call back"


def clinic_tools(clinic: Clinic, call_key: str | None = None) -> Tools:
    """The clinic's tools for one phone call, working on its schedule; `call_key` is drawn if it is not given."""

    def check_availability(asked: CheckAvailability, _: str) -> Result:
        slots = [f"{start:%H:%M}" for start in clinic.free(asked.service, asked.date)]
        found: Result = {"service": asked.service, "date": asked.date.isoformat(), "slots": slots}
        if not slots:
            later = clinic.next_free_day(asked.service, asked.date)
            found["next_free_date"] = later and later.isoformat()
        return found

    def book_appointment(asked: BookAppointment, key: str) -> Result:
        return _told(clinic.book(asked.service, asked.date, time.fromisoformat(asked.time), asked.name, key=key))

    def reschedule_appointment(asked: RescheduleAppointment, key: str) -> Result:
        moved = clinic.reschedule(asked.reference, asked.name, asked.date, time.fromisoformat(asked.time), key=key)
        return _told(moved)

    def cancel_appointment(asked: CancelAppointment, key: str) -> Result:
        return {"cancelled": _told(clinic.cancel(asked.reference, asked.name, key=key))}

    def transfer_to_human(asked: TransferToHuman, key: str) -> Result:
        return {"transferred_to": clinic.transfer(asked.reason, key=key)}

    def end_call(asked: EndCall, _: str) -> Result:
        return {"ended": True}

    tools: tuple[Tool[Any], ...] = (
        Tool("check_availability", CheckAvailability, check_availability, reads=True),
        Tool("book_appointment", BookAppointment, book_appointment),
        Tool("reschedule_appointment", RescheduleAppointment, reschedule_appointment),
        Tool("cancel_appointment", CancelAppointment, cancel_appointment),
        Tool("transfer_to_human", TransferToHuman, transfer_to_human),
        Tool(END_CALL, EndCall, end_call, reads=True),
    )
    return Tools({tool.name: tool for tool in tools}, secrets.token_hex(16) if call_key is None else call_key)


def _told(booking: Booking) -> Result:
    """An appointment as the model reads it out."""
    return {
        "reference": booking.reference,
        "service": booking.service,
        "date": booking.date.isoformat(),
        "time": f"{booking.time:%H:%M}",
        "name": booking.name,
    }


def _key(call_key: str, name: str, asked: BaseModel) -> str:
    """What is the same for the same arguments in the same call, however the model spelt their JSON; "" for no call."""
    if not call_key:
        return ""
    text = json.dumps([call_key, name, asked.model_dump(mode="json")], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class _Untitled(GenerateJsonSchema):
    """Pydantic titles every field with its own name again; the model reads each word of a schema, so leave them out."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(step) for step in problem["loc"])
    return f"{where}: {problem['msg']}" if where else problem["msg"]
