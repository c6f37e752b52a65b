"""Holds answers of the HTTP routes to their description."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator

from mockserver.server import openapi


@lru_cache(maxsize=1)
def description() -> dict[str, Any]:
    return openapi.description(guarded=False)


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """Of a schema that refers to the components."""
    return Draft202012Validator({**schema, "components": description()["components"]})


def operation(method: str, url: str) -> dict[str, Any]:
    """What is described of a request."""
    path = urlsplit(url).path
    # `kinds` is a route of its own, and no id: the path with the fewest parameters counts
    for template in sorted(description()["paths"], key=lambda each: each.count("{")):
        if (
            re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path)
            and method.lower() in description()["paths"][template]
        ):
            found: dict[str, Any] = description()["paths"][template][method.lower()]
            return found
    raise AssertionError(f"{method} {path} is not described")


def check_answer(method: str, url: str, status: int, body: Any) -> str:
    """Fails for an answer that is not as described. Gives the id of the operation."""
    described = operation(method, url)
    assert str(status) in described["responses"], f"{method} {url}: {status} is not described"
    content = described["responses"][str(status)]["content"]
    if "application/json" in content:
        problems = list(validator(content["application/json"]["schema"]).iter_errors(body))
        assert not problems, f"{method} {url}: {[_told(each) for each in problems]}"
    return str(described["operationId"])


def _told(problem: Any) -> str:
    return f"{problem.json_path}: {problem.message[:300]} {[each.message[:200] for each in problem.context or ()]}"
