"""The packaged JSON Schemas are those of the models, take what realtape takes, and refuse what they can tell."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

import realtape
from mockserver.cli.schema import FOLDER, SchemaName, text_of
from mockserver.documents.reader import read_document
from replay.cli.files import document_kind

ROOT = Path(__file__).resolve().parents[3]
SCENARIOS = [*sorted((ROOT / "cassettes" / "scenarios").rglob("*.yaml")), *sorted((ROOT / "examples").rglob("*.yaml"))]
COMMENT = re.compile(r"^# yaml-language-server: \$schema=(\S+)$")


def blocks(page: str) -> list[str]:
    return re.findall(r"(?ms)^```yaml\n(.*?)^```", (ROOT / "docs" / page).read_text(encoding="utf-8"))


def complaints(name: SchemaName, text: str) -> list[Any]:
    schema = json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))
    text = re.sub(r"(\bat:\s+)(time:\s*[0-9.]+\s*[a-z]*)", r'\1"\2"', text)
    return list(Draft202012Validator(schema).iter_errors(read_document(text, "x").data))


@pytest.mark.parametrize("name", get_args(SchemaName))
def test_the_packaged_schema_is_that_of_the_models(name: SchemaName):
    stored = (FOLDER / f"{name}.schema.json").read_text(encoding="utf-8")
    assert stored == text_of(name), "run: realtape schema --out mockserver/documents/schemas"
    Draft202012Validator.check_schema(json.loads(stored))
    assert CliRunner().invoke(realtape.main, ["schema", name]).output == stored


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.name)
def test_every_example_names_its_schema_and_validates(path: Path):
    text = path.read_text(encoding="utf-8")
    comment = COMMENT.match(text.split("\n", 1)[0])
    assert comment is not None
    assert (path.parent / comment[1]).resolve() == FOLDER / "scenario.schema.json"
    assert document_kind(path) == "scenario"
    assert complaints("scenario", text) == []


@pytest.mark.parametrize("text", blocks("scenarios.md"))
def test_every_block_of_the_page_about_scenarios_validates(text: str):
    assert complaints("scenario", text) == []


@pytest.mark.parametrize("text", [each for each in blocks("faults.md") if "do:" in each])
def test_every_block_of_the_page_about_faults_validates(text: str):
    assert complaints("faults", text) == []


def test_every_fault_of_the_table_validates():
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    rows = re.findall(r"`(\{at: .*?\}+)`", page)
    assert len(rows) > 20
    for row in rows:
        assert complaints("faults", f"faults:\n  - {row}\n") == [], row


def test_accounts_validate():
    text = "teams: [{name: a, keys: [xai-one], limits: {max_sessions: 2, idle_minutes: 0.5}}]\nlimits: {snapshot_ms: 5}"
    assert complaints("accounts", text) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("scenario", "name: x"),
        ("scenario", "turns: []\nsequence: []"),
        ("scenario", "turn: []"),
        ("scenario", 'turns: [{reply: "Hello"}]'),
        ("scenario", "turns: [{when: hello, reply: []}]"),
        ("scenario", "turns: [{when: {}, reply: []}]"),
        ("scenario", "turns: [{when: {sayz: a}, reply: []}]"),
        ("scenario", "turns: [{heard: a}]"),
        ("scenario", "turns: [{reply: [{pause: 500}]}]"),
        ("scenario", "turns: [{reply: [{pause: {ms: 500ms}}]}]"),
        ("scenario", "turns: [{reply: [{say: hi, call: {name: x}}]}]"),
        ("scenario", "turns: [{reply: [{voice: ara}]}]"),
        ("scenario", "turns: [{reply: [{fail: {code: 503}}]}]"),
        ("scenario", "turns: [{reply: [], times: 0}]"),
        ("scenario", "turns: []\ntoday: July"),
        ("faults", "faults: drop"),
        ("faults", "faults: [{at: handshake, do: {code: 503}}]"),
        ("faults", "faults: [{at: response.done, do: {delay: 500}}]"),
        ("faults", "faults: [{at: response.done, do: {close: 503}}]"),
        ("faults", 'faults: [{at: "time: 5", do: reset}]'),
        ("faults", "faults: [{at: response.done, do: dorp}]"),
        ("faults", "faults: [{on: response.done, do: drop}]"),
        ("accounts", "teams: [{keys: []}]"),
        ("accounts", "teams: [{name: x}]"),
        ("accounts", "limits: {max_session: 1}"),
    ],
)
def test_a_mistake_of_form_does_not_validate(name: SchemaName, text: str):
    assert complaints(name, text)


def test_all_are_written_to_a_folder(tmp_path: Path):
    result = CliRunner().invoke(realtape.main, ["schema", "--out", str(tmp_path / "schemas")])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) == len(list((tmp_path / "schemas").iterdir())) == 3
    assert CliRunner().invoke(realtape.main, ["schema"]).exit_code == 2
