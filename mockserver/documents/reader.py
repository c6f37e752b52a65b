"""A YAML or JSON text as plain data that knows its lines.

Plain words are read as in JSON: numbers, true, false and null. Everything else but `~` (null) is text: `yes`, `10:30`,
`0441` and `2026-07-06` stay as typed. Only the parser's events are used, so no tag makes an object. Depth, size and the
values that aliases multiply are bounded.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mockserver.documents.problems import DocumentError, Keys, Problem, dotted, in_file, quoted
from mockserver.documents.syntax import repaired, template_problem

MAX_BYTES = 2_000_000
MAX_VALUES = 200_000
"""After every alias is followed."""
MAX_DEPTH = 50
_TOO_DEEP = f"nested too deep; at most {MAX_DEPTH} levels are read"

MAX_REPAIRS = 20
"""Mistakes of syntax after which reading goes on, to tell all of them at once."""
REPAIRED_BYTES = 200_000
"""Length of a text that is read again after such a mistake."""
Where = Callable[[Keys], str]
"""Names a place in error messages."""


class Mark(NamedTuple):
    """The line and column of a key, from 1, and the column of its value if that begins in the same line."""

    line: int
    column: int
    value_column: int


Lines = dict[tuple[int, str | int], Mark]

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_SURROGATES = re.compile(r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data (mappings with text keys, lists, texts, numbers, booleans, None) and the place of each value.

    `problems` were found while reading. Whoever uses the data calls `refuse` with those that it finds itself.
    """

    data: object
    source: str
    lines: Lines
    problems: tuple[Problem, ...] = ()

    def where(self, keys: Keys) -> str:
        """The place of a value as `booking.yaml:12: turns[0].reply[1].say`; keys that lead nowhere are left out."""
        found, line = self.walk(keys)
        return ": ".join(part for part in (f"{self.source}:{line}", dotted(found)) if part)

    def walk(self, keys: Keys) -> tuple[Keys, int]:
        """Those of the keys that exist, and the line (from 1) of the last."""
        at, line, found = self.data, 1, []
        for key in keys:
            if not _has(at, key):
                continue
            line = self.lines[id(at), key].line
            at = at[key]  # type: ignore[index]
            found.append(key)
        return tuple(found), line

    def located(self, problem: Problem) -> Problem:
        """The problem with its line and column."""
        found, at, mark = [], self.data, Mark(1, 1, 1)
        for key in problem.keys:
            if _has(at, key):
                mark = self.lines[id(at), key]
                at = at[key]  # type: ignore[index]
                found.append(key)
        column = mark.column if problem.at_key else mark.value_column
        return in_file(problem, self.source, mark.line, column, tuple(found))

    def rename(self, mapping: dict[str, object], key: str, name: str) -> None:
        """Give the value of a key a second name, with its place."""
        mapping[name] = mapping[key]
        if (mark := self.lines.get((id(mapping), key))) is not None:  # data that was no text has no lines
            self.lines[id(mapping), name] = mark

    def refuse(self, problems: Iterable[Problem], error: type[DocumentError] = DocumentError) -> None:
        """Raise this error if reading found problems, or if these are any."""
        if found := [*self.problems, *map(self.located, problems)]:
            raise error.of(found)


