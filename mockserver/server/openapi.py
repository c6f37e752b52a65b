"""The HTTP routes as an OpenAPI 3.1 description, served at /_mock/openapi.json. A test has schemathesis compare it with
the server.

The realtime socket is missing: OpenAPI has no WebSockets. The routes of the workbench are missing too: they belong to
its page. What belongs to a service, such as the session of a client secret, is not described further.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from mockserver.responders.base import HeardBy
from mockserver.server.clock import MAX_ADVANCE_S
from mockserver.server.session_factory import Understands
from replay.findings import LEVELS
from replay.viewer.call import FORM

Json = dict[str, Any]


def _object(**properties: Json) -> Json:
    """An object with all of these properties."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


TEXT: Json = {"type": "string"}
NUMBER: Json = {"type": "number"}
COUNT: Json = {"type": "integer", "minimum": 0}
OK: Json = _object(status={"const": "ok"})
APPLIES: Json = _object(status={"const": "ok"}, applies_to=TEXT)
LATER: Json = {
    "type": ["number", "null"],
    "description": "Seconds from its opening to its end; null while open.",
}
SUMMARY = {
    "id": TEXT,
    "conversation_id": TEXT,
    "dialect": TEXT,
    "opened": NUMBER,
    "open": {"type": "boolean"},
    "closed_s": LATER,
    "close_code": {"type": ["integer", "null"]},
    "close_reason": TEXT,
    "frames": COUNT,
    "dropped": COUNT,
    "heard": _list(_object(item_id=TEXT, at=NUMBER, words=TEXT, heard_by={"enum": list(get_args(HeardBy))})),
}
NAMESPACE = {
    "id": TEXT,
    "ws": TEXT,
    "http": TEXT,
    "control": TEXT,
    "dialect": TEXT,
    "sessions": COUNT,
    "open_sessions": COUNT,
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
        memory=_object(
            sessions=_object(count=COUNT, most=COUNT),
            journal=_object(bytes=COUNT, most_bytes=COUNT),
            resumable=_object(count=COUNT, bytes=COUNT, most_bytes=COUNT),
            clips=_object(bytes=COUNT, most_bytes=COUNT),
            secrets=_object(count=COUNT, most=COUNT),
            teams=_object(count=COUNT, most=COUNT),
            findings=_object(count=COUNT, most=COUNT),
            errors=_object(count=COUNT, most=COUNT),
            refusals=_object(count=COUNT, most=COUNT),
        ),
        words={"enum": list(get_args(Understands))},
        clock=_object(rate=NUMBER, now=NUMBER, unix=NUMBER),
    ),
    "Session": _object(**SUMMARY),
    "Entry": {
        **_object(at=NUMBER, way={"enum": ["in", "out"]}, type={"type": ["string", "null"]}, frame={}),
        "description": "One frame. Without `?session=` it also has its `session`; a final transcript has `heard_by`.",
    },
    "Ledger": _object(
        audio_in_s=NUMBER, audio_out_s=NUMBER, text_items=COUNT, hosted_calls={"type": "object"}, usd=TEXT
    ),
    "Finding": {
        "type": "object",
        "properties": {"rule": TEXT, "at": NUMBER, "message": TEXT, "fix": TEXT},
        "required": ["rule", "at", "message", "fix"],
    },
    "Refusal": _object(at=NUMBER, method=TEXT, path=TEXT, status={"type": "integer"}, error=TEXT, cause=TEXT),
    "Played": _object(
        plays={"enum": ["echo", "chat", "scenario", "cassette"]},
        name=TEXT,
        verbatim={"type": "boolean"},
        scenario={"type": ["object", "null"]},
    ),
    "Faults": _object(seed=TEXT, faults=_list({"type": "object"})),
    "Namespace": _object(**NAMESPACE),
    "NamespaceMade": _object(
        **NAMESPACE,
        api_key=TEXT,
        api_keys=_object(xai=TEXT, openai=TEXT),
        environment={"type": "object", "additionalProperties": TEXT},
    ),
    "Call": _object(
        form={"const": FORM},
        title=TEXT,
        seconds=NUMBER,
        since=COUNT,
        skipped=COUNT,
        frames_left_out=COUNT,
        **{name: _list({"type": "object"}) for name in ("channels", "items", "spans", "brackets", "frames")},
    ),
    "Sound": _object(pieces=_list({"type": "object"}), problem=TEXT),
    "Instant": _object(now=NUMBER, unix=NUMBER),
    "Secret": {
        **_object(value=TEXT, expires_at=COUNT),
        "description": "OpenAI's also holds the `session`.",
    },
}

