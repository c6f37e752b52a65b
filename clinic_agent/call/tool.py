"""Functions that a model may call: their arguments, their schemas, and the one place that runs them. Of any trade.

A tool never raises. Whatever goes wrong comes back as `{"error": "..."}`, in words the model can pass on.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.json_schema import GenerateJsonSchema

MAX_ARGUMENTS_CHARS = 10_000
READ_ATTEMPTS = 3
"""How often a tool that only reads is tried while what it reads from cannot answer. One that writes is tried once."""

Result = dict[str, Any]
_log = logging.getLogger(__name__)


class ToolRefused(Exception):
    """What was asked for cannot be done; the message is fit to be told to the caller."""


class Unavailable(Exception):
    """Whatever a tool works on cannot answer just now and has changed nothing; asking again may help."""


class Arguments(BaseModel):
    """The arguments of a tool; the docstring of a subclass describes the tool to the model."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Tool(Generic[A]):
    """One function: its name, its arguments (whose docstring describes it to the model), and what it does.

    `run` works in a thread of its own, and takes the arguments and an idempotency key: the same for the same arguments
    in the same call. A tool that does not only read has to give its first result again for a key it knows. `run` may
    raise Refused, whose message is fit to be told to the caller, and Unavailable; anything else that it raises is
    logged and not told.
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
        except ToolRefused as error:
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
            raise ToolRefused(_out_of_order(self.name))

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
