"""What may differ between a recording and a later call: fields by path, dates, times and ids, or a pattern.

A user names it on the command line, in Python, or in the header of a cassette.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from replay.cassette.json_values import path_pattern
from replay.slow_patterns import slow_part

_DAY = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?"
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|(?-i:May)|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\.?"
)
_NUMBER = r"\d{1,2}(?:st|nd|rd|th)?(?!\d)"
_DATES = (
    r"(?<!\d)\d{4}[-/.]\d\d[-/.]\d\d(?!\d)",
    r"(?<!\d)\d{1,2}[./]\d{1,2}[./]\d{4}(?!\d)",
    rf"\b{_MONTH} (?:{_NUMBER}(?:,? \d{{4}}(?!\d))?|\d{{4}}(?!\d))",
    rf"(?<!\d){_NUMBER} (?:of )?{_MONTH}(?:,? \d{{4}}(?!\d))?(?!\w)",
)
_KINDS = {
    "date": rf"(?i)(?:\b{_DAY},? )?(?:{'|'.join(_DATES)})(?: \({_DAY}\)|, {_DAY}(?!\w))?",
    "time": r"(?i)(?<!\d)(?:\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?[ap]\.?m\b\.?|Z|[+-]\d\d:?\d\d)?"
    r"|\d{1,2} ?[ap]\.?m\b\.?)(?!\d)",
    "id": r"(?<!\w)([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[a-z]{1,16}_(?=[a-zA-Z]{0,40}\d)\w{8,80})(?!\w)",
}
"""Parts of texts that have a name: dates with their weekday, times of day, UUIDs and ids such as `item_0a1b2c3d`."""
_CHARACTERS = 6_000
"""Of a text in which patterns are looked for, for the estimate of their time: long instructions."""
_PATH = re.compile(r"(?:\$\.)?[\w*-]+(\.[\w*-]+|\[(\d+|\*)\])*")


@dataclass(frozen=True, slots=True)
class Ignored:
    """What may differ: `paths` of fields, with all that is in them, and parts of `texts`."""

    paths: tuple[re.Pattern[str], ...] = ()
    texts: tuple[re.Pattern[str], ...] = ()

    def covers(self, path: str, expected: object, received: object) -> bool:
        """Whether the values of the field differ in nothing else."""
        if any(each.fullmatch(path) for each in self.paths):
            return True
        if not (self.texts and isinstance(expected, str) and isinstance(received, str)):
            return False
        return self.without(expected) == self.without(received)

    def without(self, text: str) -> str:
        """The text without the parts that may differ."""
        for each in self.texts:
            text = each.sub("<ignored>", text)
        return text

    def and_(self, other: Ignored) -> Ignored:
        """What either lets differ."""
        return Ignored((*self.paths, *other.paths), (*self.texts, *other.texts))


NOTHING = Ignored()


def ignored(names: Iterable[str]) -> Ignored:
    """What these names stand for: `date`, `time` or `id`, a regular expression between slashes, or a field's path.

    `*` in a path is any text, and `$.` may stand before it. Raises ValueError for anything else.
    """
    paths, texts = [], []
    for name in [names] if isinstance(names, str) else names:
        if (kind := _KINDS.get(name)) is not None:
            texts.append(re.compile(kind))
        elif len(name) > 2 and name.startswith("/") and name.endswith("/"):
            try:
                texts.append(re.compile(name[1:-1]))
            except re.error as problem:
                raise ValueError(f"ignore: {name} is no regular expression: {problem}") from problem
            if (slow := slow_part(name[1:-1], _CHARACTERS)) is not None:
                raise ValueError(f"ignore: {name} is a slow pattern: {slow}")
        elif _PATH.fullmatch(name):
            paths.append(re.compile(rf"{path_pattern(name.removeprefix('$.')).pattern}([.\[].*)?", re.DOTALL))
        else:
            raise ValueError(
                f"ignore: {name!r} is none of date, time, id, /PATTERN/ and a path such as session.instructions"
            )
    return Ignored(tuple(paths), tuple(texts))