SESSION: Json = {"name": "session", "in": "query", "schema": TEXT, "description": "The id of a session."}
SINCE: Json = {
    "name": "since",
    "in": "query",
    "schema": COUNT,
    "description": "Leave out the session's first frames.",
}
SKIPPED: Json = {
    "name": "skipped",
    "in": "query",
    "schema": COUNT,
    "description": "`skipped` of the document that the client has; if it is another now, `since` has no effect.",
}
AUDIO: Json = {
    "name": "audio",
    "in": "query",
    "schema": {"enum": ["full"]},
    "description": "`full` does not shorten audio.",
}
LEVEL: Json = {
    "name": "level",
    "in": "query",
    "schema": {"enum": list(LEVELS)},
    "description": "The severity of a finding.",
}
FILE: Json = {
    "required": True,
    "content": {kind: {"schema": {}} for kind in ("application/json", "application/yaml", "text/plain")},
}


def _query(name: str, schema: Json, description: str, required: bool = False) -> Json:
    return {"name": name, "in": "query", "schema": schema, "description": description, "required": required}


def _in_path(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _route(summary: str, answer: Json, *errors: int, **more: Any) -> Json:
    """One operation: the content of a 200, and the errors besides those of every route."""
    answers = {"200": _answer("Success.", answer)}
    for status in sorted({*errors, *_EVERYWHERE}):
        answers[str(status)] = _answer(_WHY[status], _ref("Error"))
    return {"summary": summary, "responses": answers, **more}


def _file(summary: str, kind: str, **more: Any) -> Json:
    """One operation that answers with a file of this media type."""
    route = _route(summary, {}, 404, **more)
    route["responses"]["200"]["content"] = {kind: {}}
    return route


def _answer(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_WHY = {
    400: "The request is invalid; with xAI's newest date also: the key is wrong.",
    401: "The key is missing or wrong.",
    403: "The client is not allowed to use this route.",
    404: "There is no such session, fault, namespace or route.",
    405: "The route has no such method.",
    408: "The body, or the frame that is waited for, did not arrive in time.",
    409: "The clock is not manual.",
    413: "The body is too large.",
    422: "The body does not match the schema.",
    429: "Too many requests; `Retry-After` has the seconds to wait.",
}
_EVERYWHERE = (400, 403)

_SERVER: Mapping[str, Mapping[str, Json]] = {
    "/v1/realtime/client_secrets": {
        "post": _route(
            "Create a client secret, as at the service",
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
    "/_mock/namespaces": {
        "get": _route("Namespaces", _list(_ref("Namespace"))),
        "post": _route(
            "Make a namespace", _ref("NamespaceMade"), *(408, 413, 429), requestBody={**FILE, "required": False}
        ),
    },
    "/_mock/namespaces/{namespace}": {"delete": _route("End a namespace", OK, 404, parameters=[_in_path("namespace")])},
}
"""Routes of the whole server."""

_NAMESPACED: Mapping[str, Mapping[str, Json]] = {
    "/_mock/health": {"get": _route("State of the server", _ref("Health"))},
    "/_mock/sessions": {"get": _route("Sessions past and present", _list(_ref("Session")))},
    "/_mock/sessions/{id}": {
        "get": _route("One session", _object(**SUMMARY, ledger=_ref("Ledger")), 404, parameters=[_in_path("id")])
    },
    "/_mock/sessions/{id}/call": {
        "get": _route(
            "One session as the viewer's document", _ref("Call"), 404, parameters=[_in_path("id"), SINCE, SKIPPED]
        )
    },
    "/_mock/sessions/{id}/sound": {
        "get": _route("The audio of one session, for the viewer", _ref("Sound"), 404, parameters=[_in_path("id")])
    },
    "/_mock/sessions/{id}/tape": {
        "get": _file("One session as a cassette", "application/octet-stream", parameters=[_in_path("id")])
    },
    "/_mock/sessions/{id}/scenario": {
        "get": _file("One session as a scenario file", "application/yaml", parameters=[_in_path("id")])
    },
    "/_mock/limits": {
        "get": _route(
            "Sessions of each team with an open one, and how many it may have",
            _list(_object(team=TEXT, sessions=COUNT, most={"type": ["integer", "null"]})),
        )
    },
    "/_mock/journal": {
        "get": _route("Every frame, in both directions", _list(_ref("Entry")), 404, parameters=[SESSION, AUDIO])
    },
    "/_mock/ledger": {"get": _route("Usage and cost", _ref("Ledger"), 404, parameters=[SESSION])},
    "/_mock/wait": {
        "get": _route(
            "Wait for a frame",
            _ref("Entry"),
            *(408, 429),
            parameters=[
                _query("type", TEXT, "A frame's type; `*` stands for any characters.", required=True),
                SESSION,
                _query("way", {"enum": ["in", "out"]}, "From the client, or from the server."),
                _query("nth", {"anyOf": [{"const": "next"}, {"type": "integer", "minimum": 1}]}, "Which one."),
                _query("ms", {"type": "integer", "minimum": 0, "maximum": 60_000}, "The longest time to wait."),
                AUDIO,
            ],
        )
    },
    "/_mock/refusals": {"get": _route("Refused handshakes and requests", _list(_ref("Refusal")))},
    "/_mock/report": {"get": _route("Where clients left the recording", _list(TEXT))},
    "/_mock/unused": {"get": _route("What no client has used", _list(TEXT))},
    "/_mock/findings": {"get": _route("Findings", _list(_ref("Finding")), 404, parameters=[SESSION, LEVEL])},
    "/_mock/scenario": {
        "get": _route("What answers new connections", _ref("Played")),
        "put": _route("Replace the scenario, for new connections", APPLIES, *(408, 413), requestBody=FILE),
        "delete": _route("Remove the scenario, for new connections", APPLIES),
    },
    "/_mock/faults": {
        "get": _route("The faults that are on", _ref("Faults")),
        "put": _route("Replace all faults", _ref("Faults"), *(408, 413), requestBody=FILE),
        "post": _route("Add faults", _ref("Faults"), *(408, 413), requestBody=FILE),
        "delete": _route("Remove all faults", _ref("Faults")),
    },
    "/_mock/faults/kinds": {
        "get": _route("Each kind of fault with an example", _list(_object(kind=TEXT, about=TEXT, example=TEXT)))
    },
    "/_mock/faults/{which}": {
        "delete": _route("Remove the faults of an id or a name", _ref("Faults"), 404, parameters=[_in_path("which")])
    },
    "/_mock/clock/advance": {
        "post": _route(
            "Move a manual clock",
            _ref("Instant"),
            *(408, 409, 413),
            requestBody={
                "required": True,
                "content": {
                    "application/json": {
                        "schema": _object(ms={"type": "number", "minimum": 0, "maximum": MAX_ADVANCE_S * 1000})
                    }
                },
            },
        )
    },
    "/_mock/reset": {
        "post": _route(
            "Forget sessions, journal, ledgers and findings",
            OK,
            *(408, 413),
            requestBody={"content": {"application/json": {"schema": {"properties": {"to": {"const": "start"}}}}}},
        )
    },
}
"""Routes of the root, which each namespace has too."""


def _of_namespace(methods: Mapping[str, Json]) -> Mapping[str, Json]:
    """The same operations, of a namespace."""
    parameters = [_in_path("namespace")]
    return {
        method: {
            **route,
            "parameters": [*parameters, *route.get("parameters", ())],
            "responses": {**route["responses"], "404": _answer(_WHY[404], _ref("Error"))},
        }
        for method, route in methods.items()
    }


PATHS: Mapping[str, Mapping[str, Json]] = {
    **_SERVER,
    **_NAMESPACED,
    **{
        path.replace("/_mock/", "/_mock/namespaces/{namespace}/"): _of_namespace(methods)
        for path, methods in _NAMESPACED.items()
    },
}


def description(guarded: bool) -> Json:
    """The whole description; `guarded` is whether an admin token is required."""
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
