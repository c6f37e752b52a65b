"""Handshakes as rules may see them: credentials by kind and place, without their values."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from replay.findings.call import Handshake

_OFFERS = ("xai-client-secret.", "openai-insecure-api-key.")
_EPHEMERAL = ("xai-realtime-client-secret-", "ek_")
_CREDENTIAL = re.compile(
    r"^(x[-_])?(api[-_]?)?key$|^apikey$|token|^auth|secret|password|bearer|^xai[-_]api|^openai[-_]api", re.IGNORECASE
)
_READ = frozenset({"authorization", "sec-websocket-protocol", "origin", "openai-beta"})
_PLAIN = frozenset({"model", "conversation_id", "call_id", "agent_id", "intent", "reasoning.effort"})


def handshake(query: Iterable[tuple[str, str]], headers: Iterable[tuple[str, str]], *, known: bool = True) -> Handshake:
    """From a decoded query and headers. `known`: whether the credential identifies the client."""
    pairs = tuple(query)
    named: dict[str, str] = {}
    for name, value in headers:
        if (name := name.lower()) in _READ:
            named[name] = f"{named[name]}, {value}" if name in named else value
    offers = named["sec-websocket-protocol"].split(",") if "sec-websocket-protocol" in named else ()
    tokens = [offer.partition(".")[2] for each in offers if (offer := each.strip()).startswith(_OFFERS)]
    credential = named.get("authorization") or "".join(tokens)
    return Handshake(
        query={name: value for name, value in pairs if name in _PLAIN},
        origin=named.get("origin"),
        beta=named.get("openai-beta"),
        offered=tuple(kind_of(token) for token in tokens if token),
        secrets=tuple(name[:64] for name, value in pairs if value and name not in _PLAIN and _CREDENTIAL.search(name)),
        who=hashlib.sha256(credential.encode(errors="surrogateescape")).hexdigest()[:16] if known else "",
    )


def browser_call(headers: Iterable[tuple[str, str]]) -> Handshake:
    """From the headers of a plain HTTP request. Only browsers send an Origin there, and they can send an Authorization
    too.
    """
    named = {name.lower(): value for name, value in headers}
    token = named.get("authorization", "").partition(" ")[2]
    offered = (kind_of(token),) if token and "origin" in named else ()
    return Handshake(origin=named.get("origin"), offered=offered)


def kind_of(token: str) -> str:
    """`secret` for a credential that lives minutes, `key` for one that lives until it is revoked. Works on scrubbed
    ones too.
    """
    return "secret" if token.startswith(_EPHEMERAL) or "client-secret>" in token else "key"
