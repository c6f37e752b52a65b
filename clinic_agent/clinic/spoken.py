"""What a transcript says about an appointment: times, dates, services, names, references, and consent. English only.

A transcript is compared with a value that is already known, so each function answers one question: does this text name
the value, does it name another one, or neither? Ambiguous words match generously: "two thirty" is 02:30 and 14:30.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import date, time, timedelta
from typing import Literal

Naming = Literal["only", "among", "other", "none"]
"""What a text names: only this value, this value among others, other values, or none of that kind."""

_CARDINALS = "one two three four five six seven eight nine ten eleven twelve".split()
_HOURS = {word: number for number, word in enumerate(_CARDINALS, start=1)}
_MINUTES = {
    "oh five": 5,
    "five": 5,
    "ten": 10,
    "fifteen": 15,
    "twenty": 20,
    "twenty five": 25,
    "thirty": 30,
    "thirty five": 35,
    "forty": 40,
    "forty five": 45,
    "fifty": 50,
    "fifty five": 55,
}
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth"
).split()
_DAYS = {word: number for number, word in enumerate(_ORDINALS, start=1)}
_DAYS |= {f"twenty {word}": 20 + number for word, number in list(_DAYS.items())[:9]}
_DAYS |= {"thirtieth": 30, "thirty first": 31}
_MONTHS = {
    word: number
    for number, word in enumerate(
        "january february march april may june july august september october november december".split(), start=1
    )
}
_WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()


def _any(words: Iterable[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_HOUR, _MINUTE, _DAY, _MONTH = map(_any, (_HOURS, _MINUTES, _DAYS, _MONTHS))
_HALF_DAY = r"(?:\s*(?P<half>[ap])\.?\s?m\b)?"
_TIMES = [
    re.compile(rf"\b(?P<h>\d{{1,2}})[:.h](?P<m>\d{{2}})\b{_HALF_DAY}"),
    re.compile(r"\b(?P<h>\d{1,2})\s*(?:(?P<half>[ap])\.?\s?m\b|o.?clock)"),
    re.compile(rf"\b(?P<past>half|quarter) past (?P<h>{_HOUR}|\d{{1,2}})\b"),
    re.compile(rf"\b(?P<to>quarter) to (?P<h>{_HOUR}|\d{{1,2}})\b"),
    re.compile(rf"\b(?P<h>{_HOUR}|\d{{1,2}}) (?P<m>{_MINUTE})\b{_HALF_DAY}"),
    re.compile(rf"\b(?P<h>{_HOUR})\s*(?:(?P<half>[ap])\.?\s?m\b|o.?clock)"),
    re.compile(r"\b(?P<h>1?\d)(?P<m>[0-5]0|[1-5]5)\b"),
    re.compile(r"\b(?P<noon>noon|midday)\b"),
]
_BARE_TIME = re.compile(rf"\b(?!one\b)(?P<h>{_HOUR}|1?\d)\b|\bat (?P<one>one)\b")
_REFERENCE = re.compile(r"\b[a-z]{1,2}-\d{4}-\d{4}\b")
_DATES = [
    re.compile(rf"\b(?P<month>{_MONTH})\s+(?:the\s+)?(?P<day>{_DAY}|\d{{1,2}}(?:st|nd|rd|th)?)\b"),
    re.compile(rf"\b(?P<day>{_DAY}|\d{{1,2}}(?:st|nd|rd|th)?)\s+(?:day\s+)?(?:of\s+)?(?P<month>{_MONTH})\b"),
    re.compile(r"\b\d{4}-(?P<month>\d{2})-(?P<day>\d{2})\b"),
]
_DAY_ALONE = re.compile(rf"\b(?:the|on) (?P<day>{_DAY}|\d{{1,2}}(?:st|nd|rd|th))\b(?! (?:one|slot|time))")
_WEEKDAY = re.compile(rf"\b({_any(_WEEKDAYS)})s?\b")

_SERVICES = {
    "dental cleaning": r"\bclean|hygien",
    "dental check-up": r"check.?up|\bexam|(?:check|look at) my (?:teeth|tooth)|teeth checked|dental check",
    "general consultation": r"consult|\bdoctor|physician|\bgp\b|general (?:appointment|check)|\bphysical\b",
    "vaccination": r"vaccin|\bshots?\b|\bjabs?\b|booster|immuni[sz]",
}

_YES = re.compile(
    r"\b(?:yes|yeah|yep|yup|sure|okay|ok|please do|go ahead|do (?:it|that|so)|(?:that.?s|that is|sounds?|all) "
    r"(?:right|good|great|fine|correct|perfect)|that works|correct|exactly|absolutely|definitely|of course|perfect)\b"
)
_PICK = re.compile(
    r"\b(?:(?:the|your) )?(?:first|second|third|middle|last|earliest|soonest|latest|later|either|any|whichever)\b"
    r"(?! (?:name|time visitor))|as early as possible|\bthat (?:one|time|slot)\b|\bthis one\b"
)
_NO = re.compile(r"^\W*(?:no|nope|nah|not|wait|hold on|stop|never mind|forget it|i don.?t|i.?m not)\b")
_UNDO = re.compile(
    r"\b(?:don.?t|do not|never|please not|not yet)\b.{0,30}\b(?:book|move|cancel|reschedul|change|do|make|take|want)"
    r"|\b(?:not yet|never mind|forget it|changed my mind|let me think|i.?ll call back|hold on)\b"
)
_REQUEST = re.compile(r"\b(?:please|book|reserve|take|have|want|like|need|make it|move|cancel|put me)\b")
_CANCEL = re.compile(
    r"cancel|call (?:it|that|the appointment) off|(?:don.?t|do not|no longer) need|can.?t (?:come|make)"
    r"|give (?:it|up)|scrap|drop (?:it|that|the appointment)"
)


def folded(text: str) -> str:
    """The text in lower case, without accents and hyphens, and with simple apostrophes and spaces."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    return re.sub(r"\s+", " ", plain.replace("\u2019", "'").replace("-", " "))


