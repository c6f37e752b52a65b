"""What the assistant can do: the functions offered to the model, their schemas, and the one place that runs them.

A tool never raises. Whatever goes wrong comes back as `{"error": "..."}`, in words the model can pass on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, time
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from clinic_agent.clinic import Clinic, ClinicError, ServiceName

MAX_ARGUMENTS_CHARS = 10_000

Result = dict[str, Any]
_log = logging.getLogger(__name__)


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CheckAvailability(_Arguments):
    """Look up the free appointment times for a service on a date."""

    service: ServiceName
    date: date


class BookAppointment(_Arguments):
    """Book an appointment. Call it only after the caller chose a free time and gave a name."""

    service: ServiceName
    date: date
    time: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="start time, 24-hour HH:MM")]
    name: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=2, max_length=80),
        Field(description="full name of the patient"),
    ]


class TransferToHuman(_Arguments):
    """Hand the call to a person at once: a medical emergency, or the caller asks for somebody."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Tool(Generic[A]):
    """One function: its name, its arguments (whose docstring describes it to the model), and what it does."""

    name: str
    arguments: type[A]
    run: Callable[[A], Result]

    def schema(self) -> dict[str, Any]:
        """The tool as `session.tools` takes it, in the flat function form."""
        parameters = self.arguments.model_json_schema(schema_generator=_Untitled)
        del parameters["title"]
        description = parameters.pop("description")
        return {"type": "function", "name": self.name, "description": description, "parameters": parameters}

    def call(self, arguments: str) -> Result:
        """Run on a JSON text of arguments. Never raises."""
        if len(arguments) > MAX_ARGUMENTS_CHARS:
            return {"error": f"{self.name}: arguments are longer than {MAX_ARGUMENTS_CHARS} characters; shorten them"}
        try:
            return self.run(self.arguments.model_validate_json(arguments))
        except ValidationError as error:
            return {"error": f"{self.name}: {_first_problem(error)}"}
        except ClinicError as error:
            return {"error": str(error)}
        except Exception:
            # The caller must not hear internals; whoever runs the clinic finds them in the log.
            _log.exception("tool %s failed", self.name)
            return {"error": f"{self.name} is out of order; apologise and offer to have somebody call back"}


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools of one call, by name."""

    by_name: Mapping[str, Tool[Any]]

    def schemas(self) -> list[dict[str, Any]]:
        """All tools as `session.tools` takes them."""
        return [tool.schema() for tool in self.by_name.values()]

    def call(self, name: str, arguments: str) -> Result:
        """Run a tool by name on a JSON text of arguments. Never raises."""
        tool = self.by_name.get(name)
        if tool is None:
            return {"error": f"there is no tool {name[:80]!r}; there are {', '.join(self.by_name)}"}
        return tool.call(arguments)


def clinic_tools(clinic: Clinic) -> Tools:
    """The clinic's tools, working on one schedule."""

    def check_availability(asked: CheckAvailability) -> Result:
        slots = [f"{start:%H:%M}" for start in clinic.free(asked.service, asked.date)]
        found: Result = {"service": asked.service, "date": asked.date.isoformat(), "slots": slots}
        if not slots:
            later = clinic.next_free_day(asked.service, asked.date)
            found["next_free_date"] = later and later.isoformat()
        return found

    def book_appointment(asked: BookAppointment) -> Result:
        booking = clinic.book(asked.service, asked.date, time.fromisoformat(asked.time), asked.name)
        return {
            "reference": booking.reference,
            "service": booking.service,
            "date": booking.date.isoformat(),
            "time": f"{booking.time:%H:%M}",
            "name": booking.name,
        }

    def transfer_to_human(asked: TransferToHuman) -> Result:
        return {"transferred_to": clinic.transfer(asked.reason)}

    tools: tuple[Tool[Any], ...] = (
        Tool("check_availability", CheckAvailability, check_availability),
        Tool("book_appointment", BookAppointment, book_appointment),
        Tool("transfer_to_human", TransferToHuman, transfer_to_human),
    )
    return Tools({tool.name: tool for tool in tools})


class _Untitled(GenerateJsonSchema):
    """Pydantic titles every field with its own name again; the model reads each word of a schema, so leave them out."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(step) for step in problem["loc"])
    return f"{where}: {problem['msg']}" if where else problem["msg"]
