"""What is wrong with a file: problems with their places, and the error that tells all of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from typing_extensions import Self

Keys = tuple[str | int, ...]
"""The way to a value: ("turns", 0, "reply")."""
SHOWN = 50
"""Problems of one file that are told."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where it is, what was found, and the lines that would be right. Without a file, `line` is 0."""

    keys: Keys
    message: str
    fix: tuple[str, ...] = ()
    at_key: bool = False
    """Whether it is about the key, and not about its value."""
    source: str = ""
    line: int = 0
    column: int = 0

    @property
    def head(self) -> str:
        """Place in the data and message, without the file."""
        return ": ".join(part for part in (dotted(self.keys), self.message) if part)

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}:{self.column}: " if self.line else f"{self.source}: " if self.source else ""
        if not self.fix:
            return place + self.head
        write = " Write:" if self.head.endswith(("?", ".")) else "; write:"
        return "\n".join((f"{place}{self.head}{write}", *(f"    {line}" for line in self.fix)))


class DocumentError(ValueError):
    """A file that cannot be used. Its text has a line for each problem, and below it the lines that would be right."""

    def __init__(self, text: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(text)
        self.problems = tuple(problems) or (Problem((), text),)

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> Self:
        """The error about these problems, in the order of the file."""
        once = {(each.line or each.keys, each.column, each.message): each for each in reversed(list(problems))}
        found = sorted(reversed(once.values()), key=lambda each: (each.line, each.column))
        lines = [str(each) for each in found[:SHOWN]]
        if len(found) > SHOWN:
            lines.append(f"and {len(found) - SHOWN} more problems; mend these first")
        return cls("\n".join(lines), found)


class Problems:
    """Collects the problems of data whose places are keys."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, keys: Keys, message: str, *fix: str, at_key: bool = False) -> None:
        """Note a problem; `fix` are the lines that would be right."""
        self.found.append(Problem(keys, message, fix, at_key))

    def settle(self, error: type[DocumentError]) -> None:
        """Raise this error if there is any problem."""
        if self.found:
            raise error.of(self.found)


def in_file(problem: Problem, source: str, line: int, column: int, keys: Keys | None = None) -> Problem:
    """The problem with its place in a file."""
    keys = problem.keys if keys is None else keys
    return replace(problem, source=source, line=line, column=column, keys=keys)


def dotted(keys: Keys) -> str:
    """Keys as people write them: `turns[0].reply[1].say`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).lstrip(".")


def quoted(text: str) -> str:
    """A text as an error quotes it: one line of at most 40 characters, as its author wrote it."""
    line = "".join(each if each.isprintable() else " " for each in text)
    return f"'{line if len(line) <= 40 else line[:37] + '...'}'"


def described(value: object) -> str:
    """A value in words: `the number 5`, `the text 'hello'`, `a list`."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {quoted(value)}"
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return f"a {type(value).__name__}"


def advice(key: str, known: Iterable[str]) -> str:
    """The nearest known name, or all of them."""
    names = list(known)
    near = get_close_matches(key.lower(), names, n=1)
    return f"did you mean {quoted(near[0])}?" if near else f"known here: {', '.join(names)}"
