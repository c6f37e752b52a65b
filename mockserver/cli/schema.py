"""The command `schema`: JSON Schemas of scenario, fault and accounts files, made from the models that read them.

An editor that knows them completes keys and marks mistakes while they are typed. What only reading can tell (patterns,
templates, names, audio files) they leave to `realtape check`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import click
from pydantic import TypeAdapter

from mockserver.faults.kinds import KINDS, Fault, own_fields
from mockserver.responders.scenario_file import ScenarioFile
from mockserver.server.accounts_file import AccountsSection
from replay.cli.usage import Unusable

SchemaName = Literal["scenario", "faults", "accounts"]
FOLDER = Path(__file__).resolve().parents[1] / "documents" / "schemas"
"""The packaged schemas, a file `NAME.schema.json` each."""
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_TIME = {"type": "string", "pattern": r"^\s*([0-9]+(\.[0-9]+)?|\.[0-9]+)\s*(ms|s|m|min)\s*$", "examples": ["500ms"]}
_NULLABLE = {"code"}
"""Keys whose value may be null in a file."""
_KINDS_OF_STEP = ("say", "call", "hosted", "pause", "fail", "chat")


@click.command()
@click.argument("name", type=click.Choice(get_args(SchemaName)), required=False)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder to write all schemas to.")
def schema(name: SchemaName | None, out: Path | None) -> None:
    """Print the JSON Schema of scenario, fault or accounts files, or write all three to a folder.

    An editor with a YAML language server uses the schema that the first line of a file names.

    Exit code: 0, or 2 for bad usage or a folder that cannot be written to.

    Examples:

    \b
      realtape schema scenario
      realtape schema --out schemas
      # yaml-language-server: $schema=schemas/scenario.schema.json
    """
    if (name is None) == (out is None):
        raise click.UsageError("give a name (scenario, faults, accounts), or --out DIR for all")
    if name is not None:
        click.echo(text_of(name), nl=False)
    if out is not None:
        try:
            for path in write(out):
                click.echo(str(path))
        except OSError as problem:
            raise Unusable(f"{out}: {problem.strerror}; choose another folder") from problem


def write(folder: Path) -> list[Path]:
    """Write all schemas; their paths. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in get_args(SchemaName):
        paths.append(folder / f"{name}.schema.json")
        paths[-1].write_text(text_of(name), encoding="utf-8", newline="\n")
    return paths


def text_of(name: SchemaName) -> str:
    """A schema as the text of a file."""
    made = {"scenario": scenario_schema, "faults": faults_schema, "accounts": accounts_schema}[name]()
    return json.dumps({"$schema": _DRAFT, "title": f"realtape {name} file", **made}, indent=2) + "\n"


def scenario_schema() -> dict[str, Any]:
    """That of a scenario file."""
    schema: dict[str, Any] = _plain(ScenarioFile.model_json_schema())
    defs = schema["$defs"]
    defs["_Pause"]["properties"] |= {"s": {"type": "number"}, "seconds": {"type": "number"}}
    defs["_Pause"]["oneOf"] = [{"required": [key]} for key in ("ms", "s", "seconds")]
    del defs["_Pause"]["required"]
    defs["_Pause"] = {"anyOf": [_TIME, defs["_Pause"]]}
    defs["_Entry"] = {"anyOf": [defs["_Entry"]["properties"]["reply"], defs["_Entry"]]}
    defs["_Step"]["oneOf"] = [{"required": [kind]} for kind in _KINDS_OF_STEP]
    defs["_Step"]["dependentRequired"] = {key: ["say"] for key in ("voice", "speed", "audio", "item", "phase")}
    defs["_When"]["minProperties"] = 1
    date = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d$"}
    from_prompt = {
        "type": "object",
        "properties": {"instructions": {"type": "string"}},
        "required": ["instructions"],
        "additionalProperties": False,
    }
    schema["properties"]["today"] |= {"anyOf": [date, from_prompt]}
    schema["oneOf"] = [{"required": ["turns"]}, {"required": ["sequence"]}]
    return schema


