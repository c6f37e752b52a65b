"""The endpoint and the key of the agent, read once from the environment.

The rest of the agent does not know which endpoint it uses.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

LIVE_URL = "wss://api.x.ai/v1/realtime"
# Pinned, not `grok-voice-latest`: that alias moved to another model, at another price, on 2026-08-05.
DEFAULT_MODEL = "grok-voice-think-fast-1.0"
DEFAULT_VOICE = "ara"
OPENAI_MODEL = "gpt-realtime-2.1"
OPENAI_VOICE = "marin"

Dialect = Literal["xai", "openai"]
"""The form of session settings and the way to answer a telephone call, which differ between the services."""

_HTTP_SCHEME = {"ws": "http", "wss": "https"}


def is_loopback_url(url: str) -> bool:
    """Whether a URL names this machine; no proxy of the environment is used for it then."""
    host = urlsplit(url).hostname or ""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback


class ConfigError(ValueError):
    """A setting is missing or unusable; the message has its name and says what to do."""


@dataclass(frozen=True, slots=True)
class Config:
    """An endpoint, a key, a model and a voice. `repr` and `str` leave the key out.

    `telephony`: the call comes over a telephone number of the service, which costs more; frames do not show it.
    """

    url: str
    http_url: str
    key: str = field(repr=False)
    model: str = DEFAULT_MODEL
    voice: str = DEFAULT_VOICE
    telephony: bool = False
    language_hint: str | None = None
    """The language that the service expects to hear, as a BCP-47 tag such as `en-GB`; None: the service finds out."""
    collections: tuple[str, ...] = ()
    """Identifiers of the account's collections that the service searches for the assistant."""
    dialect: Dialect = "xai"
    trace: tuple[tuple[str, str], ...] = ()
    """Headers of the handshake by which the endpoint joins the trace of the call."""

    @property
    def session_url(self) -> str:
        """The URL of the handshake: `url` with the model in its query."""
        parts = urlsplit(self.url)
        query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != "model"]
        return urlunsplit(parts._replace(query=urlencode([*query, ("model", self.model)])))

    def resuming(self, conversation_id: str) -> Config:
        """The same endpoint, with the conversation to resume in the query."""
        parts = urlsplit(self.url)
        query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != "conversation_id"]
        resuming = urlencode([*query, ("conversation_id", conversation_id)])
        return replace(self, url=urlunsplit(parts._replace(query=resuming)))

    def call_url(self, call_id: str) -> str:
        """The URL that attaches to a telephone call. The call names the model, so the query has none."""
        parts = urlsplit(self.url)
        query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in ("model", "call_id")]
        return urlunsplit(parts._replace(query=urlencode([*query, ("call_id", call_id)])))

    @property
    def shown_url(self) -> str:
        """`url` for messages, without query and user name, which may contain a secret."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def environment(folder: Path = Path()) -> dict[str, str]:
    """The environment of the process, and the variables of `.env` in `folder` that are not set (needs python-dotenv).

    Raises ConfigError for a `.env` that cannot be read, also for want of python-dotenv if XAI_API_KEY is not set.
    """
    try:
        from dotenv import dotenv_values
    except ImportError:
        if (folder / ".env").is_file() and not os.environ.get("XAI_API_KEY"):
            raise ConfigError(
                f"{folder / '.env'} cannot be read without python-dotenv; install it, or export XAI_API_KEY"
            ) from None
        return dict(os.environ)
    try:
        from_file = dotenv_values(folder / ".env")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{folder / '.env'} cannot be read ({error}); write lines like NAME=value in UTF-8"
        ) from error
    return {**{name: value for name, value in from_file.items() if value is not None}, **os.environ}


def from_environment(environ: Mapping[str, str]) -> Config:
    """Read XAI_API_KEY, XAI_REALTIME_URL, XAI_HTTP_URL, CLINIC_MODEL, CLINIC_VOICE, CLINIC_LANGUAGE_HINT,
    CLINIC_COLLECTIONS (identifiers separated by commas) and CLINIC_DIALECT.

    XAI_HTTP_URL is the base of the HTTP API (`https://api.x.ai/v1`); by default it follows from XAI_REALTIME_URL.
    CLINIC_DIALECT is `xai` or `openai`; by default it follows from the host of XAI_REALTIME_URL. Raises ConfigError for
    a missing key, an unusable URL, an unknown dialect, a language hint that is no BCP-47 tag, and for collections in
    the dialect `openai`, which has none.
    """
    url = environ.get("XAI_REALTIME_URL", "").strip() or LIVE_URL
    dialect = _dialect(environ.get("CLINIC_DIALECT", "").strip(), url)
    collections = tuple(each.strip() for each in environ.get("CLINIC_COLLECTIONS", "").split(",") if each.strip())
    if collections and dialect == "openai":
        raise ConfigError("CLINIC_COLLECTIONS is set, but only xAI's service searches collections; unset it")
    return Config(
        url=url,
        http_url=_http_url(url, environ.get("XAI_HTTP_URL", "").strip()),
        key=_key(environ.get("XAI_API_KEY", "").strip()),
        model=environ.get("CLINIC_MODEL", "").strip() or (OPENAI_MODEL if dialect == "openai" else DEFAULT_MODEL),
        voice=environ.get("CLINIC_VOICE", "").strip() or (OPENAI_VOICE if dialect == "openai" else DEFAULT_VOICE),
        language_hint=_language(environ.get("CLINIC_LANGUAGE_HINT", "").strip()),
        collections=collections,
        dialect=dialect,
    )


def _dialect(chosen: str, url: str) -> Dialect:
    match chosen:
        case "xai" | "openai":
            return chosen
        case "":
            host = urlsplit(url).hostname or ""
            return "openai" if host == "openai.com" or host.endswith(".openai.com") else "xai"
        case _:
            raise ConfigError(f"CLINIC_DIALECT is {chosen[:40]!r}; write xai or openai")


def _key(text: str) -> str:
    if not text:
        raise ConfigError(
            "XAI_API_KEY is not set; export the key of the endpoint you call (console.x.ai for the live service), "
            "or write it into .env (which needs python-dotenv)"
        )
    if not (text.isascii() and text.isprintable()):
        raise ConfigError("XAI_API_KEY has characters that no key has, such as a line break; copy it again")
    return text


def _language(tag: str) -> str | None:
    if tag and not (len(tag) <= 35 and re.fullmatch(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", tag)):
        raise ConfigError(f"CLINIC_LANGUAGE_HINT is {tag[:40]!r}; write a language tag like en or en-GB")
    return tag or None


def _http_url(url: str, chosen: str) -> str:
    parts = _split(url, "XAI_REALTIME_URL", tuple(_HTTP_SCHEME), LIVE_URL)
    if not chosen:
        path = parts.path.rstrip("/").removesuffix("/realtime")
        return urlunsplit((_HTTP_SCHEME[parts.scheme], parts.netloc, path, "", ""))
    _split(chosen, "XAI_HTTP_URL", ("http", "https"), "https://api.x.ai/v1")
    return chosen.rstrip("/")


def _split(url: str, name: str, schemes: tuple[str, ...], example: str) -> SplitResult:
    complaint = f"{name} is not a {' or '.join(schemes)} address; write it like {example}"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise ConfigError(complaint) from error
    if not usable:
        raise ConfigError(complaint)
    return parts
