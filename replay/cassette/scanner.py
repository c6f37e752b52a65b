"""Finds the secrets in a message: in text, in JSON and the strings within it, and in base64.

JSON is walked, not parsed: positions are those of the raw text, and what is not quite JSON (cut off, with NaN) is
walked as far as it goes, and searched as text too. Sound and images are left alone (replay/secrets/media.py). Each part
of a message is looked at a bounded number of times, so that the time is in proportion to its size.

Works on text with one character per byte (latin-1), so that positions are byte offsets, and on any other str.
"""

from __future__ import annotations

import re
import sys
from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from urllib.parse import quote, quote_plus, unquote_plus

from replay.cassette import json_text
from replay.cassette.skeletons import LONGEST, Skeletons, apart, is_apart
from replay.secrets import media, names, shapes, text, values
from replay.secrets.named import LEAST, Secrets, matches

DEEPEST = 5
"""Strings within strings, and base64 within base64, that are looked into."""
DEEPEST_JSON = 1000
"""Objects and arrays within each other."""
REMEMBERED, _LONGEST_REMEMBERED = 4096, 200
"""Short texts in which nothing was found, and characters of the longest: types, ids and names come again and again."""
_AS_KEY = 0
"""In the place of a depth: the string is a key."""
MOST_KNOWN = 1000
"""Values that are learned on the way, besides those named at the start. The oldest is forgotten first."""

_PLACEHOLDER = re.compile(r"(?:\w+ +)?<scrubbed:[a-z-]+>\.*")
"""Only for `match`: a search takes quadratic time in a long word."""
_SCRUBBED = re.compile(r"<scrubbed:[a-z-]+>")
_RUN = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_ENCODED = re.compile(r"[^\s\"'\\]+")
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_IN_URLS = "/?&=:+,;@!$()*~#[]<>"
_URLSAFE = str.maketrans("-_", "+/")
_SHORT_RUN = 4096
"""Longest run of base64 characters that may begin elsewhere than at its start, in characters."""
_LEAST_IN_BYTES = 16
"""Shortest secret that is looked for among bytes that are no text, in characters: shorter ones are chance."""
_NUMBER = re.compile(r"\s*(-?\d[\d.eE+-]*)")
_NESTING = re.compile(r"[][{}]")
_SOUND = re.compile(r'"(?:audio|delta)"\s*:\s*"')
_GAP = re.compile(r"(?:[\s\[\]{}:,]|-?\d[\d.eE+-]*(?![\d.eE+-])|true|false|null)*")  # a number has one end
_LONG_GAP = re.compile(r"[\s\[\]{}:,\d.eE+truefalsn-]*")
_LEAST_TEXT = 4
"""Shortest text that may hold a secret, in characters."""
_LONG_NAME = 40
"""Characters from which a key in JSON is searched like a text."""
_LONGEST_GAP = 64 << 10
_SCHEMA_VALUES = ("default", "const", "enum", "example", "examples")
_TELLING_KEYS = ("", "headers", "properties")
_NAMING = ("name", "key", "header", "field", "variable", "env")
_NAMED = ("value", "val", "secret")


class Uncheckable(Exception):
    """Why something cannot be checked. The message never quotes it."""


@dataclass(frozen=True, slots=True)
class Hit:
    """`text[start:end]` is a secret. With `instead` it holds an encoded one, and `instead` is its replacement."""

    start: int
    end: int
    kind: str
    instead: str | None = None


def is_placeholder(text: str) -> bool:
    """Whether all of a text stands where a secret was."""
    return "<scrubbed:" in text and _PLACEHOLDER.fullmatch(text) is not None


@dataclass(slots=True)
class _Level:
    """An object or array that is open: what is known of it so far."""

    is_object: bool
    key: str = ""
    """The key that the next value belongs to; in an array, the array's own."""
    around: str = ""
    """The nearest name around it that tells of a secret."""
    kind: str | None = None
    """Set if each string within is a secret."""
    described: bool = False
    """Below `properties`: a name is a parameter's, and its object describes the parameter."""
    type: str = ""
    naming: str = ""
    """The telling name in `name` of `{"name": …, "value": …}`."""
    valued: list[tuple[int, int]] = field(default_factory=list)
    media: list[tuple[str, int, int]] = field(default_factory=list)
    """Strings that are sound or an image if the type of the object says so."""
    before: str = ""
    """The string before, in an array."""


