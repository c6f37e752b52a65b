"""Watches what the dialects say in any test: every event has the shape that `serve --check` asks of it, a row in
docs/fidelity.md, and if it is one of OpenAI's the type that the `openai` package gives it.

Not a test: tests/conftest.py starts it and asks it after each test. Without the package no types are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any

import orjson
from pydantic import Field, TypeAdapter, ValidationError

from mockserver.dialects.provenance import EVIDENCE
from mockserver.dialects.registry import SERVICES
from mockserver.dialects.schema import complaint
from mockserver.protocol.facts import Fact
from replay.cassette.frames import Frame, Sound, Text

_PACKAGE: Any = import_module("openai.types.realtime") if find_spec("openai") is not None else None
# Here and not in the first test that needs it: to load it takes half a second. Told which key decides, pydantic need
# not try an event as each of forty types.
TYPES: TypeAdapter[Any] | None = (
    TypeAdapter(Annotated[_PACKAGE.RealtimeServerEvent, Field(discriminator="type")]) if _PACKAGE is not None else None
)
complaints: list[str] = []
"""What was wrong since somebody last asked."""

Render = Callable[[Any, Fact, float], Iterator[Frame | Sound]]
"""A dialect's method `render`."""


def judge(service: str, event: dict[str, Any]) -> None:
    """Complain about an event that has no row in docs/fidelity.md, or that the package would not read."""
    if event["type"] not in EVIDENCE[service]:
        complaints.append(f"{event['type']} needs a row in mockserver/dialects/provenance.py")
    if service == "openai" and TYPES is not None:
        try:
            TYPES.validate_python(event)
        except ValidationError as error:
            complaints.append(f"{event}: {error}")


def judged(render: Render) -> Render:
    """The same rendering, with each of its events looked at."""

    def looked_at(dialect: Any, fact: Fact, at: float) -> Iterator[Frame | Sound]:
        for frame in render(dialect, fact, at):
            name = dialect.name
            if (problem := complaint(frame, SERVICES[name].schema)) is not None:
                complaints.append(problem)
            if isinstance(frame, Text) and name.partition("@")[0] in EVIDENCE:  # not of a plugin
                judge(name.partition("@")[0], orjson.loads(frame.data))
            yield frame

    return looked_at
