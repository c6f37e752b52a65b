"""Tools that a model may call: their arguments, their schemas, and the code that runs them.

A tool call does not raise. A failure is returned as `{"error": "..."}`, in words that the model can pass on.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.json_schema import GenerateJsonSchema

MAX_ARGUMENTS_CHARS = 10_000
READ_ATTEMPTS = 3
"""How often a read-only tool is tried if it raises Unavailable. A tool that writes is tried once."""

Result = dict[str, Any]
_log = logging.getLogger(__name__)  # noqa: TID251  # realtape's command prints it without secrets


class ToolRefused(Exception):
    """The request cannot be fulfilled; the message is suitable for the caller."""


class Unavailable(Exception):
    """The resource behind a tool cannot answer now and was not changed; another attempt may succeed."""


class Arguments(BaseModel):
    """The arguments of a tool; the docstring of a subclass describes the tool to the model."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Guard(Protocol):
    """Decides during a call whether a tool may be run. Its methods are called in a thread."""

    def refusal(self, arguments: BaseModel) -> str | None:
        """Why not, in words for the model; None: the tool may be run."""
        ...

    def ran(self, arguments: BaseModel, result: Result) -> None:
        """Take the result of a tool that was run."""
        ...


A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Tool(Generic[A]):
    """One tool: its name, the model of its arguments, and its function. The docstring of the model describes the tool.

    `run` is called in a thread, with the arguments and an idempotency key. The key is equal for equal arguments in one
    call. A tool that writes (`reads` is false) has to return its first result for a repeated key. `run` may raise
    ToolRefused, whose message goes to the model, and Unavailable. The model does not see the text of other exceptions;
    they are logged.
    """

    name: str
    arguments: type[A]
    run: Callable[[A, str], Result]
    reads: bool = False

    def schema(self) -> dict[str, Any]:
        """The tool as an element of `session.tools`, in the flat function form."""
        parameters = self.arguments.model_json_schema(schema_generator=_Untitled)
        del parameters["title"]
        description = parameters.pop("description")
        return {"type": "function", "name": self.name, "description": description, "parameters": parameters}

    def call(self, arguments: str, call_key: str = "", guard: Guard | None = None) -> Result:
        """Run the tool on arguments as JSON text, unless `guard` refuses. `call_key` identifies the phone call.

        Does not raise.
        """
        if len(arguments) > MAX_ARGUMENTS_CHARS:
            return {"error": f"{self.name}: arguments are longer than {MAX_ARGUMENTS_CHARS} characters; shorten them"}
        try:
            parsed = self.arguments.model_validate_json(arguments)
            if guard is not None and (refused := guard.refusal(parsed)) is not None:
                return {"error": refused}
            result = self._run(parsed, _idempotency_key(call_key, self.name, parsed))
            if guard is not None:
                guard.ran(parsed, result)
            return result
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(str(step) for step in problem["loc"])
            return {"error": f"{self.name}: {where + ': ' if where else ''}{problem['msg']}"}
        except ToolRefused as error:
            return {"error": str(error)}
        except Unavailable as error:
            _log.warning("tool %s: %s", self.name, error)
            return {"error": f"{self.name} did not get through, and nothing was changed; it may be called once more"}
        except Exception:
            # The caller must not hear internals; the operator finds them in the log.
            _log.exception("tool %s failed", self.name)
            return {"error": _out_of_order(self.name)}

    def broken(self) -> Tool[A]:
        """The same tool, always failing."""

        def fail(arguments: A, key: str) -> Result:
            raise ToolRefused(_out_of_order(self.name))

        return replace(self, run=fail)

    def _run(self, arguments: A, key: str) -> Result:
        for _ in range(READ_ATTEMPTS - 1 if self.reads else 0):
            try:
                return self.run(arguments, key)
            except Unavailable as error:
                _log.warning("tool %s: %s; trying again", self.name, error)
        return self.run(arguments, key)


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools of one phone call, by name. `call_key` is unique to the call; `guard` may refuse to run a tool."""

    by_name: Mapping[str, Tool[Any]]
    call_key: str = ""
    guard: Guard | None = None

    def schemas(self) -> list[dict[str, Any]]:
        """All tools as `session.tools`."""
        return [tool.schema() for tool in self.by_name.values()]

    def call(self, name: str, arguments: str) -> Result:
        """Run a tool by name on arguments as JSON text. Does not raise."""
        tool = self.by_name.get(name)
        if tool is None:
            return {"error": f"there is no tool {name[:80]!r}; there are {', '.join(self.by_name)}"}
        return tool.call(arguments, self.call_key, self.guard)

    def failing(self, names: Collection[str]) -> Tools:
        """The same tools, of which the named ones always fail. Raises ValueError for an unknown name."""
        if unknown := sorted(set(names) - set(self.by_name)):
            raise ValueError(f"there is no tool {unknown[0][:80]!r}; there are {', '.join(self.by_name)}")
        broken = {name: self.by_name[name].broken() for name in names}
        return replace(self, by_name={**self.by_name, **broken})


def _out_of_order(name: str) -> str:
    return f"{name} is out of order; apologise and offer to have somebody call back"


def _idempotency_key(call_key: str, name: str, arguments: BaseModel) -> str:
    """A key that is equal for equal arguments in one call, whatever the spelling of their JSON; "" without a call."""
    if not call_key:
        return ""
    text = json.dumps([call_key, name, arguments.model_dump(mode="json")], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class _Untitled(GenerateJsonSchema):
    """A schema without titles: Pydantic repeats each field's name there, and the model reads every word of a schema."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False
