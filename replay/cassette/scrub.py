"""Secrets that must never reach a file: keys, tokens, client secrets, cookies, and internal fields of a provider.

Secrets are found in four ways: by header name (only known harmless headers keep their value); by the form of keys; by
exact value, for keys seen in a handshake, also URL-encoded and in base64; by the name of a JSON key. A message without
secrets stays the same, byte for byte. Otherwise only the secret's bytes are replaced, by a placeholder such as
`<scrubbed:api-key>`. What cannot be checked becomes a `Dropped`.

Not found: a secret that is cut into several messages, and one that is spoken.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from typing_extensions import assert_never

from replay.cassette import json_text
from replay.cassette.frames import Binary, Close, Reset, Text
from replay.cassette.records import (
    Content,
    Dropped,
    Headers,
    Request,
    Response,
    StrippedAudio,
    StrippedMessage,
    bytes_of,
    kind_of,
)

LEAST = 8
"""Shortest value that is looked for everywhere, in characters. Shorter ones would be found by chance."""

KEY_VARIABLES = ("XAI_API_KEY", "OPENAI_API_KEY")
"""Environment variables whose values are always looked for."""

HARMLESS = frozenset(
    """accept accept-encoding accept-language cache-control connection content-encoding content-length content-type
    date host openai-beta openai-model openai-processing-ms openai-version origin pragma retry-after
    sec-websocket-extensions sec-websocket-protocol sec-websocket-version server transfer-encoding upgrade user-agent
    vary via www-authenticate x-ratelimit-limit-requests x-ratelimit-limit-tokens x-ratelimit-remaining-requests
    x-ratelimit-remaining-tokens x-ratelimit-reset-requests x-ratelimit-reset-tokens""".split()
)
"""Headers whose values are written, after a check. For all others only the name is written."""

_TOKEN = r"[A-Za-z0-9._~+/=-]"
_FORMS: tuple[tuple[str, tuple[str, ...], re.Pattern[str]], ...] = (
    # kind, texts of which it contains one, its form; the group, if there is one, is the secret
    ("client-secret", ("xai-realtime",), re.compile(rf"xai-realtime-client-secret-{_TOKEN}{{4,}}")),
    ("client-secret", ("xai-client",), re.compile(rf"xai-client-secret\.({_TOKEN}{{4,}})")),
    ("api-key", ("openai-insecure",), re.compile(rf"openai-insecure-api-key\.({_TOKEN}{{4,}})")),
    ("api-key", ("xai-",), re.compile(r"xai-(?!client-secret\.)[A-Za-z0-9_-]{12,}")),
    ("api-key", ("sk-",), re.compile(r"(?<![A-Za-z])sk-[A-Za-z0-9_-]{8,}|sk-(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{16,}")),
    ("client-secret", ("ek_",), re.compile(r"(?<![A-Za-z])ek_[A-Za-z0-9_-]{8,}|ek_(?=[A-Za-z_-]*\d)[\w-]{16,}")),
    ("jwt", ("eyJ",), re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)*")),
    ("bearer", ("earer ", "EARER "), re.compile(rf"(?i:bearer) +({_TOKEN}{{8,}})")),
    ("private-key", ("-----BEGIN",), re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:(?!-----END).)*", re.DOTALL)),
    ("api-key", ("AKIA", "ASIA"), re.compile(r"A[KS]IA[A-Z0-9]{16}")),
    ("api-key", ("AIza",), re.compile(r"AIza[\w-]{30,}")),
    ("api-key", ("_",), re.compile(r"(?<![A-Za-z])(?:gh[opsru]|gsk|hf|github_pat|sk_live|rk_live)_[A-Za-z0-9_]{20,}")),
    ("api-key", ("xox",), re.compile(r"xox[abprs]-[A-Za-z0-9-]{10,}")),
)
_RUN = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_URLSAFE = str.maketrans("-_", "+/")
_DEEPEST = 5
_SHORT_RUN = 4096
"""Longest run of base64 characters that may begin elsewhere than at its start, in characters."""
_PLACEHOLDER = re.compile(r"(?:\w+ +)?<scrubbed:[a-z-]+>\.*")
_ASSIGNED = re.compile(r"([A-Za-z_][\w-]{2,40})[\"']?\s*[:=]\s*[\"']?([^\s\"'&,;{}\[\]<>]{4,})")

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:apikeys?|api_keys?|secrets?|client_secrets?|passwords?|passwd|passphrase|authorization|cookies?"
    r"|private_key|access_key|(?:xai|openai)_key|credentials?|bearer"
    r"|(?:access|auth|refresh|id|session|bearer|security|ephemeral|client|api|csrf|xsrf)_?token)$"
)
_WEAK_NAME = re.compile(r"(?:^|_)(?:token|signature|sig)$")
_INTERNAL_NAME = re.compile(
    r"^(?:(?:x|xai|openai|grok|provider)_)?internal(?:_(?:\w*info|metadata|data|debug|state|context))?$"
)
_SCHEMA_VALUES = ("default", "const", "enum", "example", "examples")


def known_keys() -> tuple[str, ...]:
    """The API keys in the environment."""
    return tuple(os.environ[name] for name in KEY_VARIABLES if os.environ.get(name))


class _Uncheckable(Exception):
    """Why something cannot be checked. The message never quotes it."""


@dataclass(frozen=True, slots=True)
class _Hit:
    """`text[start:end]` is a secret. With `instead` it holds an encoded one, and `instead` is its replacement."""

    start: int
    end: int
    kind: str
    instead: str | None = None


class Scrubber:
    """Removes secrets from records before they are written, in the order in which they crossed the wire.

    `secrets`: values to look for from the start. Keys in handshakes are learned on the way.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known: dict[str, None] = {}
        for secret in secrets:
            self.learn(secret)

    def learn(self, secret: str) -> None:
        """Look for this value from now on: as it is, URL-encoded and in base64. Values under 8 characters are
        ignored.
        """
        secret = secret.strip()
        if len(secret) >= LEAST and not _PLACEHOLDER.fullmatch(secret):
            # Text is searched with one character per byte, so the key has that form too.
            plain = secret.encode("utf-8", "surrogateescape").decode("latin-1")
            self._known.update(
                dict.fromkeys((plain, quote(secret, safe="", errors="replace"), quote_plus(secret, errors="replace")))
            )

    def clean(self, content: Content) -> Content:
        """The content without secrets: the same object if it has none, Dropped if it cannot be checked. Never
        raises.
        """
        try:
            cleaned = self._clean(content)
            if cleaned is not content and self._clean(cleaned) != cleaned:
                raise _Uncheckable("a secret could not be removed")
        except _Uncheckable as problem:
            return _dropped(content, str(problem))
        except Exception as problem:  # whatever it is: unchecked content is neither written nor quoted
            return _dropped(content, f"the check failed with {type(problem).__name__}")
        return cleaned

    def kinds(self, content: Content) -> list[str]:
        """The kinds of secrets in the content; `unchecked` if it cannot be checked. Never the secrets themselves."""
        cleaned = self.clean(content)
        if cleaned == content:
            return []
        if isinstance(cleaned, Dropped):
            return ["unchecked"]
        before, after = (_MARK.findall(repr(each)) for each in (content, cleaned))
        for known in before:
            if known in after:
                after.remove(known)
        return sorted(after) or ["encoded"]

    def _clean(self, content: Content) -> Content:
        match content:
            case Text(data):
                cleaned = self._bytes(data)
                return content if cleaned == data else Text(cleaned)
            case Binary(data):
                cleaned = self._bytes(data, same_length=True)
                return content if cleaned == data else Binary(cleaned)
            case Close(code, reason):
                return Close(code, self._text(reason))
            case Request():
                self._learn_request(content)
                path, mark, query = content.target.partition("?")
                steps = "/".join(self._url_part(step, unquote, quote) for step in path.split("/"))
                pairs = "&".join(map(self._query_pair, query.split("&")))
                body, headers = self._body(content.body, content.headers), self._headers(content.headers)
                return replace(content, target=f"{steps}{mark}{pairs}", headers=headers, body=body)
            case Response():
                for name, value in content.headers:
                    if name.lower() == "set-cookie":
                        self.learn(value.partition(";")[0].partition("=")[2])
                for value in _minted(content.body):
                    self.learn(value)
                body, headers = self._body(content.body, content.headers), self._headers(content.headers)
                return replace(content, headers=headers, body=body)
            case StrippedMessage():
                return self._outline(content)
            case Reset() | Dropped():
                return content
            case _:
                assert_never(content)

    def _learn_request(self, request: Request) -> None:
        for name, value in request.headers:
            match name.lower():
                case "authorization" | "proxy-authorization":
                    self.learn(value.partition(" ")[2] or value)
                case "cookie":
                    for pair in value.split(";"):
                        self.learn(pair.partition("=")[2])
                case "sec-websocket-protocol":
                    for offered in value.split(","):
                        if re.search(r"key|secret|token|auth", offered.partition(".")[0], re.IGNORECASE):
                            self.learn(offered.partition(".")[2])
                case other if _secret_name(other):
                    self.learn(value)
                case _:
                    pass
        for pair in request.target.partition("?")[2].split("&"):
            name, _, value = pair.partition("=")
            if _secret_name(unquote_plus(name)):
                self.learn(unquote_plus(value))

    def _headers(self, headers: Headers) -> Headers:
        return tuple(
            (
                name,
                self._text(value)
                if name.lower() in HARMLESS or _PLACEHOLDER.fullmatch(value)
                else _placeholder("header"),
            )
            for name, value in headers
        )

    def _query_pair(self, pair: str) -> str:
        name, equals, value = pair.partition("=")
        shown = self._url_part(name, unquote_plus, quote_plus)
        plain = unquote_plus(value)
        if value and _secret_name(unquote_plus(name)) and not _PLACEHOLDER.fullmatch(value):
            return f"{shown}={_placeholder(_kind(unquote_plus(name)))}"
        if _weak(unquote_plus(name), plain):
            return f"{shown}={_placeholder('token')}"
        return f"{shown}{equals}{self._url_part(value, unquote_plus, quote_plus)}"

    def _url_part(self, raw: str, decode: Callable[[str], str], encode: Callable[[str], str]) -> str:
        """The part unchanged, unless a secret is found in it, as it is or decoded."""
        plain = decode(raw)
        cleaned = self._text(plain)
        return (
            self._text(raw)
            if cleaned == plain
            else re.sub(r"%3Cscrubbed%3A([a-z-]+)%3E", r"<scrubbed:\1>", encode(cleaned))
        )

    def _body(self, body: bytes, headers: Headers) -> bytes:
        coding = next((value.lower() for name, value in headers if name.lower() == "content-encoding"), "identity")
        if body and coding != "identity":
            raise _Uncheckable(f"its body is encoded as {coding[:20]!r} and cannot be checked")
        return self._bytes(body)

    def _outline(self, outline: StrippedMessage) -> StrippedMessage:
        """Checked as one text, with nothing in the places of audio. A hit that reaches across such a place cannot be
        removed.
        """
        whole = outline.rest.decode("latin-1")
        hits = list(self._hits(whole, _DEEPEST))
        parts: list[bytes | StrippedAudio] = []
        done = 0
        for part in outline.parts:
            if isinstance(part, bytes):
                end = done + len(part)
                within = [hit for hit in hits if done <= hit.start and hit.end <= end]
                hits = [hit for hit in hits if hit not in within]
                shifted = (replace(hit, start=hit.start - done, end=hit.end - done) for hit in within)
                part = _without(part.decode("latin-1"), shifted, False).encode("latin-1")
                done = end
            parts.append(part)
        if hits:
            raise _Uncheckable("a secret lies across its audio")
        return StrippedMessage(outline.kind, tuple(parts))

    def _bytes(self, data: bytes, same_length: bool = False) -> bytes:
        text = data.decode("latin-1")
        hits = list(self._hits(text, _DEEPEST))
        return _without(text, hits, same_length).encode("latin-1") if hits else data

    def _text(self, text: str) -> str:
        return _without(text, self._hits(text, _DEEPEST), False)

    def _hits(self, text: str, depth: int) -> Iterator[_Hit]:
        if depth == 0:
            raise _Uncheckable("it is nested too deep to be checked")
        for kind, literals, form in _FORMS:
            if any(literal in text for literal in literals):
                for found in form.finditer(text):
                    yield _Hit(*found.span(form.groups), kind)
        for known in self._known:
            at = text.find(known)
            while at >= 0:
                yield _Hit(at, at + len(known), "key")
                at = text.find(known, at + len(known))
        yield from self._in_base64(text, depth)
        if text.lstrip()[:1] in ("{", "[", '"') and json_text.is_json(text):
            yield from self._in_json(text, depth)
        else:
            yield from _assigned(text)

    def _in_json(self, text: str, depth: int) -> Iterator[_Hit]:
        for value in json_text.values(text):
            raw = text[value.start : value.end]
            if (kind := _by_name(value.keys, raw, value.number)) is not None:
                yield _Hit(value.start, value.end, kind, "0" if value.number else None)
            elif "\\" in raw:
                plain, places = json_text.unescaped(raw)
                for hit in self._hits(plain, depth - 1):
                    yield replace(hit, start=value.start + places[hit.start], end=value.start + places[hit.end])
            elif value.keys and (":" in raw or "=" in raw.rstrip("=")):
                for hit in _assigned(raw):
                    yield replace(hit, start=value.start + hit.start, end=value.start + hit.end)

    def _in_base64(self, text: str, depth: int) -> Iterator[_Hit]:
        for run in _RUN.finditer(text):
            for skip in range(4 if run.end() - run.start() <= _SHORT_RUN else 1):
                start = run.start() + skip
                chars = run[0][skip:].rstrip("=")
                chars = chars[: len(chars) - (len(chars) % 4 == 1)]
                plain = b64decode(chars.translate(_URLSAFE) + "==").decode("latin-1")
                if not self._suspicious(plain):
                    continue
                hits = list(self._hits(plain, depth - 1))
                if hits:
                    coded = b64encode(_without(plain, hits, True).encode("latin-1")).decode().rstrip("=")
                    if "-" in chars or "_" in chars:
                        coded = coded.replace("+", "-").replace("/", "_")
                    yield _Hit(start, start + len(chars), "encoded", coded)
                    break

    def _suspicious(self, plain: str) -> bool:
        """Whether decoded bytes need a closer look. Nearly all of them are audio."""
        return (
            plain.isascii()
            or any(literal in plain for _, literals, _ in _FORMS for literal in literals if literal != "_")
            or any(known in plain for known in self._known)
        )


