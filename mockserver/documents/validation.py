"""Validates documents against pydantic models, and explains errors in plain words."""

from __future__ import annotations

from difflib import get_close_matches
from typing import ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from mockserver.documents.reader import Document, DocumentError, Keys

_EXPECTED = {
    "string_type": "a text",
    "list_type": "a list",
    "model_type": "a mapping",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
}


class Section(BaseModel):
    """A mapping of a file, typed as written: no text becomes a number. An unknown key names the nearest real one.

    A key without a value is refused unless it is `nullable`: for other keys `None` means that the key was left out.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    nullable: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, data: object) -> object:
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for key, value in data.items() if isinstance(data, dict) else ():
            if key not in known:
                raise refusal(f"unknown key {key!r}; {advice(key, known)}", key)
            if value is None and key not in cls.nullable:
                raise refusal("expected a value, got nothing; give it one or leave out the key", key)
        return data


Model = TypeVar("Model", bound=Section)


def check(document: Document, model: type[Model]) -> Model:
    """The document as `model`. Raises `DocumentError` about the first invalid place in the file."""
    try:
        return model.model_validate(document.data)
    except ValidationError as bad:
        errors: list[tuple[Keys, ErrorDetails]] = []
        for error in bad.errors(include_url=False):
            key = error.get("ctx", {}).get("key")
            errors.append((error["loc"] if key is None else (*error["loc"], key), error))
    keys, error = min(errors, key=lambda pair: document.walk(pair[0])[1])
    raise DocumentError(f"{document.where(keys)}: {explain(error)}")


def refusal(message: str, key: str | None = None) -> PydanticCustomError:
    """The error that a model's own validator raises; `key` is the key of the mapping that it is about."""
    return PydanticCustomError("refused", "{message}", {"message": message, "key": key})


def explain(error: ErrorDetails) -> str:
    found = error["input"]
    if error["type"] == "missing":
        return f"`{error['loc'][-1]}` is missing"
    if error["type"] in _EXPECTED:
        quotable = error["type"] == "string_type" and isinstance(found, (bool, int, float))
        hint = "; put quotes around it" if quotable else ""
        return f"expected {_EXPECTED[error['type']]}, got {_kind(found)}{hint}"
    if error["type"] == "literal_error":
        expected = error.get("ctx", {}).get("expected", "")
        return f"expected {'true' if expected == 'True' else expected}, got {_kind(found)}"
    if error["type"] == "refused":
        return error["msg"]
    return f"{error['msg'].replace('Input should be', 'expected a number')}, got {_kind(found)}"


def _kind(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {value[:40]!r}"
        case list():
            return "a list"
        case _:
            pass
    return "a mapping"


def advice(key: str, known: list[str]) -> str:
    near = get_close_matches(key, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
