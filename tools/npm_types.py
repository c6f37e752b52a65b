"""Writes the TypeScript types of the npm package, from the schemas and models that the server itself reads with.

    python -m tools.npm_types

A test compares npm/src/generated with what this makes, so the files are checked in and building the package needs no
Python.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from mockserver.cli.schema import faults_schema, scenario_schema
from mockserver.dialects.openai import client_events as openai_client
from mockserver.dialects.openai import schema as openai_server
from mockserver.dialects.schema import Schema as EventSchema
from mockserver.dialects.xai import client_events as xai_client
from mockserver.dialects.xai import schema as xai_server
from mockserver.faults.kinds import KINDS
from mockserver.server.openapi_schemas import schemas

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "npm" / "src" / "generated"
HEAD = "// Made by `python -m tools.npm_types` from the schemas of the server. Do not edit.\n"
CONTROL = (
    "Dialect",
    "Entry",
    "EventType",
    "Finding",
    "FindingRule",
    "Instant",
    "Ledger",
    "Level",
    "NamespaceMade",
    "PhoneCall",
    "PlacedCall",
    "Played",
    "Refusal",
    "RingRequest",
    "Secret",
    "Session",
    "SessionLedger",
    "Struck",
)
"""What the package uses of the control plane."""
IMPORTS = """import type { Fault } from "./faults.js";
import type { Scenario } from "./scenario.js";

