"""The tokens of an utterance, typed or transcribed: in lower case, number words as digits.

"Half past nine", "half past 9" and "HALF PAST NINE!" have the same tokens but for the punctuation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

MAX_TEXT = 2_000
"""Characters of an utterance that are read; two minutes of speech."""

_TOKEN = re.compile(
    r"\d{4}-\d{2}-\d{2}"  # a date
    r"|\d{1,2}[:.h]\d{2}(?!\d|\.\d)"  # a time
    r"|\d{1,2}/\d{1,2}(?:/\d{4})?"  # a date
    r"|\d+(?:st|nd|rd|th)(?![a-z])"
    r"|\d+(?:\.\d+)?"
    r"|[^\W\d_]+(?:'[^\W\d_]+)*"
    r"|[^\w\s]"
)
_IN_FRONT_OF_NUMBERS = (
    (re.compile(r"\b([ap])\.? ?m\b\.?"), r"\1m"),
    (re.compile(r"\bo'? ?clock\b"), "oclock"),
    (re.compile(r"(?<=\w)-(?=[^\W\d_])"), " "),  # ten-thirty, check-up
    (re.compile(r"\b(the (?:\w+ ){1,2}?(?:twenty|thirty|forty|fifty|oclock|am|pm)) one\b"), r"\1 slot"),  # not 10:31
)
PUNCTUATION = frozenset('.,;:!?()-–—…"')

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mention(Generic[T]):
    """A value at the tokens `start` to `end`, without the end. A weak one counts only if there is no other."""

    value: T
    start: int
    end: int
    weak: bool = False


def tokens(text: str) -> list[str]:
    """The tokens of the first `MAX_TEXT` characters."""
    # The import takes 10 ms; scenarios without captures do not need it.
    from text_to_num import alpha2digit

    text = text[:MAX_TEXT].casefold().replace("’", "'").replace("\n", " ")
    for pattern, instead in _IN_FRONT_OF_NUMBERS:
        text = pattern.sub(instead, text)
    return _TOKEN.findall(alpha2digit(text, "en", threshold=0))


def number(token: str) -> int | None:
    """The token as a whole number of at most four digits, or None."""
    return int(token) if token.isascii() and token.isdigit() and len(token) <= 4 else None


def ordinal(token: str) -> int | None:
    """The number of a token such as "6th", or None."""
    return number(token[:-2]) if token[-2:] in ("st", "nd", "rd", "th") else None


def at(words: Sequence[str], index: int) -> str:
    """The token at an index, or an empty text outside."""
    return words[index] if 0 <= index < len(words) else ""


_REFUSING = frozenset(
    "not except can't cannot don't won't couldn't isn't wasn't never without skip cancel than besides".split()
)
_REFUSED = frozenset("doesn't isn't won't wouldn't can't cannot didn't".split())
_REFUSED_BY_TWO = frozenset(
    (verb, rest)
    for verb in ("is", "was", "does", "did", "will", "would", "can")
    for rest in ("not", "too", "bad", "impossible", "out", "no", "full")
)
_BOUNDS = frozenset("after before until till by between past than".split())
_BEFORE_A_MENTION = 4
"""Tokens before a mention that are searched for a "not"."""


def meant(words: Sequence[str], mentions: Sequence[Mention[T]]) -> T | None:
    """The intended value: the last, since users correct themselves; of "six or seven" the first.

    Refused values ("not on Monday", "Monday does not work"), replaced ones ("instead of Monday", "from Monday to
    Tuesday") and bounds ("after ten") do not count.
    """
    left = [each for each in mentions if not each.weak] or list(mentions)
    ends = {each.end for each in mentions}
    between = {each.end + 1 for each in mentions if at(words, each.start - 1) == "between"}
    left = [each for each in left if each.start not in between and not _refused(words, each, ends)]
    if len(left) > 1:
        left = [each for each in left if "from" not in words[max(0, each.start - 2) : each.start]] or left
    if not left:
        return None
    chosen = left[-1]
    for earlier in reversed(left[:-1]):
        if words[earlier.end : chosen.start] not in (["or"], ["or", "on"], ["or", "at"], ["or", "the"], [",", "or"]):
            break
        chosen = earlier
    return chosen.value


def _refused(words: Sequence[str], mention: Mention[T], ends: set[int]) -> bool:
    follows = at(words, mention.end), at(words, mention.end + 1)
    if follows[0] in _REFUSED or follows in _REFUSED_BY_TWO:
        return True
    if at(words, mention.start - 1) in _BOUNDS or words[max(0, mention.start - 2) : mention.start] == ["instead", "of"]:
        return True
    for index in range(mention.start - 1, max(-1, mention.start - 1 - _BEFORE_A_MENTION), -1):
        word = words[index]
        if index + 1 in ends:
            return False
        if word in _REFUSING and at(words, index + 1) not in ("you", "we", "there", "problem"):
            return True
        if word in PUNCTUATION or word in ("but", "and", "then", "to"):
            return False
    return False
