"""Placeholders: what a normal form shows where two correct conversations may differ. The rules are in normal_form.py.

A placeholder keeps what must still agree: the JSON type, the meaning, the shape of an id, and for ids and spoken texts
a number that is equal wherever the value was equal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, repr=False)
class Placeholder:
    """In place of a value of JSON type `json`. `number` counts distinct values by first appearance, from 1. `value` is
    the number that it replaces, if it is one: equality leaves it out, see numbers.py.
    """

    what: str
    json: str = "string"
    shape: str = ""
    number: int | None = None
    value: float | None = field(default=None, compare=False)

    def __str__(self) -> str:
        number = "" if self.number is None else f"-{self.number}"
        return f"<{self.what}{number}{self.shape and ' ' + self.shape}>"

    __repr__ = __str__


ABSENT = Placeholder("absent", json="nothing")
"""In place of a key, an element or an event that does not exist. `null` is another value."""


def json_type(value: object) -> str:
    """The JSON type of a value, with `integer` and `float` distinguished. For other values the name of the
    Python type.
    """
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "float"
        case str():
            return "string"
        case Placeholder():
            return value.json
        case list() | tuple():
            return "array"
        case Mapping():
            return "object"
        case _:
            return type(value).__name__


def form(value: object) -> object:
    """A normalized value without the numbers of its ids and texts. Equal for two of the same form, apart from key
    order.
    """
    match value:
        case Placeholder():
            return value.json, value.what, value.shape
        case Mapping():
            return {key: form(part) for key, part in value.items()}
        case list():
            return [form(part) for part in value]
        case _:
            return json_type(value), repr(value)


_UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_UUID4_HEX = re.compile(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}")
_PLAIN_UUID4 = re.compile(_UUID4)
_XAI_CALL = re.compile(rf"call-{_UUID4}-(\d+)")
_OUTPUT_BUFFER_EVENT = re.compile(r"event_[0-9a-f]{16}")
_PREFIXED = re.compile(r"([a-z]{2,8})_(u\d_)?([0-9A-Za-z]{16,32})")


def id_shape(value: object) -> str | None:
    """The shape of an id that a service made, or None if no service makes ids of that shape (a client's id).

    From recordings: xAI uses uuid4, uuid4 without dashes for sessions, `call-<uuid4>-N` for calls. OpenAI uses `item_`
    and 21 base62 characters, `call_` and 16, `event_` and 16 hex digits for events of the output buffer. An id of a
    call and of its session names the region that serves it, and has 21 characters in July 2026 and 32 in September.
    """
    if not isinstance(value, str):
        return None
    if _PLAIN_UUID4.fullmatch(value):
        return "uuid4"
    if _UUID4_HEX.fullmatch(value):
        return "uuid4 hex"
    if call := _XAI_CALL.fullmatch(value):
        return f"call-uuid4-{call[1]}"
    if _OUTPUT_BUFFER_EVENT.fullmatch(value):
        return "event_16hex"
    if prefixed := _PREFIXED.fullmatch(value):
        prefix, region, tail = prefixed.groups(default="")
        return f"{prefix}_{'call' if region else len(tail)}"
    return None
