"""How OpenAI words what is wrong with a client's frame: code, dotted path and sentence of an `error` event.

Codes and texts are the service's where they were observed. The texts about numbers and types follow the style of its
other APIs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mockserver.dialects.validation import shortened
from mockserver.protocol.commands import Rejected

MAX_EVENT_ID = 512
"""Characters; a longer id is refused, and not echoed."""
_ARTICLES = {
    "string_type": "a string",
    "int_type": "an integer",
    "float_type": "a decimal number",
    "bool_type": "a boolean",
    "list_type": "an array of values",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}


def rejected(error: ValidationError, sent: object, above: Sequence[str] = ()) -> Rejected:
    """The first problem of what was sent; `above` is the path to it in the frame."""
    details = error.errors(include_url=False, include_context=True)[0]
    path = _path(details["loc"], sent, above, missing=details["type"] == "missing")
    code, message, param = _problem(details, path)
    event_id = sent.get("event_id") if isinstance(sent, dict) else None
    echoed = isinstance(event_id, str) and len(event_id) <= MAX_EVENT_ID
    return Rejected(message, code=code, param=param, event_id=event_id if echoed else None)


def bad_value(path: str, expected: str) -> Rejected:
    """A value of the right type that is not accepted."""
    return Rejected(f"Invalid '{path}'. {expected}", code="invalid_value", param=path)


def loaded(data: str) -> object:
    """The JSON of a refused frame; None if it is not JSON."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def _problem(details: ErrorDetails, path: str) -> tuple[str, str, str | None]:
    context: dict[str, Any] = details.get("ctx", {})
    given = details["input"]
    match details["type"]:
        case "json_invalid" | "json_type":
            problem = context.get("error", details["msg"])  # how the sentence goes on was not captured
            return "invalid_json", f"Invalid event: failed to parse JSON value. {problem}", None
        case "union_tag_not_found" if not path:
            return "invalid_event", "Invalid event: the 'type' field is missing.", None
        case "model_attributes_type" | "dict_type" if not path:
            return "invalid_event", "Invalid event: expected a JSON object.", None
        case "union_tag_invalid" if "expected_tags" in context:
            named = f"{path}.{_member(details)}".lstrip(".")
            supported = [tag.strip("' ") for tag in str(context["expected_tags"]).split(",")]
            return "invalid_value", _unsupported(str(context["tag"]), supported), named
        case "union_tag_not_found":
            named = f"{path}.{_member(details)}"
            return "missing_required_parameter", f"Missing required parameter: '{named}'.", named
        case "missing":
            return "missing_required_parameter", f"Missing required parameter: '{path}'.", path
        case "extra_forbidden":
            return "unknown_parameter", f"Unknown parameter: '{path}'.", path
        case "literal_error":
            supported = [tag.strip("' ") for tag in str(context["expected"]).replace(" or ", ", ").split(",")]
            return "invalid_value", _unsupported(str(given), supported), path
        case "greater_than_equal" | "less_than_equal":
            return *_out_of_bounds(given, path, context), path
        case "string_too_long":
            long = f"a string with maximum length {context['max_length']}, but got a string with length {len(given)}"
            return "string_above_max_length", f"Invalid '{path}': string too long. Expected {long} instead.", path
        case "string_too_short":
            return "string_below_min_length", f"Invalid '{path}': empty string. Expected a longer one.", path
        case "string_pattern_mismatch":
            pattern = f"a string that matches the pattern '{context['pattern']}'"
            return "invalid_value", f"Invalid '{path}': string does not match pattern. Expected {pattern}.", path
        case "too_long":
            long = f"at most {context['max_length']} entries, but got {context['actual_length']}"
            return "array_above_max_length", f"Invalid '{path}': too many. Expected {long} instead.", path
        case kind if kind in _ARTICLES or kind.startswith("int_"):
            expected = _ARTICLES.get(kind, "an integer")
            return "invalid_type", f"Invalid type for '{path}': expected {expected}, but got {_a(given)} instead.", path
        case _:
            pass
    return "invalid_value", f"Invalid '{path}': {details['msg'][0].lower()}{details['msg'][1:]}.", path


def _out_of_bounds(given: Any, path: str, context: dict[str, Any]) -> tuple[str, str]:
    if "ge" in context:
        end, sign, bound = "below_min", ">=", context["ge"]
    else:
        end, sign, bound = "above_max", "<=", context["le"]
    kind = "integer" if isinstance(bound, int) else "decimal"
    side = "below minimum" if end == "below_min" else "above maximum"
    expected = f"Expected a value {sign} {bound:g}, but got {shortened(str(given))} instead."
    return f"{kind}_{end}_value", f"Invalid '{path}': {kind} {side} value. {expected}"


def _unsupported(value: str, supported: Sequence[str]) -> str:
    *most, last = [f"'{name}'" for name in supported]
    listed = f"{', '.join(most)}, and {last}" if len(most) > 1 else " and ".join([*most, last])
    return f"Invalid value: '{shortened(value)}'. Supported values are: {listed}."


def _member(details: ErrorDetails) -> str:
    """The member by which a union tells its members apart."""
    return str(details.get("ctx", {}).get("discriminator", "'type'")).strip("'").replace("_type()", "type")


def _path(loc: Sequence[int | str], sent: Any, above: Sequence[str], *, missing: bool) -> str:
    """A path such as `item.content[0].text`. The names of union members, which pydantic adds, are left out: the values
    that were sent show which steps are names."""
    path, value = ".".join(above), sent
    named = ""  # the tag before, if the step before was one
    for at, step in enumerate(loc):
        if isinstance(step, int):
            path += f"[{step}]"
            value, named = value[step] if isinstance(value, list) and step < len(value) else None, ""
        elif at == len(loc) - 1 and isinstance(value, dict) and (missing or step in value):
            path += f".{shortened(step)}"
        elif step == "object" and isinstance(value, dict) and step not in value:
            named = step  # of a value that may also be a name
        elif named in ("", "object") and isinstance(value, dict) and step in (value.get("type"), value.get("role")):
            named = step
        elif isinstance(value, dict) and step in value:
            path += f".{shortened(step)}"
            value, named = value[step], ""
    return path.lstrip(".")


def _a(given: Any) -> str:
    match given:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a decimal number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"