def read_text(path: Path) -> str:
    """A file of at most `MAX_BYTES` as text. Raises `DocumentError` when it is missing, too long or not UTF-8."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as bad:
        raise DocumentError(f"{path}: cannot be read: {getattr(bad, 'strerror', None) or bad}") from None
    if len(data) > MAX_BYTES:
        raise DocumentError(f"{path}: too long, at most {MAX_BYTES} bytes are read")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as bad:
        raise DocumentError(f"{path}: not UTF-8 at byte {bad.start}; save it as UTF-8") from None


def read_document(text: str, source: str) -> Document:
    """Read YAML or JSON. Raises `DocumentError` for a text that cannot be read or is beyond the limits.

    Mistakes after which reading goes on (a key given twice, a tag, missing quotes) are `problems` of the document.
    """
    if len(text) > MAX_BYTES:
        raise DocumentError(f"{source}: too long, at most {MAX_BYTES} bytes are read")
    if text.lstrip().startswith("{"):
        text = _SURROGATES.sub(_join_surrogates, text)
    problems: list[Problem] = []
    for _ in range(MAX_REPAIRS):
        reader = _Reader(source, text)
        try:
            data = reader.read(yaml.parse(text, Loader=_Loader))
            return Document(data, source, reader.lines, (*problems, *reader.problems))
        except yaml.MarkedYAMLError as bad:
            message = str(bad.problem or bad.context)
            if "nesting depth" in message:  # newer parsers have a lower limit of their own
                message = _TOO_DEEP
            repair = repaired(text, source, bad, message)
            problems += repair.problems
            if repair.text is None or repair.text == text or len(text) > REPAIRED_BYTES:
                break
            text = repair.text
        except (yaml.YAMLError, UnicodeError) as bad:
            raise DocumentError(f"{source}: not a text that YAML allows: {getattr(bad, 'reason', bad)}") from None
    raise DocumentError.of(problems)


class _Reader:
    """Builds the data from the parser's events, and counts values."""

    def __init__(self, source: str, text: str) -> None:
        self.lines: Lines = {}
        self.problems: list[Problem] = []
        self._source = source
        self._text = text
        self._values = 0
        self._anchors: dict[str, tuple[object, int]] = {}

    def read(self, events: Iterator[Any]) -> object:
        content = (event for event in events if not isinstance(event, (yaml.StreamStartEvent, yaml.StreamEndEvent)))
        if next(content, None) is None:
            return None
        data = self._value(next(content), content, 0)
        next(content)
        if (more := next(content, None)) is not None:
            raise self._error(more, "a second document starts here; one file holds one")
        return data

    def _value(self, event: Any, events: Iterator[Any], depth: int) -> object:
        if depth > MAX_DEPTH:
            raise self._error(event, _TOO_DEEP)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._error(event, f"the alias *{event.anchor} has no finished anchor before it")
            data, size = self._anchors[event.anchor]
            self._count(event, size)
            return data
        if event.tag is not None:
            self._note(event, f"the tag '{event.tag}' is not used here; for a text, put quotes around it")
        before = self._values
        self._count(event, 1)
        if isinstance(event, yaml.SequenceStartEvent):
            data = self._sequence(events, depth + 1)
        elif isinstance(event, yaml.MappingStartEvent):
            data = self._mapping(events, depth + 1)
        else:
            data = _plain(event.value) if event.implicit[0] else event.value
        if event.anchor:
            self._anchors[event.anchor] = (data, self._values - before)
        return data

    def _sequence(self, events: Iterator[Any], depth: int) -> list[object]:
        data: list[object] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            line, column = _place(event)
            self.lines[id(data), len(data)] = Mark(line, column, column)
            data.append(self._value(event, events, depth))
        return data

    def _mapping(self, events: Iterator[Any], depth: int) -> object:
        data: dict[str, object] = {}
        is_template = False
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                is_template |= isinstance(event, yaml.MappingStartEvent) and bool(event.flow_style)
                self._skip_pair(event, events, depth)
                continue
            key, (line, column) = event.value, _place(event)
            value = next(events)
            at = _place(value)
            mark = Mark(line, column, at[1] if at[0] == line else column)
            if key in data:
                first = self.lines[id(data), key].line
                self._note(event, f"the key {quoted(key)} is given twice, first in line {first}; leave out one of them")
                self._value(value, events, depth)
                continue
            self.lines[id(data), key] = mark
            data[key] = self._value(value, events, depth)
        return "a template" if is_template else data

    def _skip_pair(self, event: Any, events: Iterator[Any], depth: int) -> None:
        """Pass over a key that is no text, and its value."""
        line, column = _place(event)
        if isinstance(event, yaml.MappingStartEvent) and event.flow_style:
            self.problems.append(template_problem(self._text, self._source, line, column - 1))
        else:
            self._note(event, "expected a text as key")
        known = len(self.problems)
        self._value(event, events, depth)
        self._value(next(events), events, depth)
        del self.problems[known:]

    def _count(self, event: Any, more: int) -> None:
        self._values += more
        if self._values > MAX_VALUES:
            raise self._error(event, f"too many values; at most {MAX_VALUES} are read, aliases followed")

    def _note(self, event: Any, message: str) -> None:
        line, column = _place(event)
        self.problems.append(Problem((), message, source=self._source, line=line, column=column))

    def _error(self, event: Any, message: str) -> DocumentError:
        self._note(event, message)
        return DocumentError.of(self.problems)


def _place(event: Any) -> tuple[int, int]:
    return int(event.start_mark.line) + 1, int(event.start_mark.column) + 1


def _plain(word: str) -> object:
    if word in _WORDS:
        return _WORDS[word]
    # Past 18 digits a number would not survive JSON's 64 bits; as a text nothing of it is lost.
    if len(word) > 18 or not _NUMBER.fullmatch(word):
        return word
    number = json.loads(word)
    return number if math.isfinite(number) else word


def _join_surrogates(found: re.Match[str]) -> str:
    """JSON may write one emoji as two escapes, which YAML does not know. An escaped backslash stays one."""
    return found[0] if found[0] == "\\\\" else str(json.loads(f'"{found[0]}"'))


def _has(container: object, key: str | int) -> bool:
    if isinstance(container, dict):
        return key in container
    return isinstance(container, list) and isinstance(key, int) and key < len(container)
