"""Values in words, for responses that are spoken: the template filters of the same names.

The captures read these words as the same value.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, time, timedelta

_MONTHS = "January February March April May June July August September October November December".split()
_WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen".split()
)
_TENS = "- - twenty thirty forty fifty".split()
_ORDINALS = (
    "- first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth"
    " fifteenth sixteenth seventeenth eighteenth nineteenth twentieth".split()
)


def spoken_date(value: str, weekday: bool = False) -> str:
    """ "2026-07-06" as "July sixth", with `weekday` as "Monday, July sixth". Raises ValueError for an invalid date."""
    day = date.fromisoformat(value)
    of_month = day.day
    if of_month <= 20:
        ordinal = _ORDINALS[of_month]
    else:
        ordinal = "thirtieth" if of_month == 30 else f"{_TENS[of_month // 10]}-{_ORDINALS[of_month % 10]}"
    said = f"{_MONTHS[day.month - 1]} {ordinal}"
    return f"{_WEEKDAYS[day.weekday()]}, {said}" if weekday else said


def days_later(value: str, days: int) -> str:
    """The date that many days after one, both as 2026-07-06. Raises ValueError for an invalid date."""
    return (date.fromisoformat(value) + timedelta(days=days)).isoformat()


def spoken_time(value: str) -> str:
    """ "09:30" as "half past nine". Hours before 7 and after 18 get their part of the day.

    Raises ValueError for an invalid time.
    """
    at = time.fromisoformat(value)
    if at.minute == 0 and at.hour in (0, 12):
        return "noon" if at.hour else "midnight"
    hour = _SMALL[at.hour % 12 or 12]
    match at.minute:
        case 0:
            said = f"{hour} o'clock"
        case 15:
            said = f"quarter past {hour}"
        case 30:
            said = f"half past {hour}"
        case 45:
            said = f"quarter to {_SMALL[(at.hour + 1) % 12 or 12]}"
        case minute:
            said = f"{hour} {f'oh {_SMALL[minute]}' if minute < 10 else _counted(minute)}"
    named = (at.hour + (at.minute == 45)) % 24
    if 7 <= named <= 18:
        return said
    return f"{said} in the {'morning' if named < 12 else 'evening'}"


def spelled(value: str) -> str:
    """ "DC-0706" as "D, C, zero, seven, zero, six": letter by letter, with a semicolon for a dash."""
    groups = str(value).replace("-", " ").split()
    return "; ".join(
        ", ".join(_SMALL[int(sign)] if sign.isascii() and sign.isdigit() else sign.upper() for sign in group)
        for group in groups
    )


def spoken_list(values: Iterable[object], last: str = "and") -> str:
    """ "a, b and c"; `last` is the word before the last value."""
    *others, end = [str(value) for value in values] or [""]
    return f"{', '.join(others)} {last} {end}" if others else end


def _counted(number: int) -> str:
    if number < 20:
        return _SMALL[number]
    return _TENS[number // 10] + (f"-{_SMALL[number % 10]}" if number % 10 else "")
