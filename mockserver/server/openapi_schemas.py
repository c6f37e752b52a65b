"""The values that the HTTP routes take and answer, as JSON Schemas. An object has no keys but those named here, except
where another program's document begins: an event of a service, a session, the viewer's document.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

from mockserver.dialects.names import ALIASES, AUTO, DIALECT_NAMES
from mockserver.dialects.provenance import EVIDENCE
from mockserver.faults.injection_points import CLIENT_EVENTS
from mockserver.faults.kinds import KINDS
from mockserver.responders.base import HeardBy
from mockserver.server.calls.phone import Status
from mockserver.server.calls.registry import State
from mockserver.server.calls.ring_body import RingSection
from mockserver.server.calls.running_call import End
from mockserver.server.clock import MAX_ADVANCE_S
from mockserver.server.isolated_file import IsolatedSection
from mockserver.server.journal import Came
from mockserver.server.session_factory import Understands
from replay.billing.prices import Tokens
from replay.findings import LEVELS
from replay.findings.rules.table import RULES
from replay.viewer.call import FORM

Json = dict[str, Any]
FILES = Path(__file__).resolve().parents[1] / "documents" / "schemas"


def object_of(*optional: str, **properties: Json) -> Json:
    """An object with these properties and no other. All are there, except the `optional` ones."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def list_of(items: Json) -> Json:
    """A list."""
    return {"type": "array", "items": items}


def ref(name: str) -> Json:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


