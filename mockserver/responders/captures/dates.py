"""Dates in an utterance, as of a day: "July 6th", "the sixth of July", "next Monday", "in three days", "7/6".

A date without a year is the next one, today included. "Monday" is the next Monday after today. "Next Monday" is in the
next week, which starts on Monday. In "7/6" the month is first, unless it is above 12.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta

from mockserver.responders.captures.utterance import PUNCTUATION, Mention, at, meant, number, ordinal

_MONTHS = dict(
    zip(
        "january february march april may june july august september october november december".split(),
        range(1, 13),
        strict=True,
    )
)
_MONTHS |= {name[:3]: month for name, month in _MONTHS.items()} | {"sept": 9, "febuary": 2, "agust": 8}
_WEEKDAYS = dict(zip("monday tuesday wednesday thursday friday saturday sunday".split(), range(7), strict=True))
_WEEKDAYS |= {name + "s": day for name, day in _WEEKDAYS.items()} | {
    "mon": 0, "tue": 1, "tues": 1, "teusday": 1, "wed": 2, "wednsday": 2, "wensday": 2, "wendesday": 2,
    "thu": 3, "thur": 3, "thurs": 3, "thrusday": 3, "fri": 4,
}  # fmt: skip
_SHORT_WEEKEND = {"sat": 5, "sun": 6}
"""Also words of their own, so they need "next" or "this" before them."""
_DAYS = {"today": 0, "tonight": 0, "tomorrow": 1, "tomorow": 1, "tommorow": 1, "tommorrow": 1, "tmrw": 1}
_UNITS = {"day": 1, "days": 1, "week": 7, "weeks": 7, "fortnight": 14, "fortnights": 14}
_COUNTS = {"a": 1, "an": 1, "one": 1, "couple": 2}
_NOT_A_DAY = frozenset(
    "one ones time times slot slots appointment option thing floor visit available free opening of available half of"
    " patient person street avenue try attempt call name tooth".split()
)


_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SLASHED = re.compile(r"[0-9]{1,2}/[0-9]{1,2}(?:/[0-9]{1,4})?")


def date_in(words: Sequence[str], today: date) -> date | None:
    """The intended date in an utterance."""
    return meant(words, dates(words, today))


def dates(words: Sequence[str], today: date) -> list[Mention[date]]:
    """All dates in an utterance, in order."""
    found: list[Mention[date]] = []
    index = 0
    while index < len(words):
        mention = _at(words, index, today) or _later(words, index, today)
        found += [mention] if mention else []
        index = mention.end if mention else index + 1
    return found


def _at(words: Sequence[str], start: int, today: date) -> Mention[date] | None:
    """The date that starts at a token, without dates that are counted from another one."""
    word = words[start]
    if word in _DAYS:
        return _mention(today + timedelta(days=_DAYS[word]), start, start + 1)
    if word == "yesterday":
        return _mention(today - timedelta(days=1), start, start + 1)
    if words[start : start + 3] == ["day", "after", "tomorrow"]:
        return _mention(today + timedelta(days=2), start, start + 3)
    if not word[0].isalpha():
        return _in_figures(words, start, today)
    return _of_month(words, start, today) or _weekday(words, start, today)


def _in_figures(words: Sequence[str], start: int, today: date) -> Mention[date] | None:
    """ "2026-07-06", "7/6", "6 July", "the 6th"."""
    word = words[start]
    if _ISO.fullmatch(word):
        return _mention(_day(int(word[:4]), int(word[5:7]), int(word[8:])), start, start + 1)
    if _SLASHED.fullmatch(word):
        month, day, *full = map(int, word.split("/"))
        if month > 12:
            month, day = day, month
        return _mention(_day(full[0], month, day) if full else _next(today, month, day), start, start + 1)
    day = ordinal(word) or number(word) or 0
    link = start + 1 + (at(words, start + 1) == "of")
    month = _MONTHS.get(at(words, link), 0)
    if month and not (at(words, link) == "may" and link == start + 1 and ordinal(word) is None):
        end = link + 1 + (at(words, link + 1) == "." and len(words[link]) <= 4)
        year, end = _year(words, end)
        return _mention(_day(year, month, day) if year else _next(today, month, day), start, end)
    if ordinal(word) is None:
        return None
    if at(words, link) in ("next", "this") and at(words, link + 1) == "month":
        month = (today.month - (words[link] == "this")) % 12 + 1
        year = today.year + (words[link] == "next" and month == 1)
        return _mention(_day(year, month, day), start, link + 2)
    return _mention(_in_month(today, day), start, start + 1) if _names_a_day(words, start, day) else None


def _names_a_day(words: Sequence[str], index: int, day: int) -> bool:
    """Whether an ordinal is a day of the month, as in "the 6th", unlike "the first one"."""
    before, after = at(words, index - 1), at(words, index + 1)
    if after in _NOT_A_DAY:
        return False
    if before in _WEEKDAYS or at(words, index - 2) in _WEEKDAYS:
        return True
    linked = before in ("on", "for", "to") or (before == "the" and at(words, index - 2) in ("on", "for", "to", "that"))
    return linked or (day > 3 and (before == "the" or before in PUNCTUATION or index == 0))


def _of_month(words: Sequence[str], start: int, today: date) -> Mention[date] | None:
    """ "July 6th", "July the sixth, 2026"."""
    month = _MONTHS.get(words[start])
    if month is None:
        return None
    index = start + 1 + (at(words, start + 1) == "." and len(words[start]) <= 4)
    index += at(words, index) == "the"
    day = ordinal(at(words, index)) or number(at(words, index))
    if not day or at(words, index + 1) in ("oclock", "am", "pm"):
        return None
    year, end = _year(words, index + 1)
    return _mention(_day(year, month, day) if year else _next(today, month, day), start, end)


def _year(words: Sequence[str], index: int) -> tuple[int, int]:
    """The year after a day, or 0, and the token after it. A year in two halves starts with "twenty"."""
    skipped = index + (at(words, index) == ",")
    word, second = at(words, skipped), at(words, skipped + 1)
    if len(word) == 4 and (year := number(word)) and 2000 <= year <= 2099:
        return year, skipped + 1
    if word == "20" and len(second) == 2 and (year := number(second)) and 24 <= year <= 59 and skipped == index:
        return 2000 + year, skipped + 2
    return 0, index


def _weekday(words: Sequence[str], start: int, today: date) -> Mention[date] | None:
    """ "Monday", "next Monday", "Monday next week", "Monday the 6th", "Monday, July 6th", "a week on Monday"."""
    index, which = start, ""
    if words[start] in ("next", "this", "coming", "on"):
        which, index = words[start], start + 1
        if which == "next" and at(words, index) == "week":
            which, index = "next week", index + 1
            index += at(words, index) in ("on", ",")
        elif which == "this" and at(words, index) == "coming":
            index += 1
    weekday = _WEEKDAYS.get(at(words, index))
    if weekday is None and which and which != "on":
        weekday = _SHORT_WEEKEND.get(at(words, index))
    if weekday is None or at(words, start - 1) in ("last", "every", "each"):
        return None
    exact = index + 1 + (at(words, index + 1) == ",")
    exact += at(words, exact) == "the"
    if exact < len(words):
        named = _of_month(words, exact, today) or (
            _in_figures(words, exact, today) if words[exact][0].isdigit() else None
        )
        if named:
            return Mention(named.value, start, named.end)
    nearest = today + timedelta(days=(weekday - today.weekday() - 1) % 7 + 1)
    of_next_week = today + timedelta(days=7 - today.weekday() + weekday)
    end = index + 1
    rest = words[end : end + 3]
    if rest[:2] == ["next", "week"]:
        return _mention(of_next_week, start, end + 2)
    if rest == ["of", "next", "week"]:
        return _mention(of_next_week, start, end + 3)
    if rest[:2] == ["after", "next"]:
        return _mention(nearest + timedelta(days=7), start, end + 2)
    if rest[:1] == ["week"]:
        return _mention(nearest + timedelta(days=7), start, end + 1)
    return _mention(of_next_week if which.startswith("next") else nearest, start, end)


def _later(words: Sequence[str], start: int, today: date) -> Mention[date] | None:
    """ "In three days", "a week from today", "two weeks from Monday", "a week on Friday"."""
    index = start + (words[start] == "in")
    count = number(at(words, index)) or _COUNTS.get(at(words, index))
    if words[index : index + 3] == ["a", "couple", "of"]:
        count, index = 2, index + 2
    elif words[index : index + 2] == ["a", "couple"]:
        count, index = 2, index + 1
    unit = _UNITS.get(at(words, index + 1))
    if unit is None or count is None or count > 400:
        return None
    end = index + 2
    if at(words, end) in ("from", "on", "after") and end + 1 < len(words):
        if words[end] == "from" and words[end + 1] == "now":
            return _mention(today + timedelta(days=count * unit), start, end + 2)
        base = _at(words, end + 1, today)
        return _mention(base.value + timedelta(days=count * unit), start, base.end) if base else None
    if unit == 7 and at(words, end) in _DAYS:
        return _mention(today + timedelta(days=count * 7 + _DAYS[words[end]]), start, end + 1)
    return _mention(today + timedelta(days=count * unit), start, end) if words[start] == "in" else None


def _mention(day: date | None, start: int, end: int) -> Mention[date] | None:
    return None if day is None else Mention(day, start, end)


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _next(today: date, month: int, day: int) -> date | None:
    """The next date with this month and day, today included; February 29th can be years away."""
    for year in range(today.year, today.year + 9):
        found = _day(year, month, day)
        if found is not None and found >= today:
            return found
    return None


def _in_month(today: date, day: int) -> date | None:
    """The next date with this day of the month, today included."""
    for months in range(12):
        year, month = divmod(today.year * 12 + today.month - 1 + months, 12)
        found = _day(year, month + 1, day)
        if found is not None and found >= today:
            return found
    return None
