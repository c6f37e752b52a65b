"""The secrets that a user names: values, patterns, and places in JSON."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from replay.secrets.shapes import WINDOW, windows
from replay.slow_patterns import slow_part

LONGEST_FOUND = 1_500
"""Longest match of a pattern whose repetitions can match one another's text, in characters."""
_SLOW_WINDOW, _SLOW_OVERLAP = 1_000, LONGEST_FOUND
_OVERLAP = 4_096
"""Longest match of any other pattern, in characters."""
LEAST = 8
"""Shortest value that is looked for everywhere, in characters. Shorter ones would be found by chance."""
KEY_VARIABLES = ("XAI_API_KEY", "OPENAI_API_KEY")
"""Environment variables whose values are always looked for."""

_STEP = re.compile(r"\[(?:\d+|\*)?\]")


class BadSecret(ValueError):
    """A secret cannot be looked for. The message says why, and never quotes a value."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What to look for besides all that is known by name and form.

    `values`: found wherever they stand, also URL-encoded and in base64. `patterns`: regular expressions; the first
    group, if there is one, is the secret. `paths`: keys of JSON, from the outermost to the innermost; `*` is any key,
    arrays count as their key, and a path may begin at any depth unless its first key is `$`.
    """

    values: tuple[str, ...] = ()
    patterns: tuple[re.Pattern[str], ...] = ()
    paths: tuple[tuple[str, ...], ...] = ()

    def covers(self, keys: tuple[str, ...]) -> bool:
        """Whether a value under these keys is named as a secret. `keys` are those around it, outermost first."""
        return any(_matches(path, keys) for path in self.paths)


def matches(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Each match in a text, found in a time in proportion to its length: no single search sees much text if the
    pattern is slow on it.
    """
    return windows(pattern, text, *_windows(pattern.pattern))


@lru_cache(maxsize=1_000)
def _windows(pattern: str) -> tuple[int, int]:
    """Characters of a window, and of its overlap with the next one."""
    fast = slow_part(pattern, WINDOW + _OVERLAP) is None
    return (WINDOW, _OVERLAP) if fast else (_SLOW_WINDOW, _SLOW_OVERLAP)


def known_keys() -> tuple[str, ...]:
    """The API keys in the environment."""
    return tuple(filter(None, map(os.environ.get, KEY_VARIABLES)))


def named(variables: Iterable[str] = (), patterns: Iterable[str] = (), paths: Iterable[str] = ()) -> Secrets:
    """The API keys in the environment, and what a user names: environment variables with a value, regular
    expressions, and paths such as `session.metadata.patient` or `$.item.content[*].text`. Raises BadSecret.
    """
    values = list(known_keys())
    for name in variables:
        value = os.environ.get(name, "")
        if not value:
            raise BadSecret(f"the environment variable {name} is not set; set it to the secret")
        if len(value.strip()) < LEAST:
            raise BadSecret(f"the value of {name} has fewer than {LEAST} characters; name it by a pattern or a path")
        values.append(value)
    compiled = []
    for pattern in patterns:
        try:
            form = re.compile(pattern)
        except re.error as problem:
            raise BadSecret(f"{pattern!r} is not a regular expression ({problem})") from problem
        if form.fullmatch("") is not None:
            raise BadSecret(f"{pattern!r} matches nothing at all, so it would match everywhere; ask for a character")
        if (slow := slow_part(pattern, _SLOW_WINDOW + _SLOW_OVERLAP)) is not None:
            raise BadSecret(f"{pattern!r} is slow: {slow}")
        compiled.append(form)
    steps = tuple(tuple(_STEP.sub("", path).split(".")) for path in paths)
    if any(not key for path in steps for key in path):
        raise BadSecret("a path is keys separated by dots, such as session.metadata.patient")
    return Secrets(tuple(values), tuple(compiled), steps)


def _matches(path: tuple[str, ...], keys: tuple[str, ...]) -> bool:
    """Whether the path leads to the value, or to an object or array around it."""
    if path[0] == "$":
        return _equal(path[1:], keys[: len(path) - 1])
    return any(_equal(path, keys[at : at + len(path)]) for at in range(len(keys) - len(path) + 1))


def _equal(path: tuple[str, ...], keys: tuple[str, ...]) -> bool:
    return len(path) == len(keys) and all(step in ("*", key) for step, key in zip(path, keys, strict=True))
