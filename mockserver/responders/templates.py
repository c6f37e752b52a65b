"""Texts with `{{ … }}`: Jinja2 in its immutable sandbox, compiled once, filled often. No files, no includes.

The sandbox lets a template read nothing but its variables, and change nothing. The text that it makes is bounded, and
so are repetitions and powers; a loop that makes no text is not: a scenario is trusted like a program of its author.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import jinja2
from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, nodes, pass_context
from jinja2.environment import TemplateExpression
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from mockserver.documents.problems import Keys, Problems, advice
from mockserver.documents.reader import Where
from mockserver.responders.captures.spoken import days_later, spelled, spoken_date, spoken_list, spoken_time

Variables = Mapping[str, object]

_MARK = re.compile(r"\{\{|\{%")
_WHOLE = re.compile(r"\s*\{\{[-+]?(.*?)-?\}\}\s*", re.DOTALL)


class TemplateError(ValueError):
    """One line: the place of a template and why it does not parse or could not be filled."""


MOST_TEXT = 1_000_000
"""Characters that one template may make."""
_MOST_POWER = 64


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Repetitions and powers within bounds: `'a' * 1000000000` takes a gigabyte."""
        for given, times in ((left, right), (right, left)):
            if operator == "*" and isinstance(given, str | list | tuple) and isinstance(times, int):
                if len(given) * times > MOST_TEXT:
                    raise ValueError(f"a repetition makes more than {MOST_TEXT} characters; make it shorter")
        if operator == "**" and isinstance(right, int | float) and abs(right) > _MOST_POWER:
            raise ValueError(f"a power above {_MOST_POWER}; make it smaller")
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A key before a method, so that `result.items` is the tool's answer and not dict.items."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


class _Undefined(StrictUndefined):
    """A missing key or value: false in `if`, equal to nothing, an error if it is printed.

    An unknown variable is an error everywhere, since it is probably misspelt.
    """

    __slots__ = ()

    def __bool__(self) -> bool:  # type: ignore[override]
        return self._is_nothing(False)

    def __eq__(self, other: object) -> bool:  # type: ignore[override]
        return self._is_nothing(False)

    def __ne__(self, other: object) -> bool:  # type: ignore[override]
        return self._is_nothing(True)

    __hash__ = None  # type: ignore[assignment]

    def _is_nothing(self, answer: bool) -> bool:
        if self._undefined_obj is missing:
            self._fail_with_undefined_error()
        return answer


@pass_context
def _as_it_is(context: Context, value: object) -> object:
    return value


# Loading a file must not compute what its templates say. Jinja2 folds constants in its optimizer, and again where they
# are printed, unless `finalize` needs a context.
_SANDBOX = _Sandbox(undefined=_Undefined, keep_trailing_newline=True, optimized=False, finalize=_as_it_is)
_SANDBOX.filters |= {
    "days_later": days_later,
    "spoken_date": spoken_date,
    "spoken_time": spoken_time,
    "spoken_list": spoken_list,
    "spelled": spelled,
}


class Template:
    """One compiled text. Raises `TemplateError`: when it does not parse, without its place, and when filling fails."""

    __slots__ = ("_expression", "_place", "_template")

    def __init__(self, text: str, place: str) -> None:
        self._place = place
        try:
            self._template, self._expression = _code(text)
        except TemplateSyntaxError as bad:
            raise TemplateError(f"bad template: {_plainer(bad.message or '')}") from None
        except Exception as bad:  # Jinja2 lets errors of Python's own compiler through
            raise TemplateError(f"bad template: {_reason(bad)}") from None

    def text(self, variables: Variables) -> str:
        """The filled template as text."""
        try:
            parts, size = [], 0
            for part in self._template.generate(variables):
                parts.append(part)
                if (size := size + len(part)) > MOST_TEXT:
                    raise ValueError(f"it makes more than {MOST_TEXT} characters; make its loops shorter")
            return "".join(parts)
        except Exception as bad:  # an expression can fail in every way Python can
            raise TemplateError(f"{self._place}: {_reason(bad)}") from None

    def value(self, variables: Variables) -> object:
        """The filled template; a template that is a single expression keeps the expression's JSON type."""
        if self._expression is None:
            return self.text(variables)
        try:
            return plain(self._expression(variables))
        except Exception as bad:  # as above
            raise TemplateError(f"{self._place}: {_reason(bad)}") from None


def absent(name: str) -> object:
    """A variable without a remembered value: false in `if`, an error if it is printed."""
    return _Undefined(f"nothing is remembered as {name!r} yet", None, name)


def is_template(text: str) -> bool:
    """Whether there is anything to fill. A text without marks is not compiled."""
    return _MARK.search(text) is not None


def compiled(value: object, keys: Keys, where: Where, problems: Problems) -> object:
    """JSON data, copied, with every template in it compiled; mapping keys stay as they are.

    What cannot be compiled is a problem, and stays as it is. `where` names a place for errors at run time.
    """
    match value:
        case str():
            if not is_template(value):
                return value
            try:
                return Template(value, where(keys))
            except TemplateError as bad:
                problems.add(keys, str(bad))
                return value
        case Mapping():
            return {str(key): compiled(item, (*keys, str(key)), where, problems) for key, item in value.items()}
        case list() | tuple():
            return [compiled(item, (*keys, i), where, problems) for i, item in enumerate(value)]
        case _:
            pass
    try:
        return plain(value)
    except TypeError as bad:
        problems.add(keys, str(bad))
        return value


def filled(value: object, variables: Variables) -> object:
    """A value from `compiled`, with its templates filled. Raises `TemplateError`."""
    match value:
        case Template():
            return value.value(variables)
        case dict():
            return {key: filled(item, variables) for key, item in value.items()}
        case list():
            return [filled(item, variables) for item in value]
        case _:
            pass
    return value


def plain(value: object) -> object:
    """A value as JSON data; a lazy result of a Jinja2 filter becomes a list. Raises `TypeError` for other types."""
    match value:
        case None | bool() | int() | float():
            return value
        case str() | Undefined():
            return str(value)  # of something undefined: raises, and names it
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple() | Iterator():
            return [plain(item) for item in value]
        case _:
            pass
    raise TypeError(f"a {type(value).__name__} is not JSON")


@lru_cache(maxsize=2048)
def _code(text: str) -> tuple[jinja2.Template, TemplateExpression | None]:
    """The code of a template, and that of its expression if it is nothing else.

    Kept, since compiling is most of the time of loading a scenario, and tests load the same one again and again.
    """
    expression = _single_expression(text)
    value = None if expression is None else _SANDBOX.compile_expression(expression, undefined_to_none=False)
    return _SANDBOX.from_string(text), value


def _single_expression(text: str) -> str | None:
    """The expression of `{{ expression }}` when the text is nothing else."""
    whole = _WHOLE.fullmatch(text)
    if whole is None:
        return None
    match _SANDBOX.parse(text.strip()).body:
        case [nodes.Output(nodes=[_])]:
            return whole[1]
        case _:
            pass
    return None


def _plainer(message: str) -> str:
    """A message of Jinja2, with the nearest name for one that it does not know."""
    if (found := re.fullmatch(r"No filter named '(\w+)'\.?", message)) is None:
        return message
    near = advice(found[1], sorted(map(str, _SANDBOX.filters)))
    return f"there is no filter '{found[1]}'" + (f"; {near}" if near.startswith("did") else "")


def _reason(bad: Exception) -> str:
    return str(bad) or type(bad).__name__
