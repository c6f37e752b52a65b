"""Reading parsed JSON whose shape is not certain: a value of another kind than expected reads as absent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from replay.cassette.json_text import Event

NOTHING: Event = {}
"""The empty object. Do not change it."""
_HUGE = 1e15


def value_at(value: Any, *keys: str) -> Any:
    """The value at a path of nested objects, or None if there is none."""
    # Parsers make dicts of objects, and to ask for a dict first takes a fifth of the time.
    for key in keys:
        if type(value) is not dict and (value is None or not isinstance(value, Mapping)):
            return None
        value = value.get(key)
    return value


def object_at(value: object, *keys: str) -> Event:
    """The object at a path of nested objects, or an empty one."""
    found = value_at(value, *keys)
    return found if type(found) is dict or (found is not None and isinstance(found, Mapping)) else NOTHING


def text_at(value: object, *keys: str) -> str:
    """The string at a path of nested objects, or an empty one."""
    found = value_at(value, *keys)
    return found if isinstance(found, str) else ""


def object_in(event: Event, key: str) -> Event:
    """The object under a key of an event, or an empty one: `object_at` for what is read with each message."""
    found = event.get(key)
    return found if type(found) is dict or (found is not None and isinstance(found, Mapping)) else NOTHING


def text_in(event: Event, key: str) -> str:
    """The string under a key of an event, or an empty one: `text_at` for what is read with each message."""
    found = event.get(key)
    return found if isinstance(found, str) else ""


def number_at(value: object, *keys: str) -> float | None:
    """The number at a path of nested objects, or None. Limited to ±1e15, so that sums stay finite."""
    found = value_at(value, *keys)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(min(max(found, -_HUGE), _HUGE))


def objects(value: object) -> list[Event]:
    """The objects of a list; an empty list for any other value."""
    return (
        [each for each in value if type(each) is dict or isinstance(each, Mapping)] if isinstance(value, list) else []
    )


@lru_cache(maxsize=256)
def path_pattern(pattern: str) -> re.Pattern[str]:
    """A regular expression for paths and event types, in which `*` stands for any text."""
    return re.compile(re.escape(pattern).replace(r"\*", ".*"), re.DOTALL)
