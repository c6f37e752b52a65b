"""What a bridge answers when its number rings: TwiML, or Plivo's XML, that names the address of a stream."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from urllib.parse import urljoin, urlsplit, urlunsplit
from xml.etree import ElementTree

MOST_CHARACTERS = 100_000
"""Plivo's limit of an answer (100 kB); Twilio's is 64 kB."""
BEFORE = {
    "Say": "says",
    "Speak": "says",
    "Play": "plays",
    "Pause": "pauses",
    "Wait": "pauses",
    "PreAnswer": "answers early",
}
"""Elements before a stream, which take time on a real call and none here."""


class NoStream(ValueError):
    """An answer without a stream that can be dialled. The message says what to do."""


@dataclass(frozen=True, slots=True)
class StreamAddress:
    """Where the stream is, and what its `start` hands over."""

    url: str
    parameters: dict[str, str] = field(default_factory=dict)
    """Twilio: of <Parameter> elements."""
    extra_headers: str = ""
    """Plivo: the attribute as it stands."""
    content_type: str = ""
    """Plivo: the attribute, with its default."""
    skipped: tuple[str, ...] = ()
    """What the answer does before the stream."""
    one_way: bool = False
    """Whether the stream takes no sound."""


def read_answer(text: str, provider: str) -> StreamAddress:
    """The stream of an answer to `twilio` or `plivo`. Raises NoStream."""
    if len(text) > MOST_CHARACTERS:
        raise NoStream(f"the answer has {len(text)} characters, more than {MOST_CHARACTERS}; shorten it")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise NoStream("the answer has a DOCTYPE, which no phone company reads; leave it out")
    try:
        root = ElementTree.fromstring(text.lstrip("\ufeff").strip())
    except ElementTree.ParseError as problem:
        raise NoStream(f"the answer is no XML ({problem}): {' '.join(text[:80].split())!r}; return TwiML") from None
    if root.tag != "Response":
        raise NoStream(f"the answer's root is <{root.tag}>; it must be <Response>")
    skipped: list[str] = []
    for element in root:
        found = _twilio(element) if provider == "twilio" else _plivo(element)
        if found is not None:
            return replace(found, skipped=tuple(skipped))
        if provider == "plivo" and element.find("Stream") is not None:
            raise NoStream(f"the answer has Twilio's <{element.tag}><Stream>; dial it with --as twilio")
        if element.tag not in BEFORE:
            raise NoStream(f"the answer has <{element.tag}> before any stream, which dial does not carry out")
        skipped.append(_told(element))
    wanted = (
        "<Connect><Stream url=…/></Connect>" if provider == "twilio" else "<Stream bidirectional=…>wss://…</Stream>"
    )
    raise NoStream(f"the answer has no stream; return <Response>{wanted}</Response>")


def _twilio(element: ElementTree.Element) -> StreamAddress | None:
    stream = element.find("Stream") if element.tag in ("Connect", "Start") else None
    if stream is None:
        if element.tag in ("Connect", "Start"):
            raise NoStream(f"<{element.tag}> has no <Stream>; dial carries out no other noun")
        return None
    url = stream.get("url", "").strip()
    if not url:
        raise NoStream("<Stream> has no url; give it the address of the WebSocket")
    if urlsplit(url).query:
        raise NoStream(
            f"the url of <Stream> has a query, which Twilio does not support (31920): {url}; use <Parameter>"
        )
    named = {each.get("name", ""): each.get("value", "") for each in stream.findall("Parameter")}
    return StreamAddress(url, parameters=named, one_way=element.tag == "Start")


def _plivo(element: ElementTree.Element) -> StreamAddress | None:
    if element.tag != "Stream":
        return None
    url = (element.text or "").strip()
    if not url:
        raise NoStream("<Stream> has no text; put the address of the WebSocket into it")
    return StreamAddress(
        url,
        extra_headers=element.get("extraHeaders", ""),
        # Plivo's pages differ: the XML reference says l16 at 8000, the streaming guide µ-law. The reference is taken.
        content_type=element.get("contentType", "audio/x-l16;rate=8000").replace(" ", ""),
        one_way=element.get("bidirectional", "false").lower() != "true",
    )


def _told(element: ElementTree.Element) -> str:
    words = " ".join("".join(element.itertext()).split())
    length = element.get("length")
    what = f': "{words[:80]}"' if words else f" {length} s" if length else ""
    return f"<{element.tag}> {BEFORE[element.tag]}{what}"


def absolute_url(url: str, webhook: str) -> str:
    """The URL of a stream, which TwiML may give relative to the webhook's."""
    joined = urlsplit(urljoin(webhook, url))
    return joined._replace(scheme={"http": "ws", "https": "wss"}.get(joined.scheme, joined.scheme)).geturl()


def dialled_url(url: str, webhook: str, public: str | None) -> str:
    """Where to connect for a stream's URL, on the machine of the bridge.

    An answer names the public host of the bridge, such as that of a tunnel, with TLS. If that is the host of `public`,
    or of the webhook itself, the connection goes to the webhook's server, as the tunnel would pass it on.
    """
    asked, local = urlsplit(url), urlsplit(webhook)
    names = {local.hostname, urlsplit(public).hostname if public else local.hostname}
    if asked.hostname not in names or (public is None and asked.port not in (None, local.port)):
        return url
    scheme = "wss" if local.scheme == "https" else "ws"
    return urlunsplit((scheme, local.netloc, asked.path, asked.query, ""))
