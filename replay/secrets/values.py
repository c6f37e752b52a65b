"""What a value looks like: ordinary words, a number, a path, an id, or something random."""

from __future__ import annotations

import re

LOOKED_AT = 256
"""Characters of a value that are judged. The rest of a longer one is judged with them."""

_ORDINARY = re.compile(
    r"""(?:
      [a-z]*(?:[-_./'+][a-z]+)* | [A-Z]+(?:[-_][A-Z]+)*      # words
    | [-+]?[\d.,:/TZ+%-]+ (?:ms|s|kb|mb|gb|usd|eur|hz|khz|px|am|pm)?           # numbers, dates, times, amounts
    | v?\d+(?:\.\d+)+[\w.-]{0,12}                                              # versions
    | (?:[A-Za-z]:\\|\.{0,2}/|~/)(?!/)[^=\s]*                                  # paths
    | \$\{?\w+\}?.? | %\(?\w+\)?[s%] | \{\{.* | \{\w*\}.? | <[^>]*> | [*•.xX]+ # placeholders
    | [A-Za-z]+\d{1,2} | [a-z]+(?:-[a-z]+)*-\d{1,4}                            # step2, tone-1
    | (?:item|msg|resp|call|sess|conv|event|evt|part|rs|rtc|fc|mcp[lr]?|file|asst|run|thread|user|org|proj|req|ns)
      _[A-Za-z0-9-]+                                                           # ids
    | (?:true|false|null|none|nan|undefined)
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_MIXED = re.compile(r"[A-Za-z](?=[0-9])|[0-9](?=[A-Za-z])|[a-z](?=[A-Z])|[A-Z][A-Z](?=[a-z])")
_WORDS = re.compile(r"(?:(?:[A-Z]?[a-z]{0,12}|[A-Z]{2,12}|v?\d{1,4})(?:[-_.]|$))+")


def ordinary(value: str) -> bool:
    """Words, a number, a date, a path, an id, a placeholder: nothing that anybody keeps secret."""
    return _ORDINARY.fullmatch(value[:LOOKED_AT]) is not None


def only_words(value: str) -> bool:
    """Words and short numbers, joined by hyphens, underscores or dots: `chairs-for-room-2026-07`."""
    return _WORDS.fullmatch(value[:LOOKED_AT]) is not None


def mixed(value: str) -> int:
    """How often letters, capitals and digits change within the value. Words have 0, keys have many."""
    return len(_MIXED.findall(value[:LOOKED_AT]))


def random(value: str, least: int = 16) -> bool:
    """Whether the value looks like made by a machine and not meant to be read."""
    return len(value) >= least and mixed(value) >= 3 and not ordinary(value)
