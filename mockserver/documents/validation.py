"""Validates documents against pydantic models, and explains errors in plain words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from mockserver.documents.problems import DocumentError, Keys, Problem, Problems, advice, described, quoted
from mockserver.documents.reader import Document

_EXPECTED = {
    "string_type": "a text",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
}
_TEXTS = ("forget", "captures", "known", "keys")
"""Keys whose value is a list of texts."""
_LONG = 80
"""Characters of a value that a corrected line repeats."""


class Findings(Problems):
    """The problems that a validation finds, for a document: its validators report them here, and go on.

    `quotes`: whether an error may repeat a value. An accounts file holds keys, which no error shows.
    """

    def __init__(self, document: Document, *, quotes: bool = True) -> None:
        super().__init__()
        self.document = document
        self.quotes = quotes
        self._paths = dict(_paths(document.data, (), set()))
        self.reported: set[tuple[int, str | None]] = set()
        """Mappings, by identity, and their keys that have a problem."""
        self.suggested: set[str] = set()
        """Keys that were suggested for unknown ones."""

    def report(self, mapping: object, message: str, *fix: str, key: str | None = None, at_key: bool = False) -> None:
        """Note a problem of a mapping of the document, or of one of its keys."""
        self.reported.add((id(mapping), key))
        keys = self._paths.get(id(mapping), ())
        self.add(keys if key is None else (*keys, key), message, *fix, at_key=at_key)


class Section(BaseModel):
    """A mapping of a file, typed as written: no text becomes a number. An unknown key names the nearest real one.

    A key without a value is refused unless it is `nullable`: for other keys `None` means that the key was left out.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)
    nullable: ClassVar[frozenset[str]] = frozenset()
    synonyms: ClassVar[Mapping[str, str]] = {}
    """Words that people write for a key."""

    @classmethod
    def instead(cls, given: object) -> Sequence[str]:
        """The lines that would be right where something else stands than a mapping."""
        return ()

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, data: object, info: ValidationInfo) -> object:
        findings = info.context
        assert isinstance(findings, Findings)
        if not isinstance(data, dict):
            fix = cls.instead(data) if findings.quotes else ()
            raise refusal(f"expected a mapping, got {_found(data, findings.quotes)}", fix=fix)
        fields = {field.alias or name: field for name, field in cls.model_fields.items()}
        good, suggested = {}, set()
        for key, value in list(data.items()):
            if (id(data), key) in findings.reported:
                continue
            if key not in fields:
                meant = cls.synonyms.get(key.lower())
                hint = f"did you mean {quoted(meant)}?" if meant else advice(key, fields)
                name = hint.split("'")[1] if hint.startswith("did you") else ""
                suggested.add(name)
                fix = [_line(name, value)] if name and findings.quotes else []
                findings.report(data, f"unknown key {quoted(key)}; {hint}", *fix, key=key, at_key=True)
                if name in fields and name not in data and value is not None:  # so that what is in it is checked too
                    findings.document.rename(data, key, name)
                    good[name] = value
            elif value is None and key not in cls.nullable:
                said = "expected a value, got nothing; give it one or leave out the key"
                findings.report(data, said, *_examples(key, fields[key].examples), key=key, at_key=True)
                suggested.add(key)
            else:
                good[key] = value
        findings.suggested |= suggested
        for key, field in fields.items():
            if field.is_required() and key not in good and key not in suggested:
                findings.report(data, f"`{key}` is missing", *_examples(key, field.examples))
        return good


Model = TypeVar("Model", bound=Section)


def check(
    document: Document, model: type[Model], error: type[DocumentError] = DocumentError, *, quotes: bool = True
) -> Model:
    """The document as `model`. Raises `error` about all invalid places in the file. `quotes` as in `Findings`."""
    made, problems = validated(document, model, quotes=quotes)
    document.refuse(problems, error)
    assert made is not None
    return made


def validated(document: Document, model: type[Model], *, quotes: bool = True) -> tuple[Model | None, list[Problem]]:
    """The document as `model`, or None where it is invalid; and all problems, those of reading it left out."""
    findings = Findings(document, quotes=quotes)
    made = None
    try:
        made = model.model_validate(document.data, context=findings)
    except ValidationError as bad:
        for error in bad.errors(include_url=False):
            if error["type"] != "missing":  # it was reported with an example
                findings.found.append(_problem(error, quotes))
    return (None if findings.found else made), findings.found


