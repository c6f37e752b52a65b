"""Keys that are known by their form: `xai-…`, `sk-…`, JSON web tokens, the keys of clouds and of other services.

The time is in proportion to the text: each beginning is looked at once, and the run of characters behind it is
measured once for all beginnings in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from replay.secrets import values

WINDOW = 64 << 10
"""Characters that one search looks at. No single search keeps other threads waiting longer than that takes."""
_OVERLAP = 64
"""Longer than each beginning that is searched for, in characters."""

LONGEST_GLUED = 64
"""A cloud key may stand within a run of letters and digits of this length. In a longer one, base64, it is chance."""


@dataclass(frozen=True, slots=True)
class Found:
    """`text[start:end]` is a secret."""

    start: int
    end: int
    kind: str


class Runs:
    """Runs of characters of one class in a text, each measured once."""

    def __init__(self, text: str, characters: str) -> None:
        self._text = text
        self._forward = re.compile(rf"[{characters}]*")
        self._begin = self._end = 0

    def end(self, at: int) -> int:
        """Where the run that holds `at` ends. Ask for ascending positions."""
        if not self._begin <= at < self._end:
            found = self._forward.match(self._text, at)
            self._begin, self._end = at, found.end() if found else at
        return self._end


def windows(form: re.Pattern[str], text: str, window: int = WINDOW, overlap: int = _OVERLAP) -> Iterator[re.Match[str]]:
    """Each match of a form of at most `overlap` characters, window by window. Matches do not overlap."""
    done = 0
    for start in range(0, max(1, len(text)), window):
        for found in form.finditer(text, start, min(len(text), start + window + overlap)):
            if done <= found.start() < start + window:  # one behind the window is found in the next
                done = max(found.end(), found.start() + 1)
                yield found


@dataclass(frozen=True, slots=True)
class _Shape:
    """`least` characters of `body` after `begin`. `glued`: it may also stand right behind a letter, if its body looks
    random. `whole`: the placeholder replaces the beginning too.
    """

    begin: str
    kind: str
    body: str = r"\w-"
    least: int = 12
    glued: bool = True
    whole: bool = True


_TOKEN = r"A-Za-z0-9._~+/=\-"
_SHAPES = (
    _Shape("xai-realtime-client-secret-", "client-secret", _TOKEN, 4),
    _Shape("xai-client-secret.", "client-secret", _TOKEN, 4, whole=False),
    _Shape("openai-insecure-api-key.", "api-key", _TOKEN, 4, whole=False),
    _Shape("xai-", "api-key"),
    _Shape("sk-", "api-key", least=8),
    _Shape("ek_", "client-secret", least=8),
    *(_Shape(f"gh{letter}_", "api-key", r"\w-", 20) for letter in "opsru"),
    *(_Shape(f"xox{letter}-", "api-key", r"\w-", 10) for letter in "abeprs"),
    *(
        _Shape(begin, "api-key", r"\w-", 20)
        for begin in ("gsk_", "hf_", "github_pat_", "sk_live_", "sk_test_", "rk_live_", "npm_", "dop_v1_", "shpat_")
    ),
    *(
        _Shape(begin, "api-key", r"A-Za-z0-9_.\-", 16)
        for begin in ("glpat-", "pypi-", "lin_api_", "r8_", "pplx-", "nvapi-", "sntrys_", "SG.", "ya29.", "tvly-")
    ),
    _Shape("whsec_", "secret", r"A-Za-z0-9+/=_\-", 12),
    _Shape("hooks.slack.com/services/", "token", r"\w/-", 20, whole=False),
    _Shape("AGE-SECRET-KEY-1", "private-key", "A-Z0-9", 20),
)
_BY_BEGIN = {shape.begin: shape for shape in _SHAPES}
_OTHERS = ("eyJ", "AKIA", "ASIA", "AIza", "-----BEGIN ")
_BEGIN = re.compile("|".join([*map(re.escape, sorted(_BY_BEGIN, key=len, reverse=True)), *_OTHERS]))
_BY_MARK = tuple((mark, tuple(begin for begin in (*_BY_BEGIN, *_OTHERS) if mark in begin)) for mark in ("-", "_", "."))
"""Most beginnings hold one of three marks. Looking for each by itself is quicker than looking for all at once."""
_UNMARKED = tuple(begin for begin in (*_BY_BEGIN, *_OTHERS) if not any(mark in begin for mark, _ in _BY_MARK))


def may_hold(text: str) -> bool:
    """Whether `find` may find something. No means that it does not."""
    for begin in _UNMARKED:
        if begin in text:
            return True
    for mark, begins in _BY_MARK:
        if mark in text:
            for begin in begins:
                if begin in text:
                    return True
    return False


def find(text: str) -> Iterator[Found]:
    """Every key in the text that is known by its form, in order. They do not overlap."""
    runs: dict[str, Runs] = {}
    done = 0
    for begin in windows(_BEGIN, text):
        if begin.start() < done:
            continue
        match begin[0]:
            case "eyJ":
                found = _web_token(text, begin.start(), runs)
            case "-----BEGIN ":
                found = _private_key(text, begin.start())
            case "AKIA" | "ASIA" | "AIza":
                found = _cloud_key(text, begin.start(), runs)
            case name:
                found = _key(text, begin.start(), _BY_BEGIN[name], runs)
        if found is not None:
            done = found.end
            yield found


def _run(text: str, characters: str, runs: dict[str, Runs]) -> Runs:
    if characters not in runs:
        runs[characters] = Runs(text, characters)
    return runs[characters]


def _key(text: str, at: int, shape: _Shape, runs: dict[str, Runs]) -> Found | None:
    inside = at + len(shape.begin)
    end = _run(text, shape.body, runs).end(inside)
    if end - inside < shape.least:
        return None
    body = text[inside : min(end, inside + values.LOOKED_AT)]
    behind_word = at > 0 and text[at - 1].isascii() and text[at - 1].isalnum()
    if shape.least >= 8:
        if body.startswith("client-secret.") or (values.only_words(body) if not behind_word else not _telling(body)):
            return None
    return Found(at if shape.whole else inside, end, shape.kind)


def _telling(body: str) -> bool:
    """Whether it must be a key, whatever stands before it: `ask-…` and `week_…` are words."""
    return len(body) >= 16 and values.mixed(body) >= 3


def _cloud_key(text: str, at: int, runs: dict[str, Runs]) -> Found | None:
    google = text.startswith("AIza", at)
    end = min(_run(text, r"\w-" if google else "A-Z0-9", runs).end(at), at + (39 if google else 20))
    if end - at < (34 if google else 20):
        return None
    around = _run(text, r"A-Za-z0-9+/", runs)
    begin = at
    while begin > 0 and at - begin <= LONGEST_GLUED and (text[begin - 1].isalnum() or text[begin - 1] in "+/"):
        begin -= 1
    return Found(at, end, "api-key") if around.end(at) - begin <= LONGEST_GLUED else None


def _web_token(text: str, at: int, runs: dict[str, Runs]) -> Found | None:
    """Two or three parts of base64, separated by dots."""
    first = _run(text, r"A-Za-z0-9_\-", runs).end(at)
    if first - at < 11 or not text.startswith(".", first):
        return None
    dotted = _run(text, r"A-Za-z0-9_.\-", runs)
    return Found(at, dotted.end(first), "jwt") if dotted.end(first) - first > 4 else None


def _private_key(text: str, at: int) -> Found | None:
    if "PRIVATE KEY" not in text[at : at + 60]:
        return None
    end = text.find("-----END", at)
    return Found(at, len(text) if end < 0 else end, "private-key")
