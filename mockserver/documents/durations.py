"""Times with their unit, as every file writes them: `500ms`, `2s`, `5m`."""

from __future__ import annotations

import re

from mockserver.documents.problems import described
from mockserver.documents.validation import refusal

_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*(ms|s|m|min|)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0}


def seconds_of(value: object, name: str) -> float:
    """Seconds from a text such as `500ms`. `name` is the key, for the lines that would be right. Raises pydantic's
    ValueError, also for a number without a unit."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    found = _TIME.fullmatch(str(value).strip()) if isinstance(value, str) or number else None
    if found is None:
        said = f"expected a time such as 500ms, 2s or 5m, got {described(value)}"
        raise refusal(said, fix=[f"{name}: 500ms", f"{name}: 2s"])
    if not found[2]:
        fix = [f"{name}: {found[1]}ms", f"{name}: {found[1]}s"]
        raise refusal(f"{found[1]} of what? A time needs its unit, such as {found[1]}ms or {found[1]}s", fix=fix)
    return float(found[1]) * _UNITS[found[2]]


def milliseconds(text: str, name: str) -> int:
    """Whole milliseconds from such a text."""
    return round(seconds_of(text, name) * 1000)