class Scanner:
    """Finds secrets. `secrets`: what to look for besides known names and forms."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._known: dict[str, None] = {}
        self._harmless: set[tuple[str, int]] = set()
        """Short strings in which nothing was found, and messages without their sound; with their depth."""
        self._skeletons = Skeletons()
        self._plain_values: set[str] = set()
        """Values of skeletons in which nothing was found."""
        self._named = sys.maxsize  # meanwhile none is forgotten
        for value in secrets.values:
            self.learn(value)
        self._named = len(self._known)

    def learn(self, secret: str) -> None:
        """Look for this value from now on: as it is, URL-encoded and in base64. Values under 8 characters are
        ignored.
        """
        secret = secret.strip()
        if len(secret) >= LEAST and not is_placeholder(secret):
            # Text is searched with one character per byte, so the key has that form too.
            plain = secret.encode("utf-8", "surrogateescape").decode("latin-1")
            self._known.update(
                dict.fromkeys(
                    (plain, secret, quote(secret, safe="", errors="replace"), quote_plus(secret, errors="replace"))
                )
            )
            if len(self._known) - self._named > MOST_KNOWN + 4:
                learned = list(self._known)[self._named :]
                for value in learned[: len(learned) - MOST_KNOWN]:
                    del self._known[value]
            # New ones: another thread may still add to the old ones what it found before.
            self._harmless, self._skeletons, self._plain_values = set(), Skeletons(), set()

    def hits(self, message: str, depth: int = DEEPEST) -> Iterable[Hit]:
        """Every secret in a text. Some may overlap. Raises Uncheckable."""
        if depth == 0:
            raise Uncheckable("it is nested too deep to be checked")
        if message.lstrip()[:1] not in ("{", "[", '"'):
            return self.in_text(message, depth)
        harmless, place = self._harmless, _sound_place(message)
        rest = "" if place is None else message[: place[0]] + message[place[1] :]
        if place is not None and (rest, depth) in harmless and media.is_base64(message[slice(*place)]):
            return []  # all that differs from a message without secrets is its sound, which is not looked at
        if place is None:
            rest, sound = message, 0
        else:
            sound = message.count('"', 0, place[0])
        skeleton, skeletons = None, self._skeletons
        if len(rest) <= LONGEST and "\\" not in rest and not (self._secrets.patterns or self._secrets.paths):
            skeleton, values = apart(rest)
            if (
                skeletons.holds(skeleton, sound, depth)
                and self._is_plain(rest, values)
                and (place is None or media.is_base64(message[slice(*place)]))
            ):
                return []
        walk = _Walk(self, message, depth)
        found = walk.hits()
        if not found and walk.left_alone == ([] if place is None else [place]):
            if place is not None:
                self._remember(harmless, rest, depth)
            if skeleton is not None and walk.is_plain and is_apart(rest):
                skeletons.keep(skeleton, sound, depth)
        return found

    def _is_plain(self, message: str, values: list[str | None]) -> bool:
        """Whether nothing is found in any of these values of a message, nor by a known value in the message. No means
        that something may be found."""
        for known in tuple(self._known):  # another thread may learn more
            if known in message:
                return False
        plain = self._plain_values
        if not (new := [value for value in values if value and value not in plain]):
            return True
        joined = '"'.join(new)  # no run of base64 and no name reaches across a quote
        if "%" in joined or shapes.may_hold(joined) or text.may_hold(joined):
            return False
        for run in _RUN.findall(joined):
            coded = run.rstrip("=").translate(_URLSAFE)
            skips = range(4 if len(run) <= _SHORT_RUN else 1)
            decoded = [a2b_base64(coded[skip : len(coded) - ((len(coded) - skip) % 4 == 1)] + "==") for skip in skips]
            if any(map(bytes.isascii, decoded)) or shapes.may_hold(whole := b'"'.join(decoded).decode("latin-1")):
                return False
            if any(known in whole for known in tuple(self._known)):
                return False
        if len(plain) + len(new) > REMEMBERED:
            plain.clear()
        plain.update([value for value in new if len(value) <= _LONGEST_REMEMBERED])
        return True

    def in_bytes(self, data: str, depth: int = DEEPEST) -> Iterator[Hit]:
        """Every secret among bytes that may be sound: keys by their form, and known values. `data` has one character
        per byte.
        """
        if _readable(data):
            yield from self.hits(data, depth)
            return
        for found in shapes.find(data):
            if found.end - found.start >= _LEAST_IN_BYTES:
                yield Hit(found.start, found.end, found.kind)
        for hit in self.exact(data):
            if hit.end - hit.start >= _LEAST_IN_BYTES or hit.kind == "named":
                yield hit

    def exact(self, message: str) -> Iterator[Hit]:
        """The known values in a text, and the user's patterns."""
        for known in tuple(self._known):  # another thread may learn more
            at = message.find(known)
            while at >= 0:
                yield Hit(at, at + len(known), "key")
                at = message.find(known, at + len(known))
        for pattern in self._secrets.patterns:
            for found in matches(pattern, message):
                group = 1 if pattern.groups else 0
                if found.end(group) > found.start(group) >= 0:
                    yield Hit(*found.span(group), "named")

    def named_path(self, keys: tuple[str, ...]) -> bool:
        """Whether the user named this place in JSON."""
        return bool(self._secrets.paths) and self._secrets.covers(keys)

    @property
    def has_paths(self) -> bool:
        """Whether the user named places in JSON."""
        return bool(self._secrets.paths)

    def in_text(self, message: str, depth: int) -> list[Hit]:
        """Every secret in a text that is no JSON."""
        found = [*self._plain(message), *self._in_base64(message, depth)]
        if "%" in message:
            found += self._percent_encoded(message, found[:], depth)
        return found

    def _plain(self, message: str) -> Iterator[Hit]:
        for found in shapes.find(message):
            yield Hit(found.start, found.end, found.kind)
        yield from self.exact(message)
        for found in text.find(message):
            put = _PLACEHOLDER.match(message, found.start)
            if put is None or put.end() < found.end:
                yield Hit(found.start, found.end, found.kind)

    def _percent_encoded(self, message: str, others: list[Hit], depth: int) -> Iterator[Hit]:
        """The secrets in words that are percent-encoded, as parts of a URL are, and in which none was found so far."""
        ends = iter(sorted((hit.end, hit.start) for hit in others))
        end, start = next(ends, (0, 0))
        for word in _ENCODED.finditer(message):
            while end and end <= word.start():
                end, start = next(ends, (0, 0))
            if (end and start < word.end()) or "%" not in word[0] or _PERCENT.search(word[0]) is None:
                continue
            plain = unquote_plus(word[0], "latin-1")
            if depth == 1:
                raise Uncheckable("it is nested too deep to be checked")
            if hits := list(self._plain(plain)):
                put = quote(without(plain, hits, False), safe=_IN_URLS, encoding="latin-1", errors="replace")
                yield Hit(word.start(), word.end(), "encoded", put)

    def in_string(self, raw: str, depth: int) -> list[Hit]:
        """The secrets in the raw text of a JSON string; positions are those of the raw text."""
        harmless = self._harmless
        if (raw, depth) in harmless or len(raw) < _LEAST_TEXT:
            return []
        if "\\" in raw:
            plain, places = json_text.unescaped(raw)
            hits = self.hits(plain, depth - 1)
            found = [replace(hit, start=places[hit.start], end=places[hit.end]) for hit in hits]
        else:
            found = self.in_text(raw, depth)
        if not found:
            self._remember(harmless, raw, depth)
        return found

    def in_name(self, raw: str) -> list[Hit]:
        """The secrets in a key that is a short identifier."""
        harmless = self._harmless
        if (raw, _AS_KEY) in harmless:
            return []
        found = [Hit(each.start, each.end, each.kind) for each in shapes.find(raw)]
        found += self.exact(raw)
        if not found:
            self._remember(harmless, raw, _AS_KEY)
        return found

    def _remember(self, harmless: set[tuple[str, int]], raw: str, depth: int) -> None:
        if len(raw) <= _LONGEST_REMEMBERED:
            if len(harmless) >= REMEMBERED:
                harmless.clear()
            harmless.add((raw, depth))

    def _in_base64(self, message: str, depth: int) -> Iterator[Hit]:
        if len(message) < 16:
            return
        for run in _RUN.finditer(message):
            coded = run[0].rstrip("=")
            plainly = coded.translate(_URLSAFE)
            for skip in range(4 if run.end() - run.start() <= _SHORT_RUN else 1):
                start, end = run.start() + skip, len(coded) - ((len(coded) - skip) % 4 == 1)
                plain = a2b_base64(plainly[skip:end] + "==").decode("latin-1")
                if not self._suspicious(plain):
                    continue
                chars = coded[skip:end]
                if depth == 1:
                    raise Uncheckable("it is nested too deep to be checked")
                found = self.hits(plain, depth - 1) if plain.isascii() else self.in_bytes(plain, depth - 1)
                if hits := list(found):
                    put = b64encode(without(plain, hits, True).encode("latin-1")).decode().rstrip("=")
                    if "-" in chars or "_" in chars:
                        put = put.replace("+", "-").replace("/", "_")
                    yield Hit(start, start + len(chars), "encoded", put)
                    break

    def _suspicious(self, plain: str) -> bool:
        """Whether decoded bytes need a closer look. Nearly all of them are sound or ids."""
        return (
            plain.isascii()
            or shapes.may_hold(plain)
            or any(known in plain for known in tuple(self._known))  # another thread may learn more
            or any(pattern.search(plain) for pattern in self._secrets.patterns)
        )


