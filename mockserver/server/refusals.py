"""Refusals of requests over HTTP, in the service's form."""

from __future__ import annotations

from aiohttp import hdrs, web

from mockserver.dialects.handshake import Handshake, Refusal
from mockserver.server.http import as_json
from mockserver.server.namespaces import NamespaceEnded, gone
from mockserver.server.service import MockService
from replay.outlets import logger

_LOG = logger(__name__)

CROSS_SITE = Refusal(
    403,
    "",
    "A page of another origin opens a session with a secret in the subprotocol.",
    kind="invalid_request_error",
    advice="Other pages are allowed with --allow-origin.",
)
"""That the services answer so is a guess: browsers send no other credential."""


def refused(refusal: Refusal, handshake: Handshake) -> web.Response:
    log_advice(refusal)
    response = web.Response(status=refusal.status) if refusal.bare else as_json(handshake.body(refusal), refusal.status)
    if refusal.retry_after_s is not None:
        response.headers[hdrs.RETRY_AFTER] = str(refusal.retry_after_s)
    if refusal.status == 426:
        response.headers[hdrs.UPGRADE] = "websocket"
    return response


def log_advice(refusal: Refusal) -> None:
    """Log what the mock serves instead of the requested service."""
    if refusal.advice:
        _LOG.warning("%s %s", refusal.error, refusal.advice)


def check_open(service: MockService) -> None:
    """Raise NamespaceEnded if the namespace has ended while a request waited."""
    if service.over:
        raise NamespaceEnded(gone(service.name) if service.name else "The server is stopping.")