def names_time(text: str, wanted: time) -> Naming:
    """Whether the text names this time of day."""
    said = _REFERENCE.sub(" ", text.casefold())
    said = re.sub(r"\b(?:19|20)\d\d(?:-\d\d-\d\d)?\b", " ", said)
    plain = folded(said)
    for pattern in _DATES:
        plain = pattern.sub(" ", plain)
    found: list[frozenset[time]] = []
    for pattern in _TIMES:
        found += [each for match in pattern.finditer(plain) if (each := _times(match))]
        plain = pattern.sub(" ", plain)
    # A number alone may be a time, as in "eleven, please". It may confirm one, but does not contradict another.
    alone = [each for match in _BARE_TIME.finditer(plain) if (each := _times(match))]
    if any(wanted in each for each in (*found, *alone)):
        return "only" if all(wanted in each for each in (*found, *alone)) else "among"
    return "other" if found else "none"


def _times(match: re.Match[str]) -> frozenset[time]:
    """The times of day that a match may mean."""
    part = match.groupdict()
    if part.get("noon"):
        return frozenset({time(12)})
    if part.get("one"):
        return frozenset({time(1), time(13)})
    hour = _HOURS.get(part["h"]) or (int(part["h"]) if part["h"].isdecimal() else -1)
    minute = _MINUTES.get(part.get("m") or "", -1)
    if minute < 0:
        minute = int(part.get("m") or 0)
    if part.get("past"):
        minute = 30 if part["past"] == "half" else 15
    if part.get("to"):
        hour, minute = (hour - 1) or 12, 45
    if not (0 <= hour < 24 and minute < 60):
        return frozenset()
    match part.get("half"):
        case "a":
            hours = {hour % 12}
        case "p":
            hours = {hour % 12 + 12}
        case _:
            hours = {hour, hour + 12} if 1 <= hour < 12 else {hour}
    return frozenset(time(each, minute) for each in hours)