TEXT: Json = {"type": "string"}
TRUTH: Json = {"type": "boolean"}
NUMBER: Json = {"type": "number"}
COUNT: Json = {"type": "integer", "minimum": 0}
ANY_OBJECT: Json = {"type": "object", "additionalProperties": True}
_COUNTED = object_of(count=COUNT, most=COUNT)
_HELD = object_of(bytes=COUNT, most_bytes=COUNT)
_SUMMARY = {
    "id": TEXT,
    "number": {**COUNT, "description": "Among the sessions since the last reset, from 1."},
    "conversation_id": TEXT,
    "dialect": TEXT,
    "came": {"enum": list(get_args(Came)), "description": "How its client came."},
    "call_id": {"type": ["string", "null"], "description": "The call whose session it is."},
    "sidebands": list_of(
        object_of(
            opened=NUMBER,
            open=TRUTH,
            closed_s={"type": ["number", "null"]},
            close_code={"type": ["integer", "null"]},
            messages_in=COUNT,
            messages_out=COUNT,
        )
    ),
    "opened": {**NUMBER, "description": "Unix second."},
    "open": TRUTH,
    "closed_s": {"type": ["number", "null"], "description": "Seconds from its opening to its end; null while open."},
    "close_code": {"type": ["integer", "null"]},
    "close_reason": TEXT,
    "frames": COUNT,
    "dropped": COUNT,
    "findings": COUNT,
    "heard": list_of(object_of(item_id=TEXT, at=NUMBER, words=TEXT, heard_by={"enum": list(get_args(HeardBy))})),
}
_USED = {
    "audio_in_s": NUMBER,
    "audio_out_s": NUMBER,
    "text_items": COUNT,
    "hosted_calls": {"type": "object", "additionalProperties": COUNT},
    "telephony_s": NUMBER,
    "usd": {**TEXT, "description": "USD, as text so that no digit is lost."},
}
_NAMESPACE = {
    "id": TEXT,
    "ws": TEXT,
    "http": TEXT,
    "control": TEXT,
    "dialect": TEXT,
    "sessions": COUNT,
    "open_sessions": COUNT,
}
_SECONDS_OR_NULL: Json = {"type": ["number", "null"]}
_PHONE_NUMBER = {
    "phone_number_id": TEXT,
    "phone_number": TEXT,
    "name": TEXT,
    "origin": {"const": "byo_trunk"},
    "webhook": object_of(name=TEXT, url=TEXT),
    "sip_auth": ANY_OBJECT,
}
_EVENTS = {type for types in EVIDENCE.values() for type in types} | set(CLIENT_EVENTS)
_SCHEMAS: Mapping[str, Json] = {
    "Error": {
        "description": "`error` is a sentence that says what to do, with xAI's `code` or alone; or OpenAI's object.",
        "anyOf": [
            object_of("code", error=TEXT, code=TEXT),
            object_of(
                error=object_of(
                    message=TEXT, type=TEXT, param={"type": ["string", "null"]}, code={"type": ["string", "null"]}
                )
            ),
        ],
    },
    "Ok": object_of(status={"const": "ok"}),
    "Applied": object_of(status={"const": "ok"}, applies_to={"const": "new connections"}),
    "Dialect": {"enum": [AUTO, *ALIASES, *DIALECT_NAMES]},
    "Level": {"enum": list(LEVELS)},
    "FindingRule": {"enum": sorted(rule.id for rule in RULES)},
    "FaultKind": {"enum": sorted(KINDS)},
    "EventType": {"enum": sorted(_EVENTS), "description": "The types of events that either service knows."},
    "Health": object_of(
        status={"const": "ok"},
        dialect=ref("Dialect"),
        open_sessions=COUNT,
        errors=COUNT,
        memory=object_of(
            sessions=_COUNTED,
            journal=_HELD,
            resumable=object_of(count=COUNT, bytes=COUNT, most_bytes=COUNT),
            clips=_HELD,
            secrets=_COUNTED,
            teams=_COUNTED,
            findings=_COUNTED,
            errors=_COUNTED,
            refusals=_COUNTED,
            calls=_COUNTED,
            call_sound=_HELD,
        ),
        words={"enum": list(get_args(Understands))},
        clock=object_of(rate=NUMBER, now=NUMBER, unix=NUMBER),
    ),
    "Session": object_of(**_SUMMARY),
    "SessionWithLedger": object_of(**_SUMMARY, ledger=ref("SessionLedger")),
    "Entry": {
        **object_of(
            "session",
            "heard_by",
            "findings",
            session=TEXT,
            at={**NUMBER, "description": "Seconds since the session opened."},
            way={"enum": ["in", "out"]},
            type={"anyOf": [ref("EventType"), {"type": ["string", "null"]}]},
            frame={"description": "The event; an object or a text for what is no event."},
            heard_by={"enum": list(get_args(HeardBy))},
            findings=list_of(ref("Finding")),
        ),
        "description": "One frame. Without `?session=` it has its `session`; a final transcript has `heard_by`.",
    },
    "Ledger": {**object_of(sessions=COUNT, **_USED), "description": "What all sessions used."},
    "SessionLedger": object_of(
        "tokens",
        "transcribed_s",
        model={"type": ["string", "null"]},
        **_USED,
        prices_as_of=TEXT,
        tokens={"type": "object", "additionalProperties": object_of(**{each.name: COUNT for each in fields(Tokens)})},
        transcribed_s={"type": "object", "additionalProperties": NUMBER},
    ),
    "Finding": object_of(
        rule=ref("FindingRule"),
        level=ref("Level"),
        at=NUMBER,
        frame={"type": ["integer", "null"]},
        message=TEXT,
        fix=TEXT,
        session={"type": ["string", "null"]},
    ),
    "Refusal": object_of(
        at={**NUMBER, "description": "Unix second."},
        method=TEXT,
        path=TEXT,
        status={"type": "integer"},
        error=TEXT,
        cause=TEXT,
    ),
    "Played": object_of(
        plays={"enum": ["echo", "chat", "responder", "scenario", "cassette"]},
        name=TEXT,
        verbatim=TRUTH,
        scenario={"anyOf": [ref("Scenario"), {"type": "null"}]},
    ),
    "Struck": object_of(
        id=COUNT, fault=ref("Fault"), fired=COUNT, where=list_of(object_of(session=TEXT, at=NUMBER, event=TEXT))
    ),
    "Faults": object_of(seed=TEXT, faults=list_of(ref("Struck"))),
    "FaultExample": object_of(kind=ref("FaultKind"), about=TEXT, example=TEXT),
    "TeamSessions": object_of(team=TEXT, sessions=COUNT, most={"type": ["integer", "null"]}),
    "Namespace": object_of(**_NAMESPACE),
    "NamespaceMade": object_of(
        **_NAMESPACE,
        api_key=TEXT,
        api_keys=object_of(xai=TEXT, openai=TEXT),
        environment={"type": "object", "additionalProperties": TEXT},
    ),
    "Call": {
        **ANY_OBJECT,
        "properties": {"form": {"const": FORM}},
        "required": ["form"],
        "description": "The viewer's document, which changes with the viewer.",
    },
    "Sound": {**ANY_OBJECT, "description": "The viewer's audio, which changes with the viewer."},
    "Instant": object_of(now=NUMBER, unix=NUMBER),
    "SecretRequest": {
        **ANY_OBJECT,
        "properties": {
            "expires_after": {
                **ANY_OBJECT,
                "properties": {"anchor": TEXT, "seconds": {"type": "integer", "minimum": 1}},
            },
            "session": ANY_OBJECT,
        },
    },
    "Secret": {
        **object_of("session", value=TEXT, expires_at=COUNT, session=ANY_OBJECT),
        "description": "As the service answers; OpenAI's holds the `session`.",
    },
    "CallSession": {
        **ANY_OBJECT,
        "properties": {"type": {"const": "realtime"}},
        "required": ["type"],
        "description": "The session, as in `session.update`.",
    },
    "CallRejection": {
        **ANY_OBJECT,
        "properties": {"status_code": {"type": "integer", "minimum": 400, "maximum": 699}},
    },
    "CallTransfer": {
        **ANY_OBJECT,
        "properties": {"target_uri": {"type": "string", "description": "A `tel:` or `sip:` URI."}},
        "required": ["target_uri"],
    },
    "PlacedCall": object_of(
        id=TEXT,
        came={"enum": [each for each in get_args(Came) if each != "websocket"]},
        dialect=TEXT,
        state={"enum": list(get_args(State))},
        rang_at={**NUMBER, "description": "Unix second."},
        **{"from": TEXT},
        to=TEXT,
        session={"type": ["string", "null"], "description": "The id of its session, once it was accepted."},
        transferred_to={"type": ["string", "null"]},
        reason={"type": ["string", "null"], "description": "Why it is over."},
        sidebands=COUNT,
        phone={
            "anyOf": [ref("PhoneCall"), {"type": "null"}],
            "description": "What the caller did and heard; null for a call that did not come by phone.",
        },
    ),
    "PhoneCall": object_of(
        status={"enum": list(get_args(Status))},
        seconds=NUMBER,
        sip_status={"type": ["integer", "null"]},
        hung_up_by={"enum": [*get_args(End), None]},
        digits=TEXT,
        webhooks=list_of(object_of(at=NUMBER, status={"type": ["integer", "null"]}, problem=TEXT)),
        turns=list_of(
            object_of(
                text=TEXT,
                began_s=NUMBER,
                ended_s=_SECONDS_OR_NULL,
                barge_in=TRUTH,
                answered_s=_SECONDS_OR_NULL,
                silent_s=_SECONDS_OR_NULL,
            )
        ),
    ),
    "PhoneNumber": object_of(**_PHONE_NUMBER),
    "PhoneNumbers": object_of(phone_numbers=list_of(ref("PhoneNumber"))),
    "PhoneNumberMade": object_of(**_PHONE_NUMBER, dispatch_signing_secret=TEXT),
    "PhoneNumberRequest": {
        **ANY_OBJECT,
        "properties": {
            "origin": {"const": "byo_trunk"},
            "phone_number": TEXT,
            "name": TEXT,
            "webhook": {**ANY_OBJECT, "properties": {"name": TEXT, "url": TEXT}, "required": ["url"]},
            "sip_auth": ANY_OBJECT,
        },
        "required": ["origin", "phone_number", "webhook", "sip_auth"],
    },
    "Advance": object_of(ms={"type": "number", "minimum": 0, "maximum": MAX_ADVANCE_S * 1000}),
    "Reset": object_of("to", to={"const": "start"}),
}


