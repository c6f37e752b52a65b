"""What a request of a client says: its credentials, the dialect that answers it, the namespace in its path."""

from __future__ import annotations

import re
from collections.abc import Iterator

import orjson
from aiohttp import hdrs, web

from mockserver.dialects.names import ALIASES, AUTO, dialect_for, dialect_of
from mockserver.server.namespaces import ID
from mockserver.server.service import MockService

AZURE_ROOT, API_KEY = "/openai/v1", "api-key"
"""The path at which Azure has what OpenAI has at `/v1`, and the header in which it takes keys."""
NAMESPACE = re.compile(f"^/({ID})(?=/)")
"""The part of a path that names a namespace."""


def authorization_of(request: web.Request, dialect: str) -> str | None:
    """The `Authorization` header. Azure's key has a header, or a parameter, of its own."""
    key = request.headers.get(API_KEY) or request.query.get(API_KEY)
    return f"Bearer {key}" if key and dialect.startswith("azure@") else request.headers.get(hdrs.AUTHORIZATION)


def credentials_of(request: web.Request) -> Iterator[str]:
    """All that may be a key or a client secret, wherever a service takes one."""
    yield request.headers.get(hdrs.AUTHORIZATION, "").strip().partition(" ")[2].strip()
    yield request.headers.get(API_KEY) or request.query.get(API_KEY, "")
    for offered in (subprotocols_of(request) or "").split(","):
        yield offered.partition(".")[2].strip()


def model_in(body: bytes) -> str | None:
    """The model that the body of a request for a client secret names."""
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    session = asked.get("session") if isinstance(asked, dict) else None
    model = session.get("model") if isinstance(session, dict) else None
    return model if isinstance(model, str) else None


def dialect_asked(request: web.Request, service: MockService, model: str | None = None) -> str:
    """The dialect that answers a request. `model`: the one in its body, which a parameter of the address overrides."""
    call = service.calls.get(request.match_info.get("call_id") or request.query.get("call_id", ""))
    if call is not None:
        return call.dialect
    choice, model = service.options.dialect, request.query.get("model", model)
    if choice in ALIASES:
        return dialect_of(choice, model)
    if choice != AUTO:
        return choice
    _, _, credential = request.headers.get(hdrs.AUTHORIZATION, "").strip().partition(" ")
    azure = NAMESPACE.sub("", request.path).startswith(AZURE_ROOT) or API_KEY in request.headers
    query = dict(request.query)
    return dialect_for(model, credential.strip(), subprotocols_of(request), query, azure=azure)


def subprotocols_of(request: web.Request) -> str | None:
    """The subprotocols that the client offers."""
    subprotocols = request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, None)
    return None if subprotocols is None else ", ".join(subprotocols)