def names_date(text: str, wanted: date, today: date) -> Naming:
    """Whether the text names this date."""
    plain, iso = folded(text), text.casefold()
    found = {
        (_month(match["month"]), _day(match["day"]))
        for pattern, where in zip(_DATES, (plain, plain, iso), strict=True)
        for match in pattern.finditer(where)
    }
    if found:
        this = (wanted.month, wanted.day)
        return "other" if this not in found else "only" if len(found) == 1 else "among"
    # "The second" may be a day or one of several offers, so that form never names another date.
    if wanted.day in {_day(match["day"]) for match in _DAY_ALONE.finditer(plain)}:
        return "only"
    soon = {"day after tomorrow": 2, "tomorrow": 1}
    words = next((words for words in soon if words in plain), None)
    fits = [today + timedelta(days=soon[words]) == wanted] if words else []
    fits += [weekday == _WEEKDAYS[wanted.weekday()] for weekday in set(_WEEKDAY.findall(plain))]
    return "none" if not fits else "other" if not any(fits) else "only" if all(fits) else "among"


def _month(text: str) -> int:
    return _MONTHS.get(text) or int(text)


def _day(text: str) -> int:
    return _DAYS.get(text) or int(re.sub(r"\D", "", text))


def names_service(text: str, wanted: str) -> Naming:
    """Whether the text names this service, in usual words for it."""
    plain = folded(text)
    found = {service for service, words in _SERVICES.items() if re.search(words, plain)}
    if wanted not in found:
        return "other" if found else "none"
    return "only" if len(found) == 1 else "among"


def names_person(text: str, wanted: str) -> Naming:
    """Whether each part of a person's name is in the text, also spelled letter by letter.

    Other names in the text are not looked for.
    """
    plain = folded(text)
    together = re.sub(r"[^a-z0-9]", "", plain)
    words = set(re.findall(r"[^\W_]+", plain))
    parts = re.findall(r"[^\W_]+", folded(wanted))
    spelled = bool(re.search(r"\b[a-z](?:[\s,.]+[a-z]\b){2,}", plain))
    named = bool(parts) and all(part in words or (spelled and part in together) for part in parts)
    return "only" if named else "none"


def names_reference(text: str, wanted: str) -> Naming:
    """Whether the reference is in the text, written or read out."""
    digits = {"zero": "0", "oh": "0", **{word: str(number) for word, number in _HOURS.items()}}
    digits |= {"fifteen": "15", "twenty": "20", "thirty": "30", "forty": "40", "fifty": "50"}
    plain = re.sub(r"\b(?:dash|hyphen|minus)\b", " ", folded(text))
    together = "".join(digits.get(word, word) for word in re.findall(r"[a-z0-9]+", plain))
    return "only" if re.sub(r"[^a-z0-9]", "", wanted.casefold()) in together else "none"


def agrees(text: str) -> bool:
    """Whether the caller goes along with what was said before: neither a refusal nor only a question."""
    plain = folded(text)
    if not plain.strip() or _UNDO.search(plain):
        return False
    if _NO.search(plain) and not (_YES.search(plain) or _REQUEST.search(plain) or _names_something(plain)):
        return False
    return "?" not in plain or bool(_YES.search(plain) or _REQUEST.search(plain))


def _names_something(plain: str) -> bool:
    return any(pattern.search(plain) for pattern in (*_TIMES, *_DATES, _BARE_TIME, _WEEKDAY, _PICK))


def picks(text: str) -> bool:
    """Whether the caller chooses among several offers without naming one: "the first one", "either"."""
    return bool(_PICK.search(folded(text)))


def asks_to_cancel(text: str) -> bool:
    """Whether the text speaks of cancelling."""
    return bool(_CANCEL.search(folded(text)))
