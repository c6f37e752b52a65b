"""Names of people in an utterance: "My name is Maria Lopez", "it's for John O'Neill", "Maria Lopez speaking".

Capitals distinguish a name from other words. In texts without capitals, a list of other words does.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from mockserver.responders.captures.utterance import MAX_TEXT

MOST_WORDS = 4
_IN_FIGURES = r"\S*\d\S*"
_WORD = re.compile(rf"{_IN_FIGURES}|[^\W\d_]+(?:['-][^\W\d_]+)*|[^\w\s]")
_SURE = re.compile(
    r"\b(?:(?:full |first |last )?name(?: is|'s| would be|:)|(?:the|a) name of|under the name(?! of)|call me"
    r"|(?-i:name(?= [A-Z]))|my name(?! is|'s| would))\s",
    re.IGNORECASE,
)
_UNSURE = re.compile(
    r"\b(?:i am|i'm|im|this is|it's|it is|for|under|on behalf of|patient is|speaking with|caller is|here is|as)\s",
    re.IGNORECASE,
)
_AFTER = re.compile(r"(?:,? (?:speaking|here)\b|,? is (?:my|the|her|his) (?:full )?name\b)", re.IGNORECASE)
_TITLES = frozenset("mr mrs ms miss mister missus dr doctor".split())
_PARTICLES = frozenset("de da di del della dos van von der den la le bin al el ter".split())
_FILLERS = frozenset(
    "yes yeah yep sure ok okay well um uh er hi hello it's its please oh right and thanks then".split()
)
_OF_TIMES = frozenset(
    "am pm a.m. p.m. at on in the of to past half quarter o'clock oclock noon midday morning afternoon evening"
    " next this slot one monday tuesday wednesday thursday friday saturday sunday today tomorrow january february"
    " march april june july august september october november december two three four five six seven eight nine"
    " ten eleven twelve fifteen twenty thirty forty fifty first second third fourth fifth sixth seventh eighth"
    " ninth tenth eleventh twelfth".split()
)
"""Words that an utterance of dates, times and a name has around the name."""
_NO_NAME = frozenset(
    # Words of sentences about appointments; a name contains none of these.
    "a about absolutely after afternoon again all already also always am an and another any anybody anyone"
    " anything appointment april are around as ask asking at august available back bad be because been before"
    " behalf being best better book booked booking but by call called caller calling came can can't cancel care"
    " change check checking clinic come coming confirm could customer date daughter day december dental dentist"
    " did do doctor does doing don't done dr earliest early eight eighth eleven eleventh else emergency evening"
    " every everything exactly father february feeling few fifth fine first five flexible following for four"
    " fourth free friday friend from full get getting give go going good goodbye great had half happy has have"
    " having he hello help her here hers hi him his hoping hour hours how husband i i'd i'll i'm i've if ill in"
    " interested is it it's its january july june just kid kids kind know last late later let like little long"
    " looking lot make march mate may maybe me mean midday might mine minute moment monday month months more"
    " morning mother move mr mrs ms much my myself name named need needing never new next nice nine ninth no"
    " nobody none noon not nothing november now o'clock october of off oh ok okay old on once one only open or"
    " other our out over pain partner past patient person phone please pm possible pretty probably problem put"
    " quarter question quick quite ready really reference regarding regular reschedule right running said same"
    " saturday say schedule second see september service seven seventh she should sick since six sixth slot so"
    " some somebody someone something son soon sorry sort speaking spell spelled still such sunday suppose sure"
    " take taking talk tell ten tenth than thank thanks that that's the their them then there these they thing"
    " think thinking third thirty this those three thursday time to today tomorrow tonight too town trying tuesday"
    " twelfth twelve twenty two unable under up urgent us used very visit visiting waiting want wanted wanting was"
    " way we we're wednesday week weeks well were what when where which who whole why wife will wish with without"
    " won't wondering work works would yeah year years yes yesterday yet you you're your zero"
    # Answers, greetings and farewells, and words around a place.
    " alright avenue awesome brilliant bye cheers clear cool day days down excellent fair forty goodnight greetings"
    " hang hey hm hmm huh hurry increase indeed instead keep listen lovely nah naw nope oops ouch pardon perfect plan"
    " road scrap short shorter sir skip slots sounds street suits super ta terrific the thirty thursday today tough"
    " twentieth understood unfortunately wait wonderful wow yup done correct confirm confirmed deal definitely"
    " certainly gladly earlier sooner whatever whichever whenever either both forget stop leave add drop next".split()
)

_ALSO_NAMES = frozenset("april august best day fine good june little long march may will".split())
"""Words of `_NO_NAME` that are names too, if they are capitalized and other words show it."""


def name_in(text: str, *, bare: bool = False, others: Collection[str] = ()) -> str | None:
    """The last name in an utterance. `bare`: the utterance may be nothing but a name, even in lower case.

    `others` are further words, in lower case, that are no names.
    """
    text = " ".join(text[:MAX_TEXT].replace("’", "'").split())
    cased = not (text.islower() or text.isupper())
    no_name = _NO_NAME | frozenset(others)
    for pattern, sure in ((_SURE, True), (_UNSURE, False)):
        for match in reversed(list(pattern.finditer(text))):
            if name := _name(text[match.end() :], cased, no_name, sure=sure):
                return name
    for match in _AFTER.finditer(text):
        if name := _name_before(text[max(0, match.start() - 80) : match.start()], cased, no_name):
            return name
    for part in reversed(re.split(rf"{_IN_FIGURES}|[.,;!?]", text)):
        name = _whole(part, cased, no_name) if cased or bare else None
        if name is None and bare and " " in (rest := _after_times(part)):
            name = _whole(rest, cased, no_name)
        if name and (" " in name or (bare and (len(name) > 2 or part == text))):
            return name
    return None


def _name(text: str, cased: bool, no_name: Collection[str], *, sure: bool) -> str | None:
    """The name at the start of a text."""
    found: list[str] = []
    for word in _words(text):
        lower = word.lower()
        if not found and lower.rstrip(".") in (_TITLES | _FILLERS):
            continue
        capital = word[:1].isupper() or lower in _PARTICLES
        if not found and sure and not capital:
            cased = False  # "My name is maria lopez": the rest of the text has capitals, the name has none
        named = cased and word.istitle() and lower in _ALSO_NAMES and (found or sure)
        if not _is_word(word) or (lower in no_name and not named) or (cased and not capital):
            break
        found.append(word)
        if len(found) == MOST_WORDS:
            break
    while found and (len(found[-1]) == 1 or found[-1] in _PARTICLES):
        found.pop()  # "Maria Lopez, L O P E Z"
    if not found or (not sure and not cased and len(found) < 2):
        return None
    return _written(found, cased)


def _name_before(text: str, cased: bool, no_name: Collection[str]) -> str | None:
    """The name at the end of a text; without capitals, at most two words and the particles between them."""
    found: list[str] = []
    for word in reversed(list(_words(text))):
        lower = word.lower()
        particle = lower in _PARTICLES
        if not _is_word(word) or lower in no_name or (cased and not word[0].isupper() and not particle):
            break
        if len(found) == MOST_WORDS or (not cased and not particle and sum(w not in _PARTICLES for w in found) == 2):
            break
        found.append(word)
    while found and found[-1].lower() in _PARTICLES:
        found.pop()
    return _written(found[::-1], cased) if found else None


def _whole(text: str, cased: bool, no_name: Collection[str]) -> str | None:
    """The text as a name, without "yes", "please", dates, times and codes around it; None if it is none."""
    words = [word for word in _words(text) if word[0].isalnum()]
    around = _FILLERS | _OF_TIMES
    while words and words[0].lower() in around | _TITLES:
        del words[0]
    while words and words[-1].lower() in around:
        words.pop()
    if not 1 <= len(words) <= MOST_WORDS:
        return None
    for index, word in enumerate(words):
        capital = word[:1].isupper() or word.lower() in _PARTICLES
        named = cased and word.istitle() and word.lower() not in _OF_TIMES and index > 0
        if not _is_word(word) or (word.lower() in no_name and not named) or (cased and not capital):
            return None
    return _written(words, cased) if len("".join(words)) > 1 else None


def _after_times(text: str) -> str:
    """The words after the last date or time: "could we do ten o'clock maria lopez"."""
    words = list(_words(text))
    last = max((index for index, word in enumerate(words) if word.lower() in _OF_TIMES), default=len(words))
    return " ".join(words[last + 1 :])


def _is_word(word: str) -> bool:
    return word[0].isalpha() and not any(sign.isdigit() for sign in word)


def _words(text: str) -> Iterator[str]:
    return (match[0] for match in _WORD.finditer(text[:120]))


def _written(words: list[str], cased: bool) -> str:
    if cased and not all(word.islower() for word in words):
        return " ".join(words)
    return " ".join(word.lower() if word.lower() in _PARTICLES else word.title().replace("'S", "'s") for word in words)