class _Walk:
    """One pass over a text that begins like JSON."""

    def __init__(self, scanner: Scanner, message: str, depth: int) -> None:
        self._scanner = scanner
        self._message = message
        self._depth = depth
        self._stack = [_Level(False)]
        self._found: list[Hit] = []
        self.left_alone: list[tuple[int, int]] = []
        """Where sound and images are that were not looked at, if the message is JSON."""
        self.is_plain = False
        """Whether the message is JSON, in which no key says anything of a value."""

    def hits(self) -> list[Hit]:
        """Every secret in it."""
        message, done, is_json, is_plain = self._message, 0, True, True
        for begin, end, stop, is_key in json_text.strings(message):
            if message[done : begin - 1] != ",":
                is_json = is_json and self._is_gap(done, begin - 1)
                self._gap(done, begin - 1)
            done = stop
            if is_key:
                self._take_key(begin, end)
                is_plain = is_plain and _says_nothing(self._stack[-1].key)
                if number := _NUMBER.match(message, done):
                    self._take_number(number)
            else:
                self._take_string(begin, end)
        self._gap(done, len(message))
        while len(self._stack) > 1:
            self._close()
        if not is_json or not self._is_gap(done, len(message)):
            self.left_alone.clear()
            self._found += self._scanner.in_text(message, self._depth)
            is_plain = False
        self.is_plain = is_plain
        return self._found

    def _is_gap(self, start: int, end: int) -> bool:
        form = _GAP if end - start <= _LONGEST_GAP else _LONG_GAP
        return form.fullmatch(self._message, start, end) is not None

    def _gap(self, start: int, end: int) -> None:
        """What is between two strings: brackets open and close, and numbers may be known values."""
        if end - start > _LEAST_TEXT:
            for hit in self._scanner.exact(self._message[start:end]):
                self._found.append(Hit(start + hit.start, start + hit.end, hit.kind, "0" * (hit.end - hit.start)))
        for nesting in _NESTING.finditer(self._message, start, end):
            if nesting[0] in "{[":
                self._open(nesting[0] == "{")
            elif len(self._stack) > 1:
                self._close()

    def _open(self, is_object: bool) -> None:
        if len(self._stack) > DEEPEST_JSON:
            raise Uncheckable("it is nested too deep to be checked")
        outer = self._stack[-1]
        inner = _Level(is_object, around=outer.around, kind=outer.kind, described=outer.described)
        inner.key = "" if is_object else outer.key
        if outer.is_object and outer.key:
            key = outer.key
            if names.internal(key):
                inner.kind = "internal"
            elif key.lower() == "properties":
                inner.described = True
            elif key.lower() == "headers" and not outer.described:
                inner.kind = inner.kind or "header"
            elif names.strength(key) is not None:
                inner.around = key
                inner.described = outer.described
        self._stack.append(inner)

    def _close(self) -> None:
        level = self._stack.pop()
        for key, start, end in level.media:
            if media.holds(key, level.type):
                self.left_alone.append((start, end))
            else:
                self._in_value(start, end)

    def _take_key(self, start: int, end: int) -> None:
        level = self._stack[-1]
        raw = self._message[start:end]
        level.key = json_text.unescaped(raw)[0] if "\\" in raw else raw
        if "<" in raw and _SCRUBBED.search(raw):
            level.key = ""  # it names a secret, and is none
        if len(raw) >= _LONG_NAME or not raw.isidentifier():
            self._in_value(start, end)
            return
        for hit in self._scanner.in_name(raw):
            self._found.append(replace(hit, start=start + hit.start, end=start + hit.end))

    def _take_number(self, number: re.Match[str]) -> None:
        level = self._stack[-1]
        kind = "internal" if level.kind == "internal" or names.internal(level.key) else None
        if kind is None and names.strength(level.key) == "secret" and not level.described:
            kind = names.kind(level.key)
        if kind is None and self._is_named(level.key):
            kind = "named"
        if kind is not None and number[1] != "0":
            self._found.append(Hit(*number.span(1), kind, "0"))

    def _take_string(self, start: int, end: int) -> None:
        level = self._stack[-1]
        raw = self._message[start:end]
        before, level.before = level.before, raw if not level.is_object else ""
        if raw == "" or is_placeholder(raw):
            return
        if level.is_object and level.key == "type":
            level.type = raw
        if level.is_object and media.may_hold(level.key) and media.is_base64(raw) and not _is_key(raw):
            level.media.append((level.key, start, end))
            return
        if media.is_media(level.key, raw):
            return
        if (kind := self._by_name(level, raw, before)) is not None:
            self._found.append(Hit(start, end, kind))
            return
        key = level.key.lower() if level.is_object else ""
        if key in _NAMING and names.strength(raw) is not None:
            level.naming = raw
            for at, to in level.valued:
                if names.tells(raw, self._message[at:to]):
                    self._found.append(Hit(at, to, names.kind(raw)))
        if key in _NAMED:
            if level.naming and names.tells(level.naming, raw):
                self._found.append(Hit(start, end, names.kind(level.naming)))
                return
            level.valued.append((start, end))
        self._in_value(start, end)

    def _in_value(self, start: int, end: int) -> None:
        for hit in self._scanner.in_string(self._message[start:end], self._depth):
            self._found.append(replace(hit, start=start + hit.start, end=start + hit.end))

    def _by_name(self, level: _Level, raw: str, before: str) -> str | None:
        """The kind of secret that a string is, judged by the names around it."""
        key = level.key
        if level.kind is not None or names.internal(key):
            return level.kind or "internal"
        if key.lower() == "headers" and level.is_object and not level.described:
            return "header"
        if self._is_named(key):
            return "named"
        if level.is_object or level.key:
            # Below `properties`, a parameter may have a secret as its default.
            if not level.described and names.tells(key, raw):
                return names.kind(key)
            if level.around and (not level.described or key in _SCHEMA_VALUES) and names.tells(level.around, raw):
                return names.kind(level.around)
        if before and (names.tells(before, raw) if before.startswith("-") else values.random(raw)):
            if names.strength(before) is not None and (not values.ordinary(raw) or values.random(raw)):
                return names.kind(before)
        return None

    def _is_named(self, key: str) -> bool:
        if not self._scanner.has_paths:
            return False
        keys = [level.key for level in self._stack if level.is_object]
        return self._scanner.named_path((*filter(None, keys),))


