"""What the HTTP routes take and answer, as an OpenAPI 3.1 description: served at /_mock/openapi.json, for people and
their tools. A test has schemathesis hold the server to it.

Data alone; the realtime socket is no part of it, for OpenAPI knows none. What is the services' own business, such as a
client secret's session, is not described further.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mockserver.server.clock import MAX_PUSH_S

Json = dict[str, Any]


def _object(**properties: Json) -> Json:
    """One that has all of these."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


TEXT: Json = {"type": "string"}
NUMBER: Json = {"type": "number"}
COUNT: Json = {"type": "integer", "minimum": 0}
OK: Json = _object(status={"const": "ok"})
LATER: Json = {"type": ["number", "null"], "description": "Seconds after it opened; null while it is open."}
SUMMARY = {
    "id": TEXT,
    "conversation_id": TEXT,
    "opened": NUMBER,
    "open": {"type": "boolean"},
    "closed_s": LATER,
    "close_code": {"type": ["integer", "null"]},
    "close_reason": TEXT,
    "frames": COUNT,
    "dropped": COUNT,
}
SCHEMAS: Mapping[str, Json] = {
    "Error": {
        "type": "object",
        "description": "`error` is a sentence that says what to do, with xAI's `code` or alone; or OpenAI's object.",
        "properties": {"error": {"type": ["string", "object"]}, "code": TEXT},
        "required": ["error"],
    },
    "Health": _object(
        status={"const": "ok"},
        dialect=TEXT,
        open_sessions=COUNT,
        errors=COUNT,
        clock=_object(rate=NUMBER, now=NUMBER, unix=NUMBER),
    ),
    "Session": _object(**SUMMARY),
    "Entry": {
        **_object(at=NUMBER, way={"enum": ["in", "out"]}, type={"type": ["string", "null"]}, frame={}),
        "description": "One frame. Without `?session=` it also names its `session`.",
    },
    "Ledger": _object(
        audio_in_s=NUMBER, audio_out_s=NUMBER, text_items=COUNT, hosted_calls={"type": "object"}, usd=TEXT
    ),
    "Finding": {
        "type": "object",
        "properties": {"rule": TEXT, "at": NUMBER, "message": TEXT, "fix": TEXT},
        "required": ["rule", "at", "message", "fix"],
    },
    "Faults": _object(seed=TEXT, faults=_list({"type": "object"})),
    "Instant": _object(now=NUMBER, unix=NUMBER),
    "Secret": {
        **_object(value=TEXT, expires_at=COUNT),
        "description": "OpenAI's also holds the `session`.",
    },
}

SESSION: Json = {"name": "session", "in": "query", "schema": TEXT, "description": "The id of a session."}
AUDIO: Json = {
    "name": "audio",
    "in": "query",
    "schema": {"enum": ["full"]},
    "description": "`full` shows sound unshortened.",
}
FILE: Json = {
    "required": True,
    "content": {kind: {"schema": {}} for kind in ("application/json", "application/yaml", "text/plain")},
}


def _in_path(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _route(summary: str, answer: Json, *errors: int, **more: Any) -> Json:
    """One operation: what a 200 holds, and which errors it knows besides those of every route."""
    answers = {"200": _answer("As asked.", answer)}
    for status in sorted({*errors, *_EVERYWHERE}):
        answers[str(status)] = _answer(_WHY[status], _ref("Error"))
    return {"summary": summary, "responses": answers, **more}


def _answer(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_WHY = {
    400: "Not as described; with xAI's newest date also a wrong key.",
    401: "No key, or a wrong one.",
    403: "Not for this caller.",
    404: "There is none of that name.",
    405: "Not with this method.",
    408: "The body did not come in time.",
    409: "Not while the clock runs by itself.",
    413: "The body is too large.",
    422: "The body has another shape.",
    429: "Too many requests; `Retry-After` tells when to come back.",
}
_EVERYWHERE = (400, 403)

PATHS: Mapping[str, Mapping[str, Json]] = {
    "/v1/realtime/client_secrets": {
        "post": _route(
            "A client secret, as the service makes one",
            _ref("Secret"),
            *(401, 408, 413, 422, 429),
            security=[{"key": []}],
            requestBody={
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "properties": {
                                "expires_after": {
                                    "type": "object",
                                    "properties": {"anchor": TEXT, "seconds": {"type": "integer", "minimum": 1}},
                                },
                                "session": {"type": "object"},
                            },
                        }
                    }
                }
            },
        )
    },
    "/_mock/openapi.json": {"get": _route("This description", {"type": "object"})},
    "/_mock/health": {"get": _route("Whether it is up", _ref("Health"))},
    "/_mock/sessions": {"get": _route("Sessions past and present", _list(_ref("Session")))},
    "/_mock/sessions/{id}": {
        "get": _route("One of them", _object(**SUMMARY, ledger=_ref("Ledger")), 404, parameters=[_in_path("id")])
    },
    "/_mock/journal": {"get": _route("Every frame, both ways", _list(_ref("Entry")), 404, parameters=[SESSION, AUDIO])},
    "/_mock/ledger": {"get": _route("What was used, and its price", _ref("Ledger"), 404, parameters=[SESSION])},
    "/_mock/findings": {"get": _route("Mistakes of clients", _list(_ref("Finding")), 404, parameters=[SESSION])},
    "/_mock/scenario": {"put": _route("Another scenario, for new connections", OK, *(408, 413), requestBody=FILE)},
    "/_mock/faults": {
        "get": _route("The faults that are on", _ref("Faults")),
        "put": _route("Others in their place", _ref("Faults"), *(408, 413), requestBody=FILE),
        "post": _route("One or some more", _ref("Faults"), *(408, 413), requestBody=FILE),
        "delete": _route("None at all", _ref("Faults")),
    },
    "/_mock/faults/{which}": {
        "delete": _route("Without those of an id or a name", _ref("Faults"), 404, parameters=[_in_path("which")])
    },
    "/_mock/clock/advance": {
        "post": _route(
            "A manual clock is moved",
            _ref("Instant"),
            *(408, 409, 413),
            requestBody={
                "required": True,
                "content": {
                    "application/json": {
                        "schema": _object(ms={"type": "number", "minimum": 0, "maximum": MAX_PUSH_S * 1000})
                    }
                },
            },
        )
    },
    "/_mock/reset": {"post": _route("Everything is forgotten", OK)},
}


def description(guarded: bool) -> Json:
    """The whole of it; `guarded` is whether an admin token is asked for."""
    schemes: Json = {"key": {"type": "http", "scheme": "bearer", "description": "The service's API key."}}
    if guarded:
        schemes["admin"] = {"type": "http", "scheme": "bearer", "description": "`--admin-token`, for /_mock/."}
    return {
        "openapi": "3.1.0",
        "info": {"title": "realtape", "version": "1", "description": "The mock's HTTP routes."},
        "paths": PATHS,
        "security": [{"admin": []}] if guarded else [],
        "components": {"schemas": SCHEMAS, "securitySchemes": schemes},
    }
