"""Watches what the dialects say in any test: every event of OpenAI's has the type that the `openai` package gives it.

Not a test: tests/conftest.py starts it and asks it after each test. Without the package nothing is validated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any

import orjson
from pydantic import Field, TypeAdapter, ValidationError

from mockserver.dialects.openai import OpenAI
from mockserver.facts import Fact
from replay.frames import Frame, Text

_PACKAGE: Any = import_module("openai.types.realtime") if find_spec("openai") is not None else None
# Here and not in the first test that needs it: to load it takes half a second. Told which key decides, pydantic need
# not try an event as each of forty types.
TYPES: TypeAdapter[Any] | None = (
    TypeAdapter(Annotated[_PACKAGE.RealtimeServerEvent, Field(discriminator="type")]) if _PACKAGE is not None else None
)
complaints: list[str] = []
"""What the package would not read, since somebody last asked."""


def judge(event: dict[str, Any]) -> None:
    """Complain about an event that the package would not read."""
    if TYPES is None:
        return
    try:
        TYPES.validate_python(event)
    except ValidationError as error:
        complaints.append(f"{event}: {error}")


def judged(
    render: Callable[[OpenAI, Fact, float], Iterator[Frame]],
) -> Callable[[OpenAI, Fact, float], Iterator[Frame]]:
    """The same rendering, with each of its events looked at."""

    def looked_at(dialect: OpenAI, fact: Fact, at: float) -> Iterator[Frame]:
        for frame in render(dialect, fact, at):
            if isinstance(frame, Text):
                judge(orjson.loads(frame.data))
            yield frame

    return looked_at