"""
ANY = "unknown"
OBJECT = f"Record<string, {ANY}>"
DURATION = '`${number}${"ms" | "s" | "m" | "min"}`'
PRIMITIVES = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
    "object": OBJECT,
    "array": f"{ANY}[]",
}
PYTHON = {str: "string", int: "number", float: "number", bool: "boolean", dict: OBJECT, object: ANY}
BOUNDS = {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most", "default": "default"}

Json = Mapping[str, Any]


def files() -> Iterator[tuple[Path, str]]:
    """Each file with its text."""
    for name, text in (
        ("scenario.ts", _scenario()),
        ("faults.ts", _faults()),
        ("control.ts", _control()),
        ("xai-client.ts", _client_events(xai_client.EVENTS.json_schema())),
        ("xai-server.ts", _server_events(xai_server)),
        ("openai-client.ts", _client_events(openai_client.EVENTS.json_schema())),
        ("openai-server.ts", _server_events(openai_server)),
    ):
        yield FOLDER / name, f"{HEAD}\n{text}"


def _scenario() -> str:
    schema = scenario_schema()
    return _declared({**schema["$defs"], "Scenario": schema})


def _faults() -> str:
    schema = faults_schema()
    file, *_ = schema["anyOf"]
    return _declared({"fault": schema["$defs"]["fault"], "FaultFile": file})


def _control() -> str:
    known = schemas()
    return IMPORTS + _declared({name: known[name] for name in CONTROL})


def _declared(schemas: Mapping[str, Json]) -> str:
    return "\n".join(
        f"{_comment(schema)}export type {_name(name)} = {_type(schema)};\n" for name, schema in schemas.items()
    )


def _client_events(schema: Json) -> str:
    refs = sorted(schema["discriminator"]["mapping"].items())
    events = {type: f"{_name(_last(ref))} & {{ event_id?: string }}" for type, ref in refs}
    types = _declared(schema["$defs"]).replace("export type", "type")
    return f"{types}\n{_interface('ClientEvents', 'What a client sends, by type.', events)}"


def _server_events(server: ModuleType) -> str:
    names = {id(value): _name(name) for name, value in vars(server).items() if _has_name(name, value)}
    events = {type: _event_type(schema, names) for type, schema in sorted(server.EVENTS.items())}
    types = [f"type {name} = {body};\n" for name, body in _named(server, names, "\n".join(events.values()))]
    return "\n".join([*types, _interface("ServerEvents", "What the server sends, by type.", events)])


def _interface(name: str, meaning: str, events: Mapping[str, str]) -> str:
    fields = [f"{json.dumps(type)}: {event};" for type, event in events.items()]
    return f"/** {meaning} */\nexport interface {name} {_object(fields)}\n"


def _has_name(name: str, value: object) -> bool:
    """Whether a schema is given a type of its own: an object or a list of objects that the module names in capitals."""
    return re.fullmatch(r"_?[A-Z][A-Z_]+", name) is not None and (
        (isinstance(value, (list, tuple)) and any(isinstance(each, dict) for each in value))
        or (isinstance(value, dict) and "EVENTS" not in name and not name.startswith(("_AFTER", "_BETWEEN")))
    )


def _named(server: ModuleType, names: Mapping[int, str], used: str) -> Iterator[tuple[str, str]]:
    """The named schemas that an event or another one of them uses, with their types."""
    bodies = {
        names[id(value)]: _event_type(value, {each: name for each, name in names.items() if each != id(value)})
        for name, value in vars(server).items()
        if _has_name(name, value)
    }
    kept: set[str] = set()
    text = used
    while more := {name for name in bodies.keys() - kept if re.search(rf"\b{name}\b", text)}:
        kept |= more
        text = "\n".join([text, *(bodies[name] for name in more)])
    yield from ((name, body) for name, body in bodies.items() if name in kept)


def _event_type(schema: EventSchema, names: Mapping[int, str]) -> str:
    """A schema of dialects/schema.py."""
    if id(schema) in names and isinstance(schema, (Mapping, list, tuple)):
        return names[id(schema)]
    match schema:
        case tuple():
            return _union(_event_type(each, names) for each in schema)
        case Mapping() if not schema:
            return "Record<string, never>"
        case Mapping():
            fields = (
                f"{_key(key.rstrip('?'))}{'?' if key.endswith('?') else ''}: {_event_type(each, names)};"
                for key, each in schema.items()
            )
            return _object(fields)
        case list():
            return _array(_event_type(schema[0], names))
        case type():
            return PYTHON[schema]
        case _:
            return json.dumps(schema)


def _type(schema: Json) -> str:
    """A JSON Schema."""
    if "$ref" in schema:
        return _name(_last(schema["$ref"]))
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return _union(map(json.dumps, schema["enum"]))
    if "properties" in schema:
        return _union(map(_object_type, _alternatives(schema)))
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return _union(_type(each) for each in schema[key])
    match schema.get("type"):
        case "array" if "items" in schema:
            return _array(_type(schema["items"]))
        case "string" if "pattern" in schema:
            return _text(schema["pattern"])
        case "object" if isinstance(values := schema.get("additionalProperties"), dict):
            return f"Record<string, {_type(values)}>"
        case str(kind):
            return PRIMITIVES[kind]
        case list(kinds):
            return _union(PRIMITIVES[kind] for kind in kinds)
        case _:
            return ANY


def _text(pattern: str) -> str:
    """The texts of a pattern, as far as TypeScript has them: durations, and kinds of fault with a value behind them."""
    if "ms|s|m|min" in pattern:
        return DURATION
    if "|".join(KINDS) in pattern:
        kinds = _union(map(json.dumps, KINDS))
        return f"{kinds} | `${{{kinds}}}:${{string}}`"
    return "string"


def _alternatives(schema: Json) -> Sequence[Json]:
    """Objects of which each has one of the keys that exclude each other, and what belongs to that key."""
    rivals = [each["required"][0] for each in schema.get("oneOf", ()) if "required" in each]
    if not rivals:
        return [schema]
    owners = schema.get("dependentRequired", {})

    def belongs(name: str, key: str) -> bool:
        return key in owners[name] if name in owners else name == key or name not in rivals

    return [
        {
            "properties": {name: each for name, each in schema["properties"].items() if belongs(name, key)},
            "required": [*schema.get("required", ()), key],
        }
        for key in rivals
    ]


def _object_type(schema: Json) -> str:
    required = schema.get("required", ())
    fields = [
        f"{_comment(each)}{_key(name)}{'' if name in required else '?'}: {_type(each)};"
        for name, each in schema["properties"].items()
    ]
    if schema.get("additionalProperties") is True:
        fields.append(f"[key: string]: {ANY};")
    return _object(fields)


def _object(fields: Iterator[str] | Sequence[str]) -> str:
    inside = "\n".join(fields)
    return "{\n" + re.sub(r"(?m)^(?=.)", "  ", inside) + "\n}" if inside else OBJECT


def _array(each: str) -> str:
    return f"{each}[]" if re.fullmatch(r"\w+", each) else f"Array<{each}>"


def _union(parts: Iterator[str] | Sequence[str]) -> str:
    return " | ".join(dict.fromkeys(parts))


def _comment(schema: Json) -> str:
    """The description, the bounds and the default, as a doc comment."""
    words = [" ".join(str(schema.get("description", "")).split())]
    bounds = [
        f"{word} {json.dumps(schema[key])}"
        for key, word in BOUNDS.items()
        if key in schema and schema[key] not in ("", None, [], {})
    ]
    if bounds:
        words.append(f"({', '.join(bounds)})")
    text = " ".join(filter(None, words)).replace("*/", "*\\/")
    return f"/** {text} */\n" if text else ""


def _name(name: str) -> str:
    """`_RESPONSE` and `fault` as `Response` and `Fault`."""
    parts = name.strip("_").split("_")
    return "".join(part.capitalize() if part.isupper() else part[:1].upper() + part[1:] for part in parts)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else json.dumps(name)


def _last(ref: str) -> str:
    return ref.rpartition("/")[2]


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path, text in files():
        path.write_text(text, encoding="utf-8", newline="\n")
