"""Times of day in an utterance: "9:30", "half past nine", "at nine thirty", "quarter to ten", "eleven".

Without "a.m.", "p.m." or a part of the day, 1 to 6 is the afternoon and 7 to 12 the hour itself, as usual for
appointments. A leading zero or an hour above 12 means a 24-hour clock.

Transcribers write times as they hear them: "420 works for me", "the 231" (the two thirty one), "10-30 in the morning",
"for 20 in the afternoon", "half pass 3". These are times too, where nothing contradicts it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import time

from mockserver.responders.captures.utterance import PUNCTUATION, Mention, at, meant, number

_CLOCK = re.compile(r"(\d{1,2})[:.h](\d{2})")
_NAMED = {"noon": time(12), "midday": time(12), "midnight": time(0)}
_PAST, _TO = ("past", "after", "pass", "passed"), ("to", "before", "til", "till", "until")
_PARTS = {"morning": "am", "afternoon": "pm", "evening": "pm", "tonight": "pm", "am": "am", "pm": "pm"}
_UNITS = frozenset(
    "day days week weeks month months year years minute minutes min mins hour hours people persons kids children times"
    " teeth of more percent dollars euros st street tooth patients appointments other others thing things am pm"
    " person question questions last first slots".split()
)
_NOT_BEFORE = frozenset("number room floor page version be the this that no any every some which had have".split())
_NOT_BEFORE_FIGURES = frozenset("order reference code call phone building house suite form flight".split())
_AFTER_THE_ONE = frozenset(("", "please", "then", "works", "sounds", "suits", "slot", "appointment"))
_SOUNDS_LIKE = {"for": 4, "to": 2}


def time_in(words: Sequence[str], taken: Sequence[range] = ()) -> time | None:
    """The intended time in an utterance. `taken` are the tokens of its dates."""
    return meant(words, times(words, taken))


def times(words: Sequence[str], taken: Sequence[range] = ()) -> list[Mention[time]]:
    """All times in an utterance, in order."""
    dated = {index for span in taken for index in span}
    with_own_part = _found(words, dated, "")
    owned = {index for each in with_own_part for index in range(each.start, each.end)}
    part = _part_of_day(words, owned)
    return _found(words, dated, part) if part else with_own_part


def _found(words: Sequence[str], dated: set[int], part: str) -> list[Mention[time]]:
    found: list[Mention[time]] = []
    index = 0
    while index < len(words):
        mention = None if index in dated else _at(words, index, part, dated)
        found += [mention] if mention else []
        index = mention.end if mention else index + 1
    return found


def _at(words: Sequence[str], start: int, part: str, dated: set[int]) -> Mention[time] | None:
    word = words[start]
    if word in _NAMED:
        return Mention(_NAMED[word], start, start + 1)
    if word in ("half", "quarter"):
        return _fraction(words, start, part)
    if (clock := _CLOCK.fullmatch(word)) is not None:
        bare = ":" not in word and at(words, start + 1) in _UNITS - {"am", "pm"}
        return None if bare else _made(words, start, start + 1, int(clock[1]), int(clock[2]), part, word[0] == "0")
    value = number(word)
    if value is None or (word == "0" and at(words, start - 1) != "at"):
        return None
    return _minutes_to_or_past(words, start, value, part) or _hour(words, start, value, part, dated)


def _fraction(words: Sequence[str], start: int, part: str) -> Mention[time] | None:
    """ "Half past nine", "half nine", "quarter to ten"."""
    link, hour_at = at(words, start + 1), start + 2
    if words[start] == "half" and link not in (*_PAST, *_TO):
        link, hour_at = "past", start + 1
    hour = number(at(words, hour_at))
    if hour is None or not 1 <= hour <= 23 or link not in (*_PAST, *_TO, "of"):
        return None
    minutes = 30 if words[start] == "half" else 15
    return _counted(words, start, hour_at + 1, hour, minutes if link in _PAST else -minutes, part)


def _minutes_to_or_past(words: Sequence[str], start: int, minutes: int, part: str) -> Mention[time] | None:
    """ "Ten past nine", "twenty minutes to twelve"."""
    said = at(words, start + 1) in ("minutes", "minute", "min")
    link_at = start + 1 + said
    hour = number(at(words, link_at + 1))
    if not 1 <= minutes <= 29 or (minutes % 5 and not said) or hour is None or not 1 <= hour <= 23:
        return None
    link = at(words, link_at)
    if link not in (*_PAST, *_TO) or at(words, start - 1) in ("from", "between"):
        return None
    return _counted(words, start, link_at + 2, hour, minutes if link in _PAST else -minutes, part)


def _counted(words: Sequence[str], start: int, end: int, hour: int, minutes: int, part: str) -> Mention[time] | None:
    mention = _made(words, start, end, hour, 0, part)
    if mention is None:
        return None
    total = (mention.value.hour * 60 + minutes) % (24 * 60)
    return Mention(time(total // 60, total % 60), start, mention.end)


def _hour(words: Sequence[str], start: int, value: int, part: str, dated: set[int]) -> Mention[time] | None:
    """An hour, with or without minutes: "nine thirty", "nine oh five", "0930", "eleven"."""
    word, before, after = words[start], at(words, start - 1), at(words, start + 1)
    said_at = before in ("at", "around", "about", "approximately")
    of_day = after == "in" and at(words, start + 2) == "the" and at(words, start + 3) in _PARTS
    marked = of_day or after in ("oclock", "am", "pm", "sharp")
    if start + 1 not in dated and value <= 23 and len(word) <= 2:
        end, minutes = _minutes(words, start + 1)
        if end > start + 1 and number(at(words, end)) is None and (minutes or said_at or number(before) is None):
            return _made(words, start, end, value, minutes, part, word[0] == "0")
    if _in_a_code(words, start):
        return None
    if (as_heard := _as_heard(words, start, value, part, marked)) is not None:
        return as_heard
    if len(word) in (3, 4) and (said_at or marked or word[0] == "0" or after in ("h", "hours")):
        return _made(
            words, start, start + 1 + (after in ("h", "hours")), value // 100, value % 100, part, word[0] == "0"
        )
    if value > 23 or len(word) > 2:
        return None
    if said_at or marked:
        return (
            None if after in _UNITS - {"am", "pm"} else _made(words, start, start + 1, value, 0, part, word[0] == "0")
        )
    alone = len([each for each in words if each.isalnum()]) == 1
    weak = 1 <= value <= 12 and (value > 1 or alone) and after not in _UNITS and number(after) is None
    if not weak or number(before) is not None or (before in _NOT_BEFORE and after not in ("slot", "appointment")):
        return None
    mention = _made(words, start, start + 1, value, 0, part)
    return mention and Mention(mention.value, mention.start, mention.end, weak=True)


def _in_a_code(words: Sequence[str], index: int) -> bool:
    """Whether four figures stand beside four others, as in the reference "DC-0706-0930"."""
    beside = [at(words, index + (2 * way if at(words, index + way) == "-" else way)) for way in (-1, 1)]
    return len(words[index]) == 4 and any(len(each) == 4 and number(each) is not None for each in beside)


def _as_heard(words: Sequence[str], start: int, value: int, part: str, marked: bool) -> Mention[time] | None:
    """A time in the spelling of a transcriber."""
    word, before, after, second = words[start], at(words, start - 1), at(words, start + 1), at(words, start + 2)
    counted = number(at(words, start - 2)) is not None
    if before in _SOUNDS_LIKE and marked and not counted and 15 <= value <= 55 and value % 5 == 0:
        return _made(words, start, start + 1, _SOUNDS_LIKE[before], value, part)
    if after == "-" and value <= 12 and len(second) == 2 and (number(second) or 1) % 5 == 0:
        end = start + 3
        if at(words, end) in ("am", "pm") or (at(words, end) == "in" and at(words, end + 2) in _PARTS):
            return _made(words, start, end, value, int(second), part)
    hour, minutes = divmod(value, 100)
    if len(word) not in (3, 4) or word[0] == "0" or not 1 <= hour <= 12 or after in _UNITS or minutes < 10:
        return None
    if before == "the" and minutes % 10 == 1 and (after in PUNCTUATION or after in _AFTER_THE_ONE):
        return _made(words, start, start + 1, hour, minutes - 1, part)
    if minutes % 5 or minutes > 55 or before in _NOT_BEFORE or before in _NOT_BEFORE_FIGURES:
        return None
    mention = _made(words, start, start + 1, hour, minutes, part)
    return mention and Mention(mention.value, mention.start, mention.end, weak=True)


def _minutes(words: Sequence[str], index: int) -> tuple[int, int]:
    """The token after the minutes that follow an hour, and the minutes; `index` and 0 if there are none."""
    word = at(words, index)
    if word in ("oh", "o", "0") and len(at(words, index + 1)) == 1 and number(at(words, index + 1)) is not None:
        return index + 2, int(words[index + 1])
    if len(word) == 2 and (value := number(word)) is not None and value <= 59:
        return index + 1, value
    return index, 0


def _made(
    words: Sequence[str], start: int, end: int, hour: int, minutes: int, part: str, exact: bool = False
) -> Mention[time] | None:
    """A time, and the words that belong to it: "o'clock", "a.m.", "in the afternoon"."""
    if at(words, end) in ("oclock", "sharp"):
        end += 1
    own, begun = at(words, end), end
    if own in ("am", "pm"):
        part, end = own, end + 1
    elif own == "in" and at(words, end + 1) == "the" and at(words, end + 2) in _PARTS:
        part, end = _PARTS[words[end + 2]], end + 3
    elif own == "at" and at(words, end + 1) == "night":
        part, end = "pm" if hour >= 6 else "am", end + 2
    if hour > 23 or minutes > 59:
        return None
    if part == "am" and hour <= 12 and end > begun:
        hour %= 12
    elif part == "pm" and hour <= 12:
        hour = hour % 12 + 12
    elif not part and not exact and 1 <= hour <= 6:
        hour += 12
    return Mention(time(hour, minutes), start, end)


def _part_of_day(words: Sequence[str], owned: set[int]) -> str:
    """The only part of the day in an utterance, without greetings and without the words that belong to one time."""
    said = {
        _PARTS[word]
        for index, word in enumerate(words)
        if word in _PARTS
        and index not in owned
        and word not in ("am", "pm")
        and at(words, index - 1) not in ("good", "not", "or")
    }
    return said.pop() if len(said) == 1 else ""
