"""Mistakes of YAML's syntax: what each means, the lines that would be right, and a text with which reading goes on.

The parser stops at the first mistake. Where the intention is plain, the text is repaired in memory, so that what comes
after the mistake is read too and all problems of a file are told at once. A repaired file is refused all the same.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import yaml

from mockserver.documents.problems import Problem

_VALUE = re.compile(r"^(?P<head>\s*(?:- +)*(?:[\w.\-]+:\s+)?(?:- +)*)(?P<value>\S.*?)\s*$")
_ESCAPES = frozenset('0abtnvfre "/\\N_LPxuU')
"""What may follow a backslash in double quotes."""
_COLON = re.compile(r"[{,]\s*(\w+): ([^\"'{}\[\],:][^\"'{}\[\],:]*: [^\"{}\[\],]*)(?=[,}])")
"""A text with a colon in braces, and the key before it."""
_TAB = re.compile(r"^ *\t")
_ASKS_FOR_QUOTES = (
    "mapping values are not allowed",
    "mapping keys are not allowed",
    "cannot start any token",
    "did not find expected alphabetic or numeric character",
    "did not find expected key",
    "did not find expected comment or line break",
)


@dataclass(frozen=True, slots=True)
class Repair:
    """Problems, and the text that is read instead; None ends the reading."""

    problems: tuple[Problem, ...]
    text: str | None


def repaired(text: str, source: str, bad: yaml.MarkedYAMLError, message: str) -> Repair:
    """What a parser's error means. `message`: its words, for an error that has no better ones."""
    mark = bad.problem_mark or bad.context_mark
    lines = text.split("\n")
    number = min(mark.line if mark else 0, len(lines) - 1)
    column = (mark.column if mark else 0) + 1
    if (tabs := _tabs(lines, number)) and not text.lstrip().startswith("{"):
        said = "a tab stands where YAML wants spaces"
        fixed = [line.expandtabs(2) if i in tabs else line for i, line in enumerate(lines)]
        found = tuple(
            Problem((), said, (fixed[i].rstrip(),), False, source, i + 1, lines[i].find("\t") + 1) for i in tabs
        )
        return Repair(found, "\n".join(fixed))
    line = lines[number]
    if "unknown escape" in message:
        start = bad.context_mark.column if bad.context_mark and bad.context_mark.line == number else 0
        doubled = line[:start] + _doubled(line[start:])
        escape = line[column - 1 : column + 1]
        said = f"{escape} in double quotes is no escape that YAML knows; use single quotes, or double the backslash"
        fix = tuple(dict.fromkeys((_single(line, start), doubled.strip())))
        lines[number] = doubled
        return Repair((Problem((), said, fix, False, source, number + 1, column),), "\n".join(lines))
    if "block sequence entries are not allowed" in message and (split := line.find(": - ")) >= 0:
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        fix = (line[: split + 1].strip(), f"  {line[split + 2 :].strip()}")
        said = "a list begins on a line of its own"
        lines[number] = f"{line[: split + 1]}\n{indent}{line[split + 2 :]}"
        return Repair((Problem((), said, fix, False, source, number + 1, column),), None)
    if any(each in message for each in _ASKS_FOR_QUOTES) and (unquoted := _unquoted(lines, number)) is not None:
        number, head, value = unquoted
        fix = (f"{head.strip()} {json.dumps(value, ensure_ascii=False)}".strip(),)
        lines[number] = head + json.dumps(value, ensure_ascii=False)
        why = _why_quotes("'" if line[len(head) :].startswith("'") else value)
        return Repair((Problem((), why, fix, False, source, number + 1, len(head) + 1),), "\n".join(lines))
    if "expected ',' or" in message and (colon := _COLON.search(line)) and not line[column - 1 :].startswith("{"):
        mended = f"{line[: colon.start(2)]}{json.dumps(colon[2], ensure_ascii=False)}{line[colon.end(2) :]}"
        lines[number] = mended
        told = Problem((), _why_quotes(colon[2]), (mended.strip(),), False, source, number + 1, colon.start(2) + 1)
        return Repair((told,), "\n".join(lines))
    said = _plainer(message, bad)
    return Repair((Problem((), said, (), False, source, number + 1, column),), None)


def template_problem(text: str, source: str, line: int, column: int) -> Problem:
    """The problem of `{{ x }}` without quotes, which YAML reads as a mapping; `line` and `column` from 1."""
    lines = text.split("\n")
    fix: tuple[str, ...] = ('say: "{{ name }}"',)
    if 1 <= line <= len(lines) and (found := _VALUE.match(lines[line - 1])) and found["value"].startswith("{{"):
        fix = (f"{found['head'].strip()} {json.dumps(found['value'], ensure_ascii=False)}".strip(),)
    return Problem((), _why_quotes("{{"), fix, False, source, line, column)


def _why_quotes(value: str) -> str:
    if value.startswith(("{{", "{%")):
        return "a text that begins with a template needs quotes: YAML reads { as the start of a mapping"
    if value.startswith("'"):
        return "an apostrophe ends a text in single quotes; use double quotes"
    if value.startswith('"'):
        return 'a quotation mark ends a text in double quotes; write \\" inside, or leave nothing behind the text'
    if value[0] in "[]{}*&!|>%@`?":
        return f"a text that begins with {value[0]} needs quotes"
    return "a text with a colon in it needs quotes"


def _unquoted(lines: list[str], number: int) -> tuple[int, str, str] | None:
    """The line, beginning and text of a value that quotes would mend, in this line."""
    found = _VALUE.match(lines[number])
    if found is None or not found["head"].strip():
        return None
    value = found["value"]
    if value.startswith("'") and value.endswith("'") and len(value) > 2:
        return number, found["head"], value[1:-1]
    if value[0] in "\"'":
        return None
    plain = (value[0] in "[]{}*&!|>%@`?" and not value.startswith("{ ")) or ": " in value or value.endswith(":")
    is_flow = value[0] in "{[" and value[-1] in "}]" and not value.startswith(("{{", "{%"))
    return (number, found["head"], value) if plain and not is_flow else None


def _tabs(lines: list[str], number: int) -> list[int]:
    """The lines that begin with a tab, if this line or the one before it does."""
    if not any(_TAB.match(lines[i]) for i in (number, number - 1) if 0 <= i < len(lines)):
        return []
    return [i for i, line in enumerate(lines) if _TAB.match(line)]


def _doubled(rest: str) -> str:
    """A line with each backslash doubled that begins no escape."""
    return re.sub(r"\\(.?)", lambda m: m[0] if m[1] in _ESCAPES and m[1] else "\\" + m[0], rest)


def _single(line: str, start: int) -> str:
    """The line with the double-quoted text that begins there in single quotes."""
    if (found := re.match(r'"((?:[^"\\]|\\.)*)"', line[start:])) is None:
        return line.strip()
    inner = found[1].replace("\\\\", "\\").replace('\\"', '"').replace("'", "''")
    return f"{line[:start]}'{inner}'{line[start + found.end() :]}".strip()


def _plainer(message: str, bad: yaml.MarkedYAMLError) -> str:
    if "unexpected end of stream" in message and bad.context_mark is not None:
        return f"the quotation mark that opens in line {bad.context_mark.line + 1} is never closed"
    if "expected key" in message or "expected '-' indicator" in message or "mapping values" in message:
        return (
            f"{message}; entries of one list or mapping begin in the same column, and a text with : in it needs quotes"
        )
    if "expected ',' or" in message and bad.context_mark is not None:
        opened = bad.context_mark
        return f"{message}; the bracket that opens in line {opened.line + 1}, column {opened.column + 1} is not closed"
    return message
