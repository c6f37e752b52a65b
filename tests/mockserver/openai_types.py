"""Every server event of a talk against the types of the `openai` package, where that is installed."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from tests.mockserver.talk import Talk


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    types = pytest.importorskip("openai.types.realtime")
    return TypeAdapter(types.RealtimeServerEvent)


def assert_typed(talk: Talk) -> None:
    """Fails with the first event that the package would not read. Skips the test without the package."""
    adapter = _adapter()
    for event in talk.events:
        adapter.validate_python(event)