_MARK = re.compile(r"<scrubbed:([a-z-]+)>")


def _assigned(text: str) -> Iterator[_Hit]:
    """`api_key=…` and `password: …` in plain text."""
    if ":" in text or "=" in text:
        for found in _ASSIGNED.finditer(text):
            if _secret_name(found[1]) or _weak(found[1], found[2]):
                yield _Hit(*found.span(2), _kind(found[1]))


def _by_name(keys: tuple[str, ...], raw: str, number: bool) -> str | None:
    """The kind of secret that a value is, judged by the keys around it."""
    if not keys or not raw or _PLACEHOLDER.fullmatch(raw) or (number and raw == "0"):
        return None
    for at, key in enumerate(keys):
        if _INTERNAL_NAME.match(_normal(key)):
            return "internal"
        nearest = at == len(keys) - 1
        if (_secret_name(key) or key.lower() == "headers") and (nearest or not number):
            # Under `properties` a key is the name of a parameter, and its value describes the parameter.
            if at and keys[at - 1] == "properties" and keys[-1] not in _SCHEMA_VALUES:
                continue
            return "header" if key.lower() == "headers" else _kind(key)
    return "token" if not number and _weak(keys[-1], raw) else None


@lru_cache(maxsize=1024)
def _normal(name: str) -> str:
    """`apiKey`, `API-Key` and `api_key` are one name."""
    return "_".join(word.lower() for word in _WORDS.findall(name))


