"""Validation errors as sentences that a developer can act on: dotted path, problem, nearest known name."""

from __future__ import annotations

import types
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from mockserver.protocol.commands import Rejected
from replay.cassette.json_text import MOST_CHARACTERS, MOST_VALUES

TOO_INTRICATE = f"The message has too many fields and values; send at most {MOST_VALUES} in one message"
TOO_LONG = f"The message has more than {MOST_CHARACTERS} characters, and neither audio nor images"
"""The services have limits of this kind; their number and wording are guesses."""
SHORT = 60
"""Characters of a message with little beside its type. Such messages come again and again, and are read once."""
Tagged = Collection[tuple[str, ...]]
"""Paths at which pydantic adds the name of a union's member to an error's path; `*` is any position in a list."""


def rejected(error: ValidationError, models: Sequence[type[BaseModel]], tagged: Tagged) -> Rejected:
    """The first problem of a frame."""
    wrong = error.errors(include_url=False, include_context=True)
    # A misspelt field is also a missing one; its own name helps more.
    details = next((each for each in wrong if each["type"] == "extra_forbidden"), wrong[0])
    path = _path(details["loc"], tagged)
    dotted = shortened(".".join(path))
    match details["type"]:
        case "json_invalid" | "json_type":
            return Rejected(f"The message is not valid JSON: {details.get('ctx', {}).get('error', details['msg'])}")
        case "union_tag_invalid" if not path:
            context = details.get("ctx", {})
            hint = _did_you_mean(str(context.get("tag", "")), _tags(context))
            sent = shortened(str(context.get("tag")))
            return Rejected(f"Unknown event type '{sent}'{hint}", kind="invalid_event", param="type")
        case "union_tag_not_found" if not path:
            return Rejected("The message has no 'type'; every event names its type", param="type")
        case "model_attributes_type" | "dict_type" | "model_type" if not path:
            return Rejected("The message is not a JSON object")
        case "extra_forbidden":
            return Rejected(f"Unknown field '{dotted}'{_nearest(path, models)}", param=dotted)
        case "missing":
            return Rejected(f"Missing field '{dotted}'", param=dotted)
        case "union_tag_invalid":
            context = details.get("ctx", {})
            hint = _did_you_mean(str(context.get("tag", "")), _tags(context))
            return Rejected(f"Unknown type in '{dotted}.type'{hint}", param=f"{dotted}.type")
        case "union_tag_not_found":
            return Rejected(f"Missing field '{dotted}.type'", param=f"{dotted}.type")
        case _:
            pass
    problem = shortened(details["msg"], 300)
    return Rejected(f"Invalid value for '{dotted}': {problem[:1].lower()}{problem[1:]}", param=dotted)


def shortened(text: str, most: int = 100) -> str:
    """A client's text, for a message: at most `most` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _path(loc: tuple[int | str, ...], tagged: Tagged) -> list[str]:
    """The path to a field, without the names of union members."""
    path: list[str] = []
    shape: tuple[str, ...] = ()
    named = None
    for part in loc:
        if shape in tagged and named != shape:
            named = shape
            continue
        path.append(str(part))
        shape = (*shape, "*" if isinstance(part, int) else part)
    return path


def _tags(context: Mapping[str, Any]) -> list[str]:
    return [name.strip("' ") for name in str(context.get("expected_tags", "")).split(",")]


def _nearest(path: Sequence[str], models: Sequence[type[BaseModel]]) -> str:
    *parent, name = path
    fields = [field for model in models for found in _models_at(model, parent) for field in found.model_fields]
    return _did_you_mean(name, list(dict.fromkeys(fields)), ".".join(parent))


def _did_you_mean(name: str, known: Sequence[str], parent: str = "") -> str:
    near = get_close_matches(shortened(name), known, n=1, cutoff=0.6)
    prefix = f"{parent}." if parent else ""
    if near:
        return f"; did you mean '{prefix}{near[0]}'?"
    return f"; known here are {', '.join(sorted(known))}" if known else ""


def _models_at(model: type[BaseModel], path: Sequence[str]) -> list[type[BaseModel]]:
    """The models that a path into `model` may lead to. Positions in lists are skipped."""
    if not path:
        return [model]
    name, *rest = path
    field = model.model_fields.get(name)
    if field is None:
        return []
    if rest and rest[0].isdigit():
        rest = rest[1:]
    return [found for inner in _models_in(field.annotation) for found in _models_at(inner, rest)]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, types.UnionType, Annotated, list):
        return [model for inner in get_args(annotation) for model in _models_in(inner)]
    return []
