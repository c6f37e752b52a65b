"""Secrets in text by what stands beside them: `password: …`, `?api_key=…`, `https://user:…@host`, `Authorization: …`,
`--api-key …`, `<password>…</password>`.

Each place that could be one is looked at by itself, with a bounded number of characters around it: nothing that is
looked at is lost for the next place, and the time is in proportion to the text.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from urllib.parse import unquote

from replay.secrets import names, values
from replay.secrets.shapes import Found, Runs, windows

_BEFORE = 80
"""Characters before a colon or equals sign in which the name is looked for."""
_QUOTED = 4096
"""Longest quoted value, in characters."""

_SIGN = re.compile(r"[:=]|\b(?:is|was|to|ist|lautet|es|est)\b|-> |→", re.IGNORECASE)
# Read from the sign backwards, hence mirrored: quotes and spaces, the name, up to two words before it.
_NAME = re.compile(r"[ \t]{0,8}[\"'`*\\)\]]{0,4}[ \t]?([\w.%$\[\xb1\\-]{1,60})((?: [\w-]{1,24}){0,2})")
_ESCAPED = re.compile(r"\\u00([0-9a-fA-F]{2})")
_VALUE_BEGIN = re.compile(r"[=>]?[ \t]{0,8}\r?\n?[ \t]{0,8}(\\*)([\"'`]?)")
_NEXT_PAIR = re.compile(r"[&#;][\w.%\[\]-]{1,60}=")
_SCHEME = re.compile(r"([A-Za-z][\w-]{1,30})[ \t]+(?=[^\s\"'])")
_SCHEMES = frozenset("bearer basic token digest apikey api-key key oauth negotiate ntlm aws4-hmac-sha256".split())
_FLAG = re.compile(r"(?<![\w-])--?([A-Za-z][\w-]{1,40})[ \t=]{1,4}[\"']?(?=[^\s-])")
_USER = re.compile(r"(?<!\S)(?:-u|-U|--user|--proxy-user)[ \t=]{0,4}[\"']?([^\s:\"']{1,100}):(?=\S)")
_NAME_ALONE = re.compile(
    r"\b(?:pass(?:word|wd|wort|phrase|code)|pwd|secret|token|(?:api|access|secret)[ _-]?key|kennwort)[ \t]{1,4}(?=\S)",
    re.IGNORECASE,
)
_BASIC = re.compile(r"\bbasic[ \t]{1,4}(?=[A-Za-z0-9+/])", re.IGNORECASE)
_BEARER = re.compile(r"\bbearer[ \t]{1,4}(?=[A-Za-z0-9])", re.IGNORECASE)
_ELEMENT = re.compile(r"<([A-Za-z][\w:.-]{1,40})>(?=[^<\s])")
_TO_FILL_IN = re.compile(r"<[A-Za-z][a-z _.-]{0,40}>")
_TAIL = ".,;:!?)]}>'`\\"
_REST_OF_URL = r"^\s\"'<>`\\\\"

_HINTS = (
    *("key", "secret", "pass", "pw", "auth", "token", "cred", "bearer", "basic", "cookie", "sid", "sess", "dsn", "jwt"),
    *("sig", "sas", "hmac", "kennwort", "contrase", "wachtwoord", "senha", "pswd"),
    *("%", "\\", "\u017f", "\xf1", "\xb1"),  # a name may be encoded, or written with a long s, or an n with a tilde
)
"""One of these, in small letters, is in each text with a telling name."""


def may_hold(text: str) -> bool:
    """Whether `find` may find something in one of several texts, joined by quotes. No means that it does not."""
    if not (":" in text or "=" in text or " " in text or "\t" in text or "</" in text):
        return False
    if "://" in text:
        return True
    small = text.lower()
    for hint in _HINTS:
        if hint in small:
            return True
    return ":" in text and "-u" in small


def find(text: str) -> Iterator[Found]:
    """Every secret in the text that something beside it gives away. Some may overlap."""
    if len(text) < 6:
        return
    if ":" in text or "=" in text or " " in text:
        yield from _assigned(text, Runs(text, r"^\s\""))
    if " " in text or "\t" in text:
        yield from _spoken(text, Runs(text, r"^\s\""))
    if "://" in text:
        yield from _user_info(text, Runs(text, _REST_OF_URL))
    if "</" in text:
        for element in windows(_ELEMENT, text):
            if names.strength(element[1]) is not None:
                value = text[element.end() : element.end() + _QUOTED].partition("<")[0]
                if names.tells(element[1], value):
                    yield Found(element.end(), element.end() + len(value), names.kind(element[1]))


def _assigned(text: str, runs: Runs) -> Iterator[Found]:
    """`name: value`, `name = "value"`, `?name=value`, `the name is value`."""
    done = 0
    for sign in windows(_SIGN, text):
        if sign.start() < done:
            continue
        name = _name_before(text, sign.start())
        if name is None:
            continue
        found = _value_after(text, sign.end(), name, sign[0], runs)
        if found is not None and found.end > found.start:
            done = found.end
            yield found


def _name_before(text: str, at: int) -> str | None:
    """The name before a sign that could tell of a secret: one word, or up to three as in `the API key`."""
    mirrored = text[max(0, at - _BEFORE) : at][::-1]
    found = _NAME.match(mirrored)
    if found is None:
        return None
    near, far = found[1][::-1], found[2][::-1].split()
    near = unquote(near) if "%" in near else near
    near = _ESCAPED.sub(lambda code: chr(int(code[1], 16)), near) if "\\u" in near else near
    for name in (near, *(" ".join((*far[skip:], near)) for skip in range(len(far) - 1, -1, -1))):
        if names.strength(name) is not None:
            return name
    return None


def _value_after(text: str, at: int, name: str, sign: str, runs: Runs) -> Found | None:
    begin = _VALUE_BEGIN.match(text, at)
    assert begin is not None
    start, quote = begin.end(), begin[1] + begin[2]
    plain = names.normal(name)
    if begin[2]:
        end = text.find(quote, start, start + _QUOTED)
        if end >= 0:
            return _judged(text, start, end, name)
        quote = ""
    if start >= len(text) or text[start] in "{[" or _TO_FILL_IN.match(text, start):
        return None
    if "cookie" in plain and sign != "=":
        line = text[start : start + _QUOTED].splitlines()[0] if text[start] not in "\r\n" else ""
        return Found(start, start + len(line), "cookie") if "=" in line[:100] else None
    if "authorization" in plain or plain.endswith("auth"):
        scheme = _SCHEME.match(text, start)
        if scheme is not None:
            return _credentials(text, scheme, runs)
    end = runs.end(start)
    if (pair := _NEXT_PAIR.search(text, start, min(end, start + _QUOTED))) is not None:
        end = pair.start()
    elif end < len(text) and text[end] == '"' and text[start:end].endswith("\\"):
        end -= 1
    while end > start and text[end - 1] in _TAIL:
        end -= 1
    value = text[start : min(end, start + values.LOOKED_AT)]
    if sign not in ("=", ":"):  # a sentence
        return Found(start, end, names.kind(name)) if _secret_looking(value) else None
    if sign == ":" and value.isalpha() and values.ordinary(value) and text[end : end + 2].strip():
        return None  # `Password: required at the desk`
    if names.strength(name) == "secret" and (len(value) < 4 or _placeholder(value)):
        return None
    if sign == ":" and value.isalpha() and value.islower() and len(value) <= 14 and text[end : end + 1] in (" ", ","):
        return None
    return Found(start, end, names.kind(name)) if value and names.tells(name, value) else None


def _judged(text: str, start: int, end: int, name: str) -> Found | None:
    value = text[start:end]
    return Found(start, end, names.kind(name)) if value and names.tells(name, value) else None


def _placeholder(value: str) -> bool:
    return (value[:1] in "$<{%*" and values.ordinary(value)) or value.lower() in ("true", "false", "null", "none")


def _secret_looking(value: str) -> bool:
    """With a name before it and no sign between them, only what no word looks like."""
    has_both = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    return len(value) >= 6 and has_both and not values.ordinary(value)


def _credentials(text: str, scheme: re.Match[str], runs: Runs) -> Found | None:
    """What follows the scheme of an authorization header."""
    start = scheme.end()
    end = runs.end(start)
    if scheme[1].lower() in ("digest", "oauth", "aws4-hmac-sha256"):
        line = text[start : start + _QUOTED].splitlines()[0]
        return Found(start, start + len(line), "authorization") if "=" in line else None
    value = text[start : min(end, start + values.LOOKED_AT)].rstrip(_TAIL)
    if scheme[1].lower() in _SCHEMES:
        kept = len(value) >= 8 and not value.isalpha()
    else:
        kept = _secret_looking(value)
    return Found(start, max(start + len(value), end - 1 if len(value) >= 200 else 0), "authorization") if kept else None


def _spoken(text: str, runs: Runs) -> Iterator[Found]:
    """`--password value`, `-u user:value`, `password value`, `Basic value`, `Bearer value`."""
    places = [
        *((found, found[1]) for found in windows(_FLAG, text) if names.strength(found[1]) is not None),
        *((found, "") for form in (_USER, _NAME_ALONE, _BASIC, _BEARER) for found in windows(form, text)),
    ]
    for found, flag in sorted(places, key=lambda place: place[0].end()):
        start, end = found.end(), runs.end(found.end())
        value = text[start : min(end, start + values.LOOKED_AT)].rstrip(_TAIL)
        end = start + len(value) if len(value) < values.LOOKED_AT - 20 else end
        match found.re.pattern:
            case _FLAG.pattern:
                told = names.strength(flag) == "secret" or names.tells(flag, value)
                secret = told and ("=" in found[0] or not values.ordinary(value))
                named = names.kind(flag)
            case _USER.pattern:
                secret, named = len(value) >= 1, "password"
            case _NAME_ALONE.pattern:
                secret, named = _secret_looking(value) and values.mixed(value) >= 2, names.kind(found[0].strip())
            case _BASIC.pattern:
                secret, named = _is_basic(value), "authorization"
            case _:
                secret = (len(value) >= 8 and not value.isalpha() and not values.ordinary(value[:4])) or values.random(
                    value
                )
                named = "bearer"
        if secret:
            yield Found(start, end, named)


def _is_basic(value: str) -> bool:
    """Whether it is base64 of `user:password`."""
    coded = re.match(r"[A-Za-z0-9+/_-]*", value)
    chars = coded[0] if coded else ""
    try:
        plain = b64decode(chars[: len(chars) // 4 * 4] if len(chars) % 4 == 1 else chars + "=" * (-len(chars) % 4))
    except ValueError:
        return False
    return b":" in plain and plain.isascii()


def _user_info(text: str, runs: Runs) -> Iterator[Found]:
    """The password of `scheme://user:password@host`, and a user that looks like a key."""
    at = text.find("://")
    while at >= 0:
        start = at + 3
        whole = text[start : min(runs.end(start), start + 1024)] if start < len(text) else ""
        before_path = re.split(r"[/?#]", whole, maxsplit=1)[0]
        user, colon, password = before_path.partition(":")
        if "@" in before_path:
            info = before_path.rpartition("@")[0]
        elif colon and password and not password.isdigit() and "@" in whole:  # a slash in the password
            info = whole.rpartition("@")[0]
        else:
            info = ""
        user, colon, password = info.partition(":")
        if password and not _placeholder(password):
            yield Found(start + len(user) + 1, start + len(info), "password")
        elif user and not colon and values.random(user):
            yield Found(start, start + len(info), "password")
        at = text.find("://", start)