@lru_cache(maxsize=4096)
def _says_nothing(key: str) -> bool:
    """Whether a value under this key is judged by itself."""
    telling = names.internal(key) or names.strength(key) is not None
    return not telling and key.lower() not in (*_TELLING_KEYS, *_NAMING, *_NAMED)


def _sound_place(message: str) -> tuple[int, int] | None:
    """Where the first long value of `audio` or `delta` is in a JSON text; None if there is none."""
    if len(message) <= _LONGEST_REMEMBERED or (found := _SOUND.search(message)) is None:
        return None
    end = message.find('"', found.end())
    return (found.end(), end) if end - found.end() > _LONGEST_REMEMBERED else None


def _is_key(raw: str) -> bool:
    """Whether a short string is a key from its first character to its last."""
    return len(raw) < 200 and any(found.start == 0 and found.end == len(raw) for found in shapes.find(raw))


def _readable(data: str) -> bool:
    """Whether bytes are text: ASCII, or UTF-8 without control characters. Sound is not."""
    if data.isascii():
        return data[:4096].replace("\n", "").replace("\r", "").replace("\t", "").isprintable()
    try:
        return data.encode("latin-1").decode()[:4096].translate({9: None, 10: None, 13: None}).isprintable()
    except UnicodeError:
        return False


def placeholder(kind: str) -> str:
    """What is written in the place of a secret."""
    return f"<scrubbed:{kind}>"


def without(message: str, hits: Iterable[Hit], same_length: bool) -> str:
    """The text with each hit replaced. Overlapping hits are replaced together."""
    parts: list[str] = []
    done = 0
    for hit in _apart(hits):
        put = placeholder(hit.kind) if hit.instead is None else hit.instead
        if same_length:
            put = put[: hit.end - hit.start].ljust(hit.end - hit.start, ".")
        parts += (message[done : hit.start], put)
        done = hit.end
    return "".join((*parts, message[done:]))


def _apart(hits: Iterable[Hit]) -> list[Hit]:
    apart: list[Hit] = []
    for hit in sorted(hits, key=lambda hit: (hit.start, -hit.end, hit.instead is not None)):
        if apart and hit.start < apart[-1].end:
            last = apart[-1]
            if hit.instead is None or hit.end > last.end:
                named = hit.kind if last.instead is not None else last.kind
                apart[-1] = Hit(last.start, max(last.end, hit.end), named)
        else:
            apart.append(hit)
    return apart