def _secret_name(name: str) -> bool:
    return _SECRET_NAME.search(_normal(name[:100])) is not None


def _weak(name: str, value: str) -> bool:
    """A name that has other uses too: only a long value under it is a secret."""
    return (
        len(value) >= 16
        and not re.search(r"\s", value)
        and _WEAK_NAME.search(_normal(name[:100])) is not None
        and not _PLACEHOLDER.fullmatch(value)
    )


def _kind(name: str) -> str:
    normal = _normal(name)
    for word, kind in (("cookie", "cookie"), ("token", "token"), ("pass", "password"), ("key", "api-key")):
        if word in normal:
            return kind
    return "authorization" if "authorization" in normal else "secret"


def _placeholder(kind: str) -> str:
    return f"<scrubbed:{kind}>"


def _without(text: str, hits: Iterable[_Hit], same_length: bool) -> str:
    """The text with each hit replaced. Overlapping hits are replaced together."""
    parts: list[str] = []
    done = 0
    for hit in _apart(hits):
        put = _placeholder(hit.kind) if hit.instead is None else hit.instead
        if same_length:
            put = put[: hit.end - hit.start].ljust(hit.end - hit.start, ".")
        parts += (text[done : hit.start], put)
        done = hit.end
    return "".join((*parts, text[done:]))


def _apart(hits: Iterable[_Hit]) -> list[_Hit]:
    apart: list[_Hit] = []
    for hit in sorted(hits, key=lambda hit: (hit.start, -hit.end, hit.instead is not None)):
        if apart and hit.start < apart[-1].end:
            last = apart[-1]
            if hit.instead is None or hit.end > last.end:
                named = hit.kind if last.instead is not None else last.kind
                apart[-1] = _Hit(last.start, max(last.end, hit.end), named)
        else:
            apart.append(hit)
    return apart


def _minted(body: bytes) -> Iterator[str]:
    """The secrets in a response that creates one: `{"value": …}`, `{"client_secret": {"value": …}}`."""
    text = body.decode("latin-1")
    if text[:1] == "{" and json_text.is_json(text):
        for value in json_text.values(text):
            if value.keys in (("value",), ("client_secret", "value")):
                yield json_text.unescaped(text[value.start : value.end])[0]


def _dropped(content: Content, reason: str) -> Dropped:
    return Dropped(kind_of(content), bytes_of(content), reason)
