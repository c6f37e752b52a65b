"""What a file of another tool proves about who answered.

A name of a host is a claim. What the mock never sends is evidence: the services stand behind an edge that marks its
HTTP responses. A file is `live` by itself only if each address in it is a service's own, under TLS, and it has such a
mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from replay.cassette.conversation import UnreadableRecording
from replay.cassette.records import Headers, Origin, provable_origin

_MARK = "cf-ray"
"""A header of the services' edge, or one that it exposes to browsers (recordings)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response in a file: the address that was asked, and the response's headers."""

    url: str
    headers: Headers


@dataclass(frozen=True, slots=True)
class Provenance:
    """The origin of an imported recording, and where it comes from."""

    origin: Origin
    source: str | None


def provenance(stated: Origin | None, source: str | None, answers: Sequence[Answer], file: str) -> Provenance:
    """The origin that the user stated, else what the file proves: `live`, or `hand`.

    Raises UnreadableRecording if `live` is stated and the file names another host.
    """
    others = [answer.url for answer in answers if _origin(answer.url) != "live"]
    if stated == "live" and others:
        raise UnreadableRecording(
            f"{file}: the file names {_host(others[0])}, which is no service's host; leave --origin live out"
        )
    if stated is not None:
        return Provenance(stated, source)
    if answers and not others and any(map(_is_marked, answers)):
        return Provenance("live", source or f"the file: HTTP responses of {_host(answers[0].url)}")
    return Provenance("hand", source)


def _origin(url: str) -> Origin:
    return provable_origin(f"ws{url.removeprefix('http')}" if url.startswith("http") else url)


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _is_marked(answer: Answer) -> bool:
    exposed = (value.lower() for name, value in answer.headers if name.lower() == "access-control-expose-headers")
    return any(name.lower() == _MARK for name, _ in answer.headers) or any(_MARK in value for value in exposed)