def refusal(message: str, key: str | None = None, fix: Sequence[str] = ()) -> PydanticCustomError:
    """The error that a model's own validator raises; `key` is the key of the mapping that it is about, `fix` the lines
    that would be right."""
    return PydanticCustomError("refused", "{message}", {"message": message, "key": key, "fix": tuple(fix)})


def explain(error: ErrorDetails, *, quotes: bool = True) -> str:
    """A pydantic error in plain words. `quotes`: whether it may repeat the value."""
    found = error["input"]
    if error["type"] == "missing":
        return f"`{error['loc'][-1]}` is missing"
    if error["type"] in _EXPECTED:
        is_quotable = error["type"] == "string_type" and isinstance(found, (bool, int, float))
        hint = "; put quotes around it" if is_quotable else ""
        return f"expected {_EXPECTED[error['type']]}, got {_found(found, quotes)}{hint}"
    if error["type"] == "literal_error":
        expected = str(error.get("ctx", {}).get("expected", ""))
        near = (
            advice(found, expected.replace("'", "").replace(" or ", ", ").split(", ")) if isinstance(found, str) else ""
        )
        hint = f"; {near}" if near.startswith("did") else ""
        return f"expected {'true' if expected == 'True' else expected}, got {_found(found, quotes)}{hint}"
    if error["type"] == "refused":
        return error["msg"]
    if error["type"] == "string_too_short":
        return "expected a text that is not empty"
    said = error["msg"].replace("Input should be", "expected a number")
    return f"{said[0].lower()}{said[1:]}, got {_found(found, quotes)}"


def _found(value: object, quotes: bool) -> str:
    return "a text" if isinstance(value, str) and not quotes else described(value)


def _problem(error: ErrorDetails, quotes: bool) -> Problem:
    context = error.get("ctx", {})
    keys: Keys = error["loc"]
    if context.get("key") is not None:
        keys = (*keys, str(context["key"]))
    fix = tuple(context.get("fix", ()))
    if len(keys) > 1 and keys[-2] == "heard" and keys[-1] in ("text", "failure", "course"):
        keys = keys[:-1]  # which form was tried, not a key
    name = keys[-1] if keys else ""
    found = error["input"]
    said = explain(error, quotes=quotes)
    if not quotes:
        return Problem(keys, said)
    if error["type"] == "string_type" and isinstance(found, (bool, int, float)):
        fix = (_line(name, str(found).lower() if isinstance(found, bool) else str(found)),)
    if error["type"] == "string_type" and name == "says" and isinstance(found, list):
        fix = (_line(name, "|".join(map(str, found))),)
    if error["type"] in ("int_type", "float_type") and isinstance(found, str) and found.strip().isdigit():
        fix = (_line(name, int(found)),)
    is_one = isinstance(found, dict) or (isinstance(found, str) and name in _TEXTS)
    if error["type"] == "list_type" and is_one and len(flow(found)) <= _LONG:
        fix = (f"{name}:", f"  - {flow(found)}")
    return Problem(keys, said, fix)


def _line(name: str | int, value: object) -> str:
    if isinstance(name, int):
        return f"- {flow(value)}"
    if isinstance(value, (dict, list)) and len(flow(value)) > _LONG:
        return f"{name}:"
    return f"{name}: {flow(value)}"


def _examples(key: str, examples: list[Any] | None) -> Iterator[str]:
    for example in (examples or ())[:1]:
        if isinstance(example, list) and example and isinstance(example[0], dict):
            yield f"{key}:"
            for each in example:
                (name, value), *_ = each.items()
                yield f"  - {name}: {flow(value)}"
        else:
            yield f"{key}: {flow(example)}"


def flow(value: object) -> str:
    """A value as YAML in one line; texts in double quotes."""
    match value:
        case str():
            return json.dumps(value, ensure_ascii=False)
        case dict():
            return "{" + ", ".join(f"{key}: {flow(each)}" for key, each in value.items()) + "}"
        case list() | tuple():
            return f"[{', '.join(map(flow, value))}]"
        case _:
            return str(yaml.safe_dump(value, default_flow_style=True)).split("\n", 1)[0]


def _paths(value: object, keys: Keys, seen: set[int]) -> Iterator[tuple[int, Keys]]:
    """The way to each list and mapping, by its identity; the first of several ways."""
    if not isinstance(value, (dict, list)) or id(value) in seen:
        return
    seen.add(id(value))
    yield id(value), keys
    for key, each in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _paths(each, (*keys, key), seen)
