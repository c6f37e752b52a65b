"""The HTTP routes as an OpenAPI 3.1 description, served at /_mock/openapi.json. A test has schemathesis compare it with
the server.

The realtime socket is missing: OpenAPI has no WebSockets. The routes of the workbench are missing too: they belong to
its page. What belongs to a service, such as the session of a client secret, is not described further.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mockserver.server.openapi_schemas import COUNT, TEXT, Json, list_of, ref, schemas
from mockserver.server.waiting import LONGEST_MS
from replay.version import tool_version

JSON, YAML, PLAIN = "application/json", "application/yaml", "text/plain"

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
    "schema": ref("Level"),
    "description": "The severity of a finding.",
}


def _body(*contents: tuple[str, Json], required: bool = True) -> Json:
    return {"required": required, "content": {kind: {"schema": schema} for kind, schema in contents}}


def _file_body(schema: str, required: bool = True) -> Json:
    """A document as JSON, or as the text of a file."""
    return _body((JSON, ref(schema)), (YAML, TEXT), (PLAIN, TEXT), required=required)


def _query(name: str, schema: Json, description: str, required: bool = False) -> Json:
    return {"name": name, "in": "query", "schema": schema, "description": description, "required": required}


def _in_path(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _route(id: str, summary: str, answer: Json, *errors: int, **more: Any) -> Json:
    """One operation: its id, the content of a 200, and the errors besides those of every route."""
    answers = {"200": _answer("Success.", answer)}
    for status in sorted({*errors, *_EVERYWHERE}):
        answers[str(status)] = _answer(_WHY[status], ref("Error"))
    return {"operationId": id, "summary": summary, "responses": answers, **more}


def _file(id: str, summary: str, kind: str, **more: Any) -> Json:
    """One operation that answers with a file of this media type."""
    route = _route(id, summary, {}, 404, **more)
    route["responses"]["200"]["content"] = {kind: {"schema": TEXT if kind == YAML else {}}}
    return route


def _offer() -> Json:
    """The offer of a WebRTC call: alone, or as a part beside the session."""
    parts: Json = {"type": "object", "properties": {"sdp": TEXT, "session": TEXT}, "required": ["sdp"]}
    route = _route(
        "createCall",
        "Begin a call over WebRTC, as at the service",
        {},
        *(401, 404, 408, 413, 429, 501),
        security=[{"key": []}],
        requestBody=_body(("multipart/form-data", parts), ("application/sdp", TEXT)),
    )
    del route["responses"]["200"]
    route["responses"]["201"] = {"description": "The answer, as SDP.", "content": {PLAIN: {"schema": TEXT}}}
    return route


def _action(id: str, summary: str, body: Json | None) -> Mapping[str, Json]:
    """A request about a call, as at the service: what was obeyed is answered without a body, or with `{}`."""
    route = _route(
        id,
        summary,
        {},
        *(401, 404, 408, 413, 422, 429, 502, 504),
        security=[{"key": []}],
        parameters=[_in_path("call_id")],
        **({} if body is None else {"requestBody": body}),
    )
    return {"post": route}


def _answer(description: str, schema: Json) -> Json:
    return {"description": description, "content": {JSON: {"schema": schema}}}


_WHY = {
    400: "The request is invalid; with xAI's newest date also: the key is wrong.",
    401: "The key is missing or wrong.",
    403: "The client is not allowed to use this route.",
    404: "There is no such session, call, fault, namespace or route.",
    405: "The route has no such method.",
    408: "The body, or the frame that is waited for, did not arrive in time.",
    409: "The clock is not manual, or the number is registered already.",
    413: "The body is too large.",
    422: "The body does not match the schema.",
    429: "Too many requests; `Retry-After` has the seconds to wait.",
    501: "This server cannot open a call over WebRTC; the answer says what to do.",
    502: "The destination refused the caller.",
    504: "The destination did not answer.",
}
_EVERYWHERE = (400, 403)

_SERVER: Mapping[str, Mapping[str, Json]] = {
    "/v1/realtime/client_secrets": {
        "post": _route(
            "createClientSecret",
            "Create a client secret, as at the service",
            ref("Secret"),
            *(401, 408, 413, 422, 429),
            security=[{"key": []}],
            requestBody=_body((JSON, ref("SecretRequest")), required=False),
        )
    },
    "/v1/realtime/calls": {"post": _offer()},
    "/v1/realtime/calls/{call_id}/accept": _action(
        "acceptCall", "Accept a call that rings, with a session", _body((JSON, ref("CallSession")))
    ),
    "/v1/realtime/calls/{call_id}/reject": _action(
        "rejectCall", "Reject a call that rings", _body((JSON, ref("CallRejection")), required=False)
    ),
    "/v1/realtime/calls/{call_id}/refer": _action(
        "referCall", "Hand the caller of a call over", _body((JSON, ref("CallTransfer")))
    ),
    "/v1/realtime/calls/{call_id}/hangup": _action("hangUpCall", "End a call", None),
    "/v2/phone-numbers": {
        "get": _route(
            "listPhoneNumbers",
            "The phone numbers of a team, as at xAI",
            ref("PhoneNumbers"),
            *(401, 404, 429),
            security=[{"key": []}],
        ),
        "post": _route(
            "registerPhoneNumber",
            "Register a phone number, as at xAI",
            ref("PhoneNumberMade"),
            *(401, 404, 408, 409, 413, 429),
            security=[{"key": []}],
            requestBody=_body((JSON, ref("PhoneNumberRequest"))),
        ),
    },
    "/_mock/openapi.json": {"get": _route("getDescription", "This description", {"type": "object"})},
    "/_mock/namespaces": {
        "get": _route("listNamespaces", "Namespaces", list_of(ref("Namespace"))),
        "post": _route(
            "openNamespace",
            "Make a namespace",
            ref("NamespaceMade"),
            *(408, 413, 429),
            requestBody=_file_body("NamespaceRequest", required=False),
        ),
    },
    "/_mock/namespaces/{namespace}": {
        "delete": _route("endNamespace", "End a namespace", ref("Ok"), 404, parameters=[_in_path("namespace")])
    },
}
"""Routes of the whole server."""

_NAMESPACED: Mapping[str, Mapping[str, Json]] = {
    "/_mock/health": {"get": _route("getHealth", "State of the server", ref("Health"))},
    "/_mock/sessions": {"get": _route("listSessions", "Sessions past and present", list_of(ref("Session")))},
    "/_mock/sessions/{id}": {
        "get": _route("getSession", "One session", ref("SessionWithLedger"), 404, parameters=[_in_path("id")])
    },
    "/_mock/sessions/{id}/call": {
        "get": _route(
            "getCall",
            "One session as the viewer's document",
            ref("Call"),
            404,
            parameters=[_in_path("id"), SINCE, SKIPPED],
        )
    },
    "/_mock/sessions/{id}/sound": {
        "get": _route(
            "getSound", "The audio of one session, for the viewer", ref("Sound"), 404, parameters=[_in_path("id")]
        )
    },
    "/_mock/sessions/{id}/tape": {
        "get": _file("getTape", "One session as a cassette", "application/octet-stream", parameters=[_in_path("id")])
    },
    "/_mock/sessions/{id}/scenario": {
        "get": _file("getSessionScenario", "One session as a scenario file", YAML, parameters=[_in_path("id")])
    },
    "/_mock/calls": {
        "get": _route("listCalls", "Calls past and present", list_of(ref("PlacedCall"))),
        "post": _route(
            "ring",
            "Let the phone ring",
            ref("PlacedCall"),
            *(408, 413, 429),
            requestBody=_body((JSON, ref("RingRequest"))),
        ),
    },
    "/_mock/calls/{id}/audio": {
        "get": _file(
            "getCallAudio", "Both sides of a phone call as a WAV file", "audio/wav", parameters=[_in_path("id")]
        )
    },
    "/_mock/calls/{id}": {
        "get": _route("getPlacedCall", "One call", ref("PlacedCall"), 404, parameters=[_in_path("id")]),
        "delete": _route("endCall", "Hang up for the caller", ref("PlacedCall"), 404, parameters=[_in_path("id")]),
    },
    "/_mock/metrics": {"get": _file("getMetrics", "Counts for Prometheus", PLAIN)},
    "/_mock/limits": {
        "get": _route(
            "listTeamSessions",
            "Sessions of each team with an open one, and how many it may have",
            list_of(ref("TeamSessions")),
        )
    },
    "/_mock/journal": {
        "get": _route(
            "getJournal",
            "Every frame, in both directions",
            list_of(ref("Entry")),
            404,
            parameters=[SESSION, SINCE, AUDIO],
        )
    },
    "/_mock/ledger": {
        "get": _route(
            "getLedger",
            "Usage and cost, of all sessions or of one",
            {"anyOf": [ref("Ledger"), ref("SessionLedger")]},
            404,
            parameters=[SESSION],
        )
    },
    "/_mock/wait": {
        "get": _route(
            "waitForFrame",
            "Wait for a frame",
            ref("Entry"),
            *(408, 429),
            parameters=[
                _query(
                    "type",
                    {"anyOf": [ref("EventType"), {"type": "string", "minLength": 1}]},
                    "A frame's type; `*` stands for any characters.",
                    required=True,
                ),
                SESSION,
                _query("way", {"enum": ["in", "out"]}, "From the client, or from the server."),
                _query("nth", {"anyOf": [{"const": "next"}, {"type": "integer", "minimum": 1}]}, "Which one."),
                _query("ms", {"type": "integer", "minimum": 0, "maximum": LONGEST_MS}, "The longest time to wait."),
                AUDIO,
            ],
        )
    },
    "/_mock/refusals": {"get": _route("listRefusals", "Refused handshakes and requests", list_of(ref("Refusal")))},
    "/_mock/report": {"get": _route("getReport", "Where clients left the recording", list_of(TEXT))},
    "/_mock/unused": {"get": _route("listUnused", "What no client has used", list_of(TEXT))},
    "/_mock/findings": {
        "get": _route("listFindings", "Findings", list_of(ref("Finding")), 404, parameters=[SESSION, LEVEL])
    },
    "/_mock/scenario": {
        "get": _route("getScenario", "What answers new connections", ref("Played")),
        "put": _route(
            "replaceScenario",
            "Replace the scenario, for new connections",
            ref("Applied"),
            *(408, 413),
            requestBody=_file_body("Scenario"),
        ),
        "delete": _route("removeScenario", "Remove the scenario, for new connections", ref("Applied")),
    },
    "/_mock/faults": {
        "get": _route("listFaults", "The faults that are on", ref("Faults")),
        "put": _route(
            "replaceFaults", "Replace all faults", ref("Faults"), *(408, 413), requestBody=_file_body("FaultFile")
        ),
        "post": _route("addFaults", "Add faults", ref("Faults"), *(408, 413), requestBody=_file_body("FaultFile")),
        "delete": _route("removeAllFaults", "Remove all faults", ref("Faults")),
    },
    "/_mock/faults/kinds": {
        "get": _route("listFaultKinds", "Each kind of fault with an example", list_of(ref("FaultExample")))
    },
    "/_mock/faults/{which}": {
        "delete": _route(
            "removeFaults",
            "Remove the faults of an id or a name",
            ref("Faults"),
            404,
            parameters=[_in_path("which")],
        )
    },
    "/_mock/clock/advance": {
        "post": _route(
            "advanceClock",
            "Move a manual clock",
            ref("Instant"),
            *(408, 409, 413),
            requestBody=_body((JSON, ref("Advance"))),
        )
    },
    "/_mock/reset": {
        "post": _route(
            "reset",
            "Forget sessions, journal, ledgers, findings and refusals",
            ref("Ok"),
            *(408, 413),
            requestBody=_body((JSON, ref("Reset")), required=False),
        )
    },
}
"""Routes of the root, which each namespace has too."""


def _of_namespace(methods: Mapping[str, Json]) -> Mapping[str, Json]:
    """The same operations, of a namespace."""
    return {
        method: {
            **route,
            "operationId": f"{route['operationId']}InNamespace",
            "summary": f"{route['summary']}, in a namespace",
            "parameters": [_in_path("namespace"), *route.get("parameters", ())],
            "responses": {**route["responses"], "404": _answer(_WHY[404], ref("Error"))},
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


def description(guarded: bool, origin: str = "http://127.0.0.1:8765") -> Json:
    """The whole description; `guarded` is whether an admin token is required, `origin` the server's address."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "realtape",
            "version": tool_version(),
            "description": "The HTTP routes of a mock server. OpenAPI has no WebSockets: sessions are at /v1/realtime.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": origin, "description": "This server."}],
        "paths": PATHS,
        "security": [{"admin": []}] if guarded else [{}, {"admin": []}],
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "The service's API key."},
                "admin": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token of `--admin-token`, where the server has one, for /_mock/.",
                },
            },
        },
    }
