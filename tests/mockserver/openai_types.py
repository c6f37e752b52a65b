"""Every server event of a talk against the types of the `openai` package, where that is installed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
from pydantic import TypeAdapter

from tests.mockserver.talk import Talk

_TYPES: Any = import_module("openai.types.realtime") if find_spec("openai") is not None else None
# With the module and not in the first test that asks: it takes half a second.
_EVENTS = TypeAdapter(_TYPES.RealtimeServerEvent) if _TYPES is not None else None


def assert_typed(talk: Talk) -> None:
    """Fails with the first event that the package would not read. Skips the test without the package."""
    if _EVENTS is None:
        pytest.skip("the package openai is not installed")
    for event in talk.events:
        _EVENTS.validate_python(event)