def accounts_schema() -> dict[str, Any]:
    """That of an accounts file."""
    schema: dict[str, Any] = _plain(AccountsSection.model_json_schema())
    keys = schema["$defs"]["_Team"]["properties"]["keys"]
    keys |= {"minItems": 1, "items": {"type": "string", "pattern": r"\S"}}
    return schema


def faults_schema() -> dict[str, Any]:
    """That of a fault file: `seed` and `faults`, a list of faults, or one fault."""
    shared = _fields(KINDS["reset"])
    at = {
        "description": "handshake, client_secrets, webhook, a route such as POST /v1/realtime/calls, a server event's"
        " type, < and a client event's type, or time: 5s.",
        "anyOf": [
            {"type": "string", "not": {"pattern": r"^\s*time\s*:?\s*[0-9.]+\s*$"}},
            {
                "type": "object",
                "properties": {"time": _TIME},
                "required": ["time"],
                "additionalProperties": False,
            },
        ],
    }
    named = {"type": "string", "pattern": rf"^\s*({'|'.join(KINDS)})\s*(:.*)?$", "examples": ["drop", "close: 1011"]}
    fault = {
        "type": "object",
        "properties": {**shared, "at": at, "do": {"anyOf": [named, *map(_kind, KINDS.values())]}},
        "required": ["do"],
        "additionalProperties": False,
    }
    file = {
        "type": "object",
        "properties": {
            "seed": {"type": ["integer", "string"], "description": "Decides about probabilities."},
            "faults": {"type": "array", "items": {"$ref": "#/$defs/fault"}},
        },
        "required": ["faults"],
        "additionalProperties": False,
    }
    listed = {"type": "array", "items": {"$ref": "#/$defs/fault"}}
    return {"$defs": {"fault": fault}, "anyOf": [file, listed, {"$ref": "#/$defs/fault"}]}


def _kind(kind: type[Fault]) -> dict[str, Any]:
    """`{delay: 500ms}` or `{delay: {seconds: 0.5}}`, with the kind's other fields beside it or inside."""
    names = own_fields(kind)
    fields = {name: each for name, each in _fields(kind).items() if name in names}
    if "seconds" in fields:
        fields["seconds"] = {"anyOf": [fields["seconds"], _TIME]}
        fields |= {"ms": {"type": "number"}, "s": {"type": "number"}}
    forms: list[dict[str, Any]] = [{"type": "null"}, {"const": True}]
    if names:
        main = kind.main or names[0]
        forms.append(_TIME if main == "seconds" else fields[main])
        forms.append({"type": "object", "properties": fields, "additionalProperties": False})
    return {
        "type": "object",
        "description": " ".join((kind.__doc__ or "").split()),
        "properties": {kind.kind: {"anyOf": forms}, **fields},
        "required": [kind.kind],
        "additionalProperties": False,
    }


def _fields(kind: type[Fault]) -> dict[str, Any]:
    properties = _plain(TypeAdapter(kind).json_schema())["properties"]
    assert isinstance(properties, dict)
    for each in properties.values():  # pydantic leaves the bounds of a time as it found them
        for bound, keyword in (("ge", "minimum"), ("le", "maximum")):
            if bound in each:
                each[keyword] = each.pop(bound)
    return properties


def _plain(schema: Any, key: str = "") -> Any:
    """Without titles, and without null where a file may not have it: there None means that the key was left out."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {
        name: {each: _plain(value, each) for each, value in part.items()}
        if name in ("properties", "$defs")
        else _plain(part)
        for name, part in schema.items()
        if not (name == "title" and isinstance(part, str)) and not (name == "default" and part is None)
    }
    options = found.get("anyOf")
    if options and key not in _NULLABLE:
        options = [each for each in options if each != {"type": "null"}]
        found["anyOf"] = options
        if len(options) == 1:
            del found["anyOf"]
            found = {**options[0], **found}
    return found
