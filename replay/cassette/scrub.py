"""Secrets that must never reach a file: keys, tokens, client secrets, cookies, and internal fields of a provider.

Secrets are found by header name (only known harmless headers keep their value); by the form of keys; by exact value,
for keys seen in a handshake and those that the user names; by what stands beside them in text, URLs and JSON. A message
without secrets stays the same, byte for byte, and sound always does. Otherwise only the secret's bytes are replaced,
by a placeholder such as `<scrubbed:api-key>`. What cannot be checked becomes a `Dropped`.

Not found: a secret that is cut into several messages, and one that is spoken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from typing_extensions import assert_never

from replay.cassette import json_text
from replay.cassette.frames import Binary, Close, Reset, Text
from replay.cassette.records import (
    Content,
    Dropped,
    Header,
    Headers,
    Record,
    Request,
    Response,
    StrippedAudio,
    StrippedMessage,
    bytes_of,
    kind_of,
)
from replay.cassette.scanner import Scanner, Uncheckable, is_placeholder, placeholder, without
from replay.secrets import names
from replay.secrets.named import Secrets

HARMLESS = frozenset(
    """accept accept-encoding accept-language cache-control connection content-encoding content-length content-type
    date host openai-beta openai-model openai-processing-ms openai-version origin pragma realtape-call retry-after
    sec-websocket-extensions sec-websocket-protocol sec-websocket-version server transfer-encoding upgrade user-agent
    vary via www-authenticate x-ratelimit-limit-requests x-ratelimit-limit-tokens x-ratelimit-remaining-requests
    x-ratelimit-remaining-tokens x-ratelimit-reset-requests x-ratelimit-reset-tokens""".split()
)
"""Headers whose values are written, after a check. For all others only the name is written."""


class Scrubber:
    """Removes secrets from records before they are written, in the order in which they crossed the wire.

    `secrets`: values to look for from the start. Keys in handshakes are learned on the way.
    """

    def __init__(self, secrets: Secrets | Iterable[str] = ()) -> None:
        self._scanner = Scanner(secrets if isinstance(secrets, Secrets) else Secrets(tuple(secrets)))

    def learn(self, secret: str) -> None:
        """Look for this value from now on: as it is, URL-encoded and in base64. Values under 8 characters are
        ignored.
        """
        self._scanner.learn(secret)

    def header(self, header: Header) -> Header:
        """The header without secrets: the model, address and source come from whoever recorded."""
        return replace(
            header,
            url=self.text(header.url),
            dialect=self.text(header.dialect),
            model=None if header.model is None else self.text(header.model),
            tool=self.text(header.tool),
            source=None if header.source is None else self.text(header.source),
            ignore=tuple(map(self.text, header.ignore)),
        )

    def text(self, text: str) -> str:
        """A text without secrets, for a log, a page or a message. A text that cannot be checked becomes a
        placeholder.
        """
        try:
            cleaned = self._text(text)
            return cleaned if cleaned == text else self._text(cleaned)
        except Uncheckable:
            return placeholder("unchecked")

    def clean(self, content: Content) -> Content:
        """The content without secrets: the same object if it has none, Dropped if it cannot be checked. Never
        raises.
        """
        try:
            cleaned = self._clean(content)
            if cleaned is not content and self._clean(cleaned) != cleaned:
                raise Uncheckable("a secret could not be removed")
        except Uncheckable as problem:
            return _dropped(content, str(problem))
        except Exception as problem:  # whatever it is: unchecked content is neither written nor quoted
            return _dropped(content, f"the check failed with {type(problem).__name__}")
        return cleaned

    def kinds(self, content: Content) -> list[str]:
        """The kinds of secrets in the content; `unchecked` if it cannot be checked. Never the secrets themselves."""
        cleaned = self.clean(content)
        if cleaned is content or cleaned == content:
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
                case other if names.strength(other) in ("secret", "value"):
                    self.learn(value)
                case _:
                    pass
        for pair in request.target.partition("?")[2].split("&"):
            name, _, value = pair.partition("=")
            if names.strength(unquote_plus(name)) == "secret":
                self.learn(unquote_plus(value))

    def _headers(self, headers: Headers) -> Headers:
        return tuple(
            (
                name,
                self._text(value) if name.lower() in HARMLESS or is_placeholder(value) else placeholder("header"),
            )
            for name, value in headers
        )

    def _query_pair(self, pair: str) -> str:
        name, equals, value = pair.partition("=")
        shown = self._url_part(name, unquote_plus, quote_plus)
        plain = unquote_plus(value)
        if plain and not is_placeholder(value) and names.tells(unquote_plus(name), plain):
            return f"{shown}={placeholder(names.kind(unquote_plus(name)))}"
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
            raise Uncheckable(f"its body is encoded as {coding[:20]!r} and cannot be checked")
        return self._bytes(body)

    def _outline(self, outline: StrippedMessage) -> StrippedMessage:
        """Checked as one text, with nothing in the places of audio. A hit that reaches across such a place cannot be
        removed.
        """
        whole = outline.rest.decode("latin-1")
        hits = list(self._scanner.hits(whole))
        parts: list[bytes | StrippedAudio] = []
        done = 0
        for part in outline.parts:
            if isinstance(part, bytes):
                end = done + len(part)
                within = [hit for hit in hits if done <= hit.start and hit.end <= end]
                hits = [hit for hit in hits if hit not in within]
                shifted = (replace(hit, start=hit.start - done, end=hit.end - done) for hit in within)
                part = without(part.decode("latin-1"), shifted, False).encode("latin-1")
                done = end
            parts.append(part)
        if hits:
            raise Uncheckable("a secret lies across its audio")
        return StrippedMessage(outline.kind, tuple(parts))

    def _bytes(self, data: bytes, same_length: bool = False) -> bytes:
        text = data.decode("latin-1")
        hits = list(self._scanner.in_bytes(text) if same_length else self._scanner.hits(text))
        return without(text, hits, same_length).encode("latin-1") if hits else data

    def _text(self, text: str) -> str:
        hits = list(self._scanner.hits(text))
        return without(text, hits, False) if hits else text


def cleaned(records: Iterable[Record], scrubber: Scrubber) -> Iterator[Record]:
    """The records without secrets."""
    for record in records:
        content = scrubber.clean(record.content)
        yield record if content is record.content else replace(record, content=content)


_MARK = re.compile(r"<scrubbed:([a-z-]+)>")


def _minted(body: bytes) -> Iterator[str]:
    """The secrets in a response that creates one: `{"value": …}`, `{"client_secret": {"value": …}}`."""
    text = body.decode("latin-1")
    if text[:1] == "{" and json_text.is_json(text):
        for value in json_text.values(text):
            if value.keys in (("value",), ("client_secret", "value")):
                yield json_text.unescaped(text[value.start : value.end])[0]


def _dropped(content: Content, reason: str) -> Dropped:
    return Dropped(kind_of(content), bytes_of(content), reason)
