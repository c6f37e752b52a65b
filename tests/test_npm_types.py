"""The checked-in TypeScript types are those of the schemas, and the npm package has the version of the project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from replay.version import tool_version
from tools import npm_types

PACKAGE = Path(__file__).resolve().parent.parent / "npm"


@pytest.mark.parametrize(("path", "text"), [pytest.param(*each, id=each[0].name) for each in npm_types.files()])
def test_the_types_are_current(path: Path, text: str):
    assert path.read_text(encoding="utf-8") == text, "run `python -m tools.npm_types`"


def test_every_file_of_types_is_made():
    assert sorted(npm_types.FOLDER.iterdir()) == sorted(path for path, _ in npm_types.files())


def test_package_and_project_have_one_licence_and_one_version():
    described = json.loads((PACKAGE / "package.json").read_text(encoding="utf-8"))
    assert described["version"] == tool_version()
    assert (PACKAGE / "LICENSE").read_text(encoding="utf-8") == (PACKAGE.parent / "LICENSE").read_text(encoding="utf-8")


def test_objects_of_which_one_key_is_required_become_a_union():
    schema = {
        "properties": {"say": {"type": "string"}, "voice": {"type": "string"}, "fail": {"type": "null"}},
        "oneOf": [{"required": ["say"]}, {"required": ["fail"]}],
        "dependentRequired": {"voice": ["say"]},
    }
    assert npm_types._type(schema) == "{\n  say: string;\n  voice?: string;\n} | {\n  fail: null;\n}"


@pytest.mark.parametrize(
    ("schema", "type"),
    [
        ({"type": ["integer", "null"]}, "number | null"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, 'Array<"a" | "b">'),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, "Record<string, boolean>"),
        ({"$ref": "#/$defs/_Step"}, "Step"),
        ({"anyOf": [{"const": True}, {}]}, "true | unknown"),
    ],
)
def test_a_schema_becomes_a_type(schema: npm_types.Json, type: str):
    assert npm_types._type(schema) == type