@lru_cache(maxsize=1)
def schemas() -> Mapping[str, Json]:
    """All, by name. Scenarios, faults and namespaces are described by what reads them."""
    scenario, faults = _file("scenario"), _file("faults")
    isolated = IsolatedSection.model_json_schema(ref_template="#/components/schemas/{model}")
    own = _left_out(isolated)
    ring = RingSection.model_json_schema(ref_template="#/components/schemas/{model}")
    given = _left_out(ring)
    given["answer_within"] = {"type": "string", "description": "How long it rings, such as 30s."}
    given["greeting"] = {"type": "string", "description": "How long the caller waits to be greeted, such as 2s."}
    own["scenario"]["anyOf"] = [ref("Scenario"), TEXT]
    own["faults"]["anyOf"] = [ref("FaultFile"), TEXT]
    own["dialect"] = {**ref("Dialect"), "description": own["dialect"]["description"]}
    found = {
        **_SCHEMAS,
        "Scenario": scenario,
        "FaultFile": faults,
        "NamespaceRequest": isolated,
        "RingRequest": ring,
        **scenario.pop("$defs"),
        **faults.pop("$defs"),
        **isolated.pop("$defs"),
    }
    named: Mapping[str, Json] = {_name(name): _renamed(schema) for name, schema in found.items()}
    return named


def _left_out(schema: Json) -> Json:
    """The properties of a schema; each is left out or has a value: null is neither."""
    own: Json = schema["properties"]
    for name, optional in own.items():
        kinds = [each for each in optional.pop("anyOf", ()) if each != {"type": "null"}]
        own[name] = {**optional, **(kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {})}
    return own


def _file(name: str) -> Json:
    schema: Json = json.loads((FILES / f"{name}.schema.json").read_text(encoding="utf-8"))
    del schema["$schema"]
    return schema


def _name(given: str) -> str:
    """The name of a schema, from that of the model it was made from."""
    plain = given.removeprefix("_")
    return plain[:1].upper() + plain[1:] if not given.startswith("_") else _PREFIX.get(plain, f"Scenario{plain}")


_PREFIX = {"LimitsSection": "Limits"}


def _renamed(schema: Any) -> Any:
    """The same with references to the names here."""
    if isinstance(schema, list):
        return [_renamed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "properties" in schema:  # where one of several keys is required, each alternative says what the key is
        for each in schema.get("oneOf", ()):
            each.setdefault("properties", {name: schema["properties"][name] for name in each["required"]})
    return {
        key: f"#/components/schemas/{_name(value.rpartition('/')[2])}"
        if key == "$ref" and isinstance(value, str)
        else _renamed(value)
        for key, value in schema.items()
        # A title is the name of a Python class, and a default makes generators of types take a key as required.
        if key not in ("title", "default") or isinstance(value, dict)
    }
