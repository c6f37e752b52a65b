"""The kinds of captures, and the reading of an utterance."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from typing_extensions import assert_never

from mockserver.responders.captures.dates import dates
from mockserver.responders.captures.names import name_in
from mockserver.responders.captures.times import time_in
from mockserver.responders.captures.utterance import PUNCTUATION, Mention, meant, tokens

Plain = Literal["date", "time", "number", "name", "bare name"]
PLAIN: tuple[Plain, ...] = ("date", "time", "number", "name", "bare name")
FORMS = f"{', '.join(PLAIN)}, {{choice: [WORDS, …]}} or {{code: SHAPE}}"
MAX_PHRASES = 500
_PAUSES = PUNCTUATION | {"dash", "hyphen"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values, each with its phrases. In a list, each phrase is its own value."""

    choice: tuple[str, ...] | Mapping[str, tuple[str, ...]]
    _values: dict[str, str] = field(init=False, repr=False, compare=False)
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raises ValueError for a phrase without words, a phrase with two values, and more than `MAX_PHRASES`."""
        listed = self.choice if isinstance(self.choice, Mapping) else {value: (value,) for value in self.choice}
        values: dict[str, str] = {}
        for value, phrases in listed.items():
            for phrase in phrases:
                said = " ".join(tokens(phrase))
                if not said:
                    raise ValueError(f"expected words that a caller says, got {phrase!r}")
                if values.setdefault(said, value) != value:
                    raise ValueError(f"{phrase!r} stands for {values[said]!r} already; a phrase has one value")
        if not 1 <= len(values) <= MAX_PHRASES:
            raise ValueError(f"expected 1 to {MAX_PHRASES} phrases, got {len(values)}")
        longest_first = sorted(values, key=len, reverse=True)
        pattern = re.compile(rf"(?<!\S)({'|'.join(map(re.escape, longest_first))})s?(?!\S)")
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "_pattern", pattern)

    def among(self, words: list[str]) -> str | None:
        """The intended value."""
        joined, found = " ".join(words), []
        for match in self._pattern.finditer(joined):
            start = joined.count(" ", 0, match.start())
            found.append(Mention(self._values[match[1]], start, start + match[0].count(" ") + 1))
        return meant(words, found)

    @property
    def words(self) -> frozenset[str]:
        """All words of its phrases."""
        return frozenset(word for phrase in self._values for word in phrase.split())


@dataclass(frozen=True, slots=True)
class Code:
    """Letters and figures in a shape, `A` for a letter and `9` for a figure: `AA-9999-9999`.

    Users may omit dashes and spaces, and say figures one by one. Several shapes are alternatives.
    """

    code: tuple[str, ...]
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raises ValueError for a shape with other signs, and for none."""
        for shape in self.code:
            if not re.fullmatch(r"[A9 -]{2,40}", shape) or not re.search(r"9", shape):
                raise ValueError(f"expected A for a letter, 9 for a figure, spaces and dashes, got {shape!r}")
        if not self.code:
            raise ValueError("expected a shape such as AA-9999, got none")
        parts = {"A": r"([a-z]) ?", "9": r"(\d) ?"}
        shapes = ["".join(parts.get(sign, "") for sign in shape) for shape in sorted(self.code, key=len, reverse=True)]
        object.__setattr__(
            self, "_pattern", re.compile("|".join(rf"(?<![a-z\d]){shape}(?![a-z\d])" for shape in shapes))
        )

    def among(self, words: list[str]) -> str | None:
        """The last code, written in its shape."""
        plain = " ".join("0" if word in ("oh", "o") else word for word in words if word not in _PAUSES)
        match = None
        for match in self._pattern.finditer(plain):  # noqa: B007  # the last one counts
            pass
        if match is None:
            return None
        signs = [sign for sign in match.groups() if sign is not None]
        fitting = next(s for s in sorted(self.code, key=len, reverse=True) if _fits(s, signs))
        given = iter(signs)
        return "".join(next(given).upper() if sign in "A9" else sign for sign in fitting)


def _fits(shape: str, signs: list[str]) -> bool:
    wanted = [sign for sign in shape if sign in "A9"]
    return len(wanted) == len(signs) and all((w == "9") == s.isdigit() for w, s in zip(wanted, signs, strict=True))


Kind = Plain | Choice | Code


def kind_of(given: object) -> Kind:
    """The kind that a file or a program gives. Raises ValueError with the accepted forms."""
    match given:
        case "date" | "time" | "number" | "name" | "bare name":
            return given
        case {"choice": list(values), **more} if not more and all(isinstance(value, str) for value in values):
            return Choice(tuple(values))
        case {"choice": dict(values), **more} if not more and all(map(_is_phrases, values.values())):
            return Choice({str(value): tuple(phrases) for value, phrases in values.items()})
        case {"code": str(shape), **more} if not more:
            return Code((shape,))
        case {"code": list(shapes), **more} if not more and all(isinstance(shape, str) for shape in shapes):
            return Code(tuple(shapes))
        case Choice() | Code():
            return given
        case _:
            raise ValueError(f"expected {FORMS}, got {_shown(given)}")


def _is_phrases(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(phrase, str) for phrase in value)


def _shown(given: object) -> str:
    match given:
        case str():
            return f"the text {given[:40]!r}"
        case dict():
            return f"a mapping with {', '.join(map(str, list(given)[:5])) or 'nothing'}"
        case _:
            return f"a {type(given).__name__}"


class Reading:
    """One utterance, split into tokens once for all captures. `today` is the day from which "tomorrow" is counted."""

    def __init__(self, text: str, today: date) -> None:
        self._text = text
        self._today = today
        self._words: list[str] | None = None

    def value(self, kind: Kind, others: Iterable[str] = ()) -> object:
        """The intended value as JSON data: dates as 2026-07-06, times as 09:30. None if there is none.

        `others` are the words of choices, which are not names.
        """
        if self._words is None:
            self._words = tokens(self._text)
        words = self._words
        match kind:
            case "date":
                day = meant(words, dates(words, self._today))
                return None if day is None else day.isoformat()
            case "time":
                start = time_in(words, [range(each.start, each.end) for each in dates(words, self._today)])
                return None if start is None else f"{start:%H:%M}"
            case "number":
                return self._number(words)
            case "name" | "bare name":
                return name_in(self._text, bare=kind == "bare name", others=frozenset(others))
            case Choice() | Code():
                return kind.among(words)
        assert_never(kind)

    def _number(self, words: list[str]) -> int | float | None:
        spans = [range(each.start, each.end) for each in dates(words, self._today)]
        dated = {index for span in spans for index in span}
        numbers = [
            Mention(float(word) if "." in word else int(word), index, index + 1)
            for index, word in enumerate(words)
            if index not in dated and word.isascii() and word[0].isdigit() and word.replace(".", "", 1).isdigit()
        ]
        return meant(words, numbers)
